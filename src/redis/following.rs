//! Hearing what others have of the channels that somebody here looks at.
//!
//! First a channel is listened to, then loaded: what is published meanwhile is told to it, and it puts
//! both together.

use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::ChannelName;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::ear::Heard;
use super::joint::Joint;
use super::line::{Failed, jittered};
use crate::cluster::name::{Group, channel_named};
use crate::cluster::wire::told;
use crate::hub::{Channel, Hub};
use crate::limits::{
    FOLLOW_BATCH, HEARD_BATCH, LOAD_TURN, LOADS_AT_ONCE, NAMES_EVERY, SAY_AGAIN, SAY_REFUSED,
};
use crate::vital::on_panic;

impl Joint {
    /// The channel is followed, and to be loaded. With its lock held.
    pub(super) fn note_followed(&self, channel: &Arc<Channel>) {
        let mut followed = self.followed.lock();
        followed.insert(channel.name().clone(), Arc::clone(channel));
        self.metrics.followed.set(followed.len() as i64);
        drop(followed);
        self.unloaded.push(channel);
    }

    /// The channel is not followed any longer. With its lock held.
    pub(super) fn note_left(&self, name: &ChannelName) {
        let mut followed = self.followed.lock();
        if followed.remove(name).is_none() {
            return;
        }
        self.metrics.followed.set(followed.len() as i64);
        drop(followed);
        self.leave(name);
    }

    /// Has [`Joint::keep_leaving`] stop listening to it, unless it is followed by then: nobody else does.
    fn leave(&self, name: &ChannelName) {
        self.left.lock().push(name.clone());
        self.some_left.notify_one();
    }

    fn follows(&self, name: &ChannelName) -> bool {
        self.followed.lock().contains_key(name)
    }

    /// Stops listening to what is left.
    pub(super) async fn keep_leaving(self: Arc<Self>) {
        loop {
            self.some_left.notified().await;
            let left = std::mem::take(&mut *self.left.lock());
            for name in left {
                if self.follows(&name) {
                    continue;
                }
                self.ear.ignore(&self.store.names().topic(&name)).await;
                self.ear.ignore(&self.store.names().summary(&name)).await;
                // Somebody came back meanwhile, and may have found it listened to still.
                let back = self.followed.lock().get(&name).cloned();
                if let Some(channel) = back {
                    self.unloaded.push(&channel);
                }
            }
        }
    }

    /// Loads what is to be loaded, a few channels at a time.
    pub(super) async fn keep_loading(self: Arc<Self>) {
        let permits = Arc::new(tokio::sync::Semaphore::new(LOADS_AT_ONCE));
        let mut joined = self.line.joined();
        loop {
            if joined.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let channel = self.unloaded.next().await;
            let Some(hub) = self.hub() else { return };
            let (joint, loaded) = (Arc::clone(&self), Arc::clone(&channel));
            let load = async move {
                joint.begin_load(&hub, &loaded).await;
                drop(permit);
            };
            let joint = Arc::clone(&self);
            tokio::spawn(on_panic(load, move || joint.load_again(&channel)));
        }
    }

    /// Loading it panicked: it is tried again.
    fn load_again(&self, channel: &Arc<Channel>) {
        self.loading.lock().remove(&(Arc::as_ptr(channel) as usize));
        self.unloaded.push_later(channel, jittered(SAY_REFUSED, &self.chance));
    }

    async fn begin_load(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) {
        let name = channel.name();
        let is_it = |known: &Arc<Channel>| Arc::ptr_eq(known, channel);
        if !self.followed.lock().get(name).is_some_and(is_it) {
            return;
        }
        // One at a time: what each ends by is what is listened to.
        let place = Arc::as_ptr(channel) as usize;
        if !self.loading.lock().insert(place) {
            self.unloaded.push_later(channel, LOAD_TURN);
            return;
        }
        self.load_as_wanted(hub, channel).await;
        self.loading.lock().remove(&place);
    }

    /// Loads the channel, or its summary, if that suffices to all who look.
    async fn load_as_wanted(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) {
        let name = channel.name();
        if hub.is_summed(channel) && self.sum_up(hub, channel).await != Some(false) {
            self.leave_if_left(name);
            return;
        }
        let topic = self.store.names().topic(name);
        let Some(load) = hub.listening(channel) else { return };
        // Not yet: it is loaded once there is a connection that hears.
        let listens = self.ear.listen(&topic).await;
        if self.leave_if_left(name) {
            return;
        }
        if !listens {
            hub.load_fails(channel, load);
            return;
        }
        self.metrics.loads.inc();
        match self.load(hub, channel, load).await {
            Ok(()) => {
                self.leave_if_left(name);
            }
            Err(failed) => {
                tracing::debug!(channel = name.as_str(), ?failed, "a load failed");
                hub.load_fails(channel, load);
                self.unloaded.push_later(channel, jittered(SAY_AGAIN, &self.chance));
            }
        }
    }

    /// Nobody follows the channel any longer: nothing is to be listened to. Whether that is so.
    fn leave_if_left(&self, name: &ChannelName) -> bool {
        let left = !self.follows(name);
        if left {
            self.leave(name);
        }
        left
    }

    async fn load(&self, hub: &Arc<Hub>, channel: &Arc<Channel>, load: u32) -> Result<(), Failed> {
        let (name, hearing) = (channel.name(), self.ear.hearing());
        let head = self.store.load(name).await?;
        self.era_seen(Group::of(name), head.era);
        hub.stands(channel, &head);
        if head.counted
            && hub.counts_only(channel)
            && self.sum_up(hub, channel).await != Some(false)
        {
            return Ok(());
        }
        hub.load_begins(channel, load, (head.era, head.version, head.now));
        let mut cursor = 0;
        loop {
            let page = self.store.page(name, cursor).await?;
            for part in page.items.chunks(FOLLOW_BATCH) {
                hub.load_part(channel, load, part);
                self.nodes_seen(name, part.iter().map(|(_, record)| record));
                tokio::task::yield_now().await;
            }
            cursor = page.next;
            if cursor == 0 {
                break;
            }
        }
        // A page tells not of which data it is: whom those lack that came meanwhile is not gone.
        let tail = self.store.load(name).await?;
        self.era_seen(Group::of(name), tail.era);
        if tail.era != head.era {
            return Err(Failed::Unknown);
        }
        hub.load_ends(channel, load, hearing).await;
        // Where a summary was followed until now.
        self.ear.ignore(&self.store.names().summary(name)).await;
        Ok(())
    }

    /// After anything that may have been missed all that is followed is loaded anew; and once a second
    /// each channel is asked whether it wants to be.
    pub(super) async fn keep_whole(self: Arc<Self>) {
        let mut whole = self.ear.whole();
        let mut turns = interval(Duration::from_secs(1));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let gap = tokio::select! {
                changed = whole.changed() => match changed {
                    Ok(()) => *whole.borrow_and_update() > 0,
                    Err(_) => return,
                },
                _ = turns.tick() => false,
            };
            let Some(hub) = self.hub() else { return };
            let followed: Vec<_> = self.followed.lock().values().cloned().collect();
            for some in followed.chunks(FOLLOW_BATCH) {
                for channel in some {
                    if gap {
                        hub.summary_missed(channel);
                    }
                    if gap || hub.wants_load(channel) || hub.wants_summary(channel) {
                        self.unloaded.push(channel);
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes in what is published.
    pub(super) async fn keep_hearing(self: Arc<Self>, mut heard: mpsc::Receiver<Heard>) {
        let mut some = Vec::with_capacity(HEARD_BATCH);
        while heard.recv_many(&mut some, HEARD_BATCH).await > 0 {
            let Some(hub) = self.hub() else { return };
            for heard in some.drain(..) {
                self.hear(&hub, &heard);
            }
            tokio::task::yield_now().await;
        }
    }

    fn hear(self: &Arc<Self>, hub: &Arc<Hub>, heard: &Heard) {
        let names = self.store.names();
        if let Some(name) = names.channel_of_topic(&heard.topic) {
            let text = String::from_utf8_lossy(&heard.text);
            let Ok(told) = self.store.read(told::told(&text)) else { return };
            self.era_seen(Group::of(&name), told.era);
            let others = told.users.iter().filter_map(|user| user.record.as_ref());
            self.nodes_seen(&name, others);
            hub.published(&name, &told);
            self.doubt_told(&name, &told);
            return;
        }
        if let Some(name) = names.channel_of_summary(&heard.topic) {
            return self.hear_summary(hub, &name, &String::from_utf8_lossy(&heard.text));
        }
        if names.is_of_channels(&heard.topic) {
            let name = channel_named(&String::from_utf8_lossy(&heard.text));
            return name.iter().for_each(|name| hub.meet(name));
        }
        let me = self.me();
        if heard.topic == self.orders.topic() {
            self.obey(me, &heard.text);
        } else if heard.topic == self.orders.answers(me) {
            self.orders.answered(&heard.text);
        } else if heard.topic == names.inbox(me) {
            let text = String::from_utf8_lossy(&heard.text);
            if let Ok(inbox) = self.store.read(told::inbox(me, &text)) {
                hub.told_apart(&inbox.channel, &inbox.told);
                self.doubt_told(&inbox.channel, &inbox.told);
            }
        }
    }

    /// While somebody follows channels by patterns the hub is told which there are: of a new one as soon as
    /// it is heard of, and of all again and again, since something may have been missed.
    pub(super) async fn keep_meeting(self: Arc<Self>) {
        let mut wanted = self.wants_names.subscribe();
        let mut whole = self.ear.whole();
        let topics: Vec<_> = Group::all().map(|group| self.store.names().channels(group)).collect();
        loop {
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            for topic in &topics {
                self.ear.listen(topic).await;
            }
            whole.borrow_and_update();
            let turn = self.meetings.borrow().begun + 1;
            self.meetings.send_modify(|meetings| meetings.begun = turn);
            let Some(met) = self.meet_listed().await else { return };
            if met {
                self.meetings.send_modify(|meetings| meetings.ended = turn);
            }
            let rest = if met { NAMES_EVERY } else { jittered(SAY_AGAIN, &self.chance) };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.to_meet.notified() => {}
                _ = whole.changed() => {}
                _ = wanted.changed() => {}
            }
            if !*wanted.borrow() {
                for topic in &topics {
                    self.ear.ignore(topic).await;
                }
            }
        }
    }

    /// Whether all that are listed were told; `None`: the hub is gone.
    async fn meet_listed(&self) -> Option<bool> {
        for group in Group::all() {
            let mut after: Option<ChannelName> = None;
            loop {
                let found = self.store.channels(group, "", after.as_ref(), FOLLOW_BATCH).await;
                let Ok(found) = found else { return Some(false) };
                let hub = self.hub()?;
                found.iter().for_each(|name| hub.meet(name));
                after = found.last().cloned();
                if found.len() < FOLLOW_BATCH {
                    break;
                }
            }
        }
        Some(true)
    }

    /// Until all channels that there are now were told.
    pub(super) async fn meet_all(&self) {
        let mut meetings = self.meetings.subscribe();
        let next = meetings.borrow().begun + 1;
        self.to_meet.notify_one();
        let _ = meetings.wait_for(|meetings| meetings.ended >= next).await;
    }
}
