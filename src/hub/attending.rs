//! Whoever asks something of a channel once, and does not stay: the channel is followed for a while,
//! so that the answer is the cluster's and not this node's.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use herenow_protocol::{ChannelName, UserId};
use tokio::sync::oneshot;

use super::channel::Guarded;
use super::clustered::Wanted;
use super::door::At;
use super::state::Hub;
use crate::cluster::{Told, summary};
use crate::limits::{ATTEND_BATCH, LOAD_WAIT_MS, MAX_ATTENDED};
use crate::presence::{Member, Viewer};

impl Hub {
    /// Has the channel followed for a while, and waits until all of it is known, a second at most.
    /// Whether it may not be. At once for a node that runs alone: it knows all.
    pub async fn attend(self: &Arc<Self>, name: &ChannelName) -> bool {
        self.attend_all(std::slice::from_ref(name), Wanted::Members).await
    }

    /// Whether it is a giant of which the summary is all that is known here.
    #[must_use]
    pub fn sums_up(&self, name: &ChannelName) -> bool {
        self.look(name, Guarded::is_summed) == Some(true)
    }

    /// As [`Hub::attend`], of several channels together.
    pub async fn attend_channels(self: &Arc<Self>, names: &[ChannelName]) -> bool {
        self.attend_all(names, Wanted::Members).await
    }

    /// As [`Hub::attend`], for how many members there are and the newest of them.
    pub async fn attend_count(self: &Arc<Self>, name: &ChannelName) -> bool {
        self.attend_all(std::slice::from_ref(name), Wanted::Count).await
    }

    /// The same of several channels together.
    pub async fn attend_counts(self: &Arc<Self>, names: &[ChannelName]) -> bool {
        self.attend_all(names, Wanted::Count).await
    }

    /// As [`Hub::attend`], of several channels together, and as much of each as is `wanted`.
    pub(super) async fn attend_all(
        self: &Arc<Self>,
        names: &[ChannelName],
        wanted: Wanted,
    ) -> bool {
        let Some(engine) = self.engine() else { return false };
        let mut over = pin!(tokio::time::sleep(Duration::from_millis(LOAD_WAIT_MS)));
        let mut partial = false;
        for some in names.chunks(ATTEND_BATCH) {
            let hearing = engine.hearing();
            let waits: Vec<_> = some
                .iter()
                .filter_map(|name| self.begin_attending(name, wanted, hearing))
                .collect();
            let all = async {
                for wait in waits {
                    // Whoever keeps the channel from becoming whole lets go, too.
                    let _ = wait.await;
                }
            };
            tokio::select! {
                () = all => {}
                () = &mut over => {}
            }
            let hearing = engine.hearing();
            let knows = |guarded: &Guarded| guarded.knows(wanted, hearing);
            partial |= !some.iter().all(|name| self.look(name, knows).unwrap_or(false));
        }
        partial || engine.hearing().is_none()
    }

    /// Waits until the store has what was done here of the user in the channel, a second at most: whoever
    /// was answered may ask any node next, or have it do the opposite, and the last word counts. At once
    /// for a node that runs alone, and while the store is away.
    pub async fn until_told(self: &Arc<Self>, name: &ChannelName, user: &UserId) {
        if !self.engine().is_some_and(|engine| engine.is_well()) {
            return;
        }
        let told = self.enter_existing(name, |door| door.guarded().until_told(user)).flatten();
        if let Some(told) = told {
            let _ = tokio::time::timeout(Duration::from_millis(LOAD_WAIT_MS), told).await;
        }
    }

    /// What the store has of one user in a channel of which this node does not know it: asked for where
    /// an answer depends on it, and the rest of the channel does not matter. `None`: nothing is to be
    /// learnt, or the store does not answer.
    pub async fn look_up(self: &Arc<Self>, name: &ChannelName, user: &UserId) -> Option<Told> {
        let engine = self.engine().filter(|engine| engine.is_well())?;
        let known = |guarded: &Guarded| !guarded.is_partial() || guarded.has_own(user);
        if self.look(name, known) == Some(true) {
            return None;
        }
        let wait = Duration::from_millis(LOAD_WAIT_MS);
        tokio::time::timeout(wait, engine.look_up(name, user)).await.ok()?
    }

    /// The member, as with [`Hub::member`], and whether that may not be so. A giant of which the summary
    /// does is not loaded for it: the store is asked for the one.
    pub async fn attend_member(
        self: &Arc<Self>,
        name: &ChannelName,
        user: &UserId,
        viewer: Viewer<'_>,
    ) -> (Option<Arc<Member>>, bool) {
        let partial = self.attend_count(name).await;
        let found = self.member(name, user, viewer);
        if found.is_some() || !self.sums_up(name) {
            return (found, partial);
        }
        let Some(told) = self.look_up(name, user).await else { return (None, true) };
        let record = told.users.iter().find(|told| told.user == *user);
        let record = record.and_then(|told| told.record.as_ref()).filter(|it| it.is_member());
        let member = record.map(|record| Arc::new(summary::member(user, record, told.now)));
        (member.filter(|member| viewer.sees(member)), partial)
    }

    /// What tells that so much of the channel is known; `None`: it is, or will not be soon.
    fn begin_attending(
        self: &Arc<Self>,
        name: &ChannelName,
        wanted: Wanted,
        hearing: Option<u64>,
    ) -> Option<oneshot::Receiver<()>> {
        let now_ms = self.clock().now().mono_ms;
        if self.attended.load(Ordering::Relaxed) >= MAX_ATTENDED && self.find(name).is_none() {
            return None;
        }
        self.enter(At::Named(name), |door| door.attend(wanted, hearing, now_ms))
    }

    /// The first `most` channels by name behind `after` in which any node may have the user, and
    /// whether there may be more: of this node's own, and of what the store says of the others.
    pub(super) async fn may_have(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        most: usize,
    ) -> Hints {
        let own = self.users.channels_after(user, after, most);
        let Some(engine) = self.engine() else { return Hints::of_one(own, most) };
        let others = engine.channels_of(user, after, most).await;
        Hints::new(own, others, most)
    }

    /// The same of all channels whose names begin with `prefix`. `own` are this node's.
    pub(super) async fn may_be(
        &self,
        prefix: &str,
        own: Vec<ChannelName>,
        after: Option<&ChannelName>,
        most: usize,
    ) -> Hints {
        let Some(engine) = self.engine() else { return Hints::of_one(own, most) };
        let others = engine.channels(prefix, after, most).await;
        Hints::new(own, others, most)
    }
}

/// Names of channels that are worth a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hints {
    /// By name.
    pub(super) names: Vec<ChannelName>,
    /// There may be more behind the last.
    pub(super) more: bool,
    /// The store did not answer.
    pub(super) partial: bool,
}

impl Hints {
    fn of_one(names: Vec<ChannelName>, most: usize) -> Self {
        Self { more: names.len() >= most, names, partial: false }
    }

    /// Out of two lists by name, of which each is cut after `most`.
    fn new(own: Vec<ChannelName>, others: Option<Vec<ChannelName>>, most: usize) -> Self {
        let partial = others.is_none();
        let lists = [own, others.unwrap_or_default()];
        let more = lists.iter().any(|list| list.len() >= most);
        let ends: Vec<_> =
            lists.iter().filter(|list| list.len() >= most).filter_map(|list| list.last()).collect();
        // Behind the end of a list that was cut, names may be missing.
        let end = ends.into_iter().min().cloned();
        let names: BTreeSet<_> = lists.into_iter().flatten().collect();
        let names = names.into_iter().filter(|name| end.as_ref().is_none_or(|end| name <= end));
        Self { names: names.collect(), more, partial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<ChannelName> {
        names.iter().map(|name| ChannelName::parse(name, "channel").unwrap()).collect()
    }

    #[test]
    fn of_two_lists_nothing_is_passed_over() {
        let hints = |own: &[&str], others: &[&str]| Hints::new(names(own), Some(names(others)), 3);
        let all = hints(&["a", "c"], &["a", "b"]);
        assert_eq!((all.names, all.more, all.partial), (names(&["a", "b", "c"]), false, false));
        let cut = hints(&["a", "d", "e"], &["b", "f"]);
        assert_eq!((cut.names, cut.more), (names(&["a", "b", "d", "e"]), true), "f comes later");
        let both = hints(&["a", "b", "c"], &["x", "y", "z"]);
        assert_eq!((both.names, both.more), (names(&["a", "b", "c"]), true));
        let alone = Hints::new(names(&["a"]), None, 3);
        assert_eq!((alone.names, alone.more, alone.partial), (names(&["a"]), false, true));
    }
}
