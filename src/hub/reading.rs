//! Reading channels, for connections and for HTTP alike: the live state as one viewer may see it.

use std::collections::BinaryHeap;
use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};

use super::channel::Guarded;
use super::clustered::Wanted;
use super::state::Hub;
use crate::auth::Credential;
use crate::chance::Key;
use crate::limits::{MAX_PASSED_OVER, RESULT_BYTES, USER_BATCH};
use crate::now::Now;
use crate::presence::lists::NUMBER_STEP;
use crate::presence::{Heard, Member, Page, Viewer};

/// A page of what was found.
#[derive(Debug)]
pub struct Seen<T> {
    /// It.
    pub found: Vec<T>,
    /// There is more.
    pub more: bool,
    /// Of other nodes not everything was known, so there may be more in between, too.
    pub partial: bool,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { found: Vec::new(), more: false, partial: false }
    }
}

impl Hub {
    /// Reads a channel, if there is one. `read` runs with the channel's lock held.
    pub fn look<T>(&self, name: &ChannelName, read: impl FnOnce(&Guarded) -> T) -> Option<T> {
        self.find(name).map(|channel| read(&channel.look()))
    }

    /// Number of members visible to all.
    #[must_use]
    pub fn count(&self, name: &ChannelName) -> usize {
        self.look(name, |guarded| guarded.presence().count()).unwrap_or(0)
    }

    /// The member, if the user is one that `viewer` may see.
    #[must_use]
    pub fn member(
        &self,
        name: &ChannelName,
        user: &UserId,
        viewer: Viewer<'_>,
    ) -> Option<Arc<Member>> {
        self.look(name, |guarded| guarded.presence().member(user, viewer).cloned()).flatten()
    }

    /// Number of members visible to all, and at most `limit` of those that `viewer` may see: fewer
    /// if they would take more than [`RESULT_BYTES`], but at least one. `after` is the page's before
    /// `next`.
    #[must_use]
    pub fn members(
        &self,
        name: &ChannelName,
        limit: usize,
        after: Option<u64>,
        viewer: Viewer<'_>,
    ) -> (usize, Page) {
        let key = self.key_of_cursors();
        let read = |guarded: &mut Guarded| {
            let (presence, first) = (guarded.presence(), guarded.presence().first_number());
            let after = after.map(|cursor| number_at(cursor, first, key));
            let (count, page) = (presence.count(), presence.members(limit, after, viewer));
            if page.place.is_some() {
                guarded.was_listed();
            }
            (count, page, first)
        };
        let nobody = || (0, Page { members: Vec::new(), next: None, place: None }, 0);
        let channel = self.find(name);
        let (count, mut page, first) =
            channel.map_or_else(nobody, |channel| read(&mut channel.lock()));
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
        page.next = page.next.map(|number| cursor_of(number, first, key));
        (count, page)
    }

    /// What one node sealed, the others must be able to read: the next page may be asked of any.
    fn key_of_cursors(&self) -> Key {
        let shared = self.engine().and_then(|engine| engine.shared_key());
        shared.map_or(Key::Process, Key::Shared)
    }

    /// The member, as with [`Hub::member`], and when the user was last heard there, by the wall
    /// clock.
    #[must_use]
    pub fn member_seen(
        &self,
        name: &ChannelName,
        user: &UserId,
        viewer: Viewer<'_>,
        now: Now,
    ) -> Option<(Arc<Member>, u64)> {
        let read = |guarded: &Guarded| {
            let member = guarded.presence().member(user, viewer).cloned()?;
            Some((member, guarded.presence().sources(user).collect::<Vec<_>>()))
        };
        let (member, sources) = self.look(name, read).flatten()?;
        let heard = sources.into_iter().filter_map(|source| match source {
            Heard::At(unix_ms) => Some(unix_ms),
            Heard::Connection(id) => self.last_heard(id.number(), now),
            Heard::Elsewhere => None,
        });
        let joined_at = member.joined_at;
        Some((member, heard.max().unwrap_or(joined_at)))
    }

    /// When a connection was last heard, by the wall clock; `None`: it is gone.
    pub(super) fn last_heard(&self, number: u64, now: Now) -> Option<u64> {
        self.connection(number).map(|outlet| now.unix_at(outlet.heard_ms()))
    }

    /// The first `most` channels by name that have a member here whom `viewer` may see, begin with
    /// `prefix` and come after `after`. Walks all channels, shard by shard, and keeps no more than it
    /// returns: for an operator, not for every page view.
    fn occupied(
        &self,
        prefix: &str,
        after: Option<&ChannelName>,
        most: usize,
        viewer: Viewer<'_>,
    ) -> Vec<ChannelName> {
        let mut first = BinaryHeap::new();
        for entry in &self.channels {
            let name = entry.key();
            let wanted = name.as_str().starts_with(prefix)
                && after.is_none_or(|after| name > after)
                && !name.is_status();
            let sooner = first.len() < most || first.peek().is_some_and(|last| name < last);
            if wanted && sooner && entry.value().look().presence().shows(viewer) {
                first.push(name.clone());
                if first.len() > most {
                    first.pop();
                }
            }
        }
        first.into_sorted_vec()
    }

    /// The first `limit` channels by name behind `after` in which `viewer` may see the user, of those
    /// that `may_list` lets it look into, and whether there are more of them: fewer if they would
    /// take more than [`RESULT_BYTES`], but at least one.
    ///
    /// That there are others leaves no trace but the time that they take, and that has a bound: a
    /// page that passed over [`MAX_PASSED_OVER`] of them is the last.
    pub async fn channels_seen(
        self: &Arc<Self>,
        user: &UserId,
        viewer: Viewer<'_>,
        after: Option<&ChannelName>,
        limit: usize,
        may_list: impl Fn(&ChannelName) -> bool,
    ) -> Seen<ChannelName> {
        let (mut seen, mut bytes, mut passed_over) = (Seen::default(), 0, 0);
        let mut after = after.cloned();
        let batch = (limit + 1).min(USER_BATCH);
        loop {
            let hints = self.may_have(user, after.as_ref(), batch).await;
            after = hints.names.last().cloned();
            let unseen: Vec<_> = hints
                .names
                .iter()
                .filter(|name| may_list(name) && self.member(name, user, viewer).is_none())
                .cloned()
                .collect();
            seen.partial |= hints.partial | self.attend_all(&unseen, Wanted::Members).await;
            for name in hints.names {
                if !may_list(&name) || self.member(&name, user, viewer).is_none() {
                    passed_over += 1;
                    continue;
                }
                bytes += name.as_str().len();
                if seen.found.len() == limit || (bytes > RESULT_BYTES && !seen.found.is_empty()) {
                    seen.more = true;
                    return seen;
                }
                seen.found.push(name);
            }
            if !hints.more || passed_over >= MAX_PASSED_OVER {
                return seen;
            }
        }
    }

    /// The first `limit` channels by name that begin with `prefix`, come after `after` and have a
    /// member anywhere whom `credential` may see, of those that `may_look` lets it look into, each with
    /// its count. `None`: it failed.
    pub async fn channels_shown(
        self: &Arc<Self>,
        credential: &Credential,
        prefix: &str,
        after: Option<ChannelName>,
        limit: usize,
        may_look: impl Fn(&ChannelName) -> bool,
    ) -> Option<Seen<(ChannelName, u64)>> {
        let (mut seen, mut after, mut passed_over) = (Seen::default(), after, 0);
        loop {
            let (who, begin, from) = (credential.clone(), prefix.to_owned(), after.clone());
            let own = self.aside(move |hub| {
                hub.occupied(&begin, from.as_ref(), limit + 1, who.caller().viewer())
            });
            let hints = self.may_be(prefix, own.await?, after.as_ref(), limit + 1).await;
            after = hints.names.last().cloned();
            seen.partial |= hints.partial | self.attend_all(&hints.names, Wanted::Count).await;
            for name in hints.names {
                let viewer = credential.caller().viewer();
                let count = self.look(&name, |guarded| {
                    let presence = guarded.presence();
                    presence.shows(viewer).then(|| presence.count() as u64)
                });
                let Some(count) = count.flatten().filter(|_| may_look(&name)) else {
                    passed_over += 1;
                    continue;
                };
                if seen.found.len() == limit {
                    seen.more = true;
                    return Some(seen);
                }
                seen.found.push((name, count));
            }
            if !hints.more || passed_over >= MAX_PASSED_OVER {
                return Some(seen);
            }
        }
    }
}

/// Bits of a sealed number: with the one that marks it, it is still a whole number in JavaScript.
const SEALED_BITS: u32 = 52;

/// A member's number as the cursor of a list. Those visible to all are counted from the beginning
/// of the channel's history, `first`; any other number would tell how many are hidden, so it is
/// sealed.
fn cursor_of(number: u64, first: u64, key: Key) -> u64 {
    if number > first && number.is_multiple_of(NUMBER_STEP) {
        return number - first;
    }
    1 << SEALED_BITS | key.seal(number, SEALED_BITS, 0)
}

/// The number of which [`cursor_of`] made `cursor`. Any other cursor is somewhere too.
fn number_at(cursor: u64, first: u64, key: Key) -> u64 {
    match cursor.checked_sub(1 << SEALED_BITS) {
        Some(sealed) if sealed < 1 << SEALED_BITS => key.unseal(sealed, SEALED_BITS, 0),
        _ => cursor.saturating_add(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_and_counts_nobody_hidden() {
        let first = 5 * NUMBER_STEP;
        for number in [1, NUMBER_STEP, first, first + 1, first + NUMBER_STEP, first + (9 << 20) + 8]
        {
            let cursor = cursor_of(number, first, Key::Process);
            assert_eq!(number_at(cursor, first, Key::Process), number);
            assert!(cursor < 1 << 53);
        }
        assert_eq!(
            cursor_of(first + NUMBER_STEP, first, Key::Process),
            NUMBER_STEP,
            "as in a new channel"
        );
        let near = [cursor_of(7, 0, Key::Process), cursor_of(8, 0, Key::Process)];
        assert!(near[0].abs_diff(near[1]) > 1, "{near:?}");
        assert_eq!(number_at(u64::MAX, first, Key::Process), u64::MAX);
    }
}
