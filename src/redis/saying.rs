//! Saying what changed here: one say for a channel at a time, many channels side by side.

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::UserId;

use super::joint::{Joint, mark_of};
use super::line::Failed;
use super::line::jittered;
use crate::cluster::name::Group;
use crate::cluster::{Say, Told, UserSay};
use crate::hub::{Channel, Hub};
use crate::limits::{RENEWALS_EVERY_MS, SAY_AGAIN, SAY_REFUSED};

impl Joint {
    /// The channel has something to say. With its lock held.
    pub(super) fn note_unsaid(&self, channel: &Arc<Channel>) {
        let mut owed = self.owed.lock();
        let group = Group::of(channel.name());
        if let Some(&data) = owed.walks.get(&group)
            && owed.channels.insert(Arc::as_ptr(channel) as usize, (group, data)).is_none()
        {
            self.nodes.lock().owes(group.number(), data);
        }
        drop(owed);
        self.unsaid.push(channel);
    }

    /// Says what there is to say, for as long as the hub lives.
    pub(super) async fn keep_saying(self: Arc<Self>) {
        let mut joined = self.line.joined();
        let mut leased = self.leased.subscribe();
        loop {
            if joined.wait_for(Option::is_some).await.is_err() {
                return;
            }
            if leased.wait_for(|leased| *leased).await.is_err() {
                return;
            }
            let Ok(permit) = Arc::clone(&self.says).acquire_owned().await else { return };
            let channel = self.unsaid.next().await;
            self.metrics.unsaid.set(self.unsaid.len() as i64);
            let Some(hub) = self.hub() else { return };
            let joint = Arc::clone(&self);
            tokio::spawn(async move {
                joint.say(&hub, &channel).await;
                drop(permit);
            });
        }
    }

    /// Renewals of leases go together, once a second: they are no news to anybody. Whether they wait.
    fn rests(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) -> bool {
        let place = Arc::as_ptr(channel) as usize;
        let now_ms = self.now().mono_ms;
        let mut renewals = self.renewals.lock();
        let due_ms = *renewals.entry(place).or_insert(now_ms + RENEWALS_EVERY_MS);
        if due_ms <= now_ms || hub.is_draining() || hub.is_pressing(channel) {
            renewals.remove(&place);
            return false;
        }
        drop(renewals);
        self.unsaid.rest(channel, due_ms);
        true
    }

    async fn say(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) {
        if self.rests(hub, channel) {
            return;
        }
        let Some(say) = hub.take_say(channel) else {
            self.settled(channel);
            return;
        };
        match self.say_whole(channel, &say).await {
            Ok(told) => {
                let data = self.era_seen(Group::of(channel.name()), told.era);
                hub.said(channel, Some(&told));
                self.owes_summary(channel, told.owes_ms);
                let others = told.users.iter().filter_map(|user| user.record.as_ref());
                self.nodes_seen(channel.name(), others);
                if data.is_some() && !self.unsaid.has(channel) {
                    self.settled(channel);
                }
            }
            Err(failed) => {
                let wait = match &failed {
                    Failed::Refused(why) => {
                        tracing::debug!(channel = channel.name().as_str(), why, "Redis refuses");
                        SAY_REFUSED
                    }
                    Failed::Away | Failed::Unknown => SAY_AGAIN,
                };
                // Before it is known to have failed: from then on it has something to say at once.
                self.unsaid.push_later(channel, jittered(wait, &self.chance));
                hub.said(channel, None);
            }
        }
    }

    /// Says it, and keeps the hints right: what is there was noted before, what is gone is struck out
    /// behind.
    async fn say_whole(&self, channel: &Arc<Channel>, say: &Say) -> Result<Told, Failed> {
        let name = channel.name();
        let is_there = |user: &&UserSay| user.mark.is_some() || !user.leases.is_empty();
        let there: Vec<_> = say.users.iter().filter(is_there).map(|user| &user.user).collect();
        let is_new = |user: Option<&UserId>| !self.noted.lock().contains(&mark_of(name, user));
        let of_node = !there.is_empty() && is_new(None);
        let shows = !name.is_status();
        let new: Vec<&UserId> =
            there.iter().copied().filter(|user| shows && is_new(Some(user))).collect();
        self.store.note_places(name, say.node, of_node, &new, true).await?;
        {
            let mut noted = self.noted.lock();
            if of_node {
                noted.insert(mark_of(name, None));
            }
            noted.extend(new.iter().map(|user| mark_of(name, Some(user))));
        }
        let told = self.store.say(name, say).await?;
        let has_mine = |user: &UserId| {
            let record = told.users.iter().find(|told| told.user == *user);
            record.and_then(|told| told.record.as_ref()).is_some_and(|record| {
                record.marks.contains_key(&say.node)
                    || record.leases.values().any(|lease| lease.owner == say.node)
            })
        };
        let gone: Vec<&UserId> = say
            .users
            .iter()
            .map(|user| &user.user)
            .filter(|user| !has_mine(user) && (!shows || !is_new(Some(user))))
            .collect();
        if !gone.is_empty() {
            self.strike_out(channel, say, &gone).await;
        }
        Ok(told)
    }

    /// The node has nothing of these users any longer. Hints that stay by a failure are found out by
    /// whoever looks.
    async fn strike_out(&self, channel: &Arc<Channel>, say: &Say, gone: &[&UserId]) {
        let name = channel.name();
        let empty = channel.look().presence().is_empty();
        {
            let mut noted = self.noted.lock();
            for user in gone {
                noted.remove(&mark_of(name, Some(user)));
            }
            if empty {
                noted.remove(&mark_of(name, None));
            }
        }
        let users = if name.is_status() { &[] } else { gone };
        let _ = self.store.note_places(name, say.node, empty, users, false).await;
    }

    /// Everything was said in the channel for now.
    fn settled(&self, channel: &Arc<Channel>) {
        let owed = self.owed.lock().channels.remove(&(Arc::as_ptr(channel) as usize));
        if let Some((group, data)) = owed {
            self.nodes.lock().settled(group.number(), data);
            self.soon.notify_one();
        }
    }

    /// Waits until nothing is left to say, for so long at most.
    pub(super) async fn flush(&self, most: Duration) {
        let said = async {
            while !self.unsaid.is_empty() || self.says.available_permits() < PERMITS {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(most, said).await.is_err() {
            tracing::warn!(channels = self.unsaid.len(), "not all was said to the other nodes");
        }
    }
}

/// How many permits there are while nothing is in flight: the loop itself holds one.
const PERMITS: usize = crate::limits::SAYS_IN_FLIGHT - 1;
