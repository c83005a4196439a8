//! The channels that a connection joined or subscribed. Its task alone owns the list.

use std::sync::Arc;

use herenow_protocol::{ChannelName, ErrorCode, Refusal};

use crate::delivery::{Cursor, Sending, Subscription};
use crate::hub::{At, Channel, Hub};

/// A subscription and its slot in the channel.
#[derive(Debug)]
pub struct Subscribed {
    /// Shared with the channel.
    pub subscription: Arc<Subscription>,
    /// Where the channel keeps it, among those who asked for the same level.
    pub slot: u32,
}

/// A channel that the connection joined, subscribed, or both. Holding the channel is sound as long
/// as one of the two is true: such a channel is never reaped.
#[derive(Debug)]
pub struct Place {
    /// The channel.
    pub channel: Arc<Channel>,
    /// Set while subscribed.
    pub subscribed: Option<Subscribed>,
    /// Whether the connection is a source of its user's membership here.
    pub joined: bool,
    /// Whether the user is away from the connection here, while it is.
    pub away: bool,
    /// When a heartbeat last named this channel, in milliseconds of the broker's clock.
    pub heard_ms: u64,
    /// The last sign of life after which the client was nudged: one silence, one nudge.
    pub nudged_ms: Option<u64>,
}

impl Place {
    /// Ends the subscription, if there is one: nothing is sent to it any more.
    pub(super) fn unsubscribe(&mut self, hub: &Arc<Hub>, sending: &mut Sending<'_>) {
        let Some(Subscribed { subscription, slot }) = self.subscribed.take() else { return };
        sending.set_cursor(&subscription, Cursor::Dead);
        hub.enter(At::Held(&self.channel), |door| door.unsubscribe(subscription.asked(), slot));
    }
}

/// A connection's places, at most as many as the limit on channels.
#[derive(Debug, Default)]
pub struct Places(Vec<Place>);

impl Places {
    /// The place of that channel. A scan: there are few, and they lie side by side.
    pub fn find(&mut self, name: &ChannelName) -> Option<&mut Place> {
        self.0.iter_mut().find(|place| place.channel.name() == name)
    }

    /// The channel of that name, if the connection holds it.
    #[must_use]
    pub fn held(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        let place = self.0.iter().find(|place| place.channel.name() == name)?;
        Some(Arc::clone(&place.channel))
    }

    /// Whether the connection has anything to do with that channel.
    #[must_use]
    pub fn contains(&self, name: &ChannelName) -> bool {
        self.0.iter().any(|place| place.channel.name() == name)
    }

    /// Refuses one more channel than `limit`.
    ///
    /// # Errors
    /// `too_many_channels`.
    pub fn check_room(&self, name: &ChannelName, limit: usize) -> Result<(), Refusal> {
        let watched = self.0.iter().filter(|place| place.channel.name().is_status());
        if self.contains(name) || self.0.len() - watched.count() < limit {
            return Ok(());
        }
        Err(Refusal::field(
            ErrorCode::TooManyChannels,
            "channel",
            format_args!("would be one more than the {limit} that a connection may have"),
        ))
    }

    /// Refuses `names` of statuses if with them there were more than `limit`.
    ///
    /// # Errors
    /// `too_many_channels`.
    pub fn check_watches(&self, names: &[ChannelName], limit: usize) -> Result<(), Refusal> {
        let watched = self.0.iter().filter(|place| place.channel.name().is_status());
        let new = names.iter().filter(|name| !self.contains(name)).count();
        if watched.count() + new <= limit {
            return Ok(());
        }
        let rule = format_args!("would be more than the {limit} that a connection may watch");
        Err(Refusal::field(ErrorCode::TooManyChannels, "users", rule))
    }

    /// The place of that channel, made if there is none.
    pub fn get_or_add(&mut self, channel: &Arc<Channel>) -> &mut Place {
        let found = self.0.iter().position(|place| Arc::ptr_eq(&place.channel, channel));
        let index = found.unwrap_or_else(|| {
            // Exactly: most connections have one or two.
            self.0.reserve_exact(1);
            self.0.push(Place {
                channel: Arc::clone(channel),
                subscribed: None,
                joined: false,
                away: false,
                heard_ms: 0,
                nudged_ms: None,
            });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Forgets places that are neither joined nor subscribed.
    pub fn tidy(&mut self) {
        self.0.retain(|place| place.joined || place.subscribed.is_some());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All places.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.0.iter()
    }

    /// All places, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.0.iter_mut()
    }

    /// Takes all places out.
    pub fn take(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.0)
    }
}
