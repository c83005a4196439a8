//! What enters of other nodes: what the engine of a cluster tells the hub.
//!
//! Each of these takes the lock of one channel at a time, and whatever walks over all channels lets
//! others have their turn.

use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};

use super::channel::Channel;
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

    /// The store told this node alone: in its inbox, or as the answer to a burial.
    pub fn told_apart(self: &Arc<Self>, name: &ChannelName, told: &Told) {
        let Some(channel) = self.find(name) else { return };
        self.heard(&channel, |replica, presence, peers, now| {
            replica.told_apart(told, presence, peers, now)
        });
    }

    fn heard(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        act: impl FnOnce(&mut Replica, &ChannelState, &Peers, Now) -> Heard,
    ) {
        let again = self.enter_living(channel, |door| {
            door.hear(false, |replica, presence, peers, now| {
                let heard = act(replica, presence, peers, now);
                (heard.commands, heard.load_again)
            })
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
    /// gap. Also after one.
    pub fn listening(self: &Arc<Self>, channel: &Arc<Channel>) {
        self.enter_followed(channel, |door| {
            door.guarded().consult(|replica, _| replica.follow());
        });
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
    pub fn load_begins(self: &Arc<Self>, channel: &Arc<Channel>, data: (u64, u64, StoreMs)) {
        self.enter_followed(channel, |door| {
            door.hear(true, |replica, _, peers, now| {
                (Vec::new(), replica.load_begins(data, peers, now))
            });
        });
    }

    /// A part of a load: about as many users as one hold of the channel's lock should take.
    pub fn load_part(self: &Arc<Self>, channel: &Arc<Channel>, records: &[(UserId, Record)]) {
        self.enter_followed(channel, |door| {
            let unheard = door.guarded().is_partial();
            door.hear(unheard, |replica, presence, peers, now| {
                (replica.load_part(records, presence, peers, now), ())
            });
        });
    }

    /// All parts of a load have come.
    pub async fn load_ends(self: &Arc<Self>, channel: &Arc<Channel>) {
        loop {
            let ended = self.enter_followed(channel, |door| {
                let unheard = door.guarded().is_partial();
                let ended = door.hear(unheard, |replica, presence, peers, now| {
                    let loaded = replica.load_ends(presence, peers, now);
                    let whole = loaded.done && replica.is_whole();
                    (loaded.commands, (loaded.done, whole, loaded.load_again))
                })?;
                if ended.1 {
                    door.complete();
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
    pub fn load_fails(self: &Arc<Self>, channel: &Arc<Channel>) {
        self.enter_followed(channel, |door| {
            door.guarded().consult(|replica, _| replica.load_fails());
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
    /// that `of` picks. `lost`: the store holds other data than before.
    pub async fn say_all(
        self: &Arc<Self>,
        of: impl Fn(&ChannelName) -> bool + Send + 'static,
        lost: bool,
    ) {
        self.tell_replicas(of, move |replica| match lost {
            true => replica.lost_data(),
            false => replica.say_all(),
        })
        .await;
    }

    /// This node shuts down, and its clients are gone: whoever had a connection here is said to be lost,
    /// and kept for `hold_ms` for it to come back to another node.
    pub async fn say_lost(self: &Arc<Self>, hold_ms: u64) {
        let now = self.clock().now();
        self.tell_replicas(|_| true, move |replica| replica.drain(now.mono_ms + hold_ms, now))
            .await;
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
    ) {
        for channels in self.all_channels(of).await.chunks(FOLLOW_BATCH) {
            for channel in channels {
                self.enter_living(channel, |door| {
                    door.guarded().consult(|replica, _| act(replica));
                });
            }
            tokio::task::yield_now().await;
        }
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
