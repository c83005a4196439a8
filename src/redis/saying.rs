//! Saying what changed here: one say for a channel at a time, many channels side by side.

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::UserId;
use tokio::sync::OwnedSemaphorePermit;

use super::joint::Joint;
use super::line::Failed;
use super::line::jittered;
use crate::cluster::name::Group;
use crate::cluster::{LeaseSay, Say, Told, UserSay};
use crate::hub::{Channel, Hub};
use crate::limits::{RENEWALS_EVERY_MS, SAY_AGAIN, SAY_REFUSED};
use crate::presence::Keeper;
use crate::vital::on_panic;

impl Joint {
    /// The channel has something to say. With its lock held.
    pub(super) fn note_unsaid(&self, channel: &Arc<Channel>) {
        self.owe(channel);
        self.unsaid.push(channel);
    }

    /// While all is said again: something is to be said in this channel before that is done.
    pub(super) fn owe(&self, channel: &Arc<Channel>) {
        let mut owed = self.owed.lock();
        let group = Group::of(channel.name());
        let Some(&data) = owed.walks.get(&group) else { return };
        let before = owed.channels.insert(Arc::as_ptr(channel) as usize, (group, data));
        if before != Some((group, data)) {
            self.nodes.lock().owes(group.number(), data);
        }
    }

    /// Says what there is to say, for as long as the hub lives: only under a lease that surely runs, since
    /// behind its end the others may have buried this node.
    pub(super) async fn keep_saying(self: Arc<Self>) {
        let mut joined = self.line.joined();
        let mut leased = self.leased.subscribe();
        loop {
            if joined.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let Ok(permit) = Arc::clone(&self.says).acquire_owned().await else { return };
            let channel = self.unsaid.next().await;
            // Each renewal tells the lease anew.
            if leased.wait_for(|leased| *leased && self.is_surely_alive()).await.is_err() {
                return;
            }
            self.metrics.unsaid.set(self.unsaid.len() as i64);
            let Some(hub) = self.hub() else { return };
            tokio::spawn(Arc::clone(&self).say_guarded(hub, channel, permit));
        }
    }

    /// Says what there is to say in the channel. Should that panic, it is tried again.
    fn say_guarded(
        self: Arc<Self>,
        hub: Arc<Hub>,
        channel: Arc<Channel>,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> {
        let again = (Arc::clone(&self), Arc::clone(&hub), Arc::clone(&channel));
        let work = async move {
            self.say(&hub, &channel).await;
            drop(permit);
        };
        on_panic(work, move || {
            let (joint, hub, channel) = again;
            joint.say_later(&hub, &channel, SAY_REFUSED);
        })
    }

    /// What is in flight failed: it is said again, so much later.
    fn say_later(&self, hub: &Arc<Hub>, channel: &Arc<Channel>, wait: Duration) {
        // Before it is known to have failed: from then on it has something to say at once.
        self.unsaid.push_later(channel, jittered(wait, &self.chance));
        hub.said(channel, None);
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
            self.settle(hub, channel);
            return;
        };
        match self.say_whole(channel, &say).await {
            Ok(told) => {
                let data = self.era_seen(Group::of(channel.name()), told.era);
                hub.said(channel, Some(&told));
                self.owes_summary(channel, told.owes_ms);
                let others = told.users.iter().filter_map(|user| user.record.as_ref());
                self.nodes_seen(channel.name(), others);
                if data.is_some() {
                    self.settle(hub, channel);
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
                self.say_later(hub, channel, wait);
            }
        }
    }

    /// Says it, and keeps the hints right: what is there was noted before, what is gone is struck out
    /// behind.
    async fn say_whole(&self, channel: &Arc<Channel>, say: &Say) -> Result<Told, Failed> {
        let name = channel.name();
        let takes = |(_, lease): &(Keeper, LeaseSay)| matches!(lease, LeaseSay::Take { .. });
        let is_there = |user: &&UserSay| user.mark.is_some() || user.leases.iter().any(takes);
        let there: Vec<_> = say.users.iter().filter(is_there).map(|user| &user.user).collect();
        let _turn = self.hints.turn(name).await;
        self.note(name, say.node, &there).await?;
        if !self.is_surely_alive() {
            return Err(Failed::Away);
        }
        let told = self.store.say(name, say).await?;
        let has_mine = |user: &&UserId| {
            let told = told.users.iter().find(|told| told.user == **user);
            let record = told.and_then(|told| told.record.as_ref());
            record.is_some_and(|record| record.is_of(say.node))
        };
        let all = say.users.iter().map(|user| &user.user);
        let gone: Vec<&UserId> = all.filter(|user| !has_mine(user)).collect();
        if !gone.is_empty() {
            self.strike_out(name, say.node, &gone).await;
        }
        Ok(told)
    }

    /// Whether everything was said in the channel for now: then nothing is owed there any longer. What
    /// follows may be in flight already, so the channel itself is asked.
    pub(super) fn settle(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) {
        if !hub.has_said_all(channel) {
            return;
        }
        let owed = self.owed.lock().channels.remove(&(Arc::as_ptr(channel) as usize));
        if let Some((group, data)) = owed {
            self.nodes.lock().settled(group.number(), data);
            self.soon.notify_one();
        }
    }

    /// Waits until nothing is left to say in these channels, for so long at most.
    pub(super) async fn flush(&self, hub: &Hub, channels: &[Arc<Channel>], most: Duration) {
        let said = async {
            for channel in channels {
                while !hub.has_said_all(channel) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        };
        if tokio::time::timeout(most, said).await.is_err() {
            tracing::warn!(channels = self.unsaid.len(), "not all was said to the other nodes");
        }
    }
}
