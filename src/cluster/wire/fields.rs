//! What is written in a record, and what is said of it.

use std::collections::BTreeMap;

use herenow_protocol::attributes::{AttributeMap, too_deep};
use herenow_protocol::{Attributes, Audience};
use serde::{Deserialize, Serialize};

use super::texts::{MAX_NUMBER, MAX_TIME_MS, Own, Text};
use crate::cluster::record::{Place, Stamp, Stamped, Written};
use crate::cluster::say::{Base, Said};
use crate::presence::NodeId;

/// A field: `c` and `n` are its stamp. What is said without one has a `b` instead: `o` for over what
/// is there, `i` for if nothing is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Field<'a> {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    b: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    c: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    n: Option<Text<NodeId>>,
    /// The value. Of an audience: nothing, where it is everyone.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    t: Option<Own<'a>>,
    /// Keys that run out, each with its moment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    e: BTreeMap<Box<str>, u64>,
    /// Of a place: when the user joined.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    j: Option<u64>,
}

/// A value that a [`Field`] holds.
pub(super) trait Value: Sized {
    fn put(&self, field: &mut Field<'_>);
    /// The value, or what is wrong with it.
    fn take(field: &Field<'_>) -> Result<Self, String>;
}

impl Field<'_> {
    pub(super) fn of_said<T: Value>(said: &Said<T>) -> Field<'static> {
        let (b, stamp) = match said.base {
            Base::Over => (Some('o'), None),
            Base::IfNone => (Some('i'), None),
            Base::At(stamp) => (None, Some(stamp)),
        };
        let c = stamp.map(|stamp| stamp.counter.min(MAX_NUMBER));
        let n = stamp.map(|stamp| Text(stamp.node));
        let mut field = Field { b, c, n, t: None, e: BTreeMap::new(), j: None };
        said.value.put(&mut field);
        field
    }

    pub(super) fn stamped<T: Value>(&self) -> Result<Stamped<T>, String> {
        let (Some(counter), Some(Text(node))) = (self.c, self.n) else {
            return Err("has no stamp".to_owned());
        };
        Ok(Stamped { stamp: Stamp { counter, node }, value: T::take(self)? })
    }

    fn text(&self) -> &str {
        self.t.as_ref().map_or("", |text| &text.0)
    }
}

impl Value for Attributes {
    fn put(&self, field: &mut Field<'_>) {
        field.t = Some(Own(self.as_str().to_owned().into()));
    }

    fn take(field: &Field<'_>) -> Result<Self, String> {
        let map: AttributeMap =
            serde_json::from_str(field.text()).map_err(|error| error.to_string())?;
        if too_deep(&map) {
            return Err("nests too deep".to_owned());
        }
        Ok(Self::from_map(&map))
    }
}

impl Value for Written {
    fn put(&self, field: &mut Field<'_>) {
        self.attributes.put(field);
        let ends = self.ends.iter();
        field.e = ends.map(|(key, at)| (key.clone(), (*at).min(MAX_TIME_MS))).collect();
    }

    fn take(field: &Field<'_>) -> Result<Self, String> {
        let ends = field.e.iter().map(|(key, &at)| (key.clone(), at)).collect();
        Ok(Self { attributes: Attributes::take(field)?, ends })
    }
}

impl Value for Audience {
    fn put(&self, field: &mut Field<'_>) {
        let named = (!self.is_everyone()).then(|| serde_json::to_string(self).ok()).flatten();
        field.t = named.map(|named| Own(named.into()));
    }

    fn take(field: &Field<'_>) -> Result<Self, String> {
        match field.text() {
            "" => Ok(Self::EVERYONE),
            text => serde_json::from_str(text).map_err(|error| error.to_string()),
        }
    }
}

impl Value for Place {
    fn put(&self, field: &mut Field<'_>) {
        field.j = Some(self.joined_at.min(MAX_NUMBER));
        field.t = (self.number > 0).then(|| Own(self.number.to_string().into()));
    }

    fn take(field: &Field<'_>) -> Result<Self, String> {
        let joined_at = field.j.ok_or("does not say since when")?;
        let number = field.text().parse().map_err(|_| "has no number")?;
        Ok(Self { joined_at, number })
    }
}
