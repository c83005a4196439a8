//! One channel of one node, to which what comes from elsewhere comes as a test wants it.

use herenow_protocol::{Attributes, Epoch, LeaveReason, LossReason, UserId};
use serde_json::Value;

use crate::cluster::peers::Peers;
use crate::cluster::record::{LeaseMark, Mark, Record, Stamp, Stamped, Written, example};
use crate::cluster::replica::channel::{Heard, Replica};
use crate::cluster::say::{Say, Told, UserTold};
use crate::now::Now;
use crate::presence::{Bounds, ChannelState, Command, Keeper, Lasts, NodeId, Source, Viewer};

pub(super) const ME: u64 = 7;
pub(super) const OTHER: u64 = 8;
pub(super) const THIRD: u64 = 9;
pub(super) const ERA: u64 = 1;
/// What the store's clock shows, by which moments of its own are told.
pub(super) const STORE_MS: u64 = 50_000;
pub(super) const BOUNDS: Bounds =
    Bounds { members: 1_000, attribute_bytes: 50_000, attribute_keys: 10, roster: 1_000 };

pub(super) fn user(name: &str) -> UserId {
    UserId::parse(name, "user").unwrap()
}

pub(super) fn attributes(of: &Value) -> Attributes {
    Attributes::from_map(of.as_object().unwrap())
}

/// What the store has of a user with connections at these nodes.
pub(super) fn live(at: &[u64]) -> Record {
    let mark = Mark::Live { connections: 1, away: false };
    Record {
        marks: at.iter().map(|&node| (NodeId::new(node), mark)).collect(),
        ..example(&[], &[])
    }
}

pub(super) fn lost(at: u64, until: u64) -> Record {
    let mark = Mark::Lost { until, away: false, reason: LossReason::Connection, last_seen: 3 };
    Record { marks: [(NodeId::new(at), mark)].into(), ..example(&[], &[]) }
}

pub(super) fn leased(owner: u64) -> Record {
    let lease = LeaseMark { owner: NodeId::new(owner), ends: STORE_MS + 9_000, away: false };
    Record { leases: [(Keeper::Herenow, lease)].into(), ..example(&[], &[]) }
}

/// What became of users, by that version.
pub(super) fn told<const N: usize>(version: u64, users: [(&str, Option<Record>); N]) -> Told {
    let one = |(name, record): (&str, Option<Record>)| UserTold {
        user: user(name),
        record: record.map(|record| Record { version, ..record }),
        why: None,
    };
    Told {
        era: ERA,
        version,
        changed: true,
        counted: false,
        owes_ms: None,
        now: STORE_MS,
        users: users.into_iter().map(one).collect(),
    }
}

pub(super) fn peers(said_all: &[u64], owing: &[u64], dead: &[u64]) -> Peers {
    let of = |nodes: &[u64]| std::sync::Arc::new(nodes.iter().copied().map(NodeId::new).collect());
    Peers { dead: of(dead), said_all: of(said_all), owing: of(owing) }
}

/// A channel of node [`ME`].
pub(super) struct One {
    pub(super) state: ChannelState,
    pub(super) replica: Replica,
    pub(super) peers: Peers,
    pub(super) now: Now,
}

impl One {
    pub(super) fn new() -> Self {
        let mut state = ChannelState::new(Epoch::from_random(1));
        state.share();
        let now = Now { mono_ms: 1_000, unix_ms: 1_000_000 };
        Self { state, replica: Replica::new(NodeId::new(ME), 0), peers: Peers::default(), now }
    }

    /// One that knows all: of these, by version 10.
    pub(super) fn whole<const N: usize>(users: [(&str, Record); N]) -> Self {
        let mut one = Self::new();
        one.replica.follow();
        assert!(!one.load(10, users));
        one
    }

    pub(super) fn apply(&mut self, command: Command) {
        self.state.apply(command, self.now, &BOUNDS, |_| {}).unwrap();
        self.replica.note(&mut self.state);
    }

    pub(super) fn join(&mut self, name: &str, source: Source) {
        let lasts = match source {
            Source::Lease(_) => Lasts::Lease { ttl_ms: 9_000 },
            _ => Lasts::Connection { grace_ms: 5_000 },
        };
        self.apply(Command::Join {
            user: user(name),
            source,
            attributes: None,
            merge: true,
            info: None,
            visible_to: None,
            away: None,
            lasts,
        });
    }

    pub(super) fn leave(&mut self, name: &str, source: Source) {
        self.apply(Command::Leave { user: user(name), source, reason: LeaveReason::Left });
    }

    pub(super) fn write(&mut self, name: &str, what: &Value) {
        self.apply(Command::SetAttributes {
            user: user(name),
            source: Source::connection(1),
            attributes: what.as_object().unwrap().clone(),
            merge: true,
            ttl_ms: None,
        });
    }

    pub(super) fn say(&mut self) -> Option<Say> {
        self.replica.say(&self.state, self.now)
    }

    pub(super) fn take(&mut self, heard: Heard) -> bool {
        heard.commands.into_iter().for_each(|command| self.apply(command));
        heard.load_again
    }

    /// Published. Whether something was missed.
    pub(super) fn hear(&mut self, told: &Told) -> bool {
        let heard = self.replica.told(told, &self.state, &self.peers, self.now);
        self.take(heard)
    }

    pub(super) fn hear_apart(&mut self, told: &Told) -> bool {
        let heard = self.replica.told_apart(told, &self.state, &self.peers, self.now);
        self.take(heard)
    }

    pub(super) fn answered(&mut self, told: &Told) -> bool {
        let heard = self.replica.answered(told, &self.state, &self.peers, self.now);
        self.take(heard)
    }

    pub(super) fn begin(&mut self, version: u64) -> u32 {
        let load = self.replica.load_asked().unwrap();
        self.replica.load_begins(load, (ERA, version, STORE_MS), &self.peers, self.now);
        load
    }

    pub(super) fn part<const N: usize>(&mut self, load: u32, users: [(&str, Record); N]) {
        let records = users.map(|(name, record)| (user(name), record));
        let commands = self.replica.load_part(load, &records, &self.state, &self.peers, self.now);
        commands.into_iter().for_each(|command| self.apply(command));
    }

    /// Whether something was missed.
    pub(super) fn end(&mut self, load: u32) -> bool {
        loop {
            let loaded = self.replica.load_ends(load, &self.state, &self.peers, self.now);
            loaded.commands.into_iter().for_each(|command| self.apply(command));
            if loaded.done {
                return loaded.load_again;
            }
        }
    }

    /// All of it at once. Whether something was missed.
    pub(super) fn load<const N: usize>(
        &mut self,
        version: u64,
        users: [(&str, Record); N],
    ) -> bool {
        let load = self.begin(version);
        self.part(load, users);
        self.end(load)
    }

    /// Who is shown.
    pub(super) fn shown(&self) -> Vec<String> {
        let page = self.state.members(1_000, None, Viewer::All);
        let mut names: Vec<_> = page.members.iter().map(|it| it.user.to_string()).collect();
        names.sort();
        names
    }

    /// Of whom anything is known.
    pub(super) fn known(&self) -> Vec<&str> {
        self.replica.users.keys().map(UserId::as_str).collect()
    }
}

pub(super) fn stamp(counter: u64, node: u64) -> Stamp {
    Stamp { counter, node: NodeId::new(node) }
}

pub(super) fn with_attributes(
    mut record: Record,
    stamp: Stamp,
    of: &Value,
    ends: &[(&str, u64)],
) -> Record {
    let ends = ends.iter().map(|&(key, end)| (key.into(), end)).collect();
    let value = Written { attributes: attributes(of), ends };
    record.attributes = Some(Stamped { stamp, value });
    record
}
