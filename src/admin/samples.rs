//! The broker's numbers, and what they were during the last hour.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::sleep;

use crate::hub::Hub;
use crate::limits::{SAMPLE_STEP, SAMPLES};
use crate::now::Now;
use crate::web::process::Process;
use crate::web::state::Web;

/// The numbers of one moment. Those that only grow count from the start of the broker.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// WebSockets that are connected.
    pub connections: u64,
    /// Channels with a member, a subscriber or a follower.
    pub channels: u64,
    /// Members of all channels.
    pub members: u64,
    /// Users of whom anything is known.
    pub users: u64,
    /// Subscriptions to channels, streams included.
    pub subscribers: u64,
    /// Bytes of memory that the process takes.
    pub resident_bytes: u64,
    /// Bytes that slow readers keep in memory.
    pub backlog_bytes: u64,
    /// WebSockets that were ever connected.
    pub connections_opened: u64,
    /// Members that came.
    pub joins: u64,
    /// Members that left.
    pub leaves: u64,
    /// Members that were lost.
    pub timeouts: u64,
    /// Times that a channel told what had changed in it.
    pub ticks: u64,
    /// Requests that were refused, over WebSocket and over HTTP.
    pub refusals: u64,
}

impl Sample {
    /// Of a moment, at which the system says this of the process.
    fn of(hub: &Hub, process: Process, now: Now) -> Self {
        let metrics = hub.metrics();
        let gauge = |value: i64| u64::try_from(value).unwrap_or_default();
        Self {
            at: now.unix_ms,
            connections: hub.connection_count() as u64,
            channels: hub.channel_count() as u64,
            members: gauge(metrics.members.get()),
            users: hub.user_count() as u64,
            subscribers: gauge(metrics.subscribers.get()),
            resident_bytes: process.resident_bytes as u64,
            backlog_bytes: hub.backlog().bytes() as u64,
            connections_opened: hub.connections_opened(),
            joins: metrics.joins.get(),
            leaves: metrics.leaves.sum(),
            timeouts: metrics.timeouts.sum(),
            ticks: metrics.ticks.get(),
            refusals: metrics.websocket_refusals.sum() + metrics.http_refusals.sum(),
        }
    }
}

/// The numbers as they are now.
pub(super) async fn sample(web: &Web) -> Sample {
    let (hub, now) = (web.desk.hub(), web.desk.now());
    let process = web.last_look.at(now.mono_ms).await;
    Sample::of(hub, process, now)
}

/// The last hour, oldest first: [`SAMPLES`] at most.
#[derive(Debug, Default)]
pub struct Samples(Mutex<VecDeque<Sample>>);

impl Samples {
    /// One more. The oldest goes if there are too many.
    fn add(&self, sample: Sample) {
        let mut kept = self.0.lock();
        if kept.len() == SAMPLES {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// Those after a moment, in milliseconds since 1970.
    pub(super) fn since(&self, at: u64) -> Vec<Sample> {
        self.0.lock().iter().filter(|sample| sample.at > at).copied().collect()
    }
}

/// Takes samples until the broker goes.
pub async fn mind(samples: Arc<Samples>, web: Web) {
    let mut stopped = web.stopped();
    let stop = stopped.wait_for(|&stop| stop);
    let looks = async {
        loop {
            samples.add(sample(&web).await);
            sleep(SAMPLE_STEP).await;
        }
    };
    tokio::select! {
        _ = stop => {}
        () = looks => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_the_oldest_goes() {
        let samples = Samples::default();
        for at in 1..=SAMPLES as u64 + 5 {
            samples.add(Sample { at, ..Sample::default() });
        }
        let kept = samples.since(0);
        assert_eq!(kept.len(), SAMPLES);
        assert_eq!((kept[0].at, kept[SAMPLES - 1].at), (6, SAMPLES as u64 + 5));
        let last = samples.since(SAMPLES as u64 + 3);
        assert_eq!(last.iter().map(|sample| sample.at).collect::<Vec<_>>(), [364, 365]);
        assert!(samples.since(SAMPLES as u64 + 5).is_empty());
    }

    /// Said in `limits/`, and what a page that opens is sent.
    const _: () = assert!(size_of::<Sample>() * SAMPLES <= 48 * 1024);
}
