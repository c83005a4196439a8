//! Which hints this node has in Redis, and whose turn it is to write some: see `hints`.

use std::collections::HashMap;

use herenow_protocol::{ChannelName, UserId};
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify};

use crate::chance::keyed_hash;
use crate::limits::{HINT_TURNS, MAX_DOUBTS};
use crate::presence::NodeId;

/// What this node wrote, and whose turn it is.
#[derive(Debug)]
pub(super) struct Hints {
    pub(super) noted: Mutex<Noted>,
    /// Two channels may share one.
    turns: Box<[tokio::sync::Mutex<()>]>,
    pub(super) doubts: Mutex<Vec<Doubt>>,
    pub(super) some: Notify,
}

/// A hint that perhaps leads nowhere.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) channel: ChannelName,
    pub(super) user: UserId,
    pub(super) node: NodeId,
    /// It was read, so it is there even if this node does not know that.
    pub(super) was_read: bool,
}

/// The hints that this node has in Redis, by hashes. As many as it has members.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Counts the losses of data. What was noted before the last one may be gone, and is noted again
    /// when it is said again.
    losses: u32,
    /// Of each user in each channel, when it was noted.
    users: HashMap<u64, u32>,
    /// Of each channel how many users were noted in it, and when the channel was.
    channels: HashMap<u64, (u32, u32)>,
}

/// What is to be written before something is said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing<'a> {
    pub(super) of_node: bool,
    pub(super) users: Vec<&'a UserId>,
    losses: u32,
}

fn mark_of(node: NodeId, channel: &ChannelName, user: Option<&UserId>) -> u64 {
    keyed_hash((node, channel.as_str(), user.map(UserId::as_str)))
}

impl Noted {
    pub(super) fn has(&self, node: NodeId, channel: &ChannelName, user: &UserId) -> bool {
        self.users.contains_key(&mark_of(node, channel, Some(user)))
    }

    pub(super) fn missing<'a>(
        &self,
        node: NodeId,
        channel: &ChannelName,
        users: &[&'a UserId],
    ) -> Missing<'a> {
        let losses = self.losses;
        let is_new =
            |user: &&UserId| self.users.get(&mark_of(node, channel, Some(user))) != Some(&losses);
        let users: Vec<_> = users.iter().copied().filter(is_new).collect();
        let of_channel = self.channels.get(&mark_of(node, channel, None));
        let of_node = !users.is_empty() && of_channel.is_none_or(|&(_, noted)| noted != losses);
        Missing { of_node, users, losses }
    }

    /// They are written. What was lost meanwhile counts as written before that.
    pub(super) fn add(&mut self, node: NodeId, channel: &ChannelName, written: &Missing<'_>) {
        if written.users.is_empty() {
            return;
        }
        let of_channel = self.channels.entry(mark_of(node, channel, None)).or_default();
        for user in &written.users {
            let before = self.users.insert(mark_of(node, channel, Some(user)), written.losses);
            of_channel.0 += u32::from(before.is_none());
        }
        if written.of_node {
            of_channel.1 = written.losses;
        }
    }

    /// Those of the users that were noted, who are so no longer, and whether nobody else is in the
    /// channel.
    pub(super) fn remove<'a>(
        &mut self,
        node: NodeId,
        channel: &ChannelName,
        users: &[&'a UserId],
    ) -> (Vec<&'a UserId>, bool) {
        let mut was_noted =
            |user: &&UserId| self.users.remove(&mark_of(node, channel, Some(user))).is_some();
        let users: Vec<_> = users.iter().copied().filter(|user| was_noted(user)).collect();
        let place = mark_of(node, channel, None);
        let Some(of_channel) = self.channels.get_mut(&place) else { return (users, false) };
        of_channel.0 = of_channel.0.saturating_sub(users.len() as u32);
        let last = of_channel.0 == 0;
        if last {
            self.channels.remove(&place);
        }
        (users, last)
    }
}

impl Hints {
    pub(super) fn new() -> Self {
        let turns = (0..HINT_TURNS).map(|_| tokio::sync::Mutex::default());
        Self {
            noted: Mutex::default(),
            turns: turns.collect(),
            doubts: Mutex::default(),
            some: Notify::new(),
        }
    }

    /// Waits for the turn in a channel. Whoever has it may write what it is about to say there, and
    /// strike out what is said to be gone.
    pub(super) async fn turn(&self, channel: &ChannelName) -> MutexGuard<'_, ()> {
        self.turns[keyed_hash(channel.as_str()) as usize % HINT_TURNS].lock().await
    }

    /// Data were lost: everything is noted again when it is said again.
    pub(super) fn lost(&self) {
        self.noted.lock().losses += 1;
    }

    /// The node has a new name. What it noted under the old one goes with the burial of that.
    pub(super) fn forget(&self) {
        let mut noted = self.noted.lock();
        *noted = Noted { losses: noted.losses, ..Noted::default() };
    }

    pub(super) fn doubt(&self, doubt: Doubt) {
        let mut doubts = self.doubts.lock();
        // One that is passed over is found out the next time it is read.
        if doubts.len() < MAX_DOUBTS {
            doubts.push(doubt);
            drop(doubts);
            self.some.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name, "user").unwrap()
    }

    #[test]
    fn what_was_noted_is_noted_once_by_each_name_and_again_after_a_loss() {
        let (me, room) = (NodeId::new(1), ChannelName::parse("room", "channel").unwrap());
        let (ada, bob) = (user("ada"), user("bob"));
        let mut noted = Noted::default();
        let first = noted.missing(me, &room, &[&ada, &bob]);
        assert!(first.of_node && first.users == [&ada, &bob]);
        noted.add(me, &room, &first);
        assert!(noted.missing(me, &room, &[&ada]).users.is_empty());
        let reborn = noted.missing(NodeId::new(2), &room, &[&ada]);
        assert!(reborn.of_node && reborn.users == [&ada], "the new name has no hint");

        noted.losses += 1;
        let again = noted.missing(me, &room, &[&ada]);
        assert!(again.of_node && again.users == [&ada]);
        noted.losses += 1;
        noted.add(me, &room, &again);
        let later = noted.missing(me, &room, &[&ada]);
        assert!(later.of_node && later.users == [&ada], "lost while it was written");
    }

    #[test]
    fn the_channel_is_noted_as_long_as_a_user_is() {
        let (me, room) = (NodeId::new(1), ChannelName::parse("room", "channel").unwrap());
        let (ada, bob, eve) = (user("ada"), user("bob"), user("eve"));
        let mut noted = Noted::default();
        let all = noted.missing(me, &room, &[&ada, &bob]);
        noted.add(me, &room, &all);
        // What is to be noted again after a loss is struck out like anything else.
        noted.losses += 1;
        assert_eq!(noted.remove(me, &room, &[&eve, &ada]), (vec![&ada], false));
        assert_eq!(noted.remove(me, &room, &[&ada]), (vec![], false));
        assert_eq!(noted.remove(me, &room, &[&bob]), (vec![&bob], true));
        assert!(noted.users.is_empty() && noted.channels.is_empty());
        assert!(noted.missing(me, &room, &[&bob]).of_node);
    }
}
