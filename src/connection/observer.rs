//! Requests of a subscriber: subscribe and unsubscribe, watch and unwatch.

use std::sync::Arc;

use herenow_protocol::reply::{InForce, LevelReason, SnapshotReason};
use herenow_protocol::{ChannelName, ErrorCode, Level, Refusal, Since, UserId};

use super::client::{Client, Done};
use super::place::{Place, Subscribed};
use crate::auth::Caller;
use crate::delivery::{Cursor, Flow, Outlet, Sending, Subscription, Want};
use crate::hub::{At, Door};
use crate::limits::{SNAPSHOT_UNITS_BURST, SNAPSHOT_UNITS_PER_SECOND};
use crate::now::Now;
use crate::presence::Asked;
use crate::token_bucket::{Rate, TokenBucket};

/// What a connection may ask for of snapshots, in units.
const SNAPSHOT_RATE: Rate =
    Rate { per_second: SNAPSHOT_UNITS_PER_SECOND, burst: SNAPSHOT_UNITS_BURST };

impl Client {
    pub(super) fn subscribe(
        &mut self,
        sending: &mut Sending<'_>,
        name: ChannelName,
        asked: Asked,
        since: Option<Since>,
        now: Now,
    ) -> Result<Done, Refusal> {
        let lacks_ms = self.lacks_ms(sending, now);
        let Self { desk, rules, places, outlet, .. } = self;
        places.check_room(&name, rules.max_channels)?;
        let access = sending.access().cloned();
        let caller = Caller::User { user: outlet.user(), access: access.as_deref() };
        let viewer = caller.viewer();
        // Another sight: the replica may show whom its user may not see now, and lack others.
        let since = since.filter(|since| caller.saw_as_now(since.sight));
        let held = places.held(&name);
        let at = held.as_ref().map_or(At::Named(&name), At::Held);
        let (level, resumed, changed) = desk.subscribe(caller, at, asked, |door| {
            let level = door.standing().level(asked.level);
            let resumed = since
                .filter(|_| level == InForce::Events)
                .and_then(|since| door.presence().resume(since, viewer));
            let costs = match level {
                InForce::Events => resumed.is_none(),
                InForce::Count => asked.recent.limit > 0,
            };
            if costs && lacks_ms.is_some() {
                let rule = "snapshots are asked for faster than allowed";
                let refusal = Refusal::new(ErrorCode::RateLimited, rule);
                return Err(Refusal { retry_after_ms: lacks_ms, ..refusal });
            }
            let place = places.get_or_add(door.channel());
            let changed = changed(place, sending, asked, level);
            let subscription = subscription(place, door, outlet, sending, asked);
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
                door.want(subscription);
            }
            Ok((level, resumed.is_some(), changed))
        })??;
        self.resumed |= resumed;
        Ok(Done::Subscribed { channel: name, level, resumed, changed })
    }

    /// Takes from what the client may ask for what its snapshots have cost since the last look. The
    /// result: in how long it may ask for another, in milliseconds; `None`: now.
    fn lacks_ms(&mut self, sending: &mut Sending<'_>, now: Now) -> Option<u64> {
        self.charge_snapshots(sending, now);
        let bucket = self.snapshots.as_mut()?;
        let lacks_ms = bucket.lacks_ms(SNAPSHOT_RATE, now.mono_ms);
        if bucket.is_whole(SNAPSHOT_RATE, now.mono_ms) {
            self.snapshots = None;
        }
        lacks_ms
    }

    /// Charges what snapshots that the client asked for have cost: as they are sent, since before
    /// nobody knows how large they are.
    pub(super) fn charge_snapshots(&mut self, sending: &mut Sending<'_>, now: Now) {
        let units = sending.take_snapshots();
        if units > 0 {
            let whole = || Box::new(TokenBucket::new(SNAPSHOT_RATE, now.mono_ms));
            let bucket = self.snapshots.get_or_insert_with(whole);
            bucket.spend(units.into(), SNAPSHOT_RATE, now.mono_ms);
        }
    }

    pub(super) fn unsubscribe(&mut self, sending: &mut Sending<'_>, name: ChannelName) -> Done {
        let Self { desk, places, .. } = self;
        if let Some(place) = places.find(&name) {
            place.unsubscribe(desk.hub(), sending);
            places.tidy();
        }
        Done::Quiet(Some(name))
    }

    /// Watches all of `users`, or none. A user that is watched already is told again.
    pub(super) fn watch(
        &mut self,
        sending: &mut Sending<'_>,
        users: &[UserId],
    ) -> Result<Done, Refusal> {
        let own = self.outlet.user().clone();
        self.desk.check_watch(Self::caller(&self.outlet, sending), users)?;
        let mut names: Vec<_> =
            users.iter().map(|user| ChannelName::of_status(user, &own)).collect();
        names.sort();
        names.dedup();
        self.heavy = true;
        self.places.check_watches(&names, self.rules.max_watches)?;
        names.iter().for_each(|name| self.watch_one(sending, name));
        Ok(Done::Quiet(None))
    }

    fn watch_one(&mut self, sending: &mut Sending<'_>, name: &ChannelName) {
        let Self { desk, places, outlet, .. } = self;
        desk.watch(name, |door| {
            let place = places.get_or_add(door.channel());
            let subscription = subscription(place, door, outlet, sending, Level::Events.into());
            let want = Want::Snapshot(SnapshotReason::Subscribed);
            sending.set_cursor(&subscription, Cursor::Want(want));
            // A choked connection asks once it has caught up.
            if sending.flow() == Flow::Flowing {
                door.want(subscription);
            }
        });
    }

    pub(super) fn unwatch(&mut self, sending: &mut Sending<'_>, users: &[UserId]) -> Done {
        let Self { desk, places, outlet, .. } = self;
        for user in users {
            if let Some(place) = places.find(&ChannelName::of_status(user, outlet.user())) {
                place.unsubscribe(desk.hub(), sending);
            }
        }
        places.tidy();
        Done::Quiet(None)
    }
}

/// Why the connection comes to another level by asking for `asked`, if it does.
fn changed(
    place: &Place,
    sending: &Sending<'_>,
    asked: Asked,
    level: InForce,
) -> Option<LevelReason> {
    let before = &place.subscribed.as_ref()?.subscription;
    if sending.cursor(before).level() == Some(level) {
        return None;
    }
    // Whoever asks for the same level again and gets another: the channel grew, or shrank.
    Some(if before.asked().level == asked.level { LevelReason::Size } else { LevelReason::Asked })
}

/// The connection's subscription that asked for just this, made if there is none. One that asked for
/// something else ends: what was on its way to it is not sent any more.
fn subscription(
    place: &mut Place,
    door: &mut Door<'_>,
    outlet: &Arc<Outlet>,
    sending: &mut Sending<'_>,
    asked: Asked,
) -> Arc<Subscription> {
    let other = place.subscribed.take_if(|before| before.subscription.asked() != asked);
    if let Some(Subscribed { subscription, slot }) = other {
        sending.set_cursor(&subscription, Cursor::Dead);
        door.unsubscribe(subscription.asked(), slot);
    }
    let subscribed = place.subscribed.get_or_insert_with(|| {
        let subscription = Subscription::new(Arc::clone(outlet), asked);
        let slot = door.subscribe(Arc::clone(&subscription));
        Subscribed { subscription, slot }
    });
    Arc::clone(&subscribed.subscription)
}
