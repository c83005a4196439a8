//! What happens because time passes: the timers' turns.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use super::state::Hub;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::limits::{STALL_MS, TIMER_BATCH, TIMER_TURN_MS};
use crate::metrics::Metrics;

impl Hub {
    /// A hub without channels, whose flushers and timers run on `runtime`.
    #[must_use]
    pub fn start(
        config: &Config,
        clock: Clock,
        chance: Chance,
        metrics: Arc<Metrics>,
        runtime: Handle,
    ) -> Arc<Self> {
        let hub = Arc::new(Self::new(config, clock, chance, metrics, runtime));
        hub.runtime.spawn(run(Arc::downgrade(&hub)));
        hub
    }
}

/// Looks at what is due, for as long as the hub lives.
async fn run(hub: Weak<Hub>) {
    let mut interval = tokio::time::interval(Duration::from_millis(TIMER_TURN_MS));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_ms = None;
    loop {
        interval.tick().await;
        let Some(now_ms) = hub.upgrade().map(|hub| hub.clock.now().mono_ms) else { return };
        // A broker that was stopped hears first what came meanwhile, and judges at the next turn.
        let stalled = last_ms.replace(now_ms).is_some_and(|last_ms| now_ms - last_ms > STALL_MS);
        if stalled {
            continue;
        }
        loop {
            let Some(hub) = hub.upgrade() else { return };
            if fire_due(&hub) < TIMER_BATCH {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The most that fired of any kind.
fn fire_due(hub: &Arc<Hub>) -> usize {
    let now = hub.clock.now();
    let connections = hub.timers.connections.lock().take_due(now.mono_ms, TIMER_BATCH);
    for &(due_ms, number) in &connections {
        hub.wake_connection(number, due_ms);
    }
    let channels = hub.timers.channels.lock().take_due(now.mono_ms, TIMER_BATCH);
    for (due_ms, name) in &channels {
        if let Some(channel) = hub.find(name) {
            hub.expire(&channel, *due_ms, now);
        }
    }
    let users = hub.timers.users.lock().take_due(now.mono_ms, TIMER_BATCH);
    for (due_ms, user) in &users {
        hub.expire_user(user, *due_ms, now);
    }
    connections.len().max(channels.len()).max(users.len())
}
