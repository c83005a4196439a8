//! The simulated viewers that people asked for, of all channels.

use std::collections::HashMap;
use std::future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use herenow_protocol::{ChannelName, Refusal};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use super::number_pool::NumberPool;
use super::visitor::{self, Visitor};
use crate::limits::DEMO_STEP;

/// The viewers that people asked for, of all channels.
#[derive(Debug)]
pub struct Visitors {
    /// Where the broker listens.
    address: SocketAddr,
    /// How long those of a channel stay when nobody asks for them again.
    lease: Duration,
    stopped: watch::Receiver<bool>,
    numbers: Arc<NumberPool>,
    /// Gives each visitor a generator of its own.
    rng: Mutex<Rng>,
    /// How many viewers each channel is to have. They go with the sender.
    sizes: Mutex<HashMap<ChannelName, watch::Sender<usize>>>,
}

impl Visitors {
    /// None yet, and `max` at most, for the broker that listens on `address` until it is `stopped`.
    /// What they do follows from `seed`, and so from it alone.
    #[must_use]
    pub fn new(
        address: SocketAddr,
        max: usize,
        lease: Duration,
        seed: u64,
        stopped: watch::Receiver<bool>,
    ) -> Arc<Self> {
        let (numbers, rng) = (NumberPool::new(max), Mutex::new(Rng::with_seed(seed)));
        Arc::new(Self { address, lease, stopped, numbers, rng, sizes: Mutex::default() })
    }

    /// How many viewers there may be in all.
    #[must_use]
    pub fn max(&self) -> usize {
        self.numbers.all()
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
        let left = self.max().saturating_sub(others);
        let Some(viewers) = usize::try_from(viewers).ok().filter(|&viewers| viewers <= left) else {
            let rule = format_args!(
                "must be a whole number from 0 to {left}: there may be {} in all, and other \
                 channels have {others}",
                self.max()
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

    /// Keeps one channel's viewers as many as they are to be, until there are to be none.
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
    async fn bring(&self, channel: &ChannelName, wanted: usize, here: &mut Vec<Visitor>) {
        while here.len() < wanted {
            sleep(DEMO_STEP).await;
            // Those who are about to go may still have all of them.
            if let Some(number) = self.numbers.take() {
                let (rng, stopped) = (self.rng.lock().fork(), self.stopped.clone());
                here.push(visitor::start(self.address, channel.clone(), number, rng, stopped));
            }
        }
        future::pending().await
    }

    /// Ends those whose lease ran out, unless somebody asked for them at the last moment.
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
