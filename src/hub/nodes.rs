//! What enters of other nodes: what the engine of a cluster tells the hub.
//!
//! Each of these takes the lock of one channel at a time, and whatever walks over all channels lets
//! others have their turn.

use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};

use super::channel::{Channel, Guarded};
use super::door::{At, Door};
use super::state::Hub;
use crate::cluster::replica::Heard;
use crate::cluster::{Peers, Record, Replica, Say, StoreMs, Told};
use crate::limits::FOLLOW_BATCH;
use crate::now::Now;
use crate::presence::pending::Cause;
use crate::presence::{ChannelState, NodeId};

impl Hub {
    /// What the channel has to say to the other nodes now. It is in flight until [`Hub::said`].
    #[must_use]
    pub fn take_say(self: &Arc<Self>, channel: &Arc<Channel>) -> Option<Say> {
        let now = self.clock().now();
        let say = |replica: &mut Replica, presence: &ChannelState| replica.say(presence, now);
        self.enter_living(channel, |door| door.guarded().consult(say)).flatten().flatten()
    }

    /// Whether the channel has something to say that others wait for. Renewals of leases are not.
    #[must_use]
    pub fn is_pressing(&self, channel: &Arc<Channel>) -> bool {
        let guarded = channel.look();
        let presence = guarded.presence();
        guarded.clustered.as_ref().is_none_or(|clustered| clustered.replica.is_pressing(presence))
    }

    /// What became of a say that was in flight: the store's answer, or nobody knows (`None`).
    pub fn said(self: &Arc<Self>, channel: &Arc<Channel>, told: Option<&Told>) {
        match told {
            Some(told) => self.heard(channel, |replica, presence, peers, now| {
                replica.answered(told, presence, peers, now)
            }),
            None => {
                let lost = |replica: &mut Replica, _: &ChannelState| replica.unanswered();
                self.enter_living(channel, |door| door.guarded().consult(lost));
            }
        }
    }

    /// The store published this of a channel that is followed.
    pub fn published(self: &Arc<Self>, name: &ChannelName, told: &Told) {
        let Some(channel) = self.find(name) else { return };
        self.heard(&channel, |replica, presence, peers, now| {
            replica.told(told, presence, peers, now)
        });
    }

    /// The store told this node alone: in its inbox, or as the answer to a burial. By that it may be the
    /// heir of leases where nobody here has anything to do: the channel comes to be then, or nobody
    /// would time them.
    pub fn told_apart(self: &Arc<Self>, name: &ChannelName, told: &Told) {
        let Some(me) = self.engine().map(|engine| engine.me()) else { return };
        let mut records = told.users.iter().filter_map(|user| user.record.as_ref());
        let inherits = records.any(|record| record.is_timed_by(me));
        let act = |door: &mut Door<'_>| {
            door.hear(false, |replica, presence, peers, now| {
                let heard = replica.told_apart(told, presence, peers, now);
                (heard.commands, heard.load_again)
            })
        };
        let again = match inherits {
            true => self.enter(At::Named(name), act),
            false => self.enter_existing(name, act).flatten(),
        };
        if let Some(channel) = self.find(name).filter(|_| again == Some(true)) {
            self.load_again(&channel, true);
        }
    }

    /// Whether nothing is to be said in the channel, and nothing is in flight.
    #[must_use]
    pub fn has_said_all(&self, channel: &Arc<Channel>) -> bool {
        channel.look().has_said_all()
    }

    /// Whether this node has something that keeps the user in the channel.
    #[must_use]
    pub fn has_own(&self, name: &ChannelName, user: &UserId) -> bool {
        self.look(name, |guarded| guarded.has_own(user)).unwrap_or(false)
    }

    /// Whether this node has nothing of the user in the channel, and the other nodes were told so.
    #[must_use]
    pub fn has_let_go(&self, name: &ChannelName, user: &UserId) -> bool {
        let let_go = |guarded: &Guarded| !guarded.has_own(user) && guarded.has_said_all();
        self.look(name, let_go).unwrap_or(true)
    }

    fn heard(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        act: impl FnOnce(&mut Replica, &ChannelState, &Peers, Now) -> Heard,
    ) {
        let again = self.enter_living(channel, |door| {
            let again = door.hear(false, |replica, presence, peers, now| {
                let heard = act(replica, presence, peers, now);
                (heard.commands, heard.load_again)
            });
            door.guarded().release_told();
            again
        });
        self.load_again(channel, again.flatten() == Some(true));
    }

    /// Something was missed: the engine loads all of the channel once more.
    fn load_again(&self, channel: &Arc<Channel>, again: bool) {
        if let Some(engine) = self.engine().filter(|_| again) {
            engine.follow(channel);
        }
    }

    /// From here on what the store publishes of the channel is told to [`Hub::published`], without a
    /// gap. Also after one. A load is to come, by the number that this returns; what any other brings
    /// counts no longer. `None`: the channel is not followed.
    #[must_use]
    pub fn listening(self: &Arc<Self>, channel: &Arc<Channel>) -> Option<u32> {
        let asked = |replica: &mut Replica, _: &ChannelState| {
            replica.follow();
            replica.load_asked()
        };
        self.enter_followed(channel, |door| door.guarded().consult(asked)).flatten().flatten()
    }

    /// Whether a channel that is followed is to be loaded (again) now: asked once a second.
    #[must_use]
    pub fn wants_load(&self, channel: &Arc<Channel>) -> bool {
        let Some(engine) = self.engine() else { return false };
        let peers = engine.peers(channel.name());
        let guarded = channel.look();
        let clustered = guarded.clustered.as_ref().filter(|clustered| clustered.is_followed());
        clustered.is_some_and(|clustered| clustered.replica.wants_load(&peers))
    }

    /// A load of the channel begins, of data of that era, at that version, when the store's clock
    /// showed that. Its parts follow, and its end.
    pub fn load_begins(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        load: u32,
        data: (u64, u64, StoreMs),
    ) {
        self.enter_followed(channel, |door| {
            door.hear(true, |replica, _, peers, now| {
                (Vec::new(), replica.load_begins(load, data, peers, now))
            });
        });
    }

    /// A part of a load: about as many users as one hold of the channel's lock should take.
    pub fn load_part(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        load: u32,
        records: &[(UserId, Record)],
    ) {
        self.enter_followed(channel, |door| {
            let unheard = door.guarded().is_partial();
            door.hear(unheard, |replica, presence, peers, now| {
                (replica.load_part(load, records, presence, peers, now), ())
            });
        });
    }

    /// All parts of a load have come that was asked for in that [hearing](super::Engine::hearing).
    pub async fn load_ends(self: &Arc<Self>, channel: &Arc<Channel>, load: u32, hearing: u64) {
        loop {
            let ended = self.enter_followed(channel, |door| {
                let unheard = door.guarded().is_partial();
                let ended = door.hear(unheard, |replica, presence, peers, now| {
                    let loaded = replica.load_ends(load, presence, peers, now);
                    let whole = loaded.done && replica.is_whole();
                    (loaded.commands, (loaded.done, whole, loaded.load_again))
                })?;
                if ended.1 {
                    door.complete();
                    door.guarded().heard_in(hearing);
                }
                Some(ended)
            });
            let Some((done, _, again)) = ended.flatten() else { return };
            if done {
                return self.load_again(channel, again);
            }
            tokio::task::yield_now().await;
        }
    }

    /// A load failed. Another one is to come.
    pub fn load_fails(self: &Arc<Self>, channel: &Arc<Channel>, load: u32) {
        self.enter_followed(channel, |door| {
            door.guarded().consult(|replica, _| replica.load_fails(load));
        });
    }

    /// Enters the channel if it is followed still.
    pub(super) fn enter_followed<T>(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        act: impl FnOnce(&mut Door<'_>) -> T,
    ) -> Option<T> {
        self.enter_living(channel, |door| door.guarded().follows().then(|| act(door))).flatten()
    }

    /// A channel of that name has a member somewhere: whoever follows it by a pattern is told.
    pub fn meet(self: &Arc<Self>, name: &ChannelName) {
        if self.matches_patterns(name) {
            self.enter(At::Named(name), |door| door.follow_others());
        }
    }

    /// What `node`, which is among the dead of [`Peers`] by now, had anywhere ends, for that cause.
    pub async fn bury(self: &Arc<Self>, node: NodeId, cause: Cause) {
        for channel in self.all_channels(|_| true).await {
            let mut from = None;
            loop {
                let part = self.enter_living(&channel, |door| {
                    door.hear(false, |replica, presence, peers, now| {
                        let part = replica.bury(node, cause, from.as_ref(), presence, peers, now);
                        (part.commands, part.next)
                    })
                });
                from = part.flatten().flatten();
                tokio::task::yield_now().await;
                if from.is_none() {
                    break;
                }
            }
        }
    }

    /// The connection to the store is a new one: all of this node's own is said again, in all channels
    /// that `of` picks. `lost`: the store holds other data than before. In which channels that is
    /// anything: some of them say it only once what is in flight was answered.
    pub async fn say_all(
        self: &Arc<Self>,
        of: impl Fn(&ChannelName) -> bool + Send + 'static,
        lost: bool,
    ) -> Vec<Arc<Channel>> {
        self.tell_replicas(of, move |replica| match lost {
            true => replica.lost_data(),
            false => replica.say_all(),
        })
        .await
    }

    /// This node shuts down, and its clients are gone: whoever had a connection here is said to be lost,
    /// and kept for `hold_ms` for it to come back to another node. In which channels that is anything.
    pub async fn say_lost(self: &Arc<Self>, hold_ms: u64) -> Vec<Arc<Channel>> {
        let now = self.clock().now();
        self.tell_replicas(|_| true, move |replica| replica.drain(now.mono_ms + hold_ms, now)).await
    }

    /// This node was taken for dead, and is `me` from here on ([`Engine::me`](super::Engine::me) says
    /// so already): it says everything anew.
    pub async fn reborn(self: &Arc<Self>, me: NodeId) {
        self.tell_replicas(|_| true, move |replica| replica.reborn(me)).await;
    }

    async fn tell_replicas(
        self: &Arc<Self>,
        of: impl Fn(&ChannelName) -> bool + Send + 'static,
        act: impl Fn(&mut Replica),
    ) -> Vec<Arc<Channel>> {
        let mut unsaid = Vec::new();
        for channels in self.all_channels(of).await.chunks(FOLLOW_BATCH) {
            for channel in channels {
                let said = self.enter_living(channel, |door| {
                    door.guarded().consult(|replica, _| act(replica));
                    door.guarded().has_said_all()
                });
                if said == Some(false) {
                    unsaid.push(Arc::clone(channel));
                }
            }
            tokio::task::yield_now().await;
        }
        unsaid
    }

    /// The channels that are followed, of those that `of` picks: they are to be loaded again after a
    /// gap.
    pub async fn followed(
        self: &Arc<Self>,
        of: impl Fn(&ChannelName) -> bool + Send + 'static,
    ) -> Vec<Arc<Channel>> {
        let mut channels = self.all_channels(of).await;
        channels.retain(|channel| channel.look().follows());
        channels
    }

    /// All channels that `of` picks.
    async fn all_channels(
        self: &Arc<Self>,
        of: impl Fn(&ChannelName) -> bool + Send + 'static,
    ) -> Vec<Arc<Channel>> {
        let all = self.aside(move |hub| {
            let picked = hub.channels.iter().filter(|entry| of(entry.key()));
            picked.map(|entry| Arc::clone(entry.value())).collect()
        });
        all.await.unwrap_or_default()
    }
}
