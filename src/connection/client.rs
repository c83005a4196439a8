//! What a connection's requests act on and with.

use std::sync::Arc;

use herenow_protocol::reply::{HeartbeatInfo, InForce, LevelReason};
use herenow_protocol::{ChannelName, ServerFrame, Sight};

use super::parked::{Answered, Parked};
use super::place::Places;
use super::rules::SocketRules;
use crate::actions::Desk;
use crate::auth::Caller;
use crate::delivery::{Outlet, Sending};
use crate::presence::Source;
use crate::token_bucket::TokenBucket;

/// One connection's client.
#[derive(Debug)]
pub struct Client {
    pub(super) desk: Arc<Desk>,
    pub(super) rules: Arc<SocketRules>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) places: Places,
    /// A deadline may have come nearer.
    pub(super) retime: bool,
    /// A subscription resumed: its missed frames are to follow its `ok`.
    pub(super) resumed: bool,
    /// The last command walked over all places: others have their turn before the next one.
    pub(super) heavy: bool,
    /// Whose turn it is to be caught up, among the places.
    pub(super) turn: u16,
    /// What the client may still ask for of snapshots. Boxed, since it is whole until a large one was
    /// asked for.
    pub(super) snapshots: Option<Box<TokenBucket>>,
    /// The client was told that its token ends soon.
    pub(super) warned: bool,
    /// What it said last of being away, for all its channels.
    pub(super) away: bool,
    /// Whether the connection counts as one that its user is away from.
    pub(super) counts_away: bool,
    /// A query that waits for what other nodes have, and holds up what is behind it.
    pub(super) parked: Option<Box<Parked>>,
}

/// What is replied to a request that was done.
pub(super) enum Done {
    /// To an action.
    Quiet(Option<ChannelName>),
    /// To `join`: what is other than the client knows.
    Joined { channel: ChannelName, grace_ms: Option<u64>, heartbeat: Option<HeartbeatInfo> },
    /// To `subscribe`.
    Subscribed {
        channel: ChannelName,
        level: InForce,
        resumed: bool,
        /// The connection was at another level until now.
        changed: Option<LevelReason>,
    },
    /// To `auth`.
    Renewed {
        /// Whom the fresh token lets the connection see.
        sight: Sight,
        /// What the fresh token does not grant any longer.
        removed: Option<ServerFrame>,
    },
    /// To a query.
    Answer(Answered),
    /// To a query whose answer comes later.
    Later,
    /// To `help`.
    Help,
}

impl Client {
    /// One that has asked for nothing yet, and `counts_away` or not.
    pub(super) fn new(
        desk: Arc<Desk>,
        rules: Arc<SocketRules>,
        outlet: Arc<Outlet>,
        counts_away: bool,
    ) -> Self {
        Self {
            desk,
            rules,
            outlet,
            places: Places::default(),
            retime: true,
            resumed: false,
            heavy: false,
            turn: 0,
            snapshots: None,
            warned: false,
            away: false,
            counts_away,
            parked: None,
        }
    }

    /// The connection's user, asking. What it may do stands behind the connection's lock.
    pub(super) fn caller<'a>(outlet: &'a Outlet, sending: &'a Sending<'_>) -> Caller<'a> {
        Caller::User { user: outlet.user(), access: sending.access().map(Arc::as_ref) }
    }

    /// Counts that the socket was full. A full socket ends the writing until the connection's task
    /// has looked, and the task asks at each look and at the end: so none is missed, none told twice.
    pub(super) fn count_choked(&self, sending: &mut Sending<'_>) {
        if sending.take_newly_full() {
            self.desk.hub().metrics().choked.inc();
        }
    }

    /// Counts the bytes that the socket took since `counted` was noted.
    pub(super) fn count_sent(&self, sending: &Sending<'_>, counted: &mut u32) {
        let sent = sending.sent();
        let more = sent.wrapping_sub(std::mem::replace(counted, sent));
        if more > 0 {
            self.desk.hub().metrics().sent.inc_by(more.into());
        }
    }

    /// The connection as what keeps its user present.
    pub(super) fn source(&self) -> Source {
        Source::connection(self.outlet.id())
    }
}
