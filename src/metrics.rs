//! What the broker counts as it happens. A leaf: every room may count here, and `/metrics` shows it.
//!
//! Counting is one addition without an order, on a number that all threads share: for what happens
//! once for a change or a connection, not once for a delivery. A number with a label finds its
//! counter among a few that exist from the start, so that a rate over it begins at 0.

use std::fmt;

use herenow_protocol::{ErrorCode, LeaveReason, LossReason};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use serde::Serialize;

/// The numbers. `docs/metrics.md` says which question each answers.
pub struct Metrics {
    /// Members of all channels.
    pub members: Gauge,
    /// Those of them who are so by other nodes of a cluster alone.
    pub members_elsewhere: Gauge,
    /// Subscriptions to channels, and followers of one channel.
    pub subscribers: Gauge,
    /// Subscriptions to users' statuses.
    pub watchers: Gauge,
    /// Long polls that are held.
    pub polls: Gauge,
    /// Bytes of memory that the logs of all channels take.
    pub log_bytes: Gauge,
    /// Members that came.
    pub joins: Counter,
    /// Members that left.
    pub leaves: Each<LeaveReason>,
    /// Members that were lost.
    pub timeouts: Each<LossReason>,
    /// Ticks: one tells all that changed in a channel since the last.
    pub ticks: Counter,
    /// How long each tick held its channel, in seconds.
    pub tick_times: Histogram,
    /// How long the pass behind a tick took to reach the last subscriber, in seconds.
    pub pass_times: Histogram,
    /// Subscribers that passes came by with something for them.
    pub deliveries: Counter,
    /// WebSocket frames that clients sent, pings and parts of messages too.
    pub frames_received: Counter,
    /// Bytes that clients sent over WebSockets, behind TLS.
    pub received: Counter,
    /// Bytes that sockets of WebSockets took, behind TLS. Each connection counts them when its task looks.
    pub sent: Counter,
    /// Snapshots with reason `resync` that a subscriber or follower was given.
    pub resyncs: Counter,
    /// Times that a connection found its socket full, and had to catch up later.
    pub choked: Counter,
    /// Bytes of frames that were compressed, each once however many got it.
    pub squeezed_from: Counter,
    /// What these came to.
    pub squeezed_to: Counter,
    /// Requests over WebSocket that were refused, and handshakes without an acceptable identity.
    pub websocket_refusals: Each<ErrorCode>,
    /// Requests to the HTTP API that were refused.
    pub http_refusals: Each<ErrorCode>,
    /// Those who did not get far enough to be refused anything, and those who came as nobody known.
    pub turned_away: Each<TurnedAway>,
    /// What webhooks come to.
    pub webhooks: WebhookMetrics,
    http_requests: Family<[(&'static str, String); 3], Counter>,
}

/// How a client may be turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TurnedAway {
    /// It was one connection too many, in all or from its address.
    Connections,
    /// The system had no room for its connection.
    Accepts,
    /// It came without an acceptable token or key.
    Tokens,
    /// It is a page of an origin that is not allowed, or asked for the broker by a name that is not
    /// its own.
    Pages,
    /// It asked for a WebSocket in no acceptable way.
    Handshakes,
}

impl TurnedAway {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Connections, Self::Accepts, Self::Tokens, Self::Pages, Self::Handshakes];
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            members: Gauge::default(),
            members_elsewhere: Gauge::default(),
            subscribers: Gauge::default(),
            watchers: Gauge::default(),
            polls: Gauge::default(),
            log_bytes: Gauge::default(),
            joins: Counter::default(),
            leaves: Each::new("reason", LeaveReason::ALL),
            timeouts: Each::new("reason", LossReason::ALL),
            ticks: Counter::default(),
            tick_times: Histogram::new(exponential_buckets(0.00001, 4.0, 9)),
            pass_times: Histogram::new(exponential_buckets(0.00001, 4.0, 9)),
            deliveries: Counter::default(),
            frames_received: Counter::default(),
            received: Counter::default(),
            sent: Counter::default(),
            resyncs: Counter::default(),
            choked: Counter::default(),
            squeezed_from: Counter::default(),
            squeezed_to: Counter::default(),
            websocket_refusals: Each::new("code", ErrorCode::ALL),
            http_refusals: Each::new("code", ErrorCode::ALL),
            turned_away: Each::new("kind", TurnedAway::ALL),
            webhooks: WebhookMetrics::default(),
            http_requests: Family::default(),
        }
    }
}

impl Metrics {
    /// Counts a request to the HTTP API that was answered. `route` is the template and not the
    /// path: there are few, and no names in it.
    pub fn answered(&self, method: &str, route: &str, status: u16) {
        // Whatever a client calls a method: only those that exist are told apart.
        let known = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"];
        let method = if known.contains(&method) { method } else { "other" };
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.to_string()),
        ];
        self.http_requests.get_or_create(&labels).inc();
    }

    /// Puts all of it among what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            ("members", "Members of all channels", &self.members),
            (
                "members_elsewhere",
                "Members of all channels, by other nodes alone",
                &self.members_elsewhere,
            ),
            ("subscribers", "Subscriptions to channels, streams included", &self.subscribers),
            ("watchers", "Subscriptions to the status of a user", &self.watchers),
            ("polls", "Long polls of vendors' clients that are held", &self.polls),
            ("log_bytes", "Memory of the last frames of all channels", &self.log_bytes),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, counter) in [
            ("joins", "Members that came", &self.joins),
            ("ticks", "Times that a channel told what had changed in it", &self.ticks),
            ("deliveries", "Times that a subscriber was told what had changed", &self.deliveries),
            ("frames_received", "WebSocket frames that clients sent", &self.frames_received),
            ("received_bytes", "Bytes that clients sent over WebSockets", &self.received),
            ("sent_bytes", "Bytes that WebSockets were sent", &self.sent),
            ("resyncs", "Snapshots with reason resync that were given", &self.resyncs),
            ("choked", "Times that a connection found its socket full", &self.choked),
            ("squeezed_from_bytes", "Bytes of frames that were compressed", &self.squeezed_from),
            ("squeezed_to_bytes", "Bytes that these frames came to", &self.squeezed_to),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, times) in [
            ("tick_seconds", "How long a tick held its channel", &self.tick_times),
            ("pass_seconds", "How long a tick took to reach the last subscriber", &self.pass_times),
        ] {
            registry.register(name, help, times.clone());
        }
        let answered = "Requests to the HTTP API that were answered";
        registry.register("http_requests", answered, self.http_requests.clone());
        let refused = "Requests to the HTTP API that were refused, by the code of the problem";
        for (name, help, family) in [
            ("leaves", "Members that left, by reason", &self.leaves.family),
            ("timeouts", "Members that were lost, by reason", &self.timeouts.family),
            (
                "websocket_refusals",
                "Requests and handshakes that were refused over WebSocket, by code",
                &self.websocket_refusals.family,
            ),
            ("http_refusals", refused, &self.http_refusals.family),
            (
                "turned_away",
                "Clients that got no further than the door, by kind",
                &self.turned_away.family,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        self.webhooks.register(registry);
    }
}

/// A number for each webhook, by its name.
type EachHook<M> = Family<[(&'static str, String); 1], M>;

/// The numbers of webhooks. Without any there are none.
#[derive(Debug, Default)]
pub struct WebhookMetrics {
    sent: EachHook<Counter>,
    batches: EachHook<Counter>,
    failed: EachHook<Counter>,
    dropped: EachHook<Counter>,
    gaps: EachHook<Counter>,
    waiting_bytes: EachHook<Gauge>,
    oldest_time: EachHook<Gauge>,
    taken_time: EachHook<Gauge>,
}

/// The numbers of one webhook.
#[derive(Clone, Debug)]
pub struct HookMetrics {
    /// Items that the receiver took.
    pub sent: Counter,
    /// Batches that it took.
    pub batches: Counter,
    /// Requests that it did not take.
    pub failed: Counter,
    /// Items for which there was no room.
    pub dropped: Counter,
    /// Gaps that had to be told.
    pub gaps: Counter,
    /// Bytes that wait for it.
    pub waiting_bytes: Gauge,
    /// Since when the oldest of them waits, in seconds since 1970; 0: nothing waits.
    pub oldest_time: Gauge,
    /// When it took something last, the same way; 0: never.
    pub taken_time: Gauge,
}

impl WebhookMetrics {
    /// Those of the webhook of that name.
    #[must_use]
    pub fn of(&self, hook: &str) -> HookMetrics {
        let label = [("hook", hook.to_owned())];
        HookMetrics {
            sent: self.sent.get_or_create_owned(&label),
            batches: self.batches.get_or_create_owned(&label),
            failed: self.failed.get_or_create_owned(&label),
            dropped: self.dropped.get_or_create_owned(&label),
            gaps: self.gaps.get_or_create_owned(&label),
            waiting_bytes: self.waiting_bytes.get_or_create_owned(&label),
            oldest_time: self.oldest_time.get_or_create_owned(&label),
            taken_time: self.taken_time.get_or_create_owned(&label),
        }
    }

    /// Shows those of that webhook no longer: it is gone.
    pub fn forget(&self, hook: &str) {
        let label = [("hook", hook.to_owned())];
        let Self { sent, batches, failed, dropped, gaps, .. } = self;
        for family in [sent, batches, failed, dropped, gaps] {
            family.remove(&label);
        }
        for family in [&self.waiting_bytes, &self.oldest_time, &self.taken_time] {
            family.remove(&label);
        }
    }

    fn register(&self, registry: &mut Registry) {
        for (name, help, family) in [
            ("webhook_sent", "Items that a webhook's receiver took", &self.sent),
            ("webhook_batches", "Batches that a webhook's receiver took", &self.batches),
            ("webhook_failures", "Requests that a webhook's receiver did not take", &self.failed),
            ("webhook_dropped", "Items for which a webhook had no room", &self.dropped),
            ("webhook_gaps", "Gaps that a webhook has to tell", &self.gaps),
        ] {
            registry.register(name, help, family.clone());
        }
        for (name, help, family) in [
            ("webhook_waiting_bytes", "Memory of what waits to be sent", &self.waiting_bytes),
            ("webhook_oldest_time_seconds", "Since when the oldest waits", &self.oldest_time),
            ("webhook_taken_time_seconds", "When a batch was taken last", &self.taken_time),
        ] {
            registry.register(name, help, family.clone());
        }
    }
}

/// The numbers of a node that shares its presence with others on Redis. Alone there are none.
#[derive(Debug)]
pub struct RedisMetrics {
    /// 1 while it is connected to Redis.
    pub connected: Gauge,
    /// Connections to Redis that were made.
    pub connections: Counter,
    /// What Redis was asked, by how long it took.
    pub commands: Histogram,
    /// What was asked and not answered, or refused.
    pub failures: Counter,
    /// Other nodes that live.
    pub nodes: Gauge,
    /// Nodes that were judged dead.
    pub deaths: Counter,
    /// Channels that have something to say that was not said yet.
    pub unsaid: Gauge,
    /// Channels of which this node hears what others have.
    pub followed: Gauge,
    /// Loads of a whole channel.
    pub loads: Counter,
    /// Summaries of giant channels that were published and heard.
    pub summaries: Counter,
    /// Loads because something that was published was missed.
    pub missed: Counter,
    /// Texts and records in Redis that cannot be read.
    pub strange: Counter,
}

impl Default for RedisMetrics {
    fn default() -> Self {
        // From half a millisecond to two seconds.
        let commands = Histogram::new(exponential_buckets(0.0005, 4.0, 7));
        Self {
            commands,
            connected: Gauge::default(),
            connections: Counter::default(),
            failures: Counter::default(),
            nodes: Gauge::default(),
            deaths: Counter::default(),
            unsaid: Gauge::default(),
            followed: Gauge::default(),
            loads: Counter::default(),
            summaries: Counter::default(),
            missed: Counter::default(),
            strange: Counter::default(),
        }
    }
}

impl RedisMetrics {
    /// Puts all of it among what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            ("redis_connected", "1 while Redis is connected", &self.connected),
            ("nodes", "Other nodes that live", &self.nodes),
            ("channels_unsaid", "Channels with something that Redis was not told", &self.unsaid),
            ("channels_followed", "Channels whose members elsewhere are heard", &self.followed),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, counter) in [
            ("redis_connections", "Connections to Redis that were made", &self.connections),
            ("redis_failures", "Commands to Redis without an answer, or refused", &self.failures),
            ("node_deaths", "Other nodes that were taken for dead", &self.deaths),
            ("channel_loads", "Channels that were loaded from Redis", &self.loads),
            ("channel_summaries", "Summaries of giant channels that were heard", &self.summaries),
            ("messages_missed", "Times that something published was missed", &self.missed),
            ("redis_strange", "Texts in Redis that are not ours", &self.strange),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("redis_command_seconds", "Commands to Redis", self.commands.clone());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A counter for each of a few values, all of them from the start.
pub struct Each<T> {
    /// Those of `family`, found without its lock.
    counters: Vec<(T, Counter)>,
    family: Family<[(&'static str, String); 1], Counter>,
}

impl<T: Copy + PartialEq + Serialize> Each<T> {
    fn new<const N: usize>(label: &'static str, all: [T; N]) -> Self {
        let family = Family::<_, Counter>::default();
        let counter = |value: T| family.get_or_create_owned(&[(label, name_of(value))]);
        let counters = all.into_iter().map(|value| (value, counter(value))).collect();
        Self { counters, family }
    }

    /// Counts one.
    pub fn inc(&self, value: T) {
        if let Some((_, counter)) = self.counters.iter().find(|(one, _)| *one == value) {
            counter.inc();
        }
    }

    /// How many there were of all.
    pub fn sum(&self) -> u64 {
        self.counters.iter().map(|(_, counter)| counter.get()).sum()
    }

    /// How many there were.
    pub fn get(&self, value: T) -> u64 {
        let known = self.counters.iter().find(|(one, _)| *one == value);
        known.map_or(0, |(_, counter)| counter.get())
    }
}

impl<T> fmt::Debug for Each<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").finish_non_exhaustive()
    }
}

/// The value as clients read it.
fn name_of(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn each_reason_and_code_has_a_number_of_its_own() {
        let metrics = Metrics::default();
        for (times, reason) in LeaveReason::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| metrics.leaves.inc(reason));
        }
        for (times, code) in ErrorCode::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| metrics.websocket_refusals.inc(code));
        }
        for (times, reason) in LeaveReason::ALL.into_iter().enumerate() {
            assert_eq!(metrics.leaves.get(reason), times as u64);
        }
        for (times, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(metrics.websocket_refusals.get(code), times as u64);
            assert_eq!(metrics.http_refusals.get(code), 0);
        }
    }

    #[test]
    fn what_never_happened_is_shown_too() {
        let (mut registry, mut text) = (Registry::default(), String::new());
        Metrics::default().register(&mut registry);
        encode(&mut text, &registry).unwrap();
        for line in [
            "leaves_total{reason=\"kicked\"} 0",
            "timeouts_total{reason=\"lease\"} 0",
            "websocket_refusals_total{code=\"bad_json\"} 0",
            "http_refusals_total{code=\"internal\"} 0",
            "resyncs_total 0",
            "members 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "no line {line} in {text}");
        }
    }

    #[test]
    fn a_method_that_nobody_knows_gets_no_label_of_its_own() {
        let metrics = Metrics::default();
        ["GET", "BREW", "STIR"].iter().for_each(|method| metrics.answered(method, "/v1", 405));
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        encode(&mut text, &registry).unwrap();
        let other = "http_requests_total{method=\"other\",route=\"/v1\",status=\"405\"} 2";
        assert!(text.lines().any(|shown| shown == other), "no line {other} in {text}");
    }
}
