//! Reading channels, for connections and for HTTP alike: the live state as one viewer may see it.

use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};

use super::{Hub, Room};
use crate::limits::RESULT_BYTES;
use crate::presence::{Member, Page, Viewer};

impl Hub {
    /// Reads a channel, if there is one. `read` runs with the channel's lock held.
    pub fn look<T>(&self, name: &ChannelName, read: impl FnOnce(&Room) -> T) -> Option<T> {
        self.find(name).map(|channel| read(&channel.lock()))
    }

    /// Number of members visible to all.
    #[must_use]
    pub fn count(&self, name: &ChannelName) -> usize {
        self.look(name, |room| room.presence.count()).unwrap_or(0)
    }

    /// The member, if the user is one that `viewer` may see.
    #[must_use]
    pub fn member(
        &self,
        name: &ChannelName,
        user: &UserId,
        viewer: Viewer<'_>,
    ) -> Option<Arc<Member>> {
        self.look(name, |room| room.presence.member(user, viewer).cloned()).flatten()
    }

    /// Number of members visible to all, and at most `limit` of those that `viewer` may see: fewer
    /// if they would take more than [`RESULT_BYTES`], but at least one.
    #[must_use]
    pub fn members(
        &self,
        name: &ChannelName,
        limit: usize,
        after: Option<u64>,
        viewer: Viewer<'_>,
    ) -> (usize, Page) {
        let read =
            |room: &Room| (room.presence.count(), room.presence.members(limit, after, viewer));
        let nobody = || (0, Page { members: Vec::new(), next: None });
        let (count, mut page) = self.look(name, read).unwrap_or_else(nobody);
        // Whoever asks and reads slowly costs memory until it has read.
        let mut bytes = 0;
        let fitting = page.members.iter().take_while(|member| {
            bytes += member.bytes();
            bytes <= RESULT_BYTES
        });
        let fitting = fitting.count().max(1);
        if fitting < page.members.len() {
            page.members.truncate(fitting);
            page.next = page.members.last().map(|member| member.number);
        }
        (count, page)
    }

    /// The channels in which `viewer` may see the user, of those that `may_list` lets it look into.
    #[must_use]
    pub fn channels_seen(
        &self,
        user: &UserId,
        viewer: Viewer<'_>,
        may_list: impl Fn(&ChannelName) -> bool,
    ) -> Vec<ChannelName> {
        let mut channels = self.channels_of(user);
        channels.retain(|name| may_list(name) && self.member(name, user, viewer).is_some());
        channels
    }
}
