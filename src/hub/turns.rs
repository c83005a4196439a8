//! What happens because time passes: the timers' turns.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use super::state::Hub;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::limits::{SHRINK_TURNS, STALL_MS, STALL_TURNS, TIMER_BATCH, TIMER_SLICE, TIMER_TURN_MS};
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
        hub.runtime.spawn(hub.vital().mind("the timers", run(Arc::downgrade(&hub))));
        hub
    }
}

/// Looks at what is due, for as long as the hub lives.
async fn run(hub: Weak<Hub>) {
    let mut interval = tokio::time::interval(Duration::from_millis(TIMER_TURN_MS));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stalls = Stalls::default();
    for turn in 1_u64.. {
        interval.tick().await;
        let Some(now_ms) = hub.upgrade().map(|hub| hub.clock.now().mono_ms) else { return };
        if stalls.stalled(now_ms) {
            continue;
        }
        loop {
            let Some(hub) = hub.upgrade() else { return };
            if fire_due(&hub) == Left::Nothing {
                break;
            }
            tokio::task::yield_now().await;
        }
        if turn.is_multiple_of(SHRINK_TURNS) {
            hub.upgrade().iter().for_each(|hub| hub.shrink());
        }
    }
}

/// Whether the broker keeps up. One that was stopped, or that has more to do than it can, hears
/// first what came meanwhile, and judges at a turn that comes in time: heartbeats lie in the sockets
/// then, and requests that renew leases wait to be accepted.
#[derive(Debug, Default)]
struct Stalls {
    last_ms: Option<u64>,
    left_out: u32,
}

impl Stalls {
    /// Whether to leave this turn out.
    fn stalled(&mut self, now_ms: u64) -> bool {
        let late = self.last_ms.replace(now_ms).is_some_and(|last_ms| now_ms - last_ms > STALL_MS);
        self.left_out = if late { self.left_out + 1 } else { 0 };
        (1..=STALL_TURNS).contains(&self.left_out)
    }
}

/// Whether something is due still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Perhaps,
}

/// Fires what is due, for as long as one go may take.
fn fire_due(hub: &Arc<Hub>) -> Left {
    let began = hub.clock.elapsed();
    while hub.clock.elapsed() - began < TIMER_SLICE {
        if fire_some(hub) == Left::Nothing {
            return Left::Nothing;
        }
    }
    Left::Perhaps
}

fn fire_some(hub: &Arc<Hub>) -> Left {
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
    // A channel in which more is due than it ends at once is among the timers again.
    let any = !(connections.is_empty() && channels.is_empty() && users.is_empty());
    if any { Left::Perhaps } else { Left::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_stall_nobody_is_judged_before_a_turn_comes_in_time() {
        let mut stalls = Stalls::default();
        let mut now_ms = 0;
        let mut after = |ms| {
            now_ms += ms;
            stalls.stalled(now_ms)
        };
        assert!(!after(9_000), "the first turn");
        assert!(!after(TIMER_TURN_MS) && !after(STALL_MS));
        assert!(after(60_000), "it was stopped");
        assert!(after(STALL_MS + 1), "it still reads what came meanwhile");
        assert!(!after(TIMER_TURN_MS));
        for _ in 0..STALL_TURNS {
            assert!(after(STALL_MS + 1));
        }
        assert!(!after(STALL_MS + 1), "it never keeps up, and judges all the same");
    }
}
