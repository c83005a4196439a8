//! Nodes that live, die, are stopped, cut off, drained and buried, on a store that stands still, is
//! lost or comes back old: random histories with a simulated time, shrunk when they fail.

mod faults;
mod node;
mod truth;
mod world;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use world::{Action, World};

/// Something happens, so long after what happened before.
fn action() -> impl Strategy<Value = (u64, Action)> {
    let node = 0..world::NODES;
    let channel = 0..world::CHANNELS;
    let at = (node.clone(), channel);
    let what = prop_oneof![
        6 => at.clone().prop_map(|(node, channel)| Action::Join(node, channel)),
        2 => at.clone().prop_map(|(node, channel)| Action::Leave(node, channel)),
        2 => (at.clone(), 500..25_000_u64).prop_map(|(at, ms)| Action::Lose(at.0, at.1, ms)),
        3 => at.prop_map(|(node, channel)| Action::Look(node, channel)),
        2 => (node.clone(), 100..20_000_u64).prop_map(|(node, ms)| Action::Pause(node, ms)),
        2 => (node.clone(), any::<(bool, bool)>(), 500..20_000_u64)
            .prop_map(|(node, ways, ms)| Action::Cut(node, ways, ms)),
        2 => node.clone().prop_map(Action::Crash),
        1 => node.prop_map(Action::Drain),
        1 => (100..12_000_u64).prop_map(Action::Freeze),
        1 => (100..12_000_u64).prop_map(Action::Down),
        1 => Just(Action::Empty),
        1 => (100..8_000_u64, other_clock()).prop_map(|(age, ahead)| Action::OldCopy(age, ahead)),
    ];
    (0..4_000_u64, what)
}

/// How far the clock of a store that takes over is ahead of the one before: mostly next to nothing.
fn other_clock() -> impl Strategy<Value = i64> {
    prop_oneof![2 => -50..50_i64, 1 => -10_000..10_000_i64]
}

fn history() -> impl Strategy<Value = (u64, Vec<(u64, Action)>)> {
    (any::<u64>(), prop::collection::vec(action(), 0..25))
}

/// Other histories each time, or those of `HERENOW_SEED`.
#[expect(clippy::print_stdout, reason = "cargo shows it when the test fails")]
fn config() -> ProptestConfig {
    let seed = crate::numbered("HERENOW_SEED", 0);
    let seed = if seed > 0 { seed } else { fastrand::u64(1..1 << 53) };
    println!("HERENOW_SEED={seed}");
    ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whoever_lives_is_never_judged_and_whoever_is_dead_is_judged_and_buried(
        (seed, history) in history()
    ) {
        World::new(seed, None).run(&history).map_err(TestCaseError::fail)?;
    }
}

/// A loss that is over by the time at which it can be said.
#[test]
fn a_loss_that_ends_while_it_is_said_leaves_nothing() {
    let history = [
        (0, Action::Join(0, 1)),
        (0, Action::Pause(0, 4_151)),
        (1_351, Action::Lose(0, 1, 2_801)),
        (2_826, Action::Join(0, 0)),
    ];
    World::new(0, None).run(&history).unwrap();
}
