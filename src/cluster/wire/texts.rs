//! One word each.

use std::borrow::Cow;
use std::fmt;

use herenow_protocol::{LeaveReason, LossReason};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::presence::pending::Cause;
use crate::presence::{Keeper, NodeId};

/// Largest number that a script reads and writes as a number.
pub(super) const MAX_NUMBER: u64 = 99_999_999_999_999;

/// Longest time that is said: 300 years. With the clock it is below [`MAX_NUMBER`].
pub(super) const MAX_TIME_MS: u64 = 10_000_000_000_000;

/// Something that is a text on the wire.
pub(super) trait Word: Sized {
    /// What it is, for whoever reads that it is none.
    const WHAT: &str;
    fn text(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

/// A [`Word`] in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Word> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.serialize_str(&self.0.text())
    }
}

impl<'de, T: Word> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct Words<T>(std::marker::PhantomData<T>);
        impl<T: Word> de::Visitor<'_> for Words<T> {
            type Value = Text<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::WHAT)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                let word = T::read(text).map(Text);
                word.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        de.deserialize_str(Words(std::marker::PhantomData))
    }
}

impl Word for NodeId {
    const WHAT: &str = "a node: twelve hexadecimal digits";
    fn text(&self) -> String {
        self.to_string()
    }
    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Word for Keeper {
    const WHAT: &str = "who keeps a lease: \"h\", or \"v\" and a number";
    fn text(&self) -> String {
        match self {
            Self::Herenow => "h".to_owned(),
            Self::Vendor(number) => format!("v{number}"),
        }
    }
    fn read(text: &str) -> Option<Self> {
        match text {
            "h" => Some(Self::Herenow),
            _ => text.strip_prefix('v')?.parse().ok().map(Self::Vendor),
        }
    }
}

/// A number that may be too large for a number.
pub(super) struct Large(pub(super) u64);

impl Word for Large {
    const WHAT: &str = "a whole number, as a text";
    fn text(&self) -> String {
        self.0.to_string()
    }
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A number that is a name.
pub(super) struct Hex(pub(super) u64);

impl Word for Hex {
    const WHAT: &str = "sixteen hexadecimal digits";
    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
    fn read(text: &str) -> Option<Self> {
        let whole = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl Word for Cause {
    const WHAT: &str = "why somebody went";
    fn text(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Expired => "expired".to_owned(),
            Self::Left(reason) => name_of(reason),
            Self::Lost(reason, last_seen) => format!("{} {last_seen}", name_of(reason)),
        }
    }
    fn read(text: &str) -> Option<Self> {
        match (text, text.split_once(' ')) {
            ("own", _) => Some(Self::Own),
            ("expired", _) => Some(Self::Expired),
            (_, None) => named(text, &LeaveReason::ALL).map(Self::Left),
            (_, Some((reason, last_seen))) => {
                Some(Self::Lost(named(reason, &LossReason::ALL)?, last_seen.parse().ok()?))
            }
        }
    }
}

/// A live mark: how many connections, and `a` behind that if the user is away from all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live(pub(super) u32, pub(super) bool);

impl Word for Live {
    const WHAT: &str = "how many connections, and whether away";
    fn text(&self) -> String {
        format!("{}{}", self.0, if self.1 { "a" } else { "" })
    }
    fn read(text: &str) -> Option<Self> {
        let number = text.strip_suffix('a');
        number.unwrap_or(text).parse().ok().map(|connections| Self(connections, number.is_some()))
    }
}

/// A reason as the protocol spells it.
fn name_of(reason: &impl Serialize) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn named<T: Copy + Serialize>(name: &str, all: &[T]) -> Option<T> {
    all.iter().copied().find(|reason| name_of(reason) == name)
}

/// A text that is borrowed where it may be.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Own<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde asks")]
pub(super) fn is_false(is_it: &bool) -> bool {
    !is_it
}
