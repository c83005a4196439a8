//! Mistakes that are made on purpose: each of them must be found, or the test finds nothing.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A gap in what was heard is overlooked: nothing is loaded again after it.
    GapOverlooked,
    /// A node that was taken for dead goes on saying things under its old name.
    NameKept,
    /// Data were lost, and nobody cares.
    LossOverlooked,
    /// Another era is taken for the same.
    EraIgnored,
    /// A node tells that it has said everything before it has.
    SaidTooSoon,
    /// What is published now and then has the version of what was published before.
    VersionsStand,
    /// Nothing is published of those who went.
    GoneNotPublished,
    /// The leases of a dead node are buried with it.
    LeasesBuried,
    /// A lease that ran out at one node ends although another renewed it.
    RanOutEndsAll,
    /// After a loss a lease is taken from whoever renewed it since.
    LeaseSaidAgainWins,
    /// Nobody says that a user is away.
    AwayNotSaid,
    /// A load leaves out somebody.
    LoadSkips,
    /// What an earlier load still brings is taken for a part of the last one.
    LoadsMixed,
    /// What is published before the load is done is not listened to.
    DeafWhileLoading,
    /// Whoever is a little late is taken for dead.
    JudgedTooSoon,
    /// Nobody is taken for dead in a channel: what such a node had stays where it was heard.
    DeadStay,
    /// What is written is said as if nobody else wrote.
    StampsStand,
    /// Whoever owes a summary forgets it, and nobody asks.
    SummaryNotOwed,
    /// A summary counts although a later one did.
    OlderSummaryWins,
    /// A number that is said again is kept although another has got it since.
    NumbersTwice,
    /// A node that others may have taken for dead says something before it knows.
    DeadSay,
    /// A dead node that lost data made live again is buried as if it were silent.
    BuriedOnce,
}

pub(super) const ALL: [Fault; 22] = [
    Fault::GapOverlooked,
    Fault::NameKept,
    Fault::LossOverlooked,
    Fault::EraIgnored,
    Fault::SaidTooSoon,
    Fault::VersionsStand,
    Fault::GoneNotPublished,
    Fault::LeasesBuried,
    Fault::RanOutEndsAll,
    Fault::LeaseSaidAgainWins,
    Fault::AwayNotSaid,
    Fault::LoadSkips,
    Fault::LoadsMixed,
    Fault::DeafWhileLoading,
    Fault::JudgedTooSoon,
    Fault::DeadStay,
    Fault::StampsStand,
    Fault::SummaryNotOwed,
    Fault::OlderSummaryWins,
    Fault::NumbersTwice,
    Fault::DeadSay,
    Fault::BuriedOnce,
];
