//! Members that are not heard: nudged once, then removed.

use std::sync::Arc;

use herenow_protocol::reply::RemovedReason;
use herenow_protocol::{ChannelName, LossReason, ServerFrame};

use super::client::Client;
use super::dialect::Dialect;
use super::patience::{Patience, Verdict};
use super::place::Place;
use crate::delivery::{Outlet, Sending};
use crate::hub::{Channel, Hub};
use crate::limits::PLACES_BATCH;
use crate::now::Now;
use crate::presence::{Command, Source};

impl Client {
    /// Ends memberships that were silent for too long, nudges those that soon will be; the result
    /// is when to look again.
    pub(super) fn tend_presence(
        &mut self,
        dialect: &mut impl Dialect,
        sending: &mut Sending<'_>,
        now: Now,
    ) -> u64 {
        let mut due_ms = u64::MAX;
        let mut nudge_in_ms = None;
        let mut silent = Vec::new();
        // A record lives with its socket, whatever is said there.
        let judged = |place: &&mut Place| place.joined && !place.channel.name().is_of_records();
        for place in self.places.iter_mut().filter(judged) {
            if silent.len() == PLACES_BATCH {
                // The timers come back at once, after others had their turn.
                due_ms = now.mono_ms;
                break;
            }
            let heard_ms = self.outlet.heard_ms().max(place.heard_ms);
            let patience = patience_in(self.desk.hub(), &place.channel);
            match patience.judge(heard_ms, now.mono_ms) {
                Verdict::Fresh { until_ms } => due_ms = due_ms.min(until_ms),
                Verdict::Due { in_ms } => {
                    due_ms = due_ms.min(now.mono_ms + in_ms);
                    if place.nudged_ms.replace(heard_ms) != Some(heard_ms) {
                        nudge_in_ms = Some(nudge_in_ms.unwrap_or(in_ms).min(in_ms));
                    }
                }
                Verdict::Silent => {
                    place.joined = false;
                    let name = lose(self.desk.hub(), place, &self.outlet, heard_ms, now);
                    silent.push(name);
                }
            }
        }
        if let Some(in_ms) = nudge_in_ms {
            dialect.reply(sending, &ServerFrame::HeartbeatDue { in_ms });
        }
        if !silent.is_empty() {
            self.places.tidy();
            self.count_away(now);
            let reason = RemovedReason::Heartbeat;
            let removed = ServerFrame::Removed { channels: silent, users: Vec::new(), reason };
            dialect.reply(sending, &removed);
        }
        due_ms
    }
}

/// How long silence is borne there.
fn patience_in(hub: &Hub, channel: &Channel) -> Patience {
    Patience { timeout_ms: hub.rules_in(channel).heartbeat.timeout_ms }
}

fn lose(hub: &Arc<Hub>, place: &Place, outlet: &Outlet, heard_ms: u64, now: Now) -> ChannelName {
    let command = Command::Lose {
        user: outlet.user().clone(),
        source: Source::connection(outlet.id()),
        reason: LossReason::Heartbeat,
        last_seen: now.unix_at(heard_ms),
        graced: false,
    };
    hub.apply_kept(&place.channel, command, now);
    place.channel.name().clone()
}
