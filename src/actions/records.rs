//! Presence records: what a vendor's client library says of a user, in a channel of the broker's own
//! that nobody joins. A user has one record, and whoever writes it last keeps it present: a lease, or
//! the connection that it was written on.

use std::sync::Arc;

use herenow_protocol::{
    AttributeMap, Audience, ChannelName, ErrorCode, LeaveReason, Refusal, UserId,
};

use super::desk::Desk;
use super::rules::check_between;
use crate::auth::Caller;
use crate::hub::{At, Channel, Door};
use crate::limits::MAX_RECORD_MS;
use crate::now::Now;
use crate::presence::{ChannelState, Command, Keeper, Lasts, Member, Source, Viewer};

/// What keeps a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// The keeper's lease, for so many milliseconds.
    For(Keeper, u64),
    /// The connection of this number.
    With(u64),
}

/// A record as it is written, whole.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What it says.
    pub attributes: AttributeMap,
    /// Who may see it, beside its user.
    pub visible_to: Audience,
    /// What keeps it from now on, and alone.
    pub lives: Lives,
}

impl Desk {
    /// Has the records that other nodes have be known here, as far as that takes a second at most: what
    /// is read and written next is the cluster's.
    pub async fn attend_records(&self) {
        self.hub.attend(&ChannelName::of_records()).await;
    }

    /// Writes the user's record. What is written is made by `write` out of the channel as it is at
    /// that moment, so that of several writers none overwrites what it did not see. The result: the
    /// record, and the channel, which whoever writes on a connection keeps.
    ///
    /// # Errors
    /// Those of `write`; `forbidden`, `invalid_field` (ttlMs), `too_many_channels`, `channel_full`,
    /// `too_large`; `unauthenticated`: the user was signed out meanwhile.
    pub fn write_record<E: From<Refusal>>(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        now: Now,
        write: impl FnOnce(&ChannelState) -> Result<Recording, E>,
    ) -> Result<(Arc<Member>, Arc<Channel>), E> {
        let records = ChannelName::of_records();
        caller.may_join(&records, user)?;
        self.hub.enter(At::Named(&records), |door| {
            let Recording { attributes, visible_to, lives } = write(door.presence())?;
            let (source, lasts) = match lives {
                Lives::For(keeper, ttl_ms) => {
                    check_between("ttlMs", ttl_ms, 1, MAX_RECORD_MS)?;
                    (Source::Lease(keeper), Lasts::Lease { ttl_ms })
                }
                Lives::With(number) => {
                    (Source::connection(number), Lasts::Connection { grace_ms: 0 })
                }
            };
            door.check_lease(user, source)?;
            let others: Vec<_> =
                ended_here(door.presence(), user).filter(|&other| other != source).collect();
            let command = Command::Join {
                user: user.clone(),
                source,
                attributes: Some(attributes),
                merge: false,
                info: caller.info().cloned(),
                visible_to: Some(visible_to),
                away: None,
                lasts,
            };
            door.apply(command, now)?;
            // Another connection goes on keeping it: the user has two tabs, and closes one.
            let both = |other: &Source| other.is_connection() && source.is_connection();
            leave(door, user, others.into_iter().filter(|other| !both(other)), now)?;
            // Behind the change, as with leases: of this and a kick at once the later finds the other.
            if let Err(refusal) = self.auth().check_signed_in(caller, now) {
                leave(door, user, [source], now)?;
                return Err(refusal.into());
            }
            let member = door.presence().member(user, Viewer::All).cloned();
            let lost = || Refusal::new(ErrorCode::Internal, "the record is lost");
            Ok((member.ok_or_else(lost)?, Arc::clone(door.channel())))
        })
    }

    /// Ends the user's record, whatever keeps it, if `check` lets it.
    ///
    /// # Errors
    /// Those of `check`; `forbidden`.
    pub fn end_record<E: From<Refusal>>(
        &self,
        caller: Caller<'_>,
        user: &UserId,
        now: Now,
        check: impl FnOnce(&ChannelState) -> Result<(), E>,
    ) -> Result<(), E> {
        caller.may_write(user)?;
        let ended = self.hub.enter_existing(&ChannelName::of_records(), |door| {
            check(door.presence())?;
            let sources: Vec<_> = ended_here(door.presence(), user).collect();
            leave(door, user, sources, now).map_err(E::from)
        });
        ended.unwrap_or(Ok(()))
    }
}

/// What keeps the user's record and can be ended here. Not so a connection to another node.
fn ended_here(records: &ChannelState, user: &UserId) -> impl Iterator<Item = Source> {
    records.held_by(user).filter(|source| !matches!(source, Source::Node(_)))
}

fn leave(
    door: &mut Door<'_>,
    user: &UserId,
    sources: impl IntoIterator<Item = Source>,
    now: Now,
) -> Result<(), Refusal> {
    sources.into_iter().try_for_each(|source| {
        let (user, reason) = (user.clone(), LeaveReason::Left);
        door.apply(Command::Leave { user, source, reason }, now)
    })
}
