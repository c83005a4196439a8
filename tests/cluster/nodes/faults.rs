//! Mistakes that are made on purpose: each of them must be found, or the test finds nothing.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::history;
use super::world::World;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Whoever is a little late is taken for dead.
    JudgedTooSoon,
    /// A node does not notice that it did not renew for long, and judges.
    HoleOverlooked,
    /// Other data are taken for the same.
    EraIgnored,
    /// The store renews the lease of whoever is dead.
    DeadRenews,
    /// Nobody gets more time after the store stood still.
    NoMoreTime,
    /// A node that was taken for dead goes on under its name.
    KeepsItsName,
    /// A node that was taken for dead does not say again what it has.
    SaysNothingAgain,
    /// What merely grace keeps is buried with the rest.
    BuriesLosses,
    /// The leases of a dead node are buried with the rest.
    BuriesLeases,
    /// A claim never ends.
    ClaimForEver,
    /// An old copy of the store brings a dead node back to life.
    ClaimSpares,
    /// Nobody cares for what dead nodes left that are in no list.
    StraysStay,
    /// Nobody asks which data groups hold in which it has nothing.
    GroupsUnasked,
    /// What changed is asked for since a moment of a clock that was set back meanwhile.
    ClockTrusted,
}

const ALL: [Fault; 14] = [
    Fault::JudgedTooSoon,
    Fault::HoleOverlooked,
    Fault::EraIgnored,
    Fault::DeadRenews,
    Fault::NoMoreTime,
    Fault::KeepsItsName,
    Fault::SaysNothingAgain,
    Fault::BuriesLosses,
    Fault::BuriesLeases,
    Fault::ClaimForEver,
    Fault::ClaimSpares,
    Fault::StraysStay,
    Fault::GroupsUnasked,
    Fault::ClockTrusted,
];

/// Histories in which each must be found. Most are found by one of the first hundreds.
const HISTORIES: u32 = 10_000;

#[test]
fn every_mistake_that_is_planted_is_found() {
    let missed = ALL.into_iter().filter(|&fault| {
        let config = Config {
            cases: HISTORIES,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new(config);
        let run = |(seed, history): (u64, Vec<_>)| {
            World::new(seed, Some(fault)).run(&history).map_err(TestCaseError::fail)
        };
        runner.run(&history(), run).is_ok()
    });
    let missed: Vec<_> = missed.collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
