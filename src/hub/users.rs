//! Which channels a user is in.

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use herenow_protocol::{ChannelName, UserId};

/// The index of users. Its entries are the last in the lock order: they are touched with a
/// channel's lock held, and read without any.
#[derive(Debug, Default)]
pub struct Users(DashMap<UserId, Vec<ChannelName>>);

impl Users {
    /// The user became a member of the channel.
    pub fn appeared(&self, user: &UserId, channel: &ChannelName) {
        self.0.entry(user.clone()).or_insert_with(|| Vec::with_capacity(1)).push(channel.clone());
    }

    /// The user is no longer a member of the channel.
    pub fn vanished(&self, user: &UserId, channel: &ChannelName) {
        let Entry::Occupied(mut entry) = self.0.entry(user.clone()) else { return };
        let channels = entry.get_mut();
        if let Some(place) = channels.iter().position(|name| name == channel) {
            channels.swap_remove(place);
        }
        if channels.is_empty() {
            entry.remove();
        }
    }

    /// Number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The channels that the user is in, in no particular order.
    #[must_use]
    pub fn channels_of(&self, user: &UserId) -> Vec<ChannelName> {
        self.0.get(user).map(|channels| channels.clone()).unwrap_or_default()
    }
}
