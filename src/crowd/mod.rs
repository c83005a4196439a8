//! The simulated crowd of the demo page: viewers who come over real connections to the broker's own
//! port, so that people see what many visitors look like.
//!
//! It knows nothing of the broker but its port and its protocol, as any client does. The broker's
//! bounds hold for it as for others: a viewer is counted among the connections of its address, and
//! whoever is refused waits and tries again.
//!
//! - [`turn`]: what viewers are called and what they do next; pure.
//! - `viewer`: one of them, from its coming to its going.
//! - [`route`]: asking for a crowd over HTTP.

pub mod route;
pub mod turn;
mod viewer;

use std::collections::{BTreeSet, HashMap};
use std::future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::{ChannelName, Refusal};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::limits::CROWD_STEP;
use viewer::Viewer;

/// The crowds that people asked for, of all channels.
#[derive(Debug)]
pub struct Crowds {
    /// Where the broker listens.
    address: SocketAddr,
    /// Viewers in all.
    max: usize,
    /// How long a crowd stays that nobody asks for again.
    lease: Duration,
    stopped: watch::Receiver<bool>,
    seats: Arc<Seats>,
    /// How many viewers each channel is to have. A crowd ends with its sender.
    sizes: Mutex<HashMap<ChannelName, watch::Sender<usize>>>,
}

impl Crowds {
    /// None yet, for the broker that listens on `address` until it is `stopped`.
    #[must_use]
    pub fn new(
        address: SocketAddr,
        max: usize,
        lease: Duration,
        stopped: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let seats = Arc::new(Seats { all: max, free: Mutex::new((0..max).collect()) });
        Arc::new(Self { address, max, lease, stopped, seats, sizes: Mutex::default() })
    }

    /// How many viewers there may be in all.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many viewers the channel is to have.
    #[must_use]
    pub fn size(&self, channel: &ChannelName) -> usize {
        self.sizes.lock().get(channel).map_or(0, |size| *size.borrow())
    }

    /// Sets how many viewers the channel is to have. Unless that is asked for again in time, they go.
    ///
    /// # Errors
    /// `invalid_field`: there would be too many in all.
    pub fn ask(self: &Arc<Self>, channel: ChannelName, viewers: u64) -> Result<(), Refusal> {
        let mut sizes = self.sizes.lock();
        let others = sizes.iter().filter(|(name, _)| **name != channel);
        let others: usize = others.map(|(_, size)| *size.borrow()).sum();
        let left = self.max.saturating_sub(others);
        let Some(viewers) = usize::try_from(viewers).ok().filter(|&viewers| viewers <= left) else {
            let rule = format_args!(
                "must be a whole number from 0 to {left}: there may be {} in all, and other \
                 channels have {others}",
                self.max
            );
            return Err(Refusal::invalid("viewers", rule));
        };
        if viewers == 0 {
            sizes.remove(&channel);
        } else if let Some(size) = sizes.get(&channel) {
            size.send_replace(viewers);
        } else {
            let (size, wanted) = watch::channel(viewers);
            sizes.insert(channel.clone(), size);
            tokio::spawn(Arc::clone(self).usher(channel, wanted));
        }
        Ok(())
    }

    /// Keeps one channel's crowd at its size until it ends.
    async fn usher(self: Arc<Self>, channel: ChannelName, mut size: watch::Receiver<usize>) {
        let mut stopped = self.stopped.clone();
        let mut here = Vec::new();
        loop {
            let wanted = *size.borrow_and_update();
            here.truncate(wanted);
            tokio::select! {
                () = self.bring(&channel, wanted, &mut here) => {}
                changed = size.changed() => if changed.is_err() { return },
                () = sleep(self.lease) => if self.is_over(&channel, &size) { return },
                _ = stopped.wait_for(|&stop| stop) => return,
            }
        }
    }

    /// Lets viewers in, one after the other so that people see them arrive, and then never returns.
    async fn bring(&self, channel: &ChannelName, wanted: usize, here: &mut Vec<Viewer>) {
        while here.len() < wanted {
            sleep(CROWD_STEP).await;
            // Those who are about to go may still sit on all of them.
            if let Some(seat) = Seats::take(&self.seats) {
                here.push(viewer::start(self, channel.clone(), seat));
            }
        }
        future::pending().await
    }

    /// Ends the crowd whose lease ran out, unless somebody asked for it at the last moment.
    fn is_over(&self, channel: &ChannelName, size: &watch::Receiver<usize>) -> bool {
        let mut sizes = self.sizes.lock();
        match size.has_changed() {
            Ok(true) => return false,
            Ok(false) => drop(sizes.remove(channel)),
            // Ended already; what has that name now is another.
            Err(_) => {}
        }
        true
    }
}

/// Room for as many viewers as there may be. Those who go keep theirs until their connection is
/// gone, so neither the bound nor the names depend on how fast that is.
#[derive(Debug)]
struct Seats {
    all: usize,
    free: Mutex<BTreeSet<usize>>,
}

/// One viewer's, until this is dropped.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    number: usize,
}

impl Seats {
    fn take(seats: &Arc<Self>) -> Option<Seat> {
        let number = seats.free.lock().pop_first()?;
        Some(Seat { seats: Arc::clone(seats), number })
    }

    fn taken(&self) -> usize {
        self.all - self.free.lock().len()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.free.lock().insert(self.number);
    }
}
