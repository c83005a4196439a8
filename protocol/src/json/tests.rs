use super::*;
use crate::parse::parse;

fn request(text: &str) -> Request {
    parse(text).unwrap().request
}

fn refusal(text: &str) -> (ErrorCode, Option<&'static str>) {
    let refusal = parse(text).unwrap_err().refusal;
    (refusal.code, refusal.field)
}

#[test]
fn escapes_in_names_and_keys_are_read() {
    let Request::Join { channel, attributes, .. } =
        request(r#"{"type":"join","channel":"caf\u00e9","attributes":{"a\"b":1}}"#)
    else {
        panic!("not a join")
    };
    assert_eq!(channel.as_str(), "café");
    assert_eq!(attributes.unwrap()["a\"b"], 1);
}

#[test]
fn null_is_absent_and_unknown_fields_are_ignored() {
    assert_eq!(
        request(r#"{"type":"heartbeat","channels":null,"colour":["red"],"graceMs":"x"}"#),
        Request::Heartbeat { channels: None }
    );
    assert_eq!(
        refusal(r#"{"type":"join","channel":null}"#),
        (ErrorCode::MissingField, Some("channel"))
    );
}

#[test]
fn of_a_status_absent_and_null_differ_where_null_says_something() {
    let patch = |fields: &str| match request(&format!(r#"{{"type":"setStatus",{fields}}}"#)) {
        Request::SetStatus { patch } => patch,
        other => panic!("not a status: {other:?}"),
    };
    let busy = StatusPatch { busy: Some(true), ..<_>::default() };
    assert_eq!(patch(r#""busy":true"#), busy);
    assert_eq!(patch(r#""busy":true,"invisible":null"#), busy, "as absent");
    assert_eq!(
        patch(r#""waitTime": null ,"text":null"#),
        StatusPatch { wait_time: Some(None), text: Some(None), ..<_>::default() }
    );
    assert_eq!(
        patch(r#""waitTime":0,"text":"""#),
        StatusPatch { wait_time: Some(Some(0)), text: Some(Some("".into())), ..<_>::default() }
    );
    for nothing in ["{}", r#"{"busy":null,"invisible":null}"#] {
        assert_eq!(status(nothing).unwrap_err().code, ErrorCode::MissingField);
    }
    assert_eq!(status(r#"{"text":null}"#).unwrap().text, Some(None), "over HTTP too");
}

#[test]
fn a_status_is_written_as_it_is_read() {
    let text = r#"{"id":"a","type":"setStatus","busy":false,"waitTime":null,"text":"x"}"#;
    assert_eq!(serde_json::to_string(&parse(text).unwrap()).unwrap(), text);
    let text = r#"{"type":"setStatus","text":null}"#;
    assert_eq!(serde_json::to_string(&parse(text).unwrap()).unwrap(), text);
}

#[test]
fn a_lease_is_read() {
    let read = lease(r#" {"attributes":{"a":1},"visibleTo":["team:blue"],"ttlMs":5000}"#);
    let read = read.unwrap();
    assert_eq!((read.ttl_ms, read.attributes.unwrap()["a"].clone()), (Some(5000), 1.into()));
    assert_eq!(read.visible_to, Some(Audience::parse(["team:blue"]).unwrap()));
    let nothing = r#"{"attributes":null,"visibleTo":null,"ttlMs":null,"waitTime":"x"}"#;
    assert_eq!(lease(nothing).unwrap(), Lease::default());
    assert_eq!(lease("{}").unwrap(), Lease::default());
    assert_eq!(lease("[{}]").unwrap_err().code, ErrorCode::BadJson);
    assert_eq!(lease("").unwrap_err().code, ErrorCode::BadJson);
    assert_eq!(lease(r#"{"ttlMs":-1}"#).unwrap_err().field, Some("ttlMs"));
}

#[test]
fn what_is_said_of_a_token_does_not_repeat_it() {
    for text in [
        r#"{"type":"auth","token":["secret"]}"#,
        r#"{"type":"auth","token":"secret\ud800"}"#,
        r#"{"type":"auth","token":"secret","token":"secret"}"#,
        r#"{"type":"auth","token":"secret"#,
    ] {
        let message = parse(text).unwrap_err().refusal.message;
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_whole_number_is_one_however_it_is_written() {
    let grace = |number: &str| {
        let text = format!(r#"{{"type":"join","channel":"r","graceMs":{number}}}"#);
        match parse(&text).map(|frame| frame.request) {
            Ok(Request::Join { grace_ms, .. }) => grace_ms,
            _ => None,
        }
    };
    for written in ["30", "30.0", "3e1", "300E-1"] {
        assert_eq!(grace(written), Some(30), "{written}");
    }
    assert_eq!(grace("18446744073709551615"), Some(u64::MAX));
    for written in ["1.5", "-1", "-1.0", "1e300", "\"30\"", "true"] {
        assert_eq!(grace(written), None, "{written}");
    }
}

#[test]
fn a_whole_seq_is_one_too() {
    let seq = |written: &str| {
        let since = format!(r#"{{"epoch":"k3v9x2m7","seq":{written}}}"#);
        let text = format!(r#"{{"type":"subscribe","channel":"r","since":{since}}}"#);
        match parse(&text).map(|frame| frame.request) {
            Ok(Request::Subscribe { since: Some(since), .. }) => Some(since.seq),
            _ => None,
        }
    };
    for written in ["5", "5.0", "5e0", "50E-1"] {
        assert_eq!(seq(written), Some(5), "{written}");
    }
    for written in ["5.5", "-5.0", "1e300", "\"5\"", "null"] {
        assert_eq!(seq(written), None, "{written}");
    }
}

#[test]
fn a_sight_is_any_text() {
    let sight = |written: &str| {
        let since = format!(r#"{{"epoch":"k3v9x2m7","seq":1,"sight":{written}}}"#);
        let text = format!(r#"{{"type":"subscribe","channel":"r","since":{since}}}"#);
        match parse(&text).map(|frame| frame.request) {
            Ok(Request::Subscribe { since: Some(since), .. }) => Some(since.sight),
            _ => None,
        }
    };
    assert_eq!(sight("\"00000000000000ff\""), Some(Some(Sight::from_hash(255))));
    assert_eq!(sight("null"), Some(None));
    for foreign in ["\"\"", "\"ff\"", "\"00000000000000FF\"", "\"+0000000000000ff\""] {
        assert_eq!(sight(foreign), Some(Some(Sight::from_hash(u64::MAX))), "{foreign}");
    }
    assert_eq!(sight("7"), None);
}

#[test]
fn a_refusal_names_the_field_and_keeps_the_id() {
    let rejected = parse(r#"{"type":"join","id":"a","channel":7}"#).unwrap_err();
    assert_eq!(rejected.id, Some(FrameId::Text("a".into())));
    assert_eq!(rejected.refusal.message, "channel must be a string");
    assert_eq!(refusal(r#"{"id":1.5,"type":"leave"}"#), (ErrorCode::InvalidField, Some("id")));
    assert_eq!(refusal("{}"), (ErrorCode::MissingField, Some("type")));
    assert_eq!(refusal("{"), (ErrorCode::BadJson, None));
}
