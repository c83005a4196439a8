//! Mistakes that are made on purpose: each of them must be found, or the test finds nothing.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A gap in what was heard is overlooked: nothing is loaded again after it.
    GapOverlooked,
    /// After a connection broke, what was in flight is not said again.
    SaysNotAllAgain,
    /// What was not answered is taken for said.
    ForgetsUnanswered,
    /// Data were lost, and nobody cares.
    LossOverlooked,
    /// A node tells that it has said everything before it has.
    SaidTooSoon,
    /// The store takes the larger counter, and of equal ones the last.
    EqualStampsWritten,
    /// The store forgets the value with the mark of whoever wrote it.
    ValueGoesWithItsMark,
    /// The store's versions stand still.
    VersionsStand,
    /// A live source leaves the graces of others.
    GracesStay,
    /// Leases of a dead node are buried with it.
    LeasesBuried,
    /// A lease that ran out at one node ends although another renewed it.
    RanOutEndsAll,
    /// Nothing is published of those who went.
    GoneNotPublished,
    /// A write that did not know what was there is refused.
    OverIsIfNone,
    /// A lease that is said again takes it from whoever renewed it since.
    LeaseSaidAgainWins,
}
