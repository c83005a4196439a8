//! Whether a channel of a cluster is to be followed, and what its engine is told: seen to whenever
//! the channel was touched.

use std::sync::Arc;

use super::channel::{Channel, Guarded};
use super::clustered::Wanted;
use super::state::Hub;

/// What became of a channel's being followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tended {
    /// Nothing.
    AsBefore,
    /// It is not followed any longer: what other nodes have of it is to be forgotten.
    Unfollowed,
}

impl Hub {
    /// A channel was touched: the engine follows it from now on if somebody looks, or no longer, and
    /// takes what the channel has to say. Nothing for a node that runs alone.
    pub(super) fn tend_cluster(&self, channel: &Arc<Channel>, guarded: &mut Guarded) -> Tended {
        let Some(engine) = self.engine().filter(|_| guarded.clustered.is_some()) else {
            return Tended::AsBefore;
        };
        let (mut tended, mut wanted) = (Tended::AsBefore, guarded.wanted());
        if wanted == Wanted::Count && channel.name().is_status() {
            wanted = Wanted::Members;
        }
        if let Some(clustered) = &mut guarded.clustered {
            clustered.set_wanted(wanted, self.clock().now().mono_ms);
        }
        match (wanted, guarded.follows()) {
            (Wanted::Nothing, false) => {}
            (Wanted::Nothing, true) => {
                guarded.end_following(self.next_stamp());
                engine.unfollow(channel.name());
                tended = Tended::Unfollowed;
            }
            (_, false) => self.begin_following(channel, guarded),
            // The summary is not enough any longer, or would be.
            (Wanted::Members, true) if guarded.is_summed() => {
                self.begin_following(channel, guarded);
            }
            (_, true) => {
                let clustered = guarded.clustered.as_mut();
                if clustered.is_some_and(|clustered| clustered.begins_to_narrow()) {
                    engine.follow(channel);
                }
            }
        }
        if guarded.clustered.as_ref().is_some_and(|clustered| clustered.replica.has_to_say()) {
            engine.has_to_say(channel);
        }
        tended
    }

    /// Has the engine follow the channel.
    pub(super) fn begin_following(&self, channel: &Arc<Channel>, guarded: &mut Guarded) {
        if let Some(engine) = self.engine() {
            guarded.begin_following(engine.is_well(), self.clock().now().mono_ms);
            engine.follow(channel);
        }
    }
}
