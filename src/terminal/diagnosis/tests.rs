//! Each thing that can be seen, and the fault that it is.

use super::*;

fn name(finding: &Finding) -> &'static str {
    match finding {
        Finding::Fault(fault) => {
            assert!(!fault.change.is_empty() && !fault.says.is_empty());
            fault.name
        }
        _ => "",
    }
}

fn refused(code: &str, field: &str, now: Option<u64>) -> Refused {
    let (code, message, field) = (code.into(), "no\u{1b}[2J".into(), Some(field.into()));
    Refused { code, message, field, now, ..Refused::default() }
}

fn problem(status: u16, code: &str, field: &str) -> Handshake {
    let body = serde_json::json!({"code": code, "detail": "no", "field": field});
    Handshake::Answered(Answer { status, body: body.to_string().into_bytes() })
}

#[test]
fn what_a_handshake_is_answered_with_tells_what_lies_between() {
    let address = Address::parse("http://broker.example/live").unwrap();
    let health = Answer { status: 200, body: br#"{"status":"ok"}"#.to_vec() };
    let page = Answer { status: 404, body: b"<h1>nothing</h1>".to_vec() };
    let found = |handshake: Handshake, health: &Answer, top: &Answer| {
        let finding = of_handshake(&address, Some("https://a.example"), &handshake, health, top);
        (name(&finding), format!("{finding:?}"))
    };
    let is = |handshake: Handshake| found(handshake, &health, &page).0;
    assert_eq!(is(Handshake::Done), "");
    assert_eq!(is(problem(400, "invalid_field", "upgrade")), "noUpgrade");
    assert_eq!(is(problem(403, "forbidden", "origin")), "originRefused");
    assert_eq!(is(problem(421, "forbidden", "host")), "hostRefused");
    assert_eq!(is(problem(503, "unavailable", "")), "full");
    assert_eq!(is(Handshake::Answered(Answer { status: 502, body: vec![] })), "proxyFailed");
    assert_eq!(is(Handshake::Broken("cut".into())), "noUpgrade");
    assert_eq!(is(problem(404, "not_found", "")), "wrongPath");
    let (fault, says) = found(Handshake::Answered(page.clone()), &page, &health);
    assert!(fault == "wrongPath" && says.contains("use http://broker.example\""), "{says}");
    let (fault, says) = found(Handshake::Answered(page.clone()), &page, &page);
    assert!(fault == "wrongPath" && says.contains("no herenow"), "{says}");
}

#[test]
fn why_nobody_lets_us_in_is_told_apart() {
    let is = |refused: Refused, token: Option<bool>, off_ms: Option<i64>| {
        let finding = of_identity(&First::Refused(refused), token, off_ms);
        assert!(!format!("{finding:?}").contains('\u{1b}'));
        name(&finding)
    };
    let hour = Some(3_600_000);
    assert_eq!(
        is(refused("token_expired", "token", Some(5)), Some(true), Some(10)),
        "tokenExpired"
    );
    assert_eq!(is(refused("token_expired", "token", Some(5)), Some(true), hour), "clockOff");
    assert_eq!(is(refused("unauthenticated", "token", Some(5)), Some(true), Some(0)), "clockOff");
    assert_eq!(is(refused("unauthenticated", "token", None), Some(true), None), "wrongKey");
    assert_eq!(is(refused("unauthenticated", "token", None), Some(false), None), "noJwt");
    assert_eq!(is(refused("unauthenticated", "token", None), None, None), "noToken");
    assert_eq!(is(refused("unauthenticated", "user", None), None, None), "badName");
    let strange = of_identity(&First::Strange("hello".into()), None, None);
    assert_eq!(name(&strange), "noHerenow");
}

#[test]
fn a_broker_is_too_old_by_its_first_two_numbers() {
    let of = |protocol, text: &str| {
        let mut welcome = Welcome { protocol, ..Welcome::default() };
        (welcome.server.name, welcome.server.version) = ("herenow".into(), text.into());
        name(&of_version(&welcome))
    };
    assert_eq!(of(1, OURS), "");
    assert_eq!(of(1, "999.0.0"), "");
    for (protocol, text) in [(1, "0.0.9"), (1, ""), (0, OURS), (1, "0.0.9-rc1")] {
        assert_eq!(of(protocol, text), "tooOld", "{protocol} {text}");
    }
    assert_eq!(of(2, "999.0.0"), "tooNew");
}

#[test]
fn each_other_step_has_its_fault() {
    assert_eq!(name(&of_clock(3_600_000)), "clockOff");
    assert_eq!(name(&of_clock(-31_000)), "clockOff");
    assert_eq!(name(&of_clock(-2_000)), "");
    assert_eq!(name(&of_idle(Idle::Cut(900))), "idleTimeout");
    assert_eq!(name(&of_idle(Idle::Pinged(25_000))), "");
    assert!(matches!(of_idle(Idle::Nothing(1)), Finding::Note(_)));
    let error = |code: &str| Heard::Error(refused(code, "", None));
    assert_eq!(name(&of_presence(Some(&error("presence_disabled")))), "presenceOff");
    assert_eq!(name(&of_presence(Some(&error("forbidden")))), "");
    assert_eq!(name(&of_presence(Some(&Heard::Result { id: None }))), "");
    assert_eq!(name(&of_presence(None)), "noAnswer");
    let address = Address::parse("https://a.example").unwrap();
    for (why, fault) in [
        (TlsFault::Name(vec!["b.example".into()]), "tlsName"),
        (TlsFault::Time, "tlsTime"),
        (TlsFault::Stranger, "tlsUnknown"),
        (TlsFault::None, "noTls"),
    ] {
        let reached = Err(Unreached::Tls(why));
        assert_eq!(name(&of_tls(&address, &reached).unwrap()), fault);
        assert_eq!(name(&of_address(&address, &reached)), "");
    }
    for (why, fault) in [
        (Unreached::Name("x".into()), "noSuchName"),
        (Unreached::Refused("x".into()), "nothingListens"),
        (Unreached::Silent, "noAnswer"),
    ] {
        let reached = Err(why);
        assert_eq!(name(&of_address(&address, &reached)), fault);
        assert_eq!(of_tls(&address, &reached), None);
    }
}
