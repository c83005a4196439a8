//! A member and its observer, in a channel of their own, who read whatever comes at once: what an
//! ordinary change takes beside everything else. On a thread of its own, so that the reading of
//! thousands of slow lines does not stand before its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock::{self, Deadline};
use crate::failure::{Failure, Result, fail};
use crate::frame;
use crate::histogram::Histogram;
use crate::population::{update_mark, updates_in};
use crate::socket::Upgrade;
use crate::swarm::{Driver, Swarm};

/// From one change to the next.
const EVERY: Duration = Duration::from_millis(5);

/// The pair at work.
pub(super) struct Pair {
    latency: Arc<Mutex<Histogram>>,
    done: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Pair {
    pub(super) fn start(address: SocketAddr, deadline: Deadline) -> Result<Self> {
        let latency = Arc::new(Mutex::new(Histogram::new()?));
        let done = Arc::new(AtomicBool::new(false));
        let (told, ends) = (Arc::clone(&latency), Arc::clone(&done));
        let thread = thread::spawn(move || work(address, deadline, told, &ends));
        Ok(Self { latency, done, thread })
    }

    /// What was measured since this was last asked.
    pub(super) fn take(&self) -> Histogram {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = latency.clone();
        latency.clear();
        taken
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it was closed, or its changes were not told.
    pub(super) fn end(self) -> Result<()> {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err(Failure::new("the pair's thread panicked")))
    }
}

fn work(
    address: SocketAddr,
    deadline: Deadline,
    latency: Arc<Mutex<Histogram>>,
    done: &AtomicBool,
) -> Result<()> {
    let mut ends = Ends { latency, written: Vec::new(), told: 0, ready: false };
    let mut swarm = Swarm::new(address)?;
    swarm.connect(2, deadline, &mut ends)?;
    if !swarm.turn_until(deadline, &mut ends, |ends| ends.ready)? {
        fail!("the pair was not answered in time");
    }
    let mut due = clock::now();
    while !done.load(Ordering::Relaxed) {
        let now = clock::now();
        if now >= due {
            due = now + EVERY;
            let mark = update_mark(ends.written.len());
            ends.written.push(now);
            let set = format!(
                r#"{{"type":"setAttributes","channel":"pair","attributes":{{"n":"{mark}"}}}}"#
            );
            swarm.send(0, &mut ends, |out| frame::text(&set, out))?;
        }
        swarm.turn(due.saturating_duration_since(clock::now()), &mut ends)?;
    }
    let late = ends.written.len() - ends.told;
    if late > 0 && !swarm.turn_until(deadline, &mut ends, |ends| ends.told == ends.written.len())? {
        fail!("{late} of the pair's changes were not told in time");
    }
    Ok(())
}

struct Ends {
    latency: Arc<Mutex<Histogram>>,
    written: Vec<Instant>,
    /// Changes that the observer knows of.
    told: usize,
    ready: bool,
}

impl Driver for Ends {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        Some(Upgrade { path: format!("/ws?user=pair{who}"), protocol: None })
    }

    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()> {
        let kind = ["join", "subscribe"][who];
        frame::text(&format!(r#"{{"type":"{kind}","channel":"pair"}}"#), out);
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], _: &mut Vec<u8>) -> Result<()> {
        if payload.starts_with(br#"{"type":"error""#) {
            fail!("the broker says {} to the pair", String::from_utf8_lossy(payload));
        }
        if who != 1 {
            return Ok(());
        }
        self.ready |= memchr::memmem::find(payload, b"pair0").is_some();
        let Some(last) = updates_in(payload).last().filter(|last| *last < self.written.len())
        else {
            return Ok(());
        };
        // Those before it are told with it.
        let now = clock::now();
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        for written in &self.written[self.told.min(last + 1)..=last] {
            latency.add(now.saturating_duration_since(*written));
        }
        self.told = self.told.max(last + 1);
        Ok(())
    }
}
