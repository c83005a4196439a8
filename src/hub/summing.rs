//! A giant channel of which nobody here is told each change: what the engine tells of its summary.

use std::sync::Arc;

use herenow_protocol::ChannelName;

use super::channel::Channel;
use super::door::{Door, forget};
use super::state::Hub;
use crate::cluster::summary::Asked;
use crate::cluster::{Counted, Load, Summary, SummaryAsked};

impl Hub {
    /// Whether the summary of a channel that is followed suffices to all who look, if there is one.
    #[must_use]
    pub fn counts_only(&self, channel: &Arc<Channel>) -> bool {
        channel.look().counts_only()
    }

    /// Whether the summary is all that is followed of the channel.
    #[must_use]
    pub fn is_summed(&self, channel: &Arc<Channel>) -> bool {
        channel.look().is_summed()
    }

    /// A load would begin with this: whether the store counts the members.
    pub fn stands(self: &Arc<Self>, channel: &Arc<Channel>, load: &Load) {
        self.enter_living(channel, |door| {
            door.guarded().consult(|replica, _| replica.stands(load.version, load.counted));
            door.guarded().agree();
        });
    }

    /// From here on what the store publishes of the summary is told to [`Hub::summary_told`], without a
    /// gap. Also after one.
    pub fn listening_summary(self: &Arc<Self>, channel: &Arc<Channel>) {
        self.enter_followed(channel, |door| {
            door.guarded().consult(|replica, _| replica.follow_summary());
        });
    }

    /// Something may have been missed. Nothing where no summary is followed.
    pub fn summary_missed(self: &Arc<Self>, channel: &Arc<Channel>) {
        if self.is_summed(channel) {
            self.listening_summary(channel);
        }
    }

    /// Whether the summary is to be asked for (again) now: asked once a second.
    #[must_use]
    pub fn wants_summary(&self, channel: &Arc<Channel>) -> bool {
        let guarded = channel.look();
        let clustered = guarded.clustered.as_ref().filter(|clustered| clustered.is_summed());
        clustered.is_some_and(|clustered| clustered.replica.wants_summary(self.clock().now()))
    }

    /// The summary is asked for.
    #[must_use]
    pub fn ask_summary(self: &Arc<Self>, channel: &Arc<Channel>) -> SummaryAsked {
        let now = self.clock().now();
        let ask = self.enter_living(channel, |door| {
            door.guarded().consult(|replica, _| replica.ask_summary(now))
        });
        ask.flatten().unwrap_or_default()
    }

    /// The summary was asked for in that [hearing](super::Engine::hearing), and this was answered. Whether
    /// it is what is followed from here on; otherwise the channel is to be loaded whole.
    pub fn summary_answered(
        self: &Arc<Self>,
        channel: &Arc<Channel>,
        asked: (SummaryAsked, u64),
        answer: &Asked,
    ) -> bool {
        let (question, hearing) = asked;
        let answered = self.enter_living(channel, |door| {
            let counted = match &answer.summary {
                Some(summary) => door.hear_summary(summary, Some(question)),
                None => Counted::AsBefore,
            };
            let known = door.guarded().consult(|replica, _| replica.summary().is_some());
            let suffices = door.guarded().counts_only() || door.guarded().is_summed();
            let follows = counted != Counted::NoLonger && known == Some(true) && suffices;
            if !follows {
                door.guarded().consult(|replica, _| replica.unfollow_summary());
                door.follow_whole();
                return (false, false);
            }
            let forgets = door.follow_sum();
            door.guarded().heard_in(hearing);
            (true, forgets)
        });
        let (follows, forgets) = answered.unwrap_or_default();
        if forgets {
            self.runtime.spawn(forget(Arc::clone(self), Arc::clone(channel)));
        }
        follows
    }

    /// Asking for the summary failed.
    pub fn summary_fails(self: &Arc<Self>, channel: &Arc<Channel>) {
        self.enter_living(channel, |door| {
            door.guarded().consult(|replica, _| replica.summary_fails());
        });
    }

    /// The store published this summary of a channel.
    pub fn summary_told(self: &Arc<Self>, name: &ChannelName, summary: &Summary) {
        let Some(channel) = self.find(name) else { return };
        let whole = self.enter_living(&channel, |door| {
            if !door.guarded().is_summed() {
                return false;
            }
            match door.hear_summary(summary, None) {
                Counted::AsBefore => false,
                Counted::Anew => {
                    door.follow_sum();
                    false
                }
                Counted::NoLonger => true,
            }
        });
        if let Some(engine) = self.engine().filter(|_| whole == Some(true)) {
            engine.follow(&channel);
        }
    }
}

impl Door<'_> {
    fn hear_summary(&mut self, summary: &Summary, answers: Option<SummaryAsked>) -> Counted {
        let (now, name) = (self.hub.clock().now(), self.channel().name().clone());
        let Some(peers) = self.hub.engine().map(|engine| engine.peers(&name)) else {
            return Counted::AsBefore;
        };
        let heard = |replica: &mut crate::cluster::Replica, _: &_| {
            replica.summary_told(summary, answers, &peers, now)
        };
        let counted = self.guarded().consult(heard).unwrap_or(Counted::AsBefore);
        self.guarded().agree();
        counted
    }

    /// The summary is not enough any longer. What it said is shown until all is known.
    fn follow_whole(&mut self) {
        let (hub, now_ms) = (self.hub, self.hub.clock().now().mono_ms);
        if self.guarded().is_summed() {
            let well = hub.engine().is_some_and(|engine| engine.is_well());
            self.guarded().begin_following(well, now_ms);
        }
    }

    /// The summary that is known is shown from here on. Whether what else is known is to be
    /// forgotten.
    fn follow_sum(&mut self) -> bool {
        let sum = self.guarded().consult(|replica, _| replica.summary().map(Summary::sum));
        self.show_sum(sum.flatten());
        let forgets = self.guarded().sum_up();
        self.guarded().agree();
        forgets
    }
}
