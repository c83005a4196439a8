//! Real channels on several nodes: users who act anywhere, wires that break, nodes that die, are
//! stopped, cut off and drained, and a store that loses what it had: random histories with a simulated
//! time, made shorter when they fail. `HERENOW_SEED` repeats one, `HERENOW_HISTORIES` says how many.

mod faults;
mod kept;
mod node;
mod observer;
mod truth;
mod world;

use fastrand::Rng;
use faults::Fault;
use kept::{
    dead_and_lost, found, lost_while_it_stood_still, the_last_word_of_a_dead_node,
    wandering_leases, what_a_buried_node_says,
};
use world::{Action, History, Join, NODES, Place, USERS, World};

fn place(random: &mut Rng) -> Place {
    Place {
        slot: random.usize(0..NODES),
        at: random.usize(0..node::CHANNELS),
        user: random.usize(0..USERS),
        tab: random.usize(0..2),
    }
}

fn action(random: &mut Rng, troubles: bool) -> Action {
    let slot = random.usize(0..NODES);
    let at = place(random);
    match random.u32(0..if troubles { 100 } else { 78 }) {
        0..28 => Action::Join(
            at,
            Join {
                brings: random.u8(0..3),
                merge: random.bool(),
                audience: if random.u8(0..3) == 0 { random.u8(0..5) } else { 0 },
                info: if random.u8(0..4) == 0 { random.u8(0..3) } else { 0 },
                graced: random.bool(),
            },
        ),
        28..42 => Action::Write(at, random.u8(..100), random.bool(), random.u8(0..4) == 0),
        42..51 => Action::Leave(at),
        51..59 => Action::Lose(at),
        59..63 => Action::Away(at, random.bool()),
        63..69 => Action::Lease(at, random.u64(4_000..20_000)),
        69..72 => Action::EndLease(at),
        72..76 => Action::Follow(slot, at.at, random.u8(0..3) > 0),
        76..78 => Action::Rest,
        78..81 => Action::Pause(slot, random.u64(50..15_000)),
        81..86 => {
            let ways = [(true, true), (true, false), (false, true)][random.usize(0..3)];
            Action::Cut(slot, ways, random.u64(50..15_000))
        }
        86..89 => Action::Crash(slot),
        89..91 => Action::Drain(slot),
        91..93 => Action::Freeze(random.u64(50..8_000)),
        93..95 => Action::Empty,
        95..97 => Action::OldCopy(random.u64(0..6_000)),
        _ => Action::LoseAnswer(slot),
    }
}

fn history(seed: u64) -> History {
    let mut random = Rng::with_seed(seed);
    let troubles = random.u8(0..4) > 0;
    let length = random.usize(1..60);
    let longest_ms = [100, 800, 3_000][random.usize(0..3)];
    (0..length).map(|_| (random.u64(0..longest_ms), action(&mut random, troubles))).collect()
}

fn run(seed: u64, history: &History, fault: Option<Fault>) -> Result<u64, String> {
    World::new(seed, fault).run(history)
}

/// The shortest part of the history that still fails, found by leaving out more and more.
fn shorten(seed: u64, mut history: History, fault: Option<Fault>) -> (History, String) {
    let mut what = run(seed, &history, fault).unwrap_err();
    let mut size = history.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < history.len() {
            let mut shorter = history.clone();
            let left_out: Vec<_> = shorter.drain(from..(from + size).min(history.len())).collect();
            // What comes behind stays at its moment.
            if let Some(next) = shorter.get_mut(from) {
                next.0 += left_out.iter().map(|(wait_ms, _)| wait_ms).sum::<u64>();
            }
            match run(seed, &shorter, fault) {
                Err(why) => (history, what) = (shorter, why),
                Ok(_) => from += size,
            }
        }
        size /= 2;
    }
    (history, what)
}

#[test]
fn all_nodes_show_the_same_and_tell_nothing_false() {
    let first = crate::numbered("HERENOW_SEED", 0);
    let histories = crate::numbered("HERENOW_HISTORIES", if first > 0 { 1 } else { 9_000 });
    let first = if first > 0 { first } else { fastrand::u64(1 << 32..1 << 62) };
    let [one, other] = wandering_leases();
    let (dead, last) = (dead_and_lost(), the_last_word_of_a_dead_node());
    for history in [one, other, dead, last, lost_while_it_stood_still()] {
        (0..20).for_each(|seed| assert!(run(seed, &history, None).is_ok_and(|steps| steps > 0)));
    }
    for (crossing, history) in found() {
        run(crossing, &history, None).unwrap();
    }
    let mut steps = 0;
    for seed in first..first + histories {
        let history = history(seed);
        match run(seed, &history, None) {
            Ok(more) => steps += more,
            Err(_) => {
                let (history, what) = shorten(seed, history, None);
                let lines: Vec<_> = history.iter().map(|it| format!("{it:?}\n")).collect();
                panic!("HERENOW_SEED={seed}\n{what}\nafter\n{}", lines.concat());
            }
        }
    }
    println!("{histories} histories of {steps} steps, from HERENOW_SEED={first}");
}

/// Each mistake is found by some history, and most by one of the first.
#[test]
fn each_planted_fault_is_found() {
    let [one, other] = wandering_leases();
    let (dead, last) = (dead_and_lost(), the_last_word_of_a_dead_node());
    let still = lost_while_it_stood_still();
    let (crossing, buried) = what_a_buried_node_says();
    let finds = |fault, seed| {
        let fails = |seed, history: &_| run(seed, history, Some(fault)).is_err();
        let thought_out = [&history(seed), &one, &other, &dead, &last, &still];
        fails(crossing, &buried) || thought_out.into_iter().any(|it| fails(seed, it))
    };
    let found = |fault| (0..5_000).find(|&seed| finds(fault, seed));
    let all: Vec<_> = faults::ALL.into_iter().map(|fault| (fault, found(fault))).collect();
    println!("found by the history of that number: {all:?}");
    let missed: Vec<_> = all.iter().filter(|(_, found)| found.is_none()).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
