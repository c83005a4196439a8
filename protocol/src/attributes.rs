//! A member's attributes: a small JSON object.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::Refusal;

/// Attributes as a frame brings them, before nulls are taken out: top-level keys in byte order.
pub type AttributeMap = serde_json::Map<String, Value>;

/// How deep attributes may nest, the attributes object itself being the first level.
///
/// JSON readers have bounds of their own (64 levels are common), and a frame adds levels around the
/// attributes: without this bound one member could send what breaks every observer's reader.
pub const MAX_DEPTH: usize = 32;

/// Whether `map` nests deeper than [`MAX_DEPTH`].
#[must_use]
pub fn too_deep(map: &AttributeMap) -> bool {
    /// Whether `value` has more than `levels` levels. A scalar has none.
    fn exceeds(value: &Value, levels: usize) -> bool {
        let inner = |value| exceeds(value, levels - 1);
        match value {
            Value::Array(items) => levels == 0 || items.iter().any(inner),
            Value::Object(map) => levels == 0 || map.values().any(inner),
            _ => false,
        }
    }
    map.values().any(|value| exceeds(value, MAX_DEPTH - 1))
}

/// Refuses attributes that nest too deep.
pub(crate) fn shallow(map: AttributeMap) -> Result<AttributeMap, Refusal> {
    if too_deep(&map) {
        let rule = format_args!("must not nest deeper than {MAX_DEPTH} levels");
        return Err(Refusal::invalid("attributes", rule));
    }
    Ok(map)
}

/// A member's attributes as canonical JSON text: no white space, keys in byte order, no top-level
/// null. Equal attributes are equal texts, clones share one allocation, and sending them copies
/// text instead of walking a tree.
///
/// Numbers are 64-bit integers or IEEE doubles, as in most JSON readers.
#[derive(Clone, Default)]
pub struct Attributes(Option<Arc<RawValue>>);

impl Attributes {
    /// No attributes: `{}`.
    pub const EMPTY: Self = Self(None);

    /// Attributes that hold what `map` holds, less its null values.
    #[must_use]
    pub fn from_map(map: &AttributeMap) -> Self {
        struct NonNull<'a>(&'a AttributeMap);
        impl Serialize for NonNull<'_> {
            fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
                ser.collect_map(self.0.iter().filter(|(_, value)| !value.is_null()))
            }
        }
        if map.values().all(Value::is_null) {
            return Self::EMPTY;
        }
        // A map of strings to values always serializes; a failure here would be a bug in serde_json.
        Self(serde_json::value::to_raw_value(&NonNull(map)).ok().map(Arc::from))
    }

    /// These attributes with the top-level keys of `patch` written over them; null removes a key.
    #[must_use]
    pub fn patched(&self, patch: &AttributeMap) -> Self {
        let mut map = self.to_map();
        for (key, value) in patch {
            map.insert(key.clone(), value.clone());
        }
        Self::from_map(&map)
    }

    /// These attributes without `keys`.
    #[must_use]
    pub fn without<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut map = self.to_map();
        for key in keys {
            map.remove(key);
        }
        Self::from_map(&map)
    }

    /// The attributes as a map of their top-level keys.
    #[must_use]
    pub fn to_map(&self) -> AttributeMap {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }

    /// The canonical JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().map_or("{}", RawValue::get)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Number of top-level keys.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.to_map().len()
    }

    /// Bytes of the canonical text, which is what the limit on attributes counts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.as_str().len()
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Attributes {}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(raw) => raw.serialize(ser),
            None => ser.collect_map::<&str, &str, _>([]),
        }
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        AttributeMap::deserialize(de).map(|map| Self::from_map(&map))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Attributes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Attributes".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": true })
    }
}
