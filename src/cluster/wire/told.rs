//! Records, and what is answered and published.

use std::borrow::Cow;
use std::collections::BTreeMap;

use herenow_protocol::{ChannelName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::Field;
use super::strange::{Read, Strange};
use super::texts::{Hex, Large, Live, Own, Text, Word};
use crate::cluster::name::channel_named;
use crate::cluster::record::{LeaseMark, Mark, Record, StoreMs};
use crate::cluster::say::{Buried, Inbox, Load, Told, UserTold};
use crate::cluster::summary::{Asked, Summary};
use crate::limits::MAX_STORE_TEXT_BYTES;
use crate::presence::pending::Cause;
use crate::presence::{Keeper, NodeId};

#[derive(Deserialize)]
struct ToldText<'a> {
    e: Text<Hex>,
    v: Text<Large>,
    n: StoreMs,
    #[serde(default)]
    c: bool,
    #[serde(borrow, default)]
    u: Vec<UserText<'a>>,
    /// In an inbox: the channel.
    #[serde(borrow, default)]
    h: Option<Own<'a>>,
    /// After a burial: how long lost marks stay.
    #[serde(default)]
    l: Option<StoreMs>,
    /// Members are counted.
    #[serde(default)]
    g: bool,
    /// In how many milliseconds the summary is owed.
    #[serde(default)]
    o: Option<u64>,
    /// In a summary: how many members there are.
    #[serde(default)]
    k: u64,
    /// In a summary: it is as the asker knows it.
    #[serde(default)]
    s: bool,
}

#[derive(Deserialize)]
struct UserText<'a> {
    #[serde(borrow)]
    u: Own<'a>,
    #[serde(borrow, default)]
    r: Option<&'a RawValue>,
    #[serde(borrow, default)]
    w: Option<Own<'a>>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct RecordText<'a> {
    v: Text<Large>,
    /// Attributes, info, who may see the member, and its place.
    #[serde(borrow, default)]
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    a: Option<Field<'a>>,
    #[serde(borrow, default)]
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    i: Option<Field<'a>>,
    #[serde(borrow, default)]
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    s: Option<Field<'a>>,
    #[serde(borrow)]
    p: Field<'a>,
    #[serde(default)]
    #[cfg_attr(test, serde(skip_serializing_if = "BTreeMap::is_empty"))]
    m: BTreeMap<Text<NodeId>, MarkText>,
    #[serde(default)]
    #[cfg_attr(test, serde(skip_serializing_if = "BTreeMap::is_empty"))]
    l: BTreeMap<Text<Keeper>, LeaseText>,
    /// When the user was last seen, where that is kept.
    #[serde(default)]
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    x: Option<u64>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(untagged)]
enum MarkText {
    Live(Text<Live>),
    /// Until when, and how it was lost.
    Lost {
        u: StoreMs,
        w: Text<Cause>,
        #[serde(default)]
        #[cfg_attr(test, serde(skip_serializing_if = "super::texts::is_false"))]
        a: bool,
    },
}

/// Who times it, when it ends, and whether the user is away from it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
struct LeaseText {
    o: Text<NodeId>,
    e: StoreMs,
    #[serde(default)]
    #[cfg_attr(test, serde(skip_serializing_if = "super::texts::is_false"))]
    a: bool,
}

/// The record that a text is.
///
/// # Errors
/// [`Strange`], with what is wrong with it.
pub fn record(text: &str) -> Result<Record, Strange> {
    read_record(text).map_err(|wrong| Strange::new("a record", wrong))
}

fn read_record(text: &str) -> Result<Record, String> {
    if text.len() > MAX_STORE_TEXT_BYTES {
        return Err(format!("has {} bytes", text.len()));
    }
    let read: RecordText<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let of = |what: &'static str| move |wrong| format!("its {what}: {wrong}");
    let mark = |(Text(node), mark): (Text<NodeId>, _)| {
        let mark = match mark {
            MarkText::Live(Text(Live(connections, away))) => Mark::Live { connections, away },
            MarkText::Lost { u: until, w: Text(Cause::Lost(reason, last_seen)), a: away } => {
                Mark::Lost { until, away, reason, last_seen }
            }
            MarkText::Lost { w: Text(why), .. } => return Err(format!("lost by {why:?}")),
        };
        Ok((node, mark))
    };
    let lease = |(Text(keeper), LeaseText { o: Text(owner), e: ends, a: away })| {
        (keeper, LeaseMark { owner, ends, away })
    };
    Ok(Record {
        version: read.v.0.0,
        attributes: read.a.map(|a| a.stamped()).transpose().map_err(of("attributes"))?,
        info: read.i.map(|i| i.stamped()).transpose().map_err(of("info"))?,
        audience: read.s.map(|s| s.stamped()).transpose().map_err(of("audience"))?,
        place: read.p.stamped().map_err(of("place"))?,
        marks: read.m.into_iter().map(mark).collect::<Result<_, _>>().map_err(of("marks"))?,
        leases: read.l.into_iter().map(lease).collect(),
        seen: read.x.unwrap_or(0),
    })
}

fn read_told<'a>(text: &'a str, what: &str) -> Result<ToldText<'a>, Strange> {
    if text.len() > MAX_STORE_TEXT_BYTES {
        return Err(Strange::new(what, format_args!("has {} bytes", text.len())));
    }
    serde_json::from_str(text).map_err(|error| Strange::new(what, error))
}

impl ToldText<'_> {
    fn told(self) -> Read<Told> {
        let (era, version) = (self.e.0.0, self.v.0.0);
        let users = Vec::with_capacity(self.u.len());
        let mut read = Read::new(Told {
            era,
            version,
            changed: self.c,
            counted: self.g,
            owes_ms: self.o,
            now: self.n,
            users,
        });
        for user in self.u {
            match user.told() {
                Ok(told) => read.value.users.push(told),
                Err(strange) => read.leave_out(strange),
            }
        }
        read
    }
}

impl UserText<'_> {
    fn told(&self) -> Result<UserTold, Strange> {
        let name = &*self.u.0;
        let user = UserId::parse(name, "user")
            .map_err(|refusal| Strange::new(format_args!("user {name:?}"), refusal.message))?;
        let record = self.r.map(|record| read_record(record.get())).transpose();
        let record = record
            .map_err(|wrong| Strange::new(format_args!("the record of user {name:?}"), wrong))?;
        // A reason that only later versions know must not keep anybody from going.
        let why = self.w.as_ref().and_then(|why| Word::read(&why.0));
        Ok(UserTold { user, record, why })
    }
}

/// What is answered to a say, or published of a channel.
///
/// # Errors
/// [`Strange`], if it is nothing that the scripts say.
pub fn told(text: &str) -> Result<Read<Told>, Strange> {
    Ok(read_told(text, "what is told of a channel")?.told())
}

/// What came in the inbox of `node`.
///
/// # Errors
/// [`Strange`], if it is nothing that the scripts say.
pub fn inbox(node: NodeId, text: &str) -> Result<Read<Inbox>, Strange> {
    const WHAT: &str = "a message in a node's inbox";
    let mut read = read_told(text, WHAT)?;
    let name = read.h.take().unwrap_or_default();
    let channel = channel_named(&name.0)
        .ok_or_else(|| Strange::new(WHAT, format_args!("{:?} is no channel", name.0)))?;
    let Read { value: told, strange, first } = read.told();
    Ok(Read { value: Inbox { node, channel, told }, strange, first })
}

/// What is answered to a burial.
///
/// # Errors
/// [`Strange`], if it is nothing that the scripts say.
pub fn buried(text: &str) -> Result<Read<Buried>, Strange> {
    let read = read_told(text, "the answer to a burial")?;
    let lost_until = read.l;
    let Read { value: told, strange, first } = read.told();
    Ok(Read { value: Buried { told, lost_until }, strange, first })
}

/// The first of what is answered to a load: all but the records.
///
/// # Errors
/// [`Strange`], if it is nothing that the scripts say.
pub fn load(text: &str) -> Result<Load, Strange> {
    let told = read_told(text, "the answer to a load")?;
    let (era, version) = (told.e.0.0, told.v.0.0);
    Ok(Load { era, version, counted: told.g, now: told.n, records: Vec::new() })
}

/// A summary, and what is answered to whoever asks for it.
///
/// # Errors
/// [`Strange`], if it is nothing that the scripts say.
pub fn summary(text: &str) -> Result<Read<Asked>, Strange> {
    let read = read_told(text, "the summary of a channel")?;
    let (count, is_known) = (read.k, read.s);
    let Read { value: told, strange, first } = read.told();
    let newest = told.users.into_iter().filter_map(|user| Some((user.user, user.record?)));
    let summary = Summary {
        era: told.era,
        version: told.version,
        now: told.now,
        counted: told.counted,
        count,
        newest: newest.collect(),
    };
    let (now, owes_ms) = (told.now, told.owes_ms);
    let asked = Asked { summary: (!is_known).then_some(summary), now, owes_ms };
    Ok(Read { value: asked, strange, first })
}

/// The records in one page of a load: users, each with its record behind. A user may come on several
/// pages: the larger version counts.
#[must_use]
pub fn page<'a>(
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Read<Vec<(UserId, Record)>> {
    let mut read = Read::new(Vec::new());
    for (name, record) in fields {
        match of_page(name, record) {
            Ok(of_page) => read.value.push(of_page),
            Err(strange) => read.leave_out(strange),
        }
    }
    read
}

fn of_page(name: &[u8], record: &[u8]) -> Result<(UserId, Record), Strange> {
    let shown = name.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let wrong =
        |wrong: Cow<'_, str>| Strange::new(format_args!("the record of user {shown:?}"), wrong);
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| wrong("is no UTF-8".into()));
    let user = UserId::parse(text(name)?, "user").map_err(|refusal| wrong(refusal.message))?;
    Ok((user, read_record(text(record)?).map_err(|error| wrong(error.into()))?))
}

/// The channels that an index names, in its order.
#[must_use]
pub fn channels<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Read<Vec<ChannelName>> {
    let mut read = Read::new(Vec::new());
    for name in names {
        match std::str::from_utf8(name).ok().and_then(channel_named) {
            Some(channel) => read.value.push(channel),
            None => {
                let shown = String::from_utf8_lossy(name);
                read.leave_out(Strange::new(format_args!("{shown:?}"), "is no channel"));
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use herenow_protocol::{Attributes, Audience, LossReason};
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::record::{Place, Stamp, Stamped, Written};
    use crate::cluster::say::{Base, Said};

    /// The text of a record as a script writes it, but for the order of keys.
    fn text_of(record: &Record) -> String {
        fn field<T: super::super::fields::Value + Clone>(it: &Stamped<T>) -> Field<'static> {
            Field::of_said(&Said { base: Base::At(it.stamp), value: it.value.clone() })
        }
        let mark = |(&node, mark): (&NodeId, &Mark)| {
            let mark = match *mark {
                Mark::Live { connections, away } => MarkText::Live(Text(Live(connections, away))),
                Mark::Lost { until, away, reason, last_seen } => {
                    MarkText::Lost { u: until, w: Text(Cause::Lost(reason, last_seen)), a: away }
                }
            };
            (Text(node), mark)
        };
        let lease = |(&keeper, lease): (&Keeper, &LeaseMark)| {
            let LeaseMark { owner, ends, away } = *lease;
            (Text(keeper), LeaseText { o: Text(owner), e: ends, a: away })
        };
        let text = RecordText {
            v: Text(Large(record.version)),
            x: (record.seen > 0).then_some(record.seen),
            a: record.attributes.as_ref().map(field),
            i: record.info.as_ref().map(field),
            s: record.audience.as_ref().map(field),
            p: field(&record.place),
            m: record.marks.iter().map(mark).collect(),
            l: record.leases.iter().map(lease).collect(),
        };
        serde_json::to_string(&text).unwrap()
    }

    fn node() -> impl Strategy<Value = NodeId> {
        (0..1_u64 << 48).prop_map(NodeId::new)
    }

    fn stamped<T: std::fmt::Debug>(
        value: impl Strategy<Value = T>,
    ) -> impl Strategy<Value = Stamped<T>> {
        (1..1_000_u64, node(), value)
            .prop_map(|(counter, node, value)| Stamped { stamp: Stamp { counter, node }, value })
    }

    fn attributes() -> impl Strategy<Value = Attributes> {
        btree_map("\\PC{0,5}", ("\\PC{0,9}", any::<f64>(), any::<i64>()), 0..4).prop_map(|map| {
            let map = map.into_iter().map(|(key, (text, float, whole))| {
                (key, serde_json::json!([text, { "deep": [float, whole, null, {}, []] }]))
            });
            Attributes::from_map(&map.collect())
        })
    }

    fn records() -> impl Strategy<Value = Record> {
        let ends = btree_map("\\PC{0,5}", 0..1_000_000_u64, 0..3);
        let written = (attributes(), ends).prop_map(|(attributes, ends)| {
            let ends = ends.into_iter().map(|(key, at)| (key.into(), at)).collect();
            Written { attributes, ends }
        });
        let roles = vec("[a-z]{1,4}", 0..3);
        let audience = prop_oneof![
            Just(Audience::EVERYONE),
            roles.prop_map(|roles| Audience::parse(roles.iter().map(|role| &**role)).unwrap()),
        ];
        let place = (0..1_u64 << 45, 1..u64::MAX)
            .prop_map(|(joined_at, number)| Place { joined_at, number });
        let loss = proptest::sample::select(LossReason::ALL.to_vec());
        let mark = prop_oneof![
            (any::<u32>(), any::<bool>())
                .prop_map(|(connections, away)| Mark::Live { connections, away }),
            (0..1_u64 << 45, any::<bool>(), loss, any::<u64>()).prop_map(
                |(until, away, reason, last_seen)| Mark::Lost { until, away, reason, last_seen }
            ),
        ];
        let keeper = prop_oneof![Just(Keeper::Herenow), any::<u8>().prop_map(Keeper::Vendor)];
        let lease = (node(), 0..1_u64 << 45, any::<bool>())
            .prop_map(|(owner, ends, away)| LeaseMark { owner, ends, away });
        (
            any::<u64>(),
            proptest::option::of(stamped(written)),
            proptest::option::of(stamped(attributes())),
            proptest::option::of(stamped(audience)),
            stamped(place),
            btree_map(node(), mark, 0..3),
            btree_map(keeper, lease, 0..3),
            0..1_u64 << 45,
        )
            .prop_map(
                |(version, attributes, info, audience, place, marks, leases, seen)| Record {
                    version,
                    attributes,
                    info,
                    audience,
                    place,
                    marks,
                    leases,
                    seen,
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(written in records()) {
            let text = text_of(&written);
            prop_assert_eq!(&record(&text).unwrap(), &written);
            let read = page([("ada".as_bytes(), text.as_bytes())]);
            let ada = UserId::parse("ada", "user").unwrap();
            prop_assert_eq!(read.value, vec![(ada, written)]);
        }

        #[test]
        fn what_strangers_changed_is_never_a_panic(
            written in records(),
            at in any::<proptest::sample::Index>(),
            by in "\\PC{0,3}",
            less in 0..4_usize,
        ) {
            let mut text = text_of(&written);
            let bounds: Vec<_> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            let place = at.index(bounds.len());
            let end = bounds[(place + less).min(bounds.len() - 1)];
            text.replace_range(bounds[place]..end, &by);
            let told = format!(r#"{{"e":"00000000000000ff","v":"7","n":5,"u":[{{"u":"ada","r":{text}}}]}}"#);
            // Either what it says, or what is wrong with it.
            let _ = (record(&text).is_ok(), super::told(&told).is_ok());
        }
    }

    #[test]
    fn a_record_of_a_stranger_stops_nobody_else() {
        let text = r#"{"e":"00000000000000ff","v":"900","c":true,"n":5,"u":[
            {"u":"ada","r":"mine!"},
            {"u":"$bad","r":null},
            {"u":"bob","w":"left"},
            {"u":"cyd","w":"abducted"}
        ]}"#;
        let read = told(text).unwrap();
        let told = &read.value;
        assert_eq!((told.era, told.version, told.changed, told.now), (0xff, 900, true, 5));
        let users: Vec<_> = told.users.iter().map(|user| (user.user.as_str(), user.why)).collect();
        let left = Cause::Left(herenow_protocol::LeaveReason::Left);
        assert_eq!(users, [("bob", Some(left)), ("cyd", None)]);
        assert_eq!(read.strange, 2);
        let first = read.first.unwrap().to_string();
        assert!(first.starts_with("the record of user \"ada\": invalid type: string"), "{first}");

        for bad in [
            "",
            "[]",
            "{}",
            r#"{"e":"ff","v":"1","n":1}"#,
            r#"{"e":"00000000000000ff","v":1,"n":1}"#,
        ] {
            assert!(super::told(bad).is_err(), "{bad}");
        }
        let read = page([(&b"a\xff"[..], &b"{}"[..]), (b"ada", b"{}"), (b"bob", b"\xff")]);
        assert_eq!((read.value.len(), read.strange), (0, 3));
        assert_eq!(read.first.unwrap().to_string(), "the record of user \"a\": is no UTF-8");
    }

    #[test]
    fn an_inbox_names_its_channel() {
        let node = NodeId::new(9);
        let text =
            r#"{"h":"$user:bob","e":"00000000000000ff","v":"9","c":true,"n":5,"u":[{"u":"bob"}]}"#;
        let read = inbox(node, text).unwrap().value;
        let bob = UserId::parse("bob", "user").unwrap();
        assert_eq!((read.node, read.channel), (node, ChannelName::of_shown_status(&bob)));
        assert_eq!(read.told.users[0].user, bob);
        let wrong = inbox(node, &text.replace("$user", "$uses")).unwrap_err().to_string();
        assert_eq!(wrong, "a message in a node's inbox: \"$uses:bob\" is no channel");
    }

    #[test]
    fn attributes_that_nest_too_deep_are_strange() {
        let deep = format!("{}{}", "{\\\"a\\\":".repeat(40), "}".repeat(40)).replace(":}", ":1}");
        let text = format!(
            r#"{{"v":"1","a":{{"c":1,"n":"000000000001","t":"{deep}"}},"p":{{"c":1,"n":"000000000001","j":1,"t":"5"}}}}"#
        );
        assert_eq!(
            record(&text).unwrap_err().to_string(),
            "a record: its attributes: nests too deep"
        );
    }

    #[test]
    fn an_index_names_channels_and_what_is_none_is_left_out() {
        let names: [&[u8]; 4] = [b"a", b"", b"\xff", b"room 2"];
        let read = channels(names);
        let named: Vec<_> = read.value.iter().map(ChannelName::as_str).collect();
        assert_eq!((named, read.strange), (vec!["a", "room 2"], 2));
        assert_eq!(read.first.unwrap().to_string(), "\"\": is no channel");
    }

    #[test]
    fn a_summary_that_is_known_is_not_told_again() {
        let told = |known: bool| {
            let known = if known { r#","s":true"# } else { "" };
            summary(&format!(
                r#"{{"e":"00000000000000ff","v":"9","n":70,"g":true,"k":4000,"o":250,"u":[]{known}}}"#
            ))
        };
        let read = told(false).unwrap().value;
        let wanted = Summary {
            era: 255,
            version: 9,
            now: 70,
            counted: true,
            count: 4_000,
            newest: Vec::new(),
        };
        assert_eq!(read, Asked { summary: Some(wanted), now: 70, owes_ms: Some(250) });
        assert_eq!(told(true).unwrap().value, Asked { summary: None, now: 70, owes_ms: Some(250) });
    }

    #[test]
    fn a_text_is_read_up_to_its_bound() {
        let padded = |text: &str, bytes| format!("{text}{}", " ".repeat(bytes - text.len()));
        let told = r#"{"e":"00000000000000ff","v":"9","n":70,"u":[]}"#;
        let one = text_of(&super::super::super::record::example(&[true], &[]));
        assert!(record(&padded(&one, MAX_STORE_TEXT_BYTES)).is_ok());
        assert!(load(&padded(told, MAX_STORE_TEXT_BYTES)).is_ok());
        assert!(record(&padded(&one, MAX_STORE_TEXT_BYTES + 1)).is_err());
        assert!(load(&padded(told, MAX_STORE_TEXT_BYTES + 1)).is_err());
    }
}
