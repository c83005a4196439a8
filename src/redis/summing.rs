//! Giant channels: their summaries, owed to all who follow them, and followed.

use std::sync::Arc;
use std::time::Duration;

use super::joint::Joint;
use super::line::{Failed, jittered};
use crate::cluster::name::Group;
use crate::cluster::wire::told;
use crate::hub::{Channel, Hub};
use crate::limits::SAY_AGAIN;

impl Joint {
    /// An answer told that this node owes the summary of a channel, and in how many milliseconds.
    pub(super) fn owes_summary(&self, channel: &Arc<Channel>, in_ms: Option<u64>) {
        if let Some(in_ms) = in_ms {
            // A little later: the store's clock and this one go side by side, not together.
            self.unsummed.push_later(channel, Duration::from_millis(in_ms + 5));
        }
    }

    /// Has summaries published that are owed.
    pub(super) async fn keep_summing(self: Arc<Self>) {
        loop {
            let channel = self.unsummed.next().await;
            let joint = Arc::clone(&self);
            // As many at a time as there are giants that change.
            tokio::spawn(async move {
                match joint.store.summary(channel.name(), None).await {
                    Ok(asked) => joint.owes_summary(&channel, asked.owes_ms),
                    // Who follows it asks by itself, once in a while.
                    Err(Failed::Refused(_)) => {}
                    Err(Failed::Away | Failed::Unknown) => {
                        joint.unsummed.push_later(&channel, jittered(SAY_AGAIN, &joint.chance));
                    }
                }
            });
        }
    }

    /// Follows the summary of a channel, and asks for it. Whether that is what is followed from here
    /// on; `None`: it is not known, and will be asked for again.
    pub(super) async fn sum_up(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) -> Option<bool> {
        let name = channel.name();
        let (topic, members) = (self.store.names().summary(name), self.store.names().topic(name));
        if !hub.is_summed(channel) {
            hub.listening_summary(channel);
        }
        if !self.ear.listen(&topic).await {
            return None;
        }
        let asked = (hub.ask_summary(channel), self.ear.hearing());
        match self.store.summary(name, Some(asked.0.version)).await {
            Ok(answer) => {
                self.owes_summary(channel, answer.owes_ms);
                if let Some(summary) = &answer.summary {
                    self.era_seen(Group::of(name), summary.era);
                }
                let follows = hub.summary_answered(channel, asked, &answer);
                // What is not followed is not listened to any longer.
                self.ear.ignore(if follows { &members } else { &topic }).await;
                Some(follows)
            }
            Err(failed) => {
                tracing::debug!(channel = name.as_str(), ?failed, "a summary did not come");
                hub.summary_fails(channel);
                self.unloaded.push_later(channel, jittered(SAY_AGAIN, &self.chance));
                None
            }
        }
    }

    /// A summary was published.
    pub(super) fn hear_summary(
        &self,
        hub: &Arc<Hub>,
        name: &herenow_protocol::ChannelName,
        text: &str,
    ) {
        let Ok(asked) = self.store.read(told::summary(text)) else { return };
        let Some(summary) = asked.summary else { return };
        self.metrics.summaries.inc();
        self.era_seen(Group::of(name), summary.era);
        hub.summary_told(name, &summary);
    }
}
