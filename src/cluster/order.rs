//! What a node has all others do about a user, wherever that is: told to each at once, and to nobody
//! later. Whoever was away meanwhile catches up by what the store keeps of it: who was signed out.

use herenow_protocol::UserId;
use serde::{Deserialize, Serialize};

use crate::presence::NodeId;

/// What a node has all others do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Which node says so: it has done it itself, and is answered.
    #[serde(with = "node")]
    pub from: NodeId,
    /// Which of its orders it is.
    pub number: u64,
    /// About whom.
    pub user: UserId,
    /// What to do.
    pub act: Act,
}

/// What to do about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// Signs it out, as a kick does.
    #[serde(rename_all = "camelCase")]
    Kick {
        /// When the kick came, by the wall clock: tokens from before that second are refused.
        at: u64,
        /// Whether its leases stay.
        keeps_leases: bool,
    },
    /// It was signed out while nobody could be told: ends connections by tokens from before. Nobody
    /// is answered.
    #[serde(rename_all = "camelCase")]
    SignOut {
        /// When, by the wall clock.
        at: u64,
    },
    /// Heartbeats over HTTP keep it online no longer: they were stopped, or another node was told
    /// that the user is away, later than any that came here. Nobody is answered.
    StopBeating,
}

/// The answer to an order, into the inbox of whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Obeyed {
    /// Who did it.
    #[serde(with = "node")]
    pub by: NodeId,
    /// Which order it was.
    pub number: u64,
    /// How many connections it closed.
    pub closed: u64,
}

impl Order {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`Order::encode`] made; `None`: it did not make this.
    #[must_use]
    pub fn decode(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

impl Obeyed {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`Obeyed::encode`] made; `None`: it did not make this.
    #[must_use]
    pub fn decode(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

/// A node as text.
mod node {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::presence::NodeId;

    pub(super) fn serialize<S: Serializer>(node: &NodeId, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_str(node)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<NodeId, D::Error> {
        let text = String::deserialize(de)?;
        NodeId::parse(&text).ok_or_else(|| serde::de::Error::custom("is no node"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordered_is_what_is_done() {
        let user = UserId::parse("ada \"{}\" ü", "user").unwrap();
        const NOON: u64 = 1_795_000_000_000;
        let kick = Act::Kick { at: NOON, keeps_leases: true };
        for act in [kick, Act::SignOut { at: NOON }, Act::StopBeating] {
            let order = Order { from: NodeId::new(7), number: u64::MAX, user: user.clone(), act };
            assert_eq!(Order::decode(order.encode().as_bytes()), Some(order));
        }
        let obeyed = Obeyed { by: NodeId::new(7), number: 3, closed: 2 };
        assert_eq!(Obeyed::decode(obeyed.encode().as_bytes()), Some(obeyed));
        for strange in ["", "{}", "[]", r#"{"from":"x","number":1,"user":"a","act":"stopBeating"}"#]
        {
            assert_eq!(Order::decode(strange.as_bytes()), None, "{strange}");
            assert_eq!(Obeyed::decode(strange.as_bytes()), None, "{strange}");
        }
    }
}
