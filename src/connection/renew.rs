//! The token of a connection: its end, and a fresh one.

use std::sync::Arc;

use herenow_protocol::reply::{RemovedReason, SnapshotReason};
use herenow_protocol::{
    ChannelName, CloseCode, ErrorCode, LeaveReason, Level, Refusal, ServerFrame, Token, UserId,
};

use super::client::{Client, Done};
use super::dialect::Dialect;
use super::ending::End;
use crate::actions::observing::right_of;
use crate::auth::{Access, Caller, Right};
use crate::delivery::{Cursor, Flow, Sending, Want};
use crate::hub::At;
use crate::limits::EXPIRY_WARNING_MS;
use crate::now::Now;
use crate::presence::{Command, Source};

impl Client {
    /// Warns of the token's end, and ends the connection with it; the result is when to look again.
    pub(super) fn tend_token(
        &mut self,
        dialect: &mut impl Dialect,
        sending: &mut Sending<'_>,
        now: Now,
    ) -> Result<u64, End> {
        let Some(access) = sending.access() else { return Ok(u64::MAX) };
        // The one time that the wall clock is compared: it is what tokens are signed for.
        let left_ms = access.expires_unix_ms().saturating_sub(now.unix_ms);
        if left_ms == 0 {
            return Err(End::refused(CloseCode::TokenExpired, "the token's time is over"));
        }
        if left_ms > EXPIRY_WARNING_MS {
            return Ok(now.mono_ms.saturating_add(left_ms - EXPIRY_WARNING_MS));
        }
        if !std::mem::replace(&mut self.warned, true) {
            let rule = format_args!(
                "expires in {} seconds: send auth with a fresh one",
                left_ms.div_ceil(1_000)
            );
            let refusal = Refusal::field(ErrorCode::TokenExpired, "token", rule);
            dialect.reply(sending, &ServerFrame::error(None, refusal));
        }
        Ok(now.mono_ms + left_ms)
    }

    /// Goes on with a fresh token, which may grant less, show more, or tell another name.
    pub(super) fn renew(
        &mut self,
        sending: &mut Sending<'_>,
        token: &Token,
        now: Now,
    ) -> Result<Done, Refusal> {
        let identity = self.desk.auth().verify_token(&token.0, now)?;
        if identity.user != *self.outlet.user() {
            let rule = "must be one of the same user; connect anew to be another";
            return Err(Refusal::field(ErrorCode::Forbidden, "token", rule));
        }
        let before = sending.access().cloned();
        sending.set_access(identity.access.clone());
        (self.warned, self.retime, self.heavy) = (false, true, true);
        let (channels, users) = self.give_back(sending, now);
        self.count_away(now);
        if let (Some(before), Some(access)) = (before, identity.access) {
            if before.roles() != access.roles() {
                self.look_anew(sending);
            }
            if before.info() != access.info() {
                self.inform(&access, now);
            }
        }
        let reason = RemovedReason::Rights;
        let any = !channels.is_empty() || !users.is_empty();
        let removed = any.then_some(ServerFrame::Removed { channels, users, reason });
        let sight = Self::caller(&self.outlet, sending).sight();
        Ok(Done::Renewed { sight, removed })
    }

    /// Ends what the connection's token does not grant any longer, and says what that was.
    fn give_back(
        &mut self,
        sending: &mut Sending<'_>,
        now: Now,
    ) -> (Vec<ChannelName>, Vec<UserId>) {
        let (mut channels, mut users) = (Vec::new(), Vec::new());
        let Self { desk, places, outlet, .. } = self;
        let access = sending.access().cloned();
        let (hub, caller) =
            (desk.hub(), Caller::User { user: outlet.user(), access: access.as_deref() });
        for place in places.iter_mut() {
            let name = place.channel.name().clone();
            let lacks = |right| caller.may_read(right, &name).is_err();
            let watched = name.status_of();
            let unobserved = place.subscribed.as_ref().is_some_and(|subscribed| match &watched {
                Some(user) => caller.may_watch(user, "users").is_err(),
                None => lacks(right_of(subscribed.subscription.asked())),
            });
            if unobserved {
                place.unsubscribe(hub, sending);
            }
            let absent = place.joined && lacks(Right::Join);
            if absent {
                place.joined = false;
                let (user, source) = (outlet.user().clone(), Source::connection(outlet.id()));
                let command = Command::Leave { user, source, reason: LeaveReason::Kicked };
                hub.apply_kept(&place.channel, command, now);
            }
            match watched {
                Some(user) if unobserved => users.push(user),
                None if unobserved || absent => channels.push(name),
                _ => {}
            }
        }
        places.tidy();
        (channels, users)
    }

    /// The user's roles changed: its replicas start from what it may see now.
    fn look_anew(&self, sending: &mut Sending<'_>) {
        for place in self.places.iter() {
            let Some(subscribed) = &place.subscribed else { continue };
            let subscription = &subscribed.subscription;
            // Whom a user may watch is a right; what is seen of the watched does not depend on roles.
            let replica = !place.channel.name().is_status()
                && matches!(sending.cursor(subscription), Cursor::Next(_) | Cursor::Within(_));
            if !replica || subscription.asked().level == Level::Count {
                continue;
            }
            let want = Want::Snapshot(SnapshotReason::Resync);
            sending.set_cursor(subscription, Cursor::Want(want));
            // A choked connection asks once it has caught up.
            if sending.flow() == Flow::Flowing {
                self.desk
                    .hub()
                    .enter(At::Held(&place.channel), |door| door.want(Arc::clone(subscription)));
            }
        }
    }

    fn inform(&self, access: &Access, now: Now) {
        self.desk.hub().inform_user(self.outlet.user(), access.info(), now);
        for place in self.places.iter().filter(|place| place.joined) {
            let (user, info) = (self.outlet.user().clone(), access.info().clone());
            self.desk.hub().apply_kept(&place.channel, Command::Inform { user, info }, now);
        }
    }
}
