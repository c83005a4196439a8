//! A request → what it does, and what is replied.
//!
//! Runs with the connection's lock held, so that replies come in the order of the requests, and
//! before the frames of their own effect.

use std::sync::Arc;

use herenow_protocol::reply::{Answer, InForce, LevelReason, SnapshotReason};
use herenow_protocol::{
    AttributeMap, Audience, ChannelName, ClientFrame, FrameId, LeaveReason, Level, Refusal,
    Request, ServerFrame, Since, shorthand,
};

use super::dialect::Dialect;
use super::place::{Place, Places, Subscribed};
use super::query::check_right;
use super::rules::Rules;
use crate::auth::{self, Right};
use crate::delivery::{Cursor, Flow, Outlet, Sending, Subscription, Want};
use crate::hub::{Hub, Room};
use crate::presence::{Command, Lasts, Now};

/// What a connection's requests act on and with.
#[derive(Debug)]
pub struct Client {
    pub(super) hub: Arc<Hub>,
    pub(super) rules: Arc<Rules>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) places: Places,
    /// A deadline may have come nearer.
    pub(super) retime: bool,
    /// A subscription resumed: its missed frames are to follow its `ok`.
    pub(super) resumed: bool,
    /// The client was told that its token ends soon.
    pub(super) warned: bool,
}

/// What is replied to a request that was done.
pub(super) enum Done {
    /// To an action.
    Quiet(Option<ChannelName>),
    /// To `subscribe`.
    Subscribed {
        channel: ChannelName,
        level: InForce,
        resumed: bool,
        /// The connection was at another level until now.
        changed: Option<LevelReason>,
    },
    /// To `auth`.
    Renewed {
        /// What the fresh token does not grant any longer.
        removed: Option<ServerFrame>,
    },
    /// To a query.
    Answer(Answer),
    /// To `help`.
    Help,
}

impl Client {
    /// Acts on one text message.
    pub(super) fn act(
        &mut self,
        dialect: &mut impl Dialect,
        sending: &mut Sending<'_>,
        text: &str,
        limited: Option<Refusal>,
        now: Now,
    ) {
        let parsed = dialect.parse(text);
        // Whatever was sent, somebody is there. Only a heartbeat that names channels speaks for
        // those alone.
        if !matches!(
            &parsed,
            Ok(ClientFrame { request: Request::Heartbeat { channels: Some(_) }, .. })
        ) {
            self.outlet.heard(now.mono_ms);
        }
        let (id, outcome) = match (parsed, limited) {
            (Ok(frame), None) => (frame.id, self.apply(sending, frame.request, now)),
            (Ok(frame), Some(refusal)) => (frame.id, Err(refusal)),
            (Err(rejected), limited) => (rejected.id, Err(limited.unwrap_or(rejected.refusal))),
        };
        let follows = follows(&outcome);
        for frame in reply(id, outcome).into_iter().chain(follows) {
            dialect.reply(sending, &frame);
        }
    }

    fn apply(
        &mut self,
        sending: &mut Sending<'_>,
        request: Request,
        now: Now,
    ) -> Result<Done, Refusal> {
        if !matches!(request, Request::Help | Request::Auth { .. }) {
            self.rules.check_enabled()?;
        }
        match request {
            Request::Heartbeat { channels } => Ok(self.heartbeat(channels, now)),
            Request::Join { channel, attributes, grace_ms, visible_to } => {
                let grace_ms = grace_ms.unwrap_or(0);
                self.join(sending, channel, attributes, visible_to, grace_ms, now)
            }
            Request::Leave { channel } => Ok(self.leave(channel, now)),
            Request::SetAttributes { channel, attributes, merge, ttl_ms } => {
                self.set_attributes(channel, attributes, merge, ttl_ms, now)
            }
            Request::Subscribe { channel, level, since } => {
                self.subscribe(sending, channel, level, since)
            }
            Request::Unsubscribe { channel } => Ok(self.unsubscribe(sending, channel)),
            Request::GetMembers { channel, limit, after } => {
                self.get_members(sending, channel, limit, after)
            }
            Request::GetCount { channel } => self.get_count(sending, channel),
            Request::GetAttributes { channel, user } => self.get_attributes(sending, channel, user),
            Request::GetChannels { user } => Ok(self.get_channels(sending, user)),
            Request::Auth { token } => self.renew(sending, &token, now),
            Request::SetStatus { patch } => Ok(self.set_status(patch, now)),
            Request::Watch { users } => self.watch(sending, &users),
            Request::Unwatch { users } => Ok(self.unwatch(sending, &users)),
            Request::Help => Ok(Done::Help),
        }
    }

    fn heartbeat(&mut self, channels: Option<Vec<ChannelName>>, now: Now) -> Done {
        for name in channels.into_iter().flatten() {
            if let Some(place) = self.places.find(&name) {
                place.heard_ms = now.mono_ms;
            }
        }
        Done::Quiet(None)
    }

    fn join(
        &mut self,
        sending: &Sending<'_>,
        name: ChannelName,
        attributes: Option<AttributeMap>,
        visible_to: Option<Audience>,
        grace_ms: u64,
        now: Now,
    ) -> Result<Done, Refusal> {
        check_right(sending, Right::Join, &name)?;
        check_between("graceMs", grace_ms, 0, self.rules.max_grace_ms)?;
        self.places.check_room(&name, self.rules.max_channels)?;
        let (user, source) = (self.outlet.user().clone(), self.outlet.id());
        let info = sending.access().map(|access| access.info().clone());
        let lasts = Lasts::Connection { grace_ms };
        let command = Command::Join { user, source, attributes, info, visible_to, lasts };
        let Self { hub, places, .. } = self;
        hub.enter(&name, |channel, room| {
            hub.apply(channel, room, command, now)?;
            places.get_or_add(channel).joined = true;
            Ok(())
        })?;
        self.retime = true;
        Ok(Done::Quiet(Some(name)))
    }

    fn leave(&mut self, name: ChannelName, now: Now) -> Done {
        let (user, source) = (self.outlet.user().clone(), self.outlet.id());
        let Self { hub, places, .. } = self;
        if let Some(place) = places.find(&name).filter(|place| place.joined) {
            place.joined = false;
            let command = Command::Leave { user, source, reason: LeaveReason::Left };
            hub.apply_kept(&place.channel, command, now);
            places.tidy();
        }
        Done::Quiet(Some(name))
    }

    fn set_attributes(
        &mut self,
        name: ChannelName,
        attributes: AttributeMap,
        merge: bool,
        ttl_ms: Option<u64>,
        now: Now,
    ) -> Result<Done, Refusal> {
        if let Some(ttl_ms) = ttl_ms {
            check_between("ttlMs", ttl_ms, 1, self.rules.max_ttl_ms)?;
        }
        let (user, source) = (self.outlet.user().clone(), self.outlet.id());
        let Self { hub, places, .. } = self;
        let Some(place) = places.find(&name).filter(|place| place.joined) else {
            return Err(Refusal::not_joined());
        };
        let command = Command::SetAttributes { user, source, attributes, merge, ttl_ms };
        let channel = &place.channel;
        hub.enter_kept(channel, |room| hub.apply(channel, room, command, now))?;
        Ok(Done::Quiet(Some(name)))
    }

    fn subscribe(
        &mut self,
        sending: &Sending<'_>,
        name: ChannelName,
        asked: Level,
        since: Option<Since>,
    ) -> Result<Done, Refusal> {
        check_right(sending, right_of(asked), &name)?;
        self.places.check_room(&name, self.rules.max_channels)?;
        let Self { hub, places, outlet, .. } = self;
        let viewer = auth::viewer(outlet.user(), sending.access().map(Arc::as_ref));
        let (level, resumed, changed) = hub.enter(&name, |channel, room| {
            let level = room.standing().level(asked);
            let place = places.get_or_add(channel);
            let changed = changed(place, sending, asked, level);
            let subscription = subscription(place, room, outlet, sending, asked);
            let resumed = since
                .filter(|_| level == InForce::Events)
                .and_then(|since| room.presence.resume(since, viewer));
            sending.set_cursor(
                &subscription,
                match (level, resumed) {
                    (_, Some(next)) => Cursor::Next(next),
                    (InForce::Count, None) => Cursor::Want(Want::Count),
                    (InForce::Events, None) if changed.is_some() => {
                        Cursor::Want(Want::Snapshot(SnapshotReason::Level))
                    }
                    (InForce::Events, None) => {
                        Cursor::Want(Want::Snapshot(SnapshotReason::Subscribed))
                    }
                },
            );
            // A choked connection asks once it has caught up: no snapshots for nobody.
            if resumed.is_none() && sending.flow() == Flow::Flowing {
                room.want(subscription);
            }
            (level, resumed.is_some(), changed)
        });
        self.resumed |= resumed;
        Ok(Done::Subscribed { channel: name, level, resumed, changed })
    }

    fn unsubscribe(&mut self, sending: &Sending<'_>, name: ChannelName) -> Done {
        let Self { hub, places, .. } = self;
        if let Some(place) = places.find(&name) {
            place.unsubscribe(hub, sending);
            places.tidy();
        }
        Done::Quiet(Some(name))
    }
}

/// The right that observing at level `asked` needs.
pub(super) fn right_of(asked: Level) -> Right {
    match asked {
        Level::Auto | Level::Events => Right::Subscribe,
        Level::Count => Right::Count,
    }
}

/// Why the connection comes to another level by asking for `asked`, if it does.
fn changed(
    place: &Place,
    sending: &Sending<'_>,
    asked: Level,
    level: InForce,
) -> Option<LevelReason> {
    let before = &place.subscribed.as_ref()?.subscription;
    if sending.cursor(before).level() == Some(level) {
        return None;
    }
    // Whoever asks for the same again and gets another: the channel grew, or shrank.
    Some(if before.asked() == asked { LevelReason::Size } else { LevelReason::Asked })
}

/// The connection's subscription of the channel at level `asked`, made if there is none. One at
/// another level ends: what was on its way to it is not sent any more.
pub(super) fn subscription(
    place: &mut Place,
    room: &mut Room,
    outlet: &Arc<Outlet>,
    sending: &Sending<'_>,
    asked: Level,
) -> Arc<Subscription> {
    let other = place.subscribed.take_if(|before| before.subscription.asked() != asked);
    if let Some(Subscribed { subscription, slot }) = other {
        sending.set_cursor(&subscription, Cursor::Dead);
        room.remove_subscriber(subscription.asked(), slot);
    }
    let subscribed = place.subscribed.get_or_insert_with(|| {
        let subscription = Subscription::new(Arc::clone(outlet), asked);
        let slot = room.add_subscriber(Arc::clone(&subscription));
        Subscribed { subscription, slot }
    });
    Arc::clone(&subscribed.subscription)
}

/// What follows the answer. A reply like it, so that it comes before whatever the level begins
/// with.
fn follows(outcome: &Result<Done, Refusal>) -> Option<ServerFrame> {
    match outcome {
        Ok(Done::Subscribed { channel, level, changed: Some(reason), .. }) => {
            let (channel, level, reason) = (channel.clone(), *level, *reason);
            Some(ServerFrame::Level { channel, level, reason })
        }
        Ok(Done::Renewed { removed }) => removed.clone(),
        _ => None,
    }
}

fn reply(id: Option<FrameId>, outcome: Result<Done, Refusal>) -> Option<ServerFrame> {
    match outcome {
        Ok(Done::Quiet(channel)) => {
            id.map(|id| ServerFrame::Ok { id, channel, level: None, resumed: None })
        }
        Ok(Done::Subscribed { channel, level, resumed, .. }) => id.map(|id| ServerFrame::Ok {
            id,
            channel: Some(channel),
            level: Some(level),
            resumed: Some(resumed),
        }),
        Ok(Done::Renewed { .. }) => {
            id.map(|id| ServerFrame::Ok { id, channel: None, level: None, resumed: None })
        }
        Ok(Done::Answer(answer)) => Some(ServerFrame::Result { id, answer }),
        Ok(Done::Help) => Some(ServerFrame::Help { commands: shorthand::help() }),
        Err(refusal) => Some(ServerFrame::error(id, refusal)),
    }
}

pub(super) fn check_between(
    field: &'static str,
    value: u64,
    least: u64,
    most: u64,
) -> Result<(), Refusal> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Refusal::invalid(field, format_args!("must be a whole number from {least} to {most}")))
}
