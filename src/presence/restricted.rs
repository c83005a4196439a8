//! Members that not everyone may see: what a tick tells those who may, and who must not resume.
//!
//! Changes visible to all have one encoding for everyone, and are logged. Whoever sees more gets
//! frames of its own instead, which nobody else must notice: they take no seq of their own, and no
//! log keeps them. So whoever may have missed one needs a snapshot.

use std::collections::HashMap;

use herenow_protocol::{ChannelName, Event, Role, ServerFrame, encode};

use super::channel::frame_length;
use super::pending::Changed;
use super::viewer::Viewer;

/// Roles that a channel remembers for [`Unlogged`]. Beyond it nobody resumes for a while.
const MAX_ROLES: usize = 1024;

/// What one tick tells those who see more than everyone.
#[derive(Debug)]
pub struct Aside {
    /// All that changed, what everyone sees included.
    changed: Vec<Changed>,
    /// Which of them concern members that not everyone may see.
    restricted: Vec<usize>,
    /// The seq of the first frame that everyone got, and the one after the last: equal if none did.
    first_seq: u64,
    next_seq: u64,
    /// Members visible to all, after the tick.
    count: u64,
}

/// Which of a tick's restricted members a viewer sees: viewers with the same get the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sight(Vec<bool>);

impl Aside {
    /// `None`: everyone sees all of it.
    pub(super) fn new(
        changed: Vec<Changed>,
        first_seq: u64,
        next_seq: u64,
        count: u64,
    ) -> Option<Self> {
        let concerns = |changed: &Changed| changed.restricted().next().is_some();
        let restricted: Vec<_> = (0..changed.len()).filter(|&i| concerns(&changed[i])).collect();
        let any = !restricted.is_empty();
        any.then_some(Self { changed, restricted, first_seq, next_seq, count })
    }

    /// The seq that a subscriber lacks first who has had everything before this tick.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The seq that comes after this tick.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    fn members(&self) -> impl Iterator<Item = &super::Member> {
        let restricted = self.restricted.iter().flat_map(|&i| self.changed[i].restricted());
        restricted.map(|member| &**member)
    }

    /// What `viewer` sees of it beyond what everyone does; `None`: nothing.
    #[must_use]
    pub fn sight(&self, viewer: Viewer<'_>) -> Option<Sight> {
        let seen: Vec<_> = self.members().map(|member| viewer.sees(member)).collect();
        seen.contains(&true).then_some(Sight(seen))
    }

    /// The tick's frames as `viewer` sees them, which may be none: it leads from the same seq to the
    /// same seq as the frames for everyone.
    #[must_use]
    pub fn encode(&self, channel: &ChannelName, viewer: Viewer<'_>) -> Vec<u8> {
        let mut events: Vec<Event> =
            self.changed.iter().filter_map(|changed| changed.event_for(viewer)).collect();
        let mut out = Vec::new();
        let mut seq = self.first_seq;
        // A seq that everyone got must not be a gap here, even if it has nothing to tell.
        while seq < self.next_seq || !events.is_empty() {
            let rest = events.split_off(frame_length(&events));
            let frame = ServerFrame::Presence {
                channel: channel.clone(),
                seq: seq.min(self.next_seq - 1),
                count: self.count,
                events: std::mem::replace(&mut events, rest),
            };
            encode::text_message(&frame, &mut out);
            seq += 1;
        }
        out
    }
}

/// What no log holds: for each role that could see some change of a restricted member, the last
/// seq at which one happened. Whoever has such a role and comes back from that seq or an earlier
/// one may lack it.
#[derive(Debug, Default)]
pub struct Unlogged {
    roles: HashMap<Role, u64>,
    /// Roles that are no longer known apart: nobody resumes from here or before.
    all_seq: Option<u64>,
}

impl Unlogged {
    /// Notes what `aside` told. `oldest_seq` is the oldest that anybody can resume from.
    pub(super) fn note(&mut self, aside: &Aside, oldest_seq: u64) {
        // Frames repeat the last seq if there is no other.
        let seq = aside.next_seq - 1;
        for member in aside.members() {
            let own = Role::of_user(&member.user);
            for role in member.audience().into_iter().flatten().chain([&own]) {
                self.roles.insert(role.clone(), seq);
            }
        }
        if self.roles.len() > MAX_ROLES {
            self.roles.retain(|_, seq| *seq >= oldest_seq);
        }
        if self.roles.len() > MAX_ROLES {
            *self = Self { roles: HashMap::new(), all_seq: Some(seq) };
        }
    }

    /// Whether `viewer`, who had everything up to `seq`, may lack something since.
    pub(super) fn concerns(&self, viewer: Viewer<'_>, seq: u64) -> bool {
        let since = |last: Option<&u64>| last.is_some_and(|&last| last >= seq);
        if since(self.all_seq.as_ref()) {
            return true;
        }
        match viewer {
            Viewer::Public => false,
            Viewer::All => self.roles.values().any(|last| since(Some(last))),
            Viewer::User { .. } if self.roles.is_empty() => false,
            Viewer::User { user, roles } => {
                since(self.roles.get(&Role::of_user(user)))
                    || roles.iter().any(|role| since(self.roles.get(role)))
            }
        }
    }
}
