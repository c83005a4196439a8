//! What a token grants.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use herenow_protocol::{Attributes, ChannelName, ErrorCode, Refusal, Role, UserId};
use serde::{Serialize, Serializer};

use super::pattern::{Pattern, Patterns};
use crate::limits::MAX_PATTERNS;

/// What may be done in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// Be present.
    Join,
    /// Be told of every change. Includes [`Right::List`].
    Subscribe,
    /// Read who is there. Includes [`Right::Count`].
    List,
    /// Read or be told how many are there.
    Count,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 4] = [Self::Join, Self::Subscribe, Self::List, Self::Count];

    /// The right as a token writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Subscribe => "subscribe",
            Self::List => "list",
            Self::Count => "count",
        }
    }

    /// The right of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == name)
    }

    /// Whether who has this right has `other` by it.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        match self {
            Self::Join => other == Self::Join,
            Self::Subscribe => other != Self::Join,
            Self::List => matches!(other, Self::List | Self::Count),
            Self::Count => other == Self::Count,
        }
    }
}

impl Serialize for Right {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.serialize_str(self.as_str())
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which rights in which channels. A channel's rights are those of all patterns that match it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Box<[(Pattern, Box<[Right]>)]>);

impl Grants {
    /// Rights by pattern.
    ///
    /// # Errors
    /// More than [`MAX_PATTERNS`]: the rule, to continue a sentence that begins with a name.
    pub fn new(grants: Vec<(Pattern, Box<[Right]>)>) -> Result<Self, String> {
        if grants.len() > MAX_PATTERNS {
            return Err(format!("must be at most {MAX_PATTERNS} patterns of channels"));
        }
        Ok(Self(grants.into()))
    }

    /// Whether some pattern that matches the channel brings the right.
    #[must_use]
    pub fn allow(&self, right: Right, channel: &ChannelName) -> bool {
        self.0.iter().any(|(pattern, rights)| {
            rights.iter().any(|given| given.includes(right)) && pattern.matches(channel.as_str())
        })
    }
}

impl Serialize for Grants {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_map(self.0.iter().map(|(pattern, rights)| (pattern, rights)))
    }
}

/// What a token grants, until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub(super) roles: Box<[Role]>,
    pub(super) info: Attributes,
    /// Whose status may be watched; none: everyone's.
    pub(super) watch: Option<Patterns>,
    /// What may be done where; none: everything everywhere.
    pub(super) channels: Option<Grants>,
    pub(super) expires_unix_ms: u64,
    /// Nothing larger, since every connection has one of these.
    pub(super) issued_unix_ms: Option<NonZeroU64>,
}

impl Access {
    /// What somebody has in open mode, where there are no tokens: all that can be granted, without
    /// end, and a name to show.
    #[must_use]
    pub fn open(info: Attributes) -> Self {
        Self {
            roles: Box::default(),
            info,
            watch: None,
            channels: None,
            expires_unix_ms: u64::MAX,
            issued_unix_ms: None,
        }
    }

    /// Whether the token grants `right` in `channel`.
    ///
    /// # Errors
    /// `forbidden`: names the right, and says nothing about the channel.
    pub fn check(&self, right: Right, channel: &ChannelName) -> Result<(), Refusal> {
        if self.channels.as_ref().is_none_or(|grants| grants.allow(right, channel)) {
            return Ok(());
        }
        let rule = format_args!("needs the right \"{right}\", which the token does not grant");
        Err(Refusal::field(ErrorCode::Forbidden, "channel", rule))
    }

    /// Whether `own`, whose token this is, may watch the status of `user`. Its own it always may.
    ///
    /// # Errors
    /// `forbidden`: names the claim, and says nothing about the user.
    pub fn check_watch(
        &self,
        own: &UserId,
        user: &UserId,
        field: &'static str,
    ) -> Result<(), Refusal> {
        let watch = self.watch.as_ref();
        if own == user || watch.is_none_or(|patterns| patterns.match_any(user.as_str())) {
            return Ok(());
        }
        let rule = format_args!(
            "needs the right to watch {:?}, which the token does not grant",
            user.as_str()
        );
        Err(Refusal::field(ErrorCode::Forbidden, field, rule))
    }

    /// The roles that the token gives, in its order. `user:…` goes without saying and is not there.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// What is shown with the member: name, avatar.
    #[must_use]
    pub fn info(&self) -> &Attributes {
        &self.info
    }

    /// The first moment at which the token is no longer valid, in milliseconds since 1970.
    #[must_use]
    pub fn expires_unix_ms(&self) -> u64 {
        self.expires_unix_ms
    }

    /// When the token was signed, in milliseconds since 1970; `None`: it does not say.
    #[must_use]
    pub fn issued_unix_ms(&self) -> Option<u64> {
        self.issued_unix_ms.map(NonZeroU64::get)
    }
}

/// Who somebody is, and what it may do.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who.
    pub user: UserId,
    /// What its token grants; none: open mode, where everyone may do everything.
    pub access: Option<Arc<Access>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name, "channel").unwrap()
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name, "user").unwrap()
    }

    fn access(channels: Option<&[(&str, &[Right])]>, watch: Option<&[&str]>) -> Access {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        Access {
            roles: Box::default(),
            info: Attributes::EMPTY,
            watch: watch.map(|watch| Patterns::parse(watch.iter().copied()).unwrap()),
            channels: channels.map(|channels| {
                let grants = channels.iter().map(|&(name, rights)| (pattern(name), rights.into()));
                Grants::new(grants.collect()).unwrap()
            }),
            expires_unix_ms: 0,
            issued_unix_ms: None,
        }
    }

    #[test]
    fn rights_include_lesser_ones() {
        use Right::{Count, Join, List, Subscribe};
        for (given, all) in [
            (Join, &[Join][..]),
            (Subscribe, &[Subscribe, List, Count]),
            (List, &[List, Count]),
            (Count, &[Count]),
        ] {
            let access = access(Some(&[("room", &[given])]), None);
            for right in Right::ALL {
                let allowed = access.check(right, &channel("room")).is_ok();
                assert_eq!(allowed, all.contains(&right), "{given} includes {right}");
                assert!(access.check(right, &channel("rooms")).is_err());
            }
        }
    }

    #[test]
    fn rights_are_those_of_all_patterns_that_match() {
        let grants: &[(&str, &[Right])] =
            &[("*", &[Right::Count]), ("team-*", &[Right::Join]), ("team-a", &[Right::List])];
        let access = access(Some(grants), None);
        let of = |name| Right::ALL.map(|right| access.check(right, &channel(name)).is_ok());
        assert_eq!(of("lobby"), [false, false, false, true]);
        assert_eq!(of("team-b"), [true, false, false, true]);
        assert_eq!(of("team-a"), [true, false, true, true]);
    }

    #[test]
    fn absent_grants_are_all_and_empty_ones_none() {
        for right in Right::ALL {
            assert_eq!(access(None, None).check(right, &channel("room")), Ok(()));
            let refusal = access(Some(&[]), None).check(right, &channel("room")).unwrap_err();
            assert_eq!((refusal.code, refusal.field), (ErrorCode::Forbidden, Some("channel")));
            assert!(refusal.message.contains(&format!("\"{right}\"")), "{}", refusal.message);
            assert!(!refusal.message.contains("room"), "{}", refusal.message);
        }
    }

    #[test]
    fn everyone_may_watch_itself() {
        let (ada, bob, team) = (user("ada"), user("bob"), user("team-1"));
        let all = access(None, None);
        let some = access(None, Some(&["team-*"]));
        let none = access(None, Some(&[]));
        assert!(all.check_watch(&ada, &bob, "users").is_ok());
        assert!(some.check_watch(&ada, &team, "users").is_ok());
        assert!(
            some.check_watch(&ada, &ada, "users").is_ok()
                && none.check_watch(&ada, &ada, "users").is_ok()
        );
        for access in [some, none] {
            let refusal = access.check_watch(&ada, &bob, "users").unwrap_err();
            assert_eq!((refusal.code, refusal.field), (ErrorCode::Forbidden, Some("users")));
            assert!(refusal.message.contains("watch"), "{}", refusal.message);
            assert!(access.check_watch(&bob, &ada, "users").is_err());
        }
    }

    #[test]
    fn patterns_have_a_bound() {
        let grant = || (Pattern::parse("room").unwrap(), Box::default());
        let grants = |count| Grants::new((0..count).map(|_| grant()).collect());
        assert!(grants(MAX_PATTERNS).is_ok());
        assert!(grants(MAX_PATTERNS + 1).unwrap_err().contains("64"));
    }
}
