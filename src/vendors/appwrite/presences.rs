//! Records as they are read and written, by request and on a socket alike.

use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::changes::Latest;
use super::fault::Fault;
use super::ids::Ids;
use super::input::{Fields, UNIQUE, check_id};
use super::list::Listing;
use super::permissions::Permissions;
use super::record::{Action, Presence, Record, Source};
use super::sessions::Sessions;
use super::who::Who;
use crate::actions::{Desk, Lives, Recording};
use crate::auth::Right;
use crate::hub::Channel;
use crate::limits::{APPWRITE_LISTS, APPWRITE_RECORD_MS, LIST_MAX, MAX_RECORD_MS};
use crate::now::Now;
use crate::presence::{ChannelState, Member, Source as Keeps, Viewer};
use crate::vendors::keepers::APPWRITE;

/// What the wing remembers: whose record each id names, and which sockets there are.
#[derive(Debug)]
pub struct Presences {
    /// A leaf lock, taken with the channel's held.
    ids: Mutex<Ids>,
    /// Held by whoever walks over all records.
    lists: Semaphore,
    sessions: Sessions,
    latest: Latest,
}

/// What keeps a record that is written whole.
#[derive(Clone, Copy, Debug)]
pub enum By {
    /// A request.
    Request,
    /// The socket of this number.
    Socket(u64),
}

impl Default for Presences {
    fn default() -> Self {
        Self {
            ids: Mutex::default(),
            lists: Semaphore::new(APPWRITE_LISTS),
            sessions: Sessions::default(),
            latest: Latest::default(),
        }
    }
}

impl Presences {
    /// Which sockets came by which credential.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The latest tick, for all sockets.
    #[must_use]
    pub fn latest(&self) -> &Latest {
        &self.latest
    }

    /// Writes the record of who asks, or, for back ends, of whom they name. A user has one: a further
    /// id answers the one that is there.
    ///
    /// # Errors
    /// `general_argument_invalid`, `general_unauthorized_scope`, `presence_already_exists`, and the
    /// desk's.
    pub fn upsert(
        &self,
        desk: &Desk,
        who: &Who,
        id: &str,
        fields: Fields,
        by: By,
        now: Now,
    ) -> Result<(Presence, Arc<Channel>), Fault> {
        let user = writer(who, fields.user)?;
        if id != UNIQUE {
            check_id(id)?;
        }
        let status =
            fields.status.ok_or_else(|| Fault::argument("Param `status` is not optional."))?;
        let (permissions, visible_to) =
            fields.permissions.unwrap_or_else(|| Permissions::of_owner(&user));
        let metadata = fields.metadata.unwrap_or_default();
        let (source, lasts_ms) = match by {
            By::Request => (Source::Rest, APPWRITE_RECORD_MS),
            By::Socket(_) => (Source::Realtime, MAX_RECORD_MS),
        };
        let expires_ms = fields.expires_ms.unwrap_or(now.unix_ms + lasts_ms);
        let lives = match by {
            By::Request => Lives::For(APPWRITE, expires_ms.saturating_sub(now.unix_ms)),
            By::Socket(number) => Lives::With(number),
        };
        let made = desk.hub().chance();
        let (member, channel) = desk.write_record(who.caller(), &user, now, |records| {
            let before = records.member(&user, Viewer::All).and_then(|member| Record::of(member));
            let (id, created_ms) = match before {
                Some(before) => (before.id, before.created_ms),
                None => {
                    let new = || format!("{:016x}{:04x}", made.number(), made.number() as u16);
                    let id = if id == UNIQUE { new() } else { id.to_owned() };
                    self.give(&id, &user, records)?;
                    (id, now.unix_ms)
                }
            };
            let updated_ms = now.unix_ms;
            let record = Record {
                id,
                permissions,
                source,
                last: Action::Upsert,
                created_ms,
                updated_ms,
                expires_ms,
                status,
                metadata,
            };
            Ok::<_, Fault>(Recording { attributes: record.attributes(), visible_to, lives })
        })?;
        Ok((shown(&member)?, channel))
    }

    fn give(&self, id: &str, user: &UserId, records: &ChannelState) -> Result<(), Fault> {
        let mut ids = self.ids.lock();
        if ids.user_of(id, records).is_some() {
            return Err(Fault::taken());
        }
        ids.give(id.to_owned(), user.clone(), records);
        Ok(())
    }

    /// Writes of a record what is named. Without an end it ends as before.
    ///
    /// # Errors
    /// As [`Presences::upsert`]; `presence_not_found`, `user_unauthorized`.
    pub fn update(
        &self,
        desk: &Desk,
        who: &Who,
        id: &str,
        fields: Fields,
        now: Now,
    ) -> Result<Presence, Fault> {
        let user = self.owned(desk, who, id)?;
        match (&fields.user, who.is_backend()) {
            (Some(_), false) => return Err(names_a_user()),
            (Some(named), true) if *named != user => {
                return Err(Fault::argument(
                    "Invalid `userId` param: the presence is another user's.",
                ));
            }
            _ => {}
        }
        let (member, _) = desk.write_record(who.caller(), &user, now, |records| {
            let member = records.member(&user, Viewer::All).filter(|one| Record::is_of(one, id));
            let member = member.ok_or_else(Fault::absent)?;
            let mut record = Record::of(member).ok_or_else(Fault::absent)?;
            let mut visible_to = member
                .profile
                .as_ref()
                .map_or_else(Default::default, |profile| profile.visible_to.clone());
            if let Some((permissions, readers)) = fields.permissions {
                (record.permissions, visible_to) = (permissions, readers);
            }
            record.status = fields.status.unwrap_or(record.status);
            record.metadata = fields.metadata.unwrap_or(record.metadata);
            let socket = records.held_by(&user).find_map(|keeps| match keeps {
                Keeps::Connection(number) => Some(number.number()),
                Keeps::Lease(_) | Keeps::Node(_) => None,
            });
            let lives = match (fields.expires_ms, socket) {
                (None, Some(number)) => Lives::With(number),
                (given, _) => {
                    record.expires_ms = given.unwrap_or(record.expires_ms);
                    record.source = Source::Rest;
                    let left_ms = record.expires_ms.saturating_sub(now.unix_ms);
                    Lives::For(APPWRITE, left_ms.clamp(1, MAX_RECORD_MS))
                }
            };
            (record.last, record.updated_ms) = (Action::Update, now.unix_ms);
            Ok::<_, Fault>(Recording { attributes: record.attributes(), visible_to, lives })
        })?;
        shown(&member)
    }

    /// Ends a record.
    ///
    /// # Errors
    /// `presence_not_found`, `user_unauthorized`, `general_unauthorized_scope`, and the desk's.
    pub fn delete(&self, desk: &Desk, who: &Who, id: &str, now: Now) -> Result<(), Fault> {
        let user = self.owned(desk, who, id)?;
        desk.end_record(who.caller(), &user, now, |records| {
            let member = records.member(&user, Viewer::All).filter(|one| Record::is_of(one, id));
            member.ok_or_else(Fault::absent)?;
            self.ids.lock().free(id);
            Ok(())
        })
    }

    /// A record that may be read. One that may not is answered as if there were none.
    ///
    /// # Errors
    /// `presence_not_found`, `user_unauthorized`: nothing may be read.
    pub fn get(&self, desk: &Desk, who: &Who, id: &str) -> Result<Presence, Fault> {
        check_id(id)?;
        let member = self.find(desk, id).filter(|member| is_seen(who, member));
        if !member.as_ref().is_some_and(|member| who.is(&member.user)) {
            who.may_read(Right::List)?;
        }
        shown(&*member.ok_or_else(Fault::absent)?)
    }

    /// A page of the records that may be read. Walks over all of them, some at a time.
    ///
    /// # Errors
    /// `user_unauthorized`: nothing may be read; `general_cursor_not_found`.
    pub async fn list(
        &self,
        desk: &Desk,
        who: &Who,
        mut listing: Listing,
    ) -> Result<(usize, Vec<Presence>), Fault> {
        who.may_read(Right::List)?;
        let turn = self.lists.acquire().await;
        let (records, mut after) = (ChannelName::of_records(), None);
        loop {
            let (_, page) = desk.hub().members(&records, LIST_MAX, after, who.viewer());
            page.members.into_iter().for_each(|member| listing.look(who, member));
            after = page.next;
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(turn);
        listing.page()
    }

    /// Whose record the id names, if who asks may change it.
    fn owned(&self, desk: &Desk, who: &Who, id: &str) -> Result<UserId, Fault> {
        if matches!(who, Who::Guest) {
            return Err(guest());
        }
        check_id(id)?;
        let member = self.find(desk, id).ok_or_else(Fault::absent)?;
        if who.is_backend() || who.is(&member.user) {
            return Ok(member.user.clone());
        }
        let readable = is_seen(who, &member) && who.may_read(Right::List).is_ok();
        Err(if readable { Fault::not_yours() } else { Fault::absent() })
    }

    fn find(&self, desk: &Desk, id: &str) -> Option<Arc<Member>> {
        let found = desk.hub().look(&ChannelName::of_records(), |guarded| {
            let user = self.ids.lock().user_of(id, guarded.presence())?;
            guarded.presence().member(&user, Viewer::All).cloned()
        });
        found.flatten()
    }
}

fn is_seen(who: &Who, member: &Member) -> bool {
    Record::of(member).is_some_and(|record| who.sees(member, &record))
}

fn shown(member: &Member) -> Result<Presence, Fault> {
    Record::of(member).map(|record| record.shown(&member.user)).ok_or_else(Fault::absent)
}

/// Whose record is written.
fn writer(who: &Who, named: Option<UserId>) -> Result<UserId, Fault> {
    match (who, named) {
        (Who::Guest, _) => Err(guest()),
        (Who::User(_), Some(_)) => Err(names_a_user()),
        (Who::User(identity), None) => Ok(identity.user.clone()),
        (Who::Backend(_), Some(user)) => Ok(user),
        (Who::Backend(_), None) => {
            Err(Fault::argument("Param `userId` is not optional with an API key."))
        }
    }
}

fn guest() -> Fault {
    Fault::scope("User (role: guests) missing scopes ([\"presences.write\"])")
}

fn names_a_user() -> Fault {
    Fault::scope("The param `userId` is only allowed with an API key.")
}
