//! A member, and the sources that keep it present.

use std::sync::Arc;

use herenow_protocol::reply::MemberView;
use herenow_protocol::{AttributeMap, Attributes, UserId};

/// What keeps a member present: the number of a connection, never used twice.
pub type SourceId = u64;

/// A member as observers see it. Immutable and shared: a change makes a new one, so what observers
/// saw before can be kept and compared, and a snapshot clones handles instead of members.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they set.
    pub attributes: Attributes,
    /// When they joined, by the wall clock.
    pub joined_at: u64,
    /// The how-many-th join of the channel this was: lists run by it, newest first.
    pub number: u64,
}

impl Member {
    /// The member as a frame shows it.
    #[must_use]
    pub fn view(&self) -> MemberView {
        MemberView {
            user: self.user.clone(),
            attributes: self.attributes.clone(),
            joined_at: self.joined_at,
        }
    }
}

/// A source, alive or in grace.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) grace_ms: u64,
    /// Set when the connection is gone and the grace runs. Boxed, since it seldom is.
    pub(super) lost: Option<Box<Lost>>,
}

/// A source in grace.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) ends_ms: u64,
    pub(super) last_seen: u64,
}

/// Keys that vanish by themselves, each with its deadline. At most as many as attributes may have.
#[derive(Debug, Default)]
pub(super) struct KeyDeadlines(Vec<(Box<str>, u64)>);

impl KeyDeadlines {
    /// Every write of a key sets or clears its deadline.
    pub(super) fn written(&mut self, patch: &AttributeMap, deadline: Option<u64>) {
        self.0.retain(|(key, _)| !patch.contains_key(&**key));
        if let Some(deadline) = deadline {
            let kept = patch.iter().filter(|(_, value)| !value.is_null());
            self.0.extend(kept.map(|(key, _)| (key.as_str().into(), deadline)));
        }
    }

    pub(super) fn earliest(&self) -> Option<u64> {
        self.0.iter().map(|&(_, deadline)| deadline).min()
    }

    /// Takes out the keys whose time has come.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Vec<Box<str>> {
        self.0.extract_if(.., |(_, deadline)| *deadline <= now_ms).map(|(key, _)| key).collect()
    }
}

/// A member with what only the broker knows of it.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) member: Arc<Member>,
    /// Never empty: the last one going is the member going.
    pub(super) sources: Vec<Source>,
    pub(super) key_deadlines: Option<Box<KeyDeadlines>>,
    /// When the channel's list of deadlines will look at this member next.
    pub(super) due_ms: Option<u64>,
}

impl Membership {
    pub(super) fn has_live(&self, source: SourceId) -> bool {
        self.sources.iter().any(|s| s.id == source && s.lost.is_none())
    }

    /// The earliest moment at which something of this member ends by itself.
    pub(super) fn deadline(&self) -> Option<u64> {
        let grace = self.sources.iter().filter_map(|s| s.lost.as_ref()).map(|l| l.ends_ms).min();
        let keys = self.key_deadlines.as_ref().and_then(|keys| keys.earliest());
        grace.into_iter().chain(keys).min()
    }

    pub(super) fn note_written(&mut self, patch: &AttributeMap, deadline: Option<u64>) {
        if deadline.is_some() || self.key_deadlines.is_some() {
            self.key_deadlines.get_or_insert_default().written(patch, deadline);
        }
    }
}
