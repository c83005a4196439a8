//! Being away: what a connection says of it, in its channels and for its user's status.

use herenow_protocol::ChannelName;

use super::client::{Client, Done};
use super::place::Place;
use crate::now::Now;

impl Client {
    /// The user is away from the connection, or is back: in these channels, or in all, those that it
    /// joins later included. Channels that it did not join are passed over.
    pub(super) fn set_away(
        &mut self,
        away: bool,
        channels: Option<&[ChannelName]>,
        now: Now,
    ) -> Done {
        let source = self.source();
        let Self { desk, places, outlet, .. } = self;
        let turn = |place: &mut Place| {
            if place.joined && place.away != away {
                place.away = away;
                desk.set_away(&place.channel, outlet.user().clone(), source, away, now);
            }
        };
        if let Some(names) = channels {
            for name in names {
                places.find(name).into_iter().for_each(turn);
            }
        } else {
            places.iter_mut().for_each(turn);
            self.away = away;
        }
        self.count_away(now);
        Done::Quiet(None)
    }

    /// Has the user's status know whether the user is away from the connection: from all that it
    /// keeps present, or, if that is nothing, from itself.
    pub(super) fn count_away(&mut self, now: Now) {
        let mut joined = self.places.iter().filter(|place| place.joined).peekable();
        let away = if joined.peek().is_none() { self.away } else { joined.all(|place| place.away) };
        if std::mem::replace(&mut self.counts_away, away) != away {
            self.desk.hub().connection_turned(&self.outlet, away, now);
        }
    }
}
