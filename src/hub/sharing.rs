//! Following where each of several nodes has a follower of the same: each channel falls to one of them.

use std::sync::Arc;

use herenow_protocol::{Level, Refusal};
use tokio::sync::watch;

use super::follow::Follower;
use super::followers::{Link, Reader};
use super::lot::Lot;
use super::state::Hub;
use crate::auth::{Credential, Patterns};
use crate::cluster::Senders;
use crate::limits::FOLLOW_BATCH;
use crate::presence::Follow;

/// What says which channels fall to a follower: none before [`Sharing::take`].
#[derive(Debug)]
pub struct Sharing {
    hub: Arc<Hub>,
    reader: Arc<Reader>,
    patterns: Patterns,
    lot: Lot,
}

impl Hub {
    /// As [`Hub::follow_changes`], of those channels that fall to this node.
    ///
    /// # Errors
    /// As [`Hub::follow_all`].
    pub fn follow_shared(
        self: &Arc<Self>,
        patterns: Patterns,
    ) -> Result<(Follower, Sharing), Refusal> {
        let lot = Lot::default();
        let shares = Some(Arc::clone(&lot));
        let (all, credential) = (patterns.clone(), Credential::Broker);
        let (follower, reader) =
            self.follow_matching(all, credential, Level::Events, true, shares)?;
        Ok((follower, Sharing { hub: Arc::clone(self), reader, patterns, lot }))
    }

    /// Whether no other node can have taken this one for dead at this moment.
    #[must_use]
    pub fn is_surely_alive(&self) -> bool {
        self.engine().is_none_or(|engine| engine.is_surely_alive())
    }

    /// The nodes that share the channels among them, as they change; `None`: this one runs alone.
    #[must_use]
    pub fn senders(&self) -> Option<watch::Receiver<Senders>> {
        Some(self.engine()?.senders())
    }
}

impl Sharing {
    /// From here on the follower is told of the channels that fall to this node by `senders`, and of no
    /// others. Of each that did not before it is told first that it lacks what was until now; and of all,
    /// if this node was kept from telling the others.
    pub async fn take(&self, senders: &Senders) {
        let anew = self.lot.write().draw(senders);
        let patterns = self.patterns.clone();
        let found = self.hub.aside(move |hub| hub.matching(&patterns)).await.unwrap_or_default();
        for channels in found.chunks(FOLLOW_BATCH) {
            let now = self.hub.clock().now();
            for channel in channels {
                let (reader, name) = (&self.reader, channel.name());
                let falls_here = senders.sends_of(name);
                self.hub.enter_existing(name, |door| {
                    if anew || !falls_here {
                        door.unfollow(reader.number, now);
                    }
                    if falls_here {
                        let follow = Follow::shared_changes(false);
                        door.follow(|_, _| Link::new(reader, name, follow, false));
                    }
                });
            }
            tokio::task::yield_now().await;
        }
    }

    /// When this returns, every channel is among those of the follower that fell to it and in which anybody
    /// was when it was asked, on whichever node. So nobody was in those that come to be from here on.
    pub async fn meet_all(&self) {
        if let Some(engine) = self.hub.engine() {
            engine.meet_all().await;
        }
        self.lot.write().settle();
    }
}
