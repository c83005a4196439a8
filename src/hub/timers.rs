//! What happens because time passes: one wheel for all connections and channels.
//!
//! A timer is a hint to look, not a promise: who fires compares its own deadlines with the time,
//! and arms again. So a heartbeat moves no timer, and a stale timer does no harm.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use herenow_protocol::ChannelName;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::Hub;
use super::wheel::Wheel;
use crate::delivery::Outlet;
use crate::limits::{STALL_MS, TIMER_BATCH, TIMER_SLOT_MS};

/// Whom to tell, by number and by name: a timer keeps nothing in memory, and finds nobody when who
/// armed it is gone.
#[derive(Debug)]
enum Timer {
    Connection(u64),
    Channel(ChannelName),
}

/// The wheel, shared. A leaf lock.
#[derive(Debug)]
pub struct Timers(Mutex<Wheel<Timer>>);

impl Timers {
    pub(super) fn new(now_ms: u64) -> Self {
        Self(Mutex::new(Wheel::new(now_ms)))
    }

    /// Wakes the connection's task at `due_ms`, unless it is woken earlier anyway.
    pub fn watch_connection(&self, outlet: &Outlet, due_ms: u64) {
        if due_ms < outlet.armed_ms.load(Ordering::Relaxed) {
            outlet.armed_ms.store(due_ms, Ordering::Relaxed);
            self.0.lock().add(due_ms, Timer::Connection(outlet.id()));
        }
    }

    pub(super) fn watch_channel(&self, name: &ChannelName, due_ms: u64) {
        self.0.lock().add(due_ms, Timer::Channel(name.clone()));
    }
}

/// Turns the wheel for as long as the hub lives.
pub(super) async fn run(hub: Weak<Hub>) {
    let mut interval = tokio::time::interval(Duration::from_millis(TIMER_SLOT_MS));
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

/// How many fired.
fn fire_due(hub: &Arc<Hub>) -> usize {
    let now = hub.clock.now();
    let due = hub.timers.0.lock().turn(now.mono_ms, TIMER_BATCH);
    let count = due.len();
    for (due_ms, timer) in due {
        match timer {
            Timer::Connection(number) => hub.wake_connection(number, due_ms),
            Timer::Channel(name) => {
                if let Some(channel) = hub.find(&name) {
                    hub.expire(&channel, due_ms, now);
                }
            }
        }
    }
    count
}
