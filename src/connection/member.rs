//! Requests of a member: join, leave, set attributes, heartbeat.

use herenow_protocol::{AttributeMap, Audience, ChannelName, LeaveReason, Refusal};

use super::client::{Client, Done};
use crate::actions::{Joined, Joining, Writing};
use crate::delivery::Sending;
use crate::hub::At;
use crate::now::Now;

impl Client {
    pub(super) fn heartbeat(&mut self, channels: Option<Vec<ChannelName>>, now: Now) -> Done {
        for name in channels.into_iter().flatten() {
            if let Some(place) = self.places.find(&name) {
                place.heard_ms = now.mono_ms;
            }
        }
        Done::Quiet(None)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one frame")]
    pub(super) fn join(
        &mut self,
        sending: &Sending<'_>,
        name: ChannelName,
        (attributes, merge): (Option<AttributeMap>, bool),
        visible_to: Option<Audience>,
        away: Option<bool>,
        grace_ms: Option<u64>,
        now: Now,
    ) -> Result<Done, Refusal> {
        let (user, source) = (self.outlet.user().clone(), self.source());
        let Self { desk, rules, places, outlet, .. } = self;
        places.check_room(&name, rules.max_channels)?;
        let as_it_was = places.find(&name).filter(|place| place.joined).map(|place| place.away);
        let away = away.or(as_it_was).unwrap_or(self.away);
        let joining =
            Joining { user, source, attributes, merge, visible_to, away: Some(away), grace_ms };
        let held = places.held(&name);
        let at = held.as_ref().map_or(At::Named(&name), At::Held);
        let joined = desk.join(Self::caller(outlet, sending), at, joining, now)?;
        let place = places.get_or_add(&joined.channel);
        (place.joined, place.away) = (true, away);
        self.retime = true;
        self.count_away(now);
        let Joined { grace_ms, heartbeat, .. } = joined;
        Ok(Done::Joined { channel: name, grace_ms, heartbeat })
    }

    pub(super) fn leave(&mut self, name: ChannelName, now: Now) -> Done {
        let (user, source) = (self.outlet.user().clone(), self.source());
        let Self { desk, places, .. } = self;
        if let Some(place) = places.find(&name).filter(|place| place.joined) {
            place.joined = false;
            desk.leave(&place.channel, user, source, LeaveReason::Left, now);
            places.tidy();
            self.count_away(now);
        }
        Done::Quiet(Some(name))
    }

    pub(super) fn set_attributes(
        &mut self,
        name: ChannelName,
        attributes: AttributeMap,
        merge: bool,
        ttl_ms: Option<u64>,
        now: Now,
    ) -> Result<Done, Refusal> {
        let (user, source) = (self.outlet.user().clone(), self.source());
        let Self { desk, places, .. } = self;
        desk.check_ttl(ttl_ms)?;
        let Some(place) = places.find(&name).filter(|place| place.joined) else {
            return Err(Refusal::not_joined());
        };
        let writing = Writing { user, source, attributes, merge, ttl_ms };
        desk.set_attributes(At::Held(&place.channel), writing, now)?;
        Ok(Done::Quiet(Some(name)))
    }
}
