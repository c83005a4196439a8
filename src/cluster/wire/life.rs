//! Leases of nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::strange::{Read, Strange};
use super::texts::{Hex, Own, Text, is_false};
use crate::cluster::life::{NodeInfo, NodeSeen, Renewed};
use crate::cluster::record::StoreMs;
use crate::limits::MAX_STORE_TEXT_BYTES;
use crate::presence::NodeId;

#[derive(Serialize, Deserialize)]
struct InfoText<'a> {
    #[serde(borrow, default)]
    n: Own<'a>,
    #[serde(borrow, default)]
    v: Own<'a>,
    #[serde(skip_serializing_if = "is_false", default)]
    d: bool,
    #[serde(skip_serializing_if = "is_false", default)]
    h: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    s: BTreeMap<u8, Text<Hex>>,
}

#[derive(Deserialize)]
struct RenewedText<'a> {
    e: Text<Hex>,
    n: StoreMs,
    #[serde(default)]
    a: bool,
    #[serde(borrow, default)]
    u: Vec<SeenText<'a>>,
}

#[derive(Deserialize)]
struct SeenText<'a> {
    #[serde(borrow)]
    n: Own<'a>,
    l: i64,
    #[serde(borrow, default)]
    i: Option<Own<'a>>,
}

/// The text of what a node tells of itself. No script looks into it.
#[must_use]
pub fn info_text(info: &NodeInfo) -> String {
    let said = info.said.iter().map(|(&group, &data)| (group, Text(Hex(data))));
    let text = InfoText {
        n: Own((&*info.name).into()),
        v: Own((&*info.version).into()),
        d: info.draining,
        h: info.sends,
        s: said.collect(),
    };
    // Texts and maps of texts always serialize; a failure would be a bug of serde_json.
    serde_json::to_string(&text).unwrap_or_default()
}

/// What [`info_text`] made.
///
/// # Errors
/// [`Strange`], if it did not make this.
pub fn info(text: &str) -> Result<NodeInfo, Strange> {
    let read: InfoText<'_> =
        serde_json::from_str(text).map_err(|error| Strange::new("what a node tells", error))?;
    let said = read.s.into_iter().map(|(group, Text(Hex(data)))| (group, data));
    Ok(NodeInfo {
        name: read.n.0.into_owned(),
        version: read.v.0.into_owned(),
        draining: read.d,
        sends: read.h,
        said: said.collect(),
    })
}

/// The text of how many members and channels a node has.
#[must_use]
pub fn counts_text((members, channels): (u64, u64)) -> String {
    format!("{members} {channels}")
}

/// What [`counts_text`] made; `None`: it did not make this.
#[must_use]
pub fn counts(text: &str) -> Option<(u64, u64)> {
    let (members, channels) = text.split_once(' ')?;
    Some((members.parse().ok()?, channels.parse().ok()?))
}

/// What is answered to a renewal. Nodes that cannot be read are left out.
///
/// # Errors
/// [`Strange`], if it is nothing that the script says.
pub fn renewed(text: &str) -> Result<Read<Renewed>, Strange> {
    const WHAT: &str = "the answer to a renewal";
    if text.len() > MAX_STORE_TEXT_BYTES {
        return Err(Strange::new(WHAT, format_args!("has {} bytes", text.len())));
    }
    let told: RenewedText<'_> =
        serde_json::from_str(text).map_err(|error| Strange::new(WHAT, error))?;
    let (era, now, alive) = (told.e.0.0, told.n, told.a);
    let mut read = Read::new(Renewed { era, now, alive, nodes: Vec::with_capacity(told.u.len()) });
    for seen in told.u {
        let Some(node) = NodeId::parse(&seen.n.0) else {
            read.leave_out(Strange::new(format_args!("node {:?}", seen.n.0), "is no node"));
            continue;
        };
        let info = match seen.i.map(|text| info(&text.0)).transpose() {
            Ok(info) => info,
            Err(strange) => {
                read.leave_out(strange);
                Some(NodeInfo::default())
            }
        };
        read.value.nodes.push(NodeSeen { node, left_ms: seen.l, info });
    }
    read.value.nodes.sort_by_key(|seen| seen.node);
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_tells_is_read_as_it_was_written() {
        let info = NodeInfo {
            name: "web-1 \"ä\"".to_owned(),
            version: "0.1.0".to_owned(),
            draining: true,
            sends: true,
            said: [(0, 7), (63, u64::MAX)].into(),
        };
        let text = info_text(&info);
        assert_eq!(super::info(&text).unwrap(), info);
        assert_eq!(super::info(&info_text(&NodeInfo::default())).unwrap(), NodeInfo::default());
        assert_eq!(counts(&counts_text((5, u64::MAX))), Some((5, u64::MAX)));
        assert_eq!((counts("5"), counts("5 x"), counts("")), (None, None, None));

        let told = format!(
            r#"{{"e":"00000000000000ff","n":5,"a":true,"u":[{{"n":"000000000002","l":-3}},{{"n":"000000000001","l":7,"i":{}}}]}}"#,
            serde_json::to_string(&text).unwrap()
        );
        let read = renewed(&told).unwrap();
        assert_eq!(
            (read.strange, read.value.era, read.value.now, read.value.alive),
            (0, 255, 5, true)
        );
        let one = NodeSeen { node: NodeId::new(1), left_ms: 7, info: Some(info) };
        let two = NodeSeen { node: NodeId::new(2), left_ms: -3, info: None };
        assert_eq!(read.value.nodes, [one, two]);
    }

    #[test]
    fn a_strangers_node_is_left_out_and_its_info_is_none() {
        let told = r#"{"e":"00000000000000ff","n":5,"u":[{"n":"x","l":1},{"n":"000000000001","l":1,"i":"?"}]}"#;
        let read = renewed(told).unwrap();
        let seen = NodeSeen { node: NodeId::new(1), left_ms: 1, info: Some(NodeInfo::default()) };
        assert_eq!((read.strange, read.value.nodes), (2, vec![seen]));
        assert_eq!(read.first.unwrap().to_string(), "node \"x\": is no node");
        assert!(renewed("{}").is_err() && renewed("").is_err());
    }

    #[test]
    fn an_answer_is_read_up_to_its_bound() {
        let answer = r#"{"e":"00000000000000ff","n":5,"u":[]}"#;
        let padded = |bytes| format!("{answer}{}", " ".repeat(bytes - answer.len()));
        assert!(renewed(&padded(MAX_STORE_TEXT_BYTES)).is_ok());
        assert!(renewed(&padded(MAX_STORE_TEXT_BYTES + 1)).is_err());
    }
}
