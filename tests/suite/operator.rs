//! What whoever operates the broker is shown: the page, the broker in numbers, channels by size, what
//! keeps members present, a user's connections, and the end of one of them.

use std::time::Duration;

use herenow::auth::Patterns;
use herenow::chance::Chance;
use herenow::clock::Clock;
use herenow::config::{ChannelFlags, ChannelSection};
use herenow_protocol::ServerFrame;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::broker::{Broker, until};
use crate::client::PATIENCE;
use crate::http::{Answer, ask};
use crate::rights::{OPERATOR, READER, broker_with, connect, token, with_identity};

async fn asked(broker: &Broker, method: &str, path: &str, key: &str) -> Answer {
    let header = format!("authorization: Bearer {key}");
    ask(broker.address(), method, path, &[&header], "").await
}

/// What is answered to who may read.
async fn read(broker: &Broker, path: &str) -> Value {
    let answer = asked(broker, "GET", path, READER).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

/// Somebody is somewhere by a lease.
async fn lease(broker: &Broker, channel: &str, user: &str) {
    let path = format!("/v1/channels/{channel}/members/{user}");
    let answer = asked(broker, "PUT", &path, OPERATOR).await;
    assert!((200..300).contains(&answer.status), "{answer:?}");
}

/// A broker with API keys and without tokens: whoever connects is who it says.
fn open_with_keys() -> Broker {
    broker_with(|config| config.identity.tokens.jwt_secret = None)
}

#[tokio::test]
async fn the_page_is_there_for_who_has_keys_and_for_nobody_else() {
    let paths = ["/admin", "/admin/app.js", "/admin/admin.css"];
    let (with, without) = (open_with_keys(), Broker::start());
    for path in paths {
        let there = ask(with.address(), "GET", path, &[], "").await;
        assert_eq!(there.status, 200, "{path}");
        assert_eq!(there.header("content-security-policy"), Some("frame-ancestors 'none'"));
        let absent = ask(without.address(), "GET", path, &[], "").await;
        assert_eq!((absent.status, absent.code()), (404, "not_found"), "{path}");
    }
    for broker in [&with, &without] {
        for path in
            ["/admin%2Fapp.js", "/admin%2Findex.html", "/admin/none.js", "/admin/..%2Fapp.js"]
        {
            let absent = ask(broker.address(), "GET", path, &[], "").await;
            assert_eq!((absent.status, absent.code()), (404, "not_found"), "{path}");
        }
    }
    // It runs nothing that stands in it, and asks nobody but its own broker.
    let page = ask(with.address(), "GET", "/admin", &[], "").await.body.to_string();
    assert!(page.contains("default-src 'none'; script-src 'self'; style-src 'self'"), "{page}");
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
}

#[tokio::test]
async fn a_key_is_told_what_it_may_do() {
    let broker = broker_with(|_| {});
    assert_eq!(read(&broker, "/v1/key").await, json!({"name": "reader", "rights": ["read"]}));
    let operator = asked(&broker, "GET", "/v1/key", OPERATOR).await.body;
    assert_eq!(operator, json!({"name": "operator", "rights": ["read", "write", "kick"]}));
    let wrong = asked(&broker, "GET", "/v1/key", "nobody-nobody-nobody").await;
    assert_eq!((wrong.status, wrong.code()), (401, "unauthenticated"));
    let user =
        asked(&broker, "GET", "/v1/key", &token("--user ada --channel *=join,subscribe,list"))
            .await;
    assert_eq!((user.status, user.code()), (403, "forbidden"));
    let anyone = ask(Broker::start().address(), "GET", "/v1/key", &[], "").await.body;
    assert_eq!(anyone, json!({"rights": ["read", "write", "kick"]}), "in open mode");
}

#[tokio::test]
async fn the_broker_is_told_in_numbers_now_and_then() {
    let (clock, shift) = Clock::shiftable();
    let broker = Broker::on(clock, Chance::from_entropy(), |config| {
        with_identity(config);
        config.identity.tokens.jwt_secret = None;
    });
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    ada.ok("sub room").await;
    lease(&broker, "room", "bob").await;
    lease(&broker, "hall", "bob").await;
    // The first sample is taken as the broker begins, and takes as long as a look at the process does.
    let sampled = async {
        while read(&broker, "/v1/overview").await["samples"] == json!([]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, sampled).await.expect("no sample");
    // The process is not looked at again within a second.
    shift.pass(2_000);
    let told = read(&broker, "/v1/overview").await;
    let now = &told["now"];
    for (name, value) in [
        ("connections", 1),
        ("channels", 2),
        ("members", 3),
        ("users", 2),
        ("subscribers", 1),
        ("connectionsOpened", 1),
        ("joins", 3),
        ("leaves", 0),
        ("timeouts", 0),
    ] {
        assert_eq!(now[name], value, "{name}: {now}");
    }
    assert!(now["residentBytes"].as_u64().unwrap() > 1 << 20, "{now}");
    assert_eq!((&told["stepMs"], told["samples"].as_array().unwrap().len()), (&json!(10_000), 1));
    // It has all that there is of now.
    let first = told["samples"][0].as_object().unwrap();
    assert!(first["at"].as_u64() < now["at"].as_u64(), "{told}");
    assert!(first.keys().eq(now.as_object().unwrap().keys()), "{told}");
    let since = format!("/v1/overview?since={}", first["at"]);
    assert_eq!(read(&broker, &since).await["samples"], json!([]));
    ada.ok("leave room").await;
    assert_eq!(read(&broker, "/v1/overview").await["now"]["leaves"], 1);
    let bad = asked(&broker, "GET", "/v1/overview?since=soon", READER).await;
    assert_eq!((bad.status, bad.code()), (400, "invalid_field"));
}

#[tokio::test]
async fn channels_come_by_size_page_by_page() {
    let broker = open_with_keys();
    for (channel, members) in [("a", 1), ("b", 3), ("c", 2), ("d", 2), ("room", 2)] {
        for number in 0..members {
            lease(&broker, channel, &format!("user-{number}")).await;
        }
    }
    let (mut sizes, mut query, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/v1/channels?order=size&limit=2{query}");
        let page = read(&broker, &path).await;
        assert_eq!(page["total"], 5);
        let channels = page["channels"].as_array().unwrap();
        sizes.extend(channels.iter().map(|it| (it["channel"].clone(), it["count"].clone())));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        query = format!("&after={next}&below={}", channels.last().unwrap()["count"]);
    }
    let expected = [("b", 3), ("c", 2), ("d", 2), ("room", 2), ("a", 1)];
    assert_eq!(sizes, expected.map(|(name, count)| (json!(name), json!(count))));
    assert_eq!(pages, 3);
    // Without `below` the place is where the channel is now.
    let rest = read(&broker, "/v1/channels?order=size&after=room").await;
    assert_eq!(rest["channels"], json!([{"channel": "a", "count": 1}]));
    let some = read(&broker, "/v1/channels?order=size&prefix=ro").await;
    assert_eq!(some, json!({"channels": [{"channel": "room", "count": 2}], "total": 1}));
    let by_name = read(&broker, "/v1/channels?order=name&limit=1").await;
    assert_eq!(by_name, json!({"channels": [{"channel": "a", "count": 1}], "next": "a"}));
    let bad = asked(&broker, "GET", "/v1/channels?order=age", READER).await;
    assert_eq!((bad.status, &bad.body["field"]), (400, &json!("order")));
}

/// A closed channel is none of a guest's business, by size as by name, and not even counted.
#[tokio::test]
async fn guests_are_told_no_channel_by_size_at_which_they_may_not_look() {
    let broker = Broker::with(|config| {
        let sets = ChannelFlags { guests_look: Some(false), ..ChannelFlags::default() };
        let patterns = Patterns::parse(["closed"].into_iter()).unwrap();
        config.channels = vec![ChannelSection { patterns, sets }];
    });
    let mut ada = broker.connect("ada").await;
    ada.ok("join closed").await;
    ada.ok("join open").await;
    let told = ask(broker.address(), "GET", "/v1/channels?order=size", &[], "").await.body;
    assert_eq!(told, json!({"channels": [{"channel": "open", "count": 1}], "total": 1}));
}

#[tokio::test]
async fn a_list_tells_back_ends_what_keeps_each_member_present() {
    let broker = open_with_keys();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut phone = broker.connect("ada").await;
    phone.ok("join room").await;
    lease(&broker, "room", "ada").await;
    lease(&broker, "room", "bob").await;
    let mut cy = broker.connect("cy").await;
    cy.ok(json!({"type": "join", "channel": "room", "graceMs": 60_000})).await;
    cy.kill();
    until("cy's connection is gone", || broker.hub().connection_count() == 2).await;
    let list = read(&broker, "/v1/channels/room/members?sources=true").await;
    let sources = |user: &str| {
        let members = list["members"].as_array().unwrap();
        let member = members.iter().find(|member| member["user"] == user).unwrap();
        let mut sources = member["sources"].clone();
        for source in sources.as_array_mut().unwrap() {
            let seen = source.as_object_mut().unwrap().remove("lastSeen").unwrap();
            assert!(seen.as_u64().unwrap() > 1_700_000_000_000, "{seen}");
        }
        sources
    };
    let connection = |name: &str| json!({"kind": "connection", "connection": name});
    assert_eq!(sources("ada"), json!([connection("c1"), connection("c2"), {"kind": "lease"}]));
    assert_eq!(sources("bob"), json!([{"kind": "lease"}]));
    let lost = json!([{"kind": "connection", "connection": "c3", "lost": true}]);
    assert_eq!(sources("cy"), lost);
    let plain = read(&broker, "/v1/channels/room/members").await;
    assert!(plain["members"][0].get("sources").is_none(), "{plain}");

    let broker = broker_with(|_| {});
    let user = token("--user ada --channel *=join,subscribe,list");
    let listed = asked(&broker, "GET", "/v1/channels/room/members", &user).await;
    assert_eq!(listed.status, 200);
    let refused = asked(&broker, "GET", "/v1/channels/room/members?sources=true", &user).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
}

/// What `welcome` called the connection.
fn name_of(welcome: &ServerFrame) -> String {
    match welcome {
        ServerFrame::Welcome { connection, .. } => connection.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_users_connections_are_told_and_one_is_kicked() {
    let broker = open_with_keys();
    let mut bob = broker.connect("bob").await;
    let (mut desk, mut phone) = (broker.connect("ada").await, broker.connect("ada").await);
    for say in ["join room", "join hall"] {
        desk.ok(say).await;
    }
    phone.ok("join room").await;
    let mut observer = broker.observer("hall").await;
    let [of_desk, of_phone] = [&desk, &phone].map(|client| name_of(client.welcome()));
    let told = read(&broker, "/v1/users/ada/connections").await;
    let shown: Vec<_> = told["connections"].as_array().unwrap().iter().collect();
    assert_eq!(shown.len(), 2, "{told}");
    assert_eq!(
        (&shown[0]["connection"], &shown[0]["channels"]),
        (&json!(of_desk), &json!(["hall", "room"]))
    );
    assert_eq!(
        (&shown[1]["connection"], &shown[1]["channels"]),
        (&json!(of_phone), &json!(["room"]))
    );
    assert!(shown.iter().all(|one| one["lastSeen"].as_u64().is_some()), "{told}");
    let first = read(&broker, "/v1/users/ada/connections?limit=1").await;
    assert_eq!(first["next"], of_desk.as_str());
    let second = read(&broker, &format!("/v1/users/ada/connections?after={of_desk}")).await;
    assert_eq!(second["connections"].as_array().unwrap().len(), 1);
    assert_eq!(second["connections"][0]["connection"], of_phone.as_str());

    let path = |user: &str, name: &str| format!("/v1/users/{user}/connections/{name}");
    let refused = asked(&broker, "DELETE", &path("ada", &of_desk), READER).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    for name in ["1", "c", "c+1", "c1@", "c1@node", "c12345678901234567890", "welcome"] {
        let bad = asked(&broker, "DELETE", &path("ada", name), OPERATOR).await;
        assert_eq!((bad.status, &bad.body["field"]), (400, &json!("connection")), "{name}");
    }
    // Only the user's own, and of this node.
    for (user, name) in [("bob", of_desk.as_str()), ("ada", "c999"), ("ada", "c1@0123456789ab")] {
        let nobody = asked(&broker, "DELETE", &path(user, name), OPERATOR).await;
        assert_eq!(nobody.body, json!({"user": user, "closed": 0}), "{name}");
    }
    let kicked = asked(&broker, "DELETE", &path("ada", &of_desk), OPERATOR).await;
    assert_eq!(kicked.body, json!({"user": "ada", "closed": 1}));
    assert_eq!(desk.ended().await.code(), 4003);
    assert_eq!(observer.told().await, "leave ada kicked");
    // The other one stays, and is present where it was.
    assert_eq!(phone.count("room").await, 1);
    assert_eq!(bob.count("room").await, 1);
    let left = read(&broker, "/v1/users/ada/connections").await;
    assert_eq!(left["connections"].as_array().unwrap().len(), 1);
    assert_eq!(asked(&broker, "DELETE", &path("ada", &of_desk), OPERATOR).await.body["closed"], 0);
}

#[tokio::test]
async fn a_token_stays_good_when_one_connection_is_kicked() {
    let broker = broker_with(|_| {});
    let token = token("--user ada --channel *=join,subscribe,list");
    let mut ada = connect(&broker, &token).await;
    let connections = read(&broker, "/v1/users/ada/connections").await;
    let name = connections["connections"][0]["connection"].as_str().unwrap().to_owned();
    asked(&broker, "DELETE", &format!("/v1/users/ada/connections/{name}"), OPERATOR).await;
    assert_eq!(ada.ended().await.code(), 4003);
    connect(&broker, &token).await.ok("join room").await;
}
