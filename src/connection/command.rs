//! A request → what it does, and what is replied.
//!
//! Runs with the connection's lock held, so that replies come in the order of the requests, and
//! before the frames of their own effect.

use herenow_protocol::reply::{HeartbeatInfo, InForce};
use herenow_protocol::{
    ChannelName, ClientFrame, FrameId, Refusal, Request, ServerFrame, Sight, encode, shorthand,
};

use super::client::{Client, Done};
use super::codec::Violation;
use super::dialect::{Dialect, Herenow};
use super::parked::Answered;
use super::query::Query;
use crate::delivery::Sending;
use crate::now::Now;
use crate::presence::Asked;

impl Dialect for Herenow {
    const SQUEEZES: bool = true;

    fn act(
        &mut self,
        client: &mut Client,
        sending: &mut Sending<'_>,
        text: &str,
        limited: Option<Refusal>,
        now: Now,
    ) -> Result<(), Violation> {
        client.act(self, sending, text, limited, now);
        Ok(())
    }

    fn encode(&mut self, frame: &ServerFrame, out: &mut Vec<u8>) {
        match frame {
            // Asked for by a person who types.
            ServerFrame::Help { .. } => encode::readable_text_message(frame, out),
            _ => encode::text_message(frame, out),
        }
    }
}

impl Client {
    /// Acts on one text message.
    fn act(
        &mut self,
        dialect: &mut Herenow,
        sending: &mut Sending<'_>,
        text: &str,
        limited: Option<Refusal>,
        now: Now,
    ) {
        let parsed = herenow_protocol::parse(text);
        // Whatever was sent, somebody is there. Only a heartbeat that names channels speaks for
        // those alone.
        if !matches!(
            &parsed,
            Ok(ClientFrame { request: Request::Heartbeat { channels: Some(_) }, .. })
        ) {
            self.outlet.heard(now.mono_ms);
        }
        let (id, outcome) = match (parsed, limited) {
            (Ok(frame), None) => {
                let outcome = self.apply(sending, frame.id.as_ref(), frame.request, now);
                (frame.id, outcome)
            }
            (Ok(frame), Some(refusal)) => (frame.id, Err(refusal)),
            (Err(rejected), limited) => (rejected.id, Err(limited.unwrap_or(rejected.refusal))),
        };
        // A connection that came while its user was away counts as it says from its first word on.
        if self.counts_away {
            self.count_away(now);
        }
        self.reply_to(dialect, sending, id, outcome);
    }

    /// Replies to the frame `id`.
    pub(super) fn reply_to(
        &self,
        dialect: &mut impl Dialect,
        sending: &mut Sending<'_>,
        id: Option<FrameId>,
        outcome: Result<Done, Refusal>,
    ) {
        if let Err(refusal) = &outcome {
            self.desk.hub().metrics().websocket_refusals.inc(refusal.code);
        }
        let follows = follows(&outcome);
        let to_all = matches!(outcome, Ok(Done::Answer(Answered { to_all: true, .. })));
        let before = sending.queued();
        for frame in reply(id, outcome).into_iter().chain(follows) {
            dialect.reply(sending, &frame);
        }
        if to_all {
            sending.squeeze_queued(before, self.desk.hub().metrics());
        }
    }

    fn apply(
        &mut self,
        sending: &mut Sending<'_>,
        id: Option<&FrameId>,
        request: Request,
        now: Now,
    ) -> Result<Done, Refusal> {
        if !matches!(request, Request::Help | Request::Auth { .. }) {
            self.desk.rules().check_enabled()?;
        }
        match request {
            Request::Heartbeat { channels } => Ok(self.heartbeat(channels, now)),
            Request::Join { channel, attributes, merge, grace_ms, visible_to, away } => {
                self.join(sending, channel, (attributes, merge), visible_to, away, grace_ms, now)
            }
            Request::Away { away, channels } => Ok(self.set_away(away, channels.as_deref(), now)),
            Request::Leave { channel } => Ok(self.leave(channel, now)),
            Request::SetAttributes { channel, attributes, merge, ttl_ms } => {
                self.set_attributes(channel, attributes, merge, ttl_ms, now)
            }
            Request::Subscribe { channel, level, recent, recent_attributes, since } => {
                let asked = Asked::new(level, recent, recent_attributes);
                self.subscribe(sending, channel, asked, since, now)
            }
            Request::Unsubscribe { channel } => Ok(self.unsubscribe(sending, channel)),
            Request::GetMembers { channel, limit, after } => {
                self.ask(sending, id, Query::Members { channel, limit, after })
            }
            Request::GetCount { channel } => self.ask(sending, id, Query::Count(channel)),
            Request::GetAttributes { channel, user } => {
                self.ask(sending, id, Query::Attributes { channel, user })
            }
            Request::GetChannels { user, limit, after } => {
                self.ask(sending, id, Query::Channels { user, limit, after })
            }
            Request::Auth { token } => self.renew(sending, &token, now),
            Request::SetStatus { patch } => self.set_status(sending, patch, now),
            Request::Watch { users } => self.watch(sending, &users),
            Request::Unwatch { users } => Ok(self.unwatch(sending, &users)),
            Request::Help => Ok(Done::Help),
        }
    }
}

/// What follows the answer. A reply like it, so that it comes before whatever the level begins
/// with.
fn follows(outcome: &Result<Done, Refusal>) -> Option<ServerFrame> {
    match outcome {
        Ok(Done::Subscribed { channel, level, changed: Some(reason), .. }) => {
            let (channel, level, reason) = (channel.clone(), *level, *reason);
            Some(ServerFrame::Level { channel, level, reason })
        }
        Ok(Done::Renewed { removed, .. }) => removed.clone(),
        _ => None,
    }
}

/// What an `ok` says beside what was done.
#[derive(Default)]
struct Outcome {
    grace_ms: Option<u64>,
    heartbeat: Option<HeartbeatInfo>,
    level: Option<InForce>,
    resumed: Option<bool>,
    sight: Option<Sight>,
}

impl Outcome {
    fn ok(self, id: FrameId, channel: Option<ChannelName>) -> ServerFrame {
        let Self { grace_ms, heartbeat, level, resumed, sight } = self;
        ServerFrame::Ok { id, channel, grace_ms, heartbeat, level, resumed, sight }
    }
}

fn reply(id: Option<FrameId>, outcome: Result<Done, Refusal>) -> Option<ServerFrame> {
    match outcome {
        Ok(Done::Quiet(channel)) => id.map(|id| Outcome::default().ok(id, channel)),
        Ok(Done::Joined { channel, grace_ms, heartbeat }) => {
            let done = Outcome { grace_ms, heartbeat, ..Outcome::default() };
            id.map(|id| done.ok(id, Some(channel)))
        }
        Ok(Done::Subscribed { channel, level, resumed, .. }) => {
            let (level, resumed) = (Some(level), Some(resumed));
            let done = Outcome { level, resumed, ..Outcome::default() };
            id.map(|id| done.ok(id, Some(channel)))
        }
        Ok(Done::Renewed { sight, .. }) => {
            let done = Outcome { sight: Some(sight), ..Outcome::default() };
            id.map(|id| done.ok(id, None))
        }
        Ok(Done::Answer(Answered { known, .. })) => {
            let (answer, partial) = (known.is, known.partial);
            Some(ServerFrame::Result { id, answer, partial })
        }
        Ok(Done::Later) => None,
        Ok(Done::Help) => Some(ServerFrame::Help { commands: shorthand::help() }),
        Err(refusal) => Some(ServerFrame::error(id, refusal)),
    }
}
