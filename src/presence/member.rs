//! A member, and the sources that keep it present.

use std::sync::Arc;

use herenow_protocol::reply::MemberView;
use herenow_protocol::{AttributeMap, Attributes, Audience, Event, Role, UserId};

use super::holds::{Hold, Holds};
use super::source::Source;
use crate::now::NEVER;

/// Bytes of JSON around a member's name and attributes, generously.
pub(super) const OVERHEAD_BYTES: usize = 96;

/// What is set neither by the member nor while it stays: few have any of it, so it is kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Name, avatar and the like, as the user's token gave them.
    pub info: Attributes,
    /// Who may see the member.
    pub visible_to: Audience,
}

/// A member as observers see it. Immutable and shared: a change makes a new one, so what observers
/// saw before can be kept and compared, and a snapshot clones handles instead of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they set.
    pub attributes: Attributes,
    /// Whether all that keeps them present says that they are away.
    pub away: bool,
    /// When they joined, by the wall clock; or since when more may see them, if that was later.
    pub joined_at: u64,
    /// Lists run by it, newest first: it grows from join to join, and with `joined_at`.
    pub number: u64,
    /// `None`: no info, and visible to all. Behind one pointer, so that a plain member is no larger
    /// for it.
    pub profile: Option<Arc<Profile>>,
}

impl Member {
    /// Name, avatar and the like.
    #[must_use]
    pub fn info(&self) -> &Attributes {
        self.profile.as_ref().map_or(&Attributes::EMPTY, |profile| &profile.info)
    }

    /// The roles that alone may see the member; `None`: everyone may.
    #[must_use]
    pub fn audience(&self) -> Option<&[Role]> {
        self.profile.as_ref()?.visible_to.roles()
    }

    /// Whether not everyone may see the member.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.audience().is_some()
    }

    /// Whether somebody might see a member that `audience` may see who may not see this one.
    pub(super) fn is_widened_by(&self, audience: &Audience) -> bool {
        match (self.audience(), audience.roles()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(before), Some(now)) => now.iter().any(|role| !before.contains(role)),
        }
    }

    /// Whether whoever knows it as `before` has to hear that it stands elsewhere in lists: more may see
    /// it now, even in the same millisecond, or it joined at another moment. Its number alone changes
    /// where the one that holds on all nodes comes after the one that it had here for a moment, and
    /// that is nobody's business.
    pub(super) fn is_placed_anew(&self, before: &Self) -> bool {
        let widened = || {
            let everyone = Audience::EVERYONE;
            before.is_widened_by(
                self.profile.as_ref().map_or(&everyone, |profile| &profile.visible_to),
            )
        };
        before.joined_at != self.joined_at || before.number != self.number && widened()
    }

    /// Bytes of JSON that a list spends on it, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let info = self.profile.as_ref().map_or(0, |profile| profile.info.bytes());
        OVERHEAD_BYTES + self.user.as_str().len() + self.attributes.bytes() + info
    }

    /// The member as a frame shows it.
    #[must_use]
    pub fn view(&self) -> MemberView {
        MemberView {
            user: self.user.clone(),
            info: self.info().clone(),
            attributes: self.attributes.clone(),
            away: self.away,
            joined_at: self.joined_at,
        }
    }

    /// That the member joined.
    #[must_use]
    pub fn join(&self) -> Event {
        Event::Join {
            user: self.user.clone(),
            info: self.info().clone(),
            attributes: self.attributes.clone(),
            away: self.away,
            at: self.joined_at,
        }
    }
}

/// Keys that vanish by themselves, each with its deadline. At most as many as attributes may have.
#[derive(Debug, Default)]
pub(super) struct KeyDeadlines(Vec<(Box<str>, u64)>);

impl KeyDeadlines {
    /// Every write of a key sets or clears its deadline.
    pub(super) fn written(&mut self, patch: &AttributeMap, deadline: Option<u64>) {
        self.0.retain(|(key, _)| !patch.contains_key(&**key));
        if let Some(deadline) = deadline {
            let kept = patch.iter().filter(|(_, value)| !value.is_null());
            self.0.extend(kept.map(|(key, _)| (key.as_str().into(), deadline)));
        }
    }

    pub(super) fn earliest(&self) -> Option<u64> {
        self.0.iter().map(|&(_, deadline)| deadline).min()
    }

    /// Takes out the keys whose time has come.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Vec<Box<str>> {
        self.0.extract_if(.., |(_, deadline)| *deadline <= now_ms).map(|(key, _)| key).collect()
    }
}

/// A member with what only the broker knows of it.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) member: Arc<Member>,
    pub(super) holds: Holds,
    /// Boxed, since most have none.
    keys: Option<Box<KeyDeadlines>>,
    /// When the channel's list of deadlines will look at the member next; [`NEVER`]: it is not in
    /// the list.
    due_ms: u64,
}

/// There is one of these for each member of each channel.
const _: () = assert!(size_of::<Membership>() <= 48);

impl Membership {
    pub(super) fn new(member: Arc<Member>, holds: Holds) -> Self {
        Self { member, holds, keys: None, due_ms: NEVER }
    }

    pub(super) fn has_live(&self, source: Source) -> bool {
        self.holds.iter().any(|hold| hold.source == source && hold.is_live())
    }

    /// Live connections, those to other nodes too, if everyone may know of them.
    pub(super) fn shown_connections(&self) -> usize {
        if self.member.is_restricted() {
            return 0;
        }
        self.holds.iter().map(Hold::connections).sum()
    }

    /// The earliest moment at which something of this member ends by itself.
    pub(super) fn deadline(&self) -> Option<u64> {
        let sources = self.holds.iter().filter_map(Hold::ends_ms).min();
        let keys = self.keys.as_ref().and_then(|keys| keys.earliest());
        sources.into_iter().chain(keys).min()
    }

    pub(super) fn note_written(&mut self, patch: &AttributeMap, deadline: Option<u64>) {
        if deadline.is_some() || self.keys.is_some() {
            self.keys.get_or_insert_default().written(patch, deadline);
        }
    }

    /// The keys that vanish by themselves, each with its moment.
    pub(super) fn key_ends(&self) -> Vec<(Box<str>, u64)> {
        self.keys.as_ref().map(|keys| keys.0.clone()).unwrap_or_default()
    }

    /// These keys vanish by themselves from now on, and no others.
    pub(super) fn set_key_ends(&mut self, ends: Vec<(Box<str>, u64)>) {
        self.keys = (!ends.is_empty()).then(|| Box::new(KeyDeadlines(ends)));
    }

    /// No key vanishes by itself any more.
    pub(super) fn forget_keys(&mut self) {
        self.keys = None;
    }

    /// Takes out the keys whose time has come. The member is off the channel's list of deadlines.
    pub(super) fn take_due_keys(&mut self, now_ms: u64) -> Vec<Box<str>> {
        self.due_ms = NEVER;
        let Some(keys) = &mut self.keys else { return Vec::new() };
        let due = keys.take_due(now_ms);
        if keys.earliest().is_none() {
            self.keys = None;
        }
        due
    }

    /// When the channel's list of deadlines will look at this member next.
    pub(super) fn due_ms(&self) -> Option<u64> {
        Some(self.due_ms).filter(|&due_ms| due_ms != NEVER)
    }

    pub(super) fn set_due_ms(&mut self, due_ms: u64) {
        self.due_ms = due_ms;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn member(attributes: &AttributeMap, profile: Profile) -> Member {
        Member {
            user: UserId::parse("ada", "user").unwrap(),
            attributes: Attributes::from_map(attributes),
            away: false,
            joined_at: 1_700_000_000_000,
            number: 7,
            profile: Some(Arc::new(profile)),
        }
    }

    #[test]
    fn a_member_is_widened_by_whom_it_did_not_show_itself_to() {
        let audience = |roles: &[&str]| Audience::parse(roles.iter().copied()).unwrap();
        let everyone = || Audience::EVERYONE;
        for (before, now, widened) in [
            (everyone(), everyone(), false),
            (everyone(), audience(&["red"]), false),
            (audience(&["red"]), everyone(), true),
            (audience(&[]), everyone(), true),
            (audience(&[]), audience(&[]), false),
            (audience(&[]), audience(&["red"]), true),
            (audience(&["red"]), audience(&[]), false),
            (audience(&["red"]), audience(&["red"]), false),
            (audience(&["red", "blue"]), audience(&["blue"]), false),
            (audience(&["red"]), audience(&["red", "blue"]), true),
            (audience(&["red"]), audience(&["blue"]), true),
        ] {
            let told = format!("{before:?} to {now:?}");
            let profile = Profile { info: Attributes::EMPTY, visible_to: before };
            assert_eq!(
                member(&AttributeMap::new(), profile).is_widened_by(&now),
                widened,
                "{told}"
            );
        }
    }

    /// What bounds a part, a frame and an answer.
    #[test]
    fn a_member_counts_for_all_of_its_json() {
        let texts = [json!({}), json!({"name": "x".repeat(500)})];
        let texts = texts.map(|text| text.as_object().unwrap().clone());
        for attributes in &texts {
            for info in texts.iter().map(Attributes::from_map) {
                let member = member(attributes, Profile { info, visible_to: Audience::EVERYONE });
                let bytes = serde_json::to_string(&member.view()).unwrap().len();
                assert!((bytes..bytes + OVERHEAD_BYTES).contains(&member.bytes()), "{bytes}");
            }
        }
    }
}
