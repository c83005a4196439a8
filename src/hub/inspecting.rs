//! What an operator asks of the live state: the largest channels, what keeps a member present, and by
//! which connections a user is here.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};

use super::channel::Guarded;
use super::reading::Seen;
use super::state::Hub;
use crate::auth::Credential;
use crate::delivery::{Flow, Wake};
use crate::limits::{LIST_MAX, USER_BATCH};
use crate::now::Now;
use crate::presence::{Heard, Member, Source, Viewer};

/// What keeps a member present.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// It.
    pub source: Source,
    /// When it was last heard, by the wall clock; `None`: this node does not know.
    pub last_seen: Option<u64>,
    /// It is a connection that was lost, and its grace runs.
    pub is_lost: bool,
}

/// A connection of a user.
#[derive(Debug)]
pub struct LiveConnection {
    /// Its number on this node.
    pub number: u64,
    /// When it was last heard, by the wall clock; `None`: it has just gone.
    pub last_seen: Option<u64>,
    /// Where it keeps the user present, by name: of the first [`LIST_MAX`] channels that the user is in,
    /// and until there are about as many names in all.
    pub channels: Vec<ChannelName>,
}

impl Hub {
    /// Whether there are other nodes, which may know more.
    fn is_one_of_many(&self) -> bool {
        self.engine().is_some_and(|engine| engine.others() > 0)
    }

    /// What connection number `number` is called among all nodes. To its client a node says less: it has
    /// its own alone.
    #[must_use]
    pub fn name_of_connection(&self, number: u64) -> String {
        match self.engine() {
            Some(engine) => format!("c{number}@{}", engine.me()),
            None => format!("c{number}"),
        }
    }

    /// The number of the connection that is called so; `None`: it is none of this node.
    #[must_use]
    pub fn connection_called(&self, name: &str) -> Option<u64> {
        let (number, node) = match name.split_once('@') {
            Some((number, node)) => (number, Some(node)),
            None => (name, None),
        };
        let ours = self.engine().map(|engine| engine.me().to_string());
        let digits = number.strip_prefix('c')?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && node == ours.as_deref()).then(|| digits.parse().ok())?
    }

    /// What keeps each of these members present; nothing of those who have gone meanwhile.
    #[must_use]
    pub fn sources_of(
        &self,
        name: &ChannelName,
        members: &[Arc<Member>],
        now: Now,
    ) -> Vec<Vec<Held>> {
        let read = |guarded: &Guarded| {
            let presence = guarded.presence();
            let held = |user| presence.held_by(user).zip(presence.sources(user)).collect();
            members.iter().map(|member| held(&member.user)).collect::<Vec<Vec<_>>>()
        };
        let all = self.look(name, read);
        let held = |(source, heard)| match heard {
            Heard::Connection(id) => {
                let last_seen = self.last_heard(id.number(), now);
                Held { source, last_seen, is_lost: false }
            }
            Heard::At(at) => Held { source, last_seen: Some(at), is_lost: source.is_connection() },
            Heard::Elsewhere => Held { source, last_seen: None, is_lost: false },
        };
        let of_one = |all: Vec<(Source, Heard)>| all.into_iter().map(held).collect();
        match all {
            Some(all) => all.into_iter().map(of_one).collect(),
            None => members.iter().map(|_| Vec::new()).collect(),
        }
    }

    /// The user's connections to this node, behind the one numbered `after`, each with where it keeps
    /// the user present, as far as `viewer` may see it there and `may_list` lets it look.
    pub async fn connections_of(
        &self,
        user: &UserId,
        viewer: Viewer<'_>,
        (after, limit): (Option<u64>, usize),
        may_list: impl Fn(&ChannelName) -> bool,
        now: Now,
    ) -> Seen<LiveConnection> {
        let mut numbers = self.users.connections_after(user, after, limit + 1);
        let more = numbers.len() > limit;
        numbers.truncate(limit);
        let mut channels: BTreeMap<u64, Vec<ChannelName>> = BTreeMap::new();
        let (mut behind, mut looked_at, mut named) = (None, 0, 0);
        while looked_at < LIST_MAX && named < LIST_MAX {
            let some = self.users.channels_after(user, behind.as_ref(), USER_BATCH);
            for name in some.iter().filter(|name| may_list(name)) {
                if named >= LIST_MAX {
                    break;
                }
                let held = |guarded: &Guarded| {
                    let presence = guarded.presence();
                    let is_seen = presence.member(user, viewer).is_some();
                    is_seen.then(|| presence.held_by(user).collect::<Vec<_>>())
                };
                let held = self.look(name, held).flatten().unwrap_or_default().into_iter();
                let here = held.filter_map(|source| match source {
                    Source::Connection(id) => Some(id.number()),
                    Source::Lease(_) | Source::Node(_) => None,
                });
                for number in here.filter(|number| numbers.binary_search(number).is_ok()) {
                    channels.entry(number).or_default().push(name.clone());
                    named += 1;
                }
            }
            looked_at += some.len();
            let Some(last) = some.last() else { break };
            behind = Some(last.clone());
            tokio::task::yield_now().await;
        }
        let view = |number| LiveConnection {
            number,
            last_seen: self.last_heard(number, now),
            channels: channels.remove(&number).unwrap_or_default(),
        };
        let found = numbers.into_iter().map(view).collect();
        Seen { found, more, partial: self.is_one_of_many() }
    }

    /// Ends that connection, as a kick does, if it is the user's. Whether there was one that was not
    /// ending already.
    pub fn kick_one(&self, user: &UserId, number: u64) -> bool {
        let Some(outlet) = self.connection(number).filter(|outlet| outlet.user() == user) else {
            return false;
        };
        let live = outlet.lock().flow() != Flow::Closed;
        outlet.wake(Wake::Kick);
        live
    }

    /// The first `most` channels by size, the largest first and those of one size by name, behind the
    /// one with `after`'s count and name; and how many there are in all. Of those that begin with
    /// `prefix` and have a member whom `viewer` may see, as far as this node knows; for `guests` without
    /// those at which guests may not look. Walks all channels, and keeps no more than it returns.
    fn largest(
        &self,
        prefix: &str,
        after: Option<&(u64, ChannelName)>,
        most: usize,
        viewer: Viewer<'_>,
        guests: bool,
    ) -> (Vec<(u64, ChannelName)>, u64) {
        let (mut first, mut all) = (BinaryHeap::<(Reverse<u64>, ChannelName)>::new(), 0);
        for entry in &self.channels {
            let (name, channel) = (entry.key(), entry.value());
            if !name.as_str().starts_with(prefix) || name.is_status() {
                continue;
            }
            let (shows, count) = {
                let looked = channel.look();
                (looked.presence().shows(viewer), looked.presence().count() as u64)
            };
            if !shows || (guests && !self.rules_in(channel).guests_look) {
                continue;
            }
            all += 1;
            let comes_later =
                after.is_none_or(|(size, last)| (Reverse(count), name) > (Reverse(*size), last));
            let comes_sooner = first.len() < most
                || first.peek().is_some_and(|(size, last)| (Reverse(count), name) < (*size, last));
            if comes_later && comes_sooner {
                first.push((Reverse(count), name.clone()));
                if first.len() > most {
                    first.pop();
                }
            }
        }
        let sorted = first.into_sorted_vec().into_iter();
        (sorted.map(|(Reverse(count), name)| (count, name)).collect(), all)
    }

    /// One page of the channels by size behind the one named `after`, of which `below` says how large
    /// it was (absent: as it is now), and how many channels there are in all. As far as this node knows
    /// them. `None`: it failed.
    pub async fn channels_by_size(
        self: &Arc<Self>,
        credential: &Credential,
        prefix: String,
        after: Option<(ChannelName, Option<u64>)>,
        limit: usize,
    ) -> Option<(Seen<(ChannelName, u64)>, u64)> {
        let who = credential.clone();
        let guests = who.caller().is_guest() && !self.trusts_guests();
        let walk = move |hub: &Self| {
            let size = |name: &ChannelName| hub.count(name) as u64;
            let after = after.map(|(name, below)| (below.unwrap_or_else(|| size(&name)), name));
            hub.largest(&prefix, after.as_ref(), limit + 1, who.caller().viewer(), guests)
        };
        let (mut found, all) = self.aside(walk).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let found = found.into_iter().map(|(count, name)| (name, count)).collect();
        Some((Seen { found, more, partial: self.is_one_of_many() }, all))
    }
}
