//! What holds for any frame, any text and any attributes.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;

use herenow_protocol::attributes::{MAX_DEPTH, too_deep};
use herenow_protocol::reply::{MemberView, RecentView, RemovedReason, SnapshotReason};
use herenow_protocol::status::MAX_WAIT_MINUTES;
use herenow_protocol::{
    AttributeMap, Attributes, Audience, ChannelName, ClientFrame, Epoch, ErrorCode, Event, FrameId,
    Level, Request, ServerFrame, Sight, Since, StatusPatch, Token, UserId, UserStatus, parse,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// Any text that may be a name: all of Unicode is in reach, controls, `$`, `.` and `..` are filtered
/// out.
fn name_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[^$\\p{Cc}][^\\p{Cc}]{0,40}",
        proptest::string::string_regex("[ -#%-~]{1,200}").unwrap(),
    ]
    .prop_filter("a step in a path", |name| ![".", ".."].contains(&name.as_str()))
}

fn channel() -> impl Strategy<Value = ChannelName> {
    name_text().prop_map(|name| ChannelName::parse(&name, "channel").unwrap())
}

fn user() -> impl Strategy<Value = UserId> {
    name_text().prop_map(|name| UserId::parse(&name, "user").unwrap())
}

fn key() -> impl Strategy<Value = String> {
    // Few short keys, so that writes meet each other; and any text.
    prop_oneof![3 => "[a-d]", 1 => any::<String>()]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // NaN and the infinities have no JSON; Value makes them null.
        any::<f64>().prop_map(Value::from),
        (-180.0..180.0f64).prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn map() -> impl Strategy<Value = AttributeMap> {
    btree_map(key(), value(), 0..6).prop_map(|map| map.into_iter().collect())
}

/// Few roles, so that some repeat; and any text that may be one. `any` and `users` are in reach.
fn audience() -> impl Strategy<Value = Audience> {
    let role = prop_oneof![
        4 => "team:[a-c]",
        2 => user().prop_map(|user| format!("user:{user}")),
        1 => prop_oneof![Just("any".to_owned()), Just("users".to_owned())],
        1 => "[^\\p{Cc}]{1,40}",
    ];
    vec(role, 0..5).prop_map(|roles| Audience::parse(roles.iter().map(String::as_str)).unwrap())
}

fn line_of_text() -> impl Strategy<Value = Box<str>> {
    "[^\\p{Cc}]{0,40}".prop_map(Box::from)
}

/// Each field absent, set, or (of the two whose null says something) null.
fn patch() -> impl Strategy<Value = StatusPatch> {
    let boolean = || option::of(any::<bool>());
    let wait_time = option::of(option::of(0..=MAX_WAIT_MINUTES));
    (boolean(), boolean(), wait_time, option::of(option::of(line_of_text())))
        .prop_map(|(busy, invisible, wait_time, text)| StatusPatch {
            busy,
            invisible,
            wait_time,
            text,
        })
        .prop_filter("changes nothing", |patch| *patch != StatusPatch::default())
}

fn info() -> impl Strategy<Value = Attributes> {
    map().prop_map(|map| Attributes::from_map(&map))
}

/// A number that every JSON reader keeps.
fn time() -> impl Strategy<Value = u64> {
    0..1u64 << 53
}

fn status() -> impl Strategy<Value = UserStatus> {
    let set = (any::<[bool; 4]>(), option::of(0..=MAX_WAIT_MINUTES), option::of(line_of_text()));
    let times = [(); 3].map(|()| option::of(time()));
    (user(), set, info(), times).prop_map(
        |(user, ([online, away, invisible, busy], wait_time, text), info, times)| {
            let [last_seen, created_at, updated_at] = times;
            UserStatus {
                user,
                online,
                away,
                invisible,
                busy,
                wait_time,
                text,
                info,
                last_seen,
                created_at,
                updated_at,
            }
        },
    )
}

/// The frames and events that `info`, watching and rights have brought.
fn told() -> impl Strategy<Value = ServerFrame> {
    let member = (user(), info(), map(), any::<bool>(), time()).prop_map(
        |(user, info, attributes, away, joined_at)| {
            let attributes = Attributes::from_map(&attributes);
            MemberView { user, info, attributes, away, joined_at }
        },
    );
    let join = (user(), info(), any::<bool>(), time()).prop_map(|(user, info, away, at)| {
        Event::Join { user, info, attributes: Attributes::EMPTY, away, at }
    });
    let update = (user(), option::of(info()), option::of(any::<bool>()), time()).prop_map(
        |(user, info, away, at)| {
            let (attributes, joined_at, reason) = (Attributes::EMPTY, None, None);
            Event::UpdateAttributes { user, attributes, info, away, joined_at, at, reason }
        },
    );
    let removed = (vec(channel(), 0..3), vec(user(), 0..3));
    let recent = (user(), info(), option::of(info()))
        .prop_map(|(user, info, attributes)| RecentView { user, info, attributes });
    prop_oneof![
        status().prop_map(|status| ServerFrame::Status { status }),
        (channel(), vec(member, 0..3), any::<bool>()).prop_map(|(channel, members, more)| {
            let epoch = Epoch::from_random(1);
            let reason = SnapshotReason::Resync;
            let (seq, count, partial) = (0, 0, more);
            ServerFrame::Snapshot { channel, epoch, seq, count, members, more, reason, partial }
        }),
        (channel(), vec(prop_oneof![join, update], 0..3)).prop_map(|(channel, events)| {
            ServerFrame::Presence { channel, seq: 1, count: 0, events }
        }),
        (channel(), vec(recent, 0..3)).prop_map(|(channel, recent)| ServerFrame::Count {
            channel,
            seq: 1,
            count: 0,
            recent: Some(recent),
            partial: false,
        }),
        removed.prop_map(|(channels, users)| ServerFrame::Removed {
            channels,
            users,
            reason: RemovedReason::Rights
        }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let epoch = any::<u64>().prop_map(Epoch::from_random);
    let sight = option::of(any::<u64>().prop_map(Sight::from_hash));
    let since =
        (epoch, any::<u64>(), sight).prop_map(|(epoch, seq, sight)| Since { epoch, seq, sight });
    let level = prop_oneof![Just(Level::Auto), Just(Level::Events), Just(Level::Count)];
    let number = || option::of(any::<u64>());
    prop_oneof![
        (
            channel(),
            option::of(map()),
            any::<bool>(),
            number(),
            option::of(audience()),
            option::of(any::<bool>())
        )
            .prop_map(|(channel, attributes, merge, grace_ms, visible_to, away)| {
                Request::Join { channel, attributes, merge, grace_ms, visible_to, away }
            }),
        (any::<bool>(), option::of(vec(channel(), 0..4)))
            .prop_map(|(away, channels)| Request::Away { away, channels }),
        channel().prop_map(|channel| Request::Leave { channel }),
        option::of(vec(channel(), 0..4)).prop_map(|channels| Request::Heartbeat { channels }),
        (channel(), map(), any::<bool>(), number()).prop_map(
            |(channel, attributes, merge, ttl_ms)| {
                Request::SetAttributes { channel, attributes, merge, ttl_ms }
            }
        ),
        (channel(), level, option::of(0u8..=200), any::<bool>(), option::of(since)).prop_map(
            |(channel, level, recent, recent_attributes, since)| Request::Subscribe {
                channel,
                level,
                recent,
                recent_attributes,
                since
            }
        ),
        channel().prop_map(|channel| Request::Unsubscribe { channel }),
        (channel(), number(), number()).prop_map(|(channel, limit, after)| Request::GetMembers {
            channel,
            limit,
            after
        }),
        channel().prop_map(|channel| Request::GetCount { channel }),
        (channel(), option::of(user()))
            .prop_map(|(channel, user)| Request::GetAttributes { channel, user }),
        (option::of(user()), option::of(time()), option::of(channel()))
            .prop_map(|(user, limit, after)| Request::GetChannels { user, limit, after }),
        patch().prop_map(|patch| Request::SetStatus { patch }),
        vec(user(), 1..4).prop_map(|users| Request::Watch { users }),
        vec(user(), 1..4).prop_map(|users| Request::Unwatch { users }),
        any::<String>().prop_map(|token| Request::Auth { token: Token(token.into()) }),
    ]
}

fn frame() -> impl Strategy<Value = ClientFrame> {
    let id = prop_oneof![
        any::<i64>().prop_map(FrameId::Number),
        "\\PC{0,16}".prop_map(|text| FrameId::Text(text.into())),
    ];
    (option::of(id), request()).prop_map(|(id, request)| ClientFrame { id, request })
}

/// A frame's text with something done to it that a broken client or a bad line might do.
fn mutated() -> impl Strategy<Value = String> {
    let wrong = prop_oneof![
        value().prop_map(|value| value.to_string()),
        "[{}\\[\\],:\"\\\\ 0-9eE+.-]{0,4}",
        any::<String>(),
        Just("\\ud800".to_owned()),
        Just("1e999".to_owned()),
    ];
    (frame(), any::<[Index; 2]>(), wrong).prop_map(|(frame, cuts, wrong)| {
        let text: Vec<char> = serde_json::to_string(&frame).unwrap().chars().collect();
        let mut cuts = cuts.map(|cut| cut.index(text.len() + 1));
        cuts.sort_unstable();
        let (before, after) = (&text[..cuts[0]], &text[cuts[1]..]);
        before.iter().copied().chain(wrong.chars()).chain(after.iter().copied()).collect()
    })
}

/// `parse` answers, and a refusal is one of those that its documentation promises.
fn is_answered(text: &str) {
    let Err(rejected) = parse(text) else { return };
    let refusal = rejected.refusal;
    let by_field = match refusal.code {
        ErrorCode::BadJson => refusal.field.is_none(),
        ErrorCode::UnknownType => refusal.field == Some("type"),
        // Of a status any one field will do, so that none is at fault.
        ErrorCode::MissingField => {
            refusal.field.is_some() || refusal.message.starts_with("no status field")
        }
        ErrorCode::InvalidField => true,
        _ => false,
    };
    assert!(by_field, "{refusal:?}");
    assert_eq!(refusal.retry_after_ms, None);
    assert!(!refusal.message.is_empty() && refusal.message.len() < 600, "{refusal:?}");
}

/// What attributes are, by a plain map.
type Model = BTreeMap<String, Value>;

fn model(map: &AttributeMap) -> Model {
    map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn check(attributes: &Attributes, model: &Model) {
    assert_eq!(attributes.to_map().into_iter().collect::<Model>(), *model);
    assert!(attributes.to_map().values().all(|value| !value.is_null()));
    // Canonical: what a sorted map writes, to the byte, and the same again when read back.
    assert_eq!(attributes.as_str(), serde_json::to_string(model).unwrap());
    assert_eq!(attributes.bytes(), attributes.as_str().len());
    assert_eq!(Attributes::from_map(&attributes.to_map()), *attributes);
    assert_eq!(serde_json::to_string(attributes).unwrap(), attributes.as_str());
    assert_eq!(serde_json::from_str::<Attributes>(attributes.as_str()).unwrap(), *attributes);
}

/// The text of an object with its keys, at every depth, in the order that `turn` makes of them.
fn turned(value: &Value, turn: usize) -> String {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}:{}", json!(key), turned(value, turn)))
                .collect();
            let middle = turn % pairs.len().max(1);
            pairs.rotate_left(middle);
            if turn % 2 == 1 {
                pairs.reverse();
            }
            format!("{{{}}}", pairs.join(" , "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| turned(item, turn)).collect();
            format!("[{}]", items.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..<_>::default() })]

    #[test]
    fn what_a_client_writes_the_parser_reads(frame in frame()) {
        let text = serde_json::to_string(&frame).unwrap();
        prop_assert_eq!(parse(&text).unwrap(), frame);
    }

    #[test]
    fn what_the_broker_writes_a_client_reads(frame in told()) {
        let text = serde_json::to_string(&frame).unwrap();
        prop_assert_eq!(serde_json::from_str::<ServerFrame>(&text).unwrap(), frame);
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        is_answered(&text);
    }

    #[test]
    fn any_line_is_answered(line in "(join|set|hb|away|back|sub|who|get|where|status|watch|unwatch|help)( [ -~]{0,8}){0,4}") {
        is_answered(&line);
    }

    #[test]
    fn any_broken_frame_is_answered(text in mutated()) {
        is_answered(&text);
    }

    #[test]
    fn attributes_are_a_map(start in map(), patch in map(), removed in vec(key(), 0..3)) {
        let mut model_now = model(&start);
        let attributes = Attributes::from_map(&start);
        check(&attributes, &model_now);

        let attributes = attributes.patched(&patch);
        for (key, value) in &patch {
            if value.is_null() {
                model_now.remove(key);
            } else {
                model_now.insert(key.clone(), value.clone());
            }
        }
        check(&attributes, &model_now);

        let attributes = attributes.without(removed.iter().map(String::as_str));
        model_now.retain(|key, _| !removed.contains(key));
        check(&attributes, &model_now);
    }

    #[test]
    fn equal_attributes_are_equal_texts(map in map(), other in map(), turn in any::<usize>()) {
        let attributes = Attributes::from_map(&map);
        let again: Attributes = serde_json::from_str(&turned(&map.clone().into(), turn)).unwrap();
        prop_assert_eq!(again.as_str(), attributes.as_str());
        let equal = model(&map) == model(&other);
        prop_assert_eq!(Attributes::from_map(&other) == attributes, equal);
    }

    #[test]
    fn a_typed_status_is_the_json_status(patch in patch()) {
        let frame = json!(ClientFrame::from(Request::SetStatus { patch }));
        let mut line = "status".to_owned();
        for (key, value) in frame.as_object().unwrap().iter().filter(|(key, _)| *key != "type") {
            line += &format!(" {key}={value}");
        }
        prop_assert_eq!(parse(&line).unwrap(), parse(&frame.to_string()).unwrap());
    }

    #[test]
    fn a_typed_join_is_the_json_join(
        channel in channel(),
        // An equals sign ends the key of a pair, quoted or not.
        attributes in btree_map("[^=]{0,8}", value(), 1..4),
    ) {
        let mut line = format!("join {}", json!(channel));
        for (key, value) in &attributes {
            line += &format!(" {}={value}", json!(key));
        }
        let frame = json!({ "type": "join", "channel": channel, "attributes": attributes });
        prop_assert_eq!(parse(&line).unwrap(), parse(&frame.to_string()).unwrap());
    }

    /// A JSON reader with the usual bounds reads whatever a member may set.
    #[test]
    fn attributes_at_the_bound_are_read_by_observers(arrays in vec(any::<bool>(), 0..150)) {
        let mut inner = json!({});
        for array in &arrays {
            inner = if *array { json!([inner]) } else { json!({ "a": inner }) };
        }
        let map: AttributeMap = [("a".to_owned(), inner)].into_iter().collect();
        let levels = arrays.len() + 2;
        prop_assert_eq!(too_deep(&map), levels > MAX_DEPTH);
        if too_deep(&map) {
            return Ok(());
        }
        let member = MemberView {
            user: UserId::parse("ada", "user").unwrap(),
            info: Attributes::from_map(&map),
            attributes: Attributes::from_map(&map),
            away: false,
            joined_at: 0,
        };
        let snapshot = ServerFrame::Snapshot {
            channel: ChannelName::parse("room", "channel").unwrap(),
            epoch: Epoch::from_random(1),
            seq: 0,
            count: 1,
            members: vec![member],
            more: false,
            reason: SnapshotReason::Subscribed,
            partial: false,
        };
        let text = serde_json::to_string(&snapshot).unwrap();
        prop_assert_eq!(serde_json::from_str::<ServerFrame>(&text).unwrap(), snapshot);
    }
}

/// A double and an integer are different values, whatever the reader on the other side thinks.
#[test]
fn numbers_keep_their_kind() {
    let text = |text: &str| serde_json::from_str::<Attributes>(text).unwrap().as_str().to_owned();
    assert_eq!(text(r#"{"a": 1, "b": 1.0, "c": 1e2}"#), r#"{"a":1,"b":1.0,"c":100.0}"#);
    assert_eq!(text(r#"{"a": 18446744073709551615}"#), r#"{"a":18446744073709551615}"#);
    assert_eq!(text(r#"{"a": 18446744073709551616}"#), r#"{"a":1.8446744073709552e+19}"#);
    // Read without care, this one comes out as …944.
    assert_eq!(text(r#"{"a": 121.48791951161945}"#), r#"{"a":121.48791951161945}"#);
}
