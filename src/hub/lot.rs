//! Which channels fall to a follower, where each of several nodes has one like it.

use std::sync::Arc;

use herenow_protocol::ChannelName;
use parking_lot::RwLock;

use crate::cluster::Senders;
use crate::presence::Follow;

/// A follower's channels, as whoever makes a channel sees them. A leaf lock.
pub(super) type Lot = Arc<RwLock<Allotted>>;

/// Which they are. None at first.
#[derive(Debug, Default)]
pub(super) struct Allotted {
    senders: Senders,
    /// All channels were met in which anybody was when they fell to it.
    settled: bool,
}

impl Allotted {
    /// From here on those that fall to this node by `senders`. Whether all begin anew, since this node was
    /// kept from telling the others of any.
    pub(super) fn draw(&mut self, senders: &Senders) -> bool {
        let anew = senders.is_back_since(&self.senders);
        *self = Self { senders: senders.clone(), settled: false };
        anew
    }

    /// In those that come to be from here on nobody was.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// Whether the channel falls to the follower.
    pub(super) fn has(&self, name: &ChannelName) -> bool {
        self.senders.sends_of(name)
    }

    /// How it follows a channel that comes to be here; `None`: another node does.
    pub(super) fn begin(&self, name: &ChannelName) -> Option<Follow> {
        self.has(name).then(|| Follow::shared_changes(self.settled))
    }
}
