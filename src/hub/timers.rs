//! What happens because time passes: one wheel for all connections and channels.
//!
//! A timer is a hint to look, not a promise: who fires compares its own deadlines with the time,
//! and arms again. So a heartbeat moves no timer, and a stale timer does no harm.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::Hub;
use super::channel::Channel;
use super::wheel::Wheel;
use crate::delivery::{Outlet, Wake};
use crate::limits::{TIMER_BATCH, TIMER_SLOT_MS};

/// Whom to tell. Weak: a timer keeps nothing alive.
#[derive(Debug)]
enum Timer {
    Connection(Weak<Outlet>),
    Channel(Weak<Channel>),
}

/// The wheel, shared. A leaf lock.
#[derive(Debug)]
pub struct Timers(Mutex<Wheel<Timer>>);

impl Timers {
    pub(super) fn new(now_ms: u64) -> Self {
        Self(Mutex::new(Wheel::new(now_ms)))
    }

    /// Wakes the connection's task at `due_ms`, unless it is woken earlier anyway.
    pub fn watch_connection(&self, outlet: &Arc<Outlet>, due_ms: u64) {
        if due_ms < outlet.armed_ms.load(Ordering::Relaxed) {
            outlet.armed_ms.store(due_ms, Ordering::Relaxed);
            self.0.lock().add(due_ms, Timer::Connection(Arc::downgrade(outlet)));
        }
    }

    pub(super) fn watch_channel(&self, channel: &Arc<Channel>, due_ms: u64) {
        self.0.lock().add(due_ms, Timer::Channel(Arc::downgrade(channel)));
    }
}

/// Turns the wheel for as long as the hub lives.
pub(super) async fn run(hub: Weak<Hub>) {
    let mut interval = tokio::time::interval(Duration::from_millis(TIMER_SLOT_MS));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
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
            Timer::Connection(outlet) => {
                let Some(outlet) = outlet.upgrade() else { continue };
                // Only the timer that was armed last counts; the others are stale.
                let (armed, order) = (&outlet.armed_ms, Ordering::Relaxed);
                if armed.compare_exchange(due_ms, Outlet::NEVER, order, order).is_ok() {
                    outlet.wake(Wake::Timer);
                }
            }
            Timer::Channel(channel) => {
                let Some(channel) = channel.upgrade() else { continue };
                hub.expire(&channel, due_ms, now);
            }
        }
    }
    count
}
