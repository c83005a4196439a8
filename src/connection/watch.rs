//! Requests about users apart from any channel: one's own status, and watching others'.

use std::sync::Arc;

use herenow_protocol::reply::SnapshotReason;
use herenow_protocol::{ChannelName, ErrorCode, Level, Refusal, StatusPatch, UserId};

use super::command::{Client, Done, subscription};
use crate::delivery::{Cursor, Flow, Sending, Want};
use crate::hub::At;
use crate::now::Now;

impl Client {
    pub(super) fn set_status(&self, patch: StatusPatch, now: Now) -> Done {
        self.hub.set_status(self.outlet.user(), patch, now);
        Done::Quiet(None)
    }

    /// Watches all of `users`, or none. Whoever is watched already is told again.
    pub(super) fn watch(
        &mut self,
        sending: &Sending<'_>,
        users: &[UserId],
    ) -> Result<Done, Refusal> {
        let own = self.outlet.user().clone();
        for user in users {
            sending.access().map_or(Ok(()), |access| access.check_watch(&own, user, "users"))?;
        }
        let mut names: Vec<_> =
            users.iter().map(|user| ChannelName::of_status(user, &own)).collect();
        names.sort();
        names.dedup();
        self.places.check_watches(&names, self.rules.max_watches)?;
        names.iter().for_each(|name| self.watch_one(sending, name));
        Ok(Done::Quiet(None))
    }

    fn watch_one(&mut self, sending: &Sending<'_>, name: &ChannelName) {
        let Self { hub, places, outlet, .. } = self;
        hub.enter(At::Named(name), |door| {
            door.tell_status();
            let place = places.get_or_add(door.channel());
            let subscription = subscription(place, door, outlet, sending, Level::Events);
            let want = Want::Snapshot(SnapshotReason::Subscribed);
            sending.set_cursor(&subscription, Cursor::Want(want));
            // A choked connection asks once it has caught up.
            if sending.flow() == Flow::Flowing {
                door.want(Arc::clone(&subscription));
            }
        });
    }

    pub(super) fn unwatch(&mut self, sending: &Sending<'_>, users: &[UserId]) -> Done {
        let Self { hub, places, outlet, .. } = self;
        for user in users {
            if let Some(place) = places.find(&ChannelName::of_status(user, outlet.user())) {
                place.unsubscribe(hub, sending);
            }
        }
        places.tidy();
        Done::Quiet(None)
    }
}

/// Refuses more watches than a connection may have.
pub(super) fn too_many_watches(limit: usize) -> Refusal {
    let rule = format_args!("would be more than the {limit} that a connection may watch");
    Refusal::field(ErrorCode::TooManyChannels, "users", rule)
}
