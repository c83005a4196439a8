//! Two brokers that share one presence, as their clients see them. What joins them is the store's twin
//! in this process, so that it can be told to stand still.

#[expect(dead_code, reason = "the simulator needs more of it")]
#[path = "../cluster/store.rs"]
mod store;
mod twin;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use herenow::auth::{Credential, Patterns};
use herenow::hub::What;
use herenow::presence::News;
use herenow_protocol::reply::{Answer, MemberView, SnapshotReason};
use herenow_protocol::{Event, Level, ServerFrame};
use serde_json::json;

use crate::broker::{Broker, until};
use crate::client::Client;
use crate::http::ask;
use crate::many::twin::Twin;

/// Two brokers on one store. `notices`: they find out when that stands still.
fn two(notices: bool) -> (Arc<Twin>, Broker, Broker) {
    let twin = Twin::new();
    let (a, b) = (Broker::start(), Broker::start());
    twin.join(&a, notices);
    twin.join(&b, notices);
    (twin, a, b)
}

fn names(members: &[MemberView]) -> BTreeSet<String> {
    members.iter().map(|member| member.user.to_string()).collect()
}

fn set(users: &[&str]) -> BTreeSet<String> {
    users.iter().map(ToString::to_string).collect()
}

async fn look(client: &mut Client) {
    client.ok(json!({"type": "subscribe", "channel": "room"})).await;
}

/// The next snapshot: whom it names, why it comes, and whether it is partial.
async fn snapshot(client: &mut Client) -> (BTreeSet<String>, SnapshotReason, bool) {
    loop {
        match client.next().await {
            ServerFrame::Snapshot { members, reason, partial, more: false, .. } => {
                return (names(&members), reason, partial);
            }
            ServerFrame::Ok { .. } => {}
            frame => panic!("no snapshot: {frame:?}"),
        }
    }
}

/// The users of the next frames' events, by what happened, until there are `n`.
async fn told(client: &mut Client, n: usize) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    while told.len() < n {
        for event in client.events().await {
            told.push(match event {
                Event::Join { user, .. } => ("join", user.to_string()),
                Event::Leave { user, .. } => ("leave", user.to_string()),
                Event::Timeout { user, .. } => ("timeout", user.to_string()),
                Event::UpdateAttributes { user, .. } => ("update", user.to_string()),
            });
        }
    }
    told
}

async fn get(broker: &Broker, path: &str) -> serde_json::Value {
    let answer = ask(broker.address(), "GET", path, &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn seen(body: &serde_json::Value) -> BTreeSet<String> {
    let members = body["members"].as_array().unwrap().iter();
    members.map(|member| member["user"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn whoever_looks_on_one_node_sees_who_comes_and_goes_on_the_other() {
    let (_twin, a, b) = two(true);
    let mut ada = b.connect("ada").await;
    ada.ok("join room mood=happy").await;
    let mut looker = a.connect("looker").await;
    look(&mut looker).await;
    let (members, reason, partial) = snapshot(&mut looker).await;
    assert_eq!((members, reason, partial), (set(&["ada"]), SnapshotReason::Subscribed, false));

    let mut bob = b.connect("bob").await;
    bob.ok("join room").await;
    assert_eq!(told(&mut looker, 1).await, [("join", "bob".to_owned())]);
    ada.ok("set room mood=sad").await;
    assert_eq!(told(&mut looker, 1).await, [("update", "ada".to_owned())]);
    // On both: it stays until it has left both.
    let mut ada_too = a.connect("ada").await;
    ada_too.ok(r#"{"type":"join","channel":"room","merge":true}"#).await;
    ada.ok("leave room").await;
    bob.ok("leave room").await;
    assert_eq!(told(&mut looker, 1).await, [("leave", "bob".to_owned())]);
    let members = looker.members("room").await;
    assert_eq!(names(&members), set(&["ada"]));
    assert_eq!(members[0].attributes.as_str(), r#"{"mood":"sad"}"#, "they outlive the node");
    ada_too.ok("leave room").await;
    assert_eq!(told(&mut looker, 1).await, [("leave", "ada".to_owned())]);
}

#[tokio::test]
async fn any_node_answers_the_same() {
    let (twin, a, b) = two(true);
    let (mut ada, mut bob) = (a.connect("ada").await, b.connect("bob").await);
    ada.ok("join room mood=happy").await;
    bob.ok("join room").await;
    bob.ok("join hall").await;
    for broker in [&a, &b] {
        let list = get(broker, "/v1/channels/room/members").await;
        assert_eq!((seen(&list), &list["count"]), (set(&["ada", "bob"]), &2.into()), "{list}");
        assert!(list.get("partial").is_none());
        assert_eq!(get(broker, "/v1/channels/room/count").await["count"], 2);
        assert_eq!(get(broker, "/v1/channels/room").await["connections"], 2);
        let one = get(broker, "/v1/channels/room/members/ada").await;
        assert_eq!(one["attributes"]["mood"], "happy");
        let places = get(broker, "/v1/users/bob/channels").await;
        assert_eq!(places["channels"], serde_json::json!(["hall", "room"]));
        let all = get(broker, "/v1/channels").await;
        let counts: Vec<_> =
            all["channels"].as_array().unwrap().iter().map(|one| one["count"].clone()).collect();
        assert_eq!(counts, [1, 2], "{all}");
        // Over a socket too, in the order of the questions.
        let mut client = broker.connect("eve").await;
        client.send_all(["who room", "count room", "where bob", "get room ada"]).await;
        let mut answers = Vec::new();
        while answers.len() < 4 {
            if let ServerFrame::Result { answer, partial, .. } = client.next().await {
                assert!(!partial);
                answers.push(answer);
            }
        }
        let Answer::Members { members, count: 2, .. } = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(names(members), set(&["ada", "bob"]));
        assert!(matches!(answers[1], Answer::Count { count: 2, .. }));
        let Answer::Channels { channels, .. } = &answers[2] else { panic!("{answers:?}") };
        assert_eq!(channels.len(), 2);
        assert!(matches!(answers[3], Answer::Attributes { .. }));
    }
    // Nobody looks any longer: nobody follows.
    until("nothing is followed", || twin.followed() == 0).await;
    assert_eq!(a.hub().count(ada_room()), 1, "what the other node has is forgotten");
}

fn ada_room() -> &'static herenow_protocol::ChannelName {
    static ROOM: std::sync::LazyLock<herenow_protocol::ChannelName> =
        std::sync::LazyLock::new(|| {
            herenow_protocol::ChannelName::parse("room", "channel").unwrap()
        });
    &ROOM
}

/// A balancer sends each page to another node.
#[tokio::test]
async fn any_node_goes_on_with_a_list_that_another_began() {
    let (_twin, a, b) = two(true);
    let mut clients = Vec::new();
    for (n, broker) in [&a, &b, &b, &a, &b].into_iter().enumerate() {
        let mut client = broker.connect(&format!("user-{n}")).await;
        client.ok("join room").await;
        clients.push(client);
    }
    let (mut page, mut found) = (String::new(), Vec::new());
    for broker in [&b, &a, &b, &a] {
        let list = get(broker, &format!("/v1/channels/room/members?limit=2{page}")).await;
        found.extend(list["members"].as_array().unwrap().iter().map(|one| one["user"].clone()));
        match list["next"].as_u64() {
            Some(next) => page = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(found, ["user-4", "user-3", "user-2", "user-1", "user-0"]);
}

/// A second is what anybody waits. Then it sees what is known, and the rest as soon as that is there.
#[tokio::test]
async fn where_the_store_is_slow_a_second_is_waited_and_the_rest_comes_later() {
    let (twin, a, b) = two(false);
    let (mut ada, mut bob) = (a.connect("ada").await, b.connect("bob").await);
    ada.ok("join room").await;
    bob.ok("join room").await;
    until("both are in the store", || twin.count("room") == 2).await;
    twin.answers(false);
    let mut looker = a.connect("looker").await;
    look(&mut looker).await;
    let (members, reason, partial) = snapshot(&mut looker).await;
    assert_eq!((members, reason, partial), (set(&["ada"]), SnapshotReason::Subscribed, true));
    // Everything of this node goes on.
    let mut cy = a.connect("cy").await;
    cy.ok("join room").await;
    assert_eq!(told(&mut looker, 1).await, [("join", "cy".to_owned())]);
    let list = get(&a, "/v1/channels/room/members").await;
    assert_eq!((seen(&list), &list["partial"]), (set(&["ada", "cy"]), &true.into()), "{list}");
    // What is asked behind a question that waits is answered behind it.
    let mut eve = a.connect("eve").await;
    eve.send_all(["count hall", "count room"]).await;
    let mut partials = Vec::new();
    while partials.len() < 2 {
        if let ServerFrame::Result { answer: Answer::Count { channel, count }, partial, .. } =
            eve.next().await
        {
            partials.push((channel.to_string(), count, partial));
        }
    }
    assert_eq!(partials, [("hall".to_owned(), 0, true), ("room".to_owned(), 2, true)]);

    twin.answers(true);
    let (members, reason, partial) = snapshot(&mut looker).await;
    assert_eq!(members, set(&["ada", "bob", "cy"]), "and nobody was told to have joined");
    assert_eq!((reason, partial), (SnapshotReason::Resync, false));
    bob.ok("leave room").await;
    assert_eq!(told(&mut looker, 1).await, [("leave", "bob".to_owned())]);
}

/// Where it is known that the store is gone, nobody waits for it.
#[tokio::test]
async fn where_the_store_is_gone_what_is_known_comes_at_once() {
    let (twin, a, b) = two(true);
    let (mut ada, mut bob) = (a.connect("ada").await, b.connect("bob").await);
    ada.ok("join room").await;
    bob.ok("join room").await;
    let mut before = a.connect("before").await;
    look(&mut before).await;
    assert_eq!(snapshot(&mut before).await.0, set(&["ada", "bob"]));
    twin.answers(false);
    // Those who looked already see whom they saw, and so does whoever comes to look now.
    let mut later = a.connect("later").await;
    look(&mut later).await;
    let (members, _, partial) = snapshot(&mut later).await;
    assert_eq!((members, partial), (set(&["ada", "bob"]), false));
    assert_eq!(get(&a, "/v1/channels/room/count").await["partial"], true, "it may be old");
    bob.ok("leave room").await;
    before.expect_quiet().await;
    twin.answers(true);
    assert_eq!(told(&mut before, 1).await, [("leave", "bob".to_owned())]);
    assert_eq!(told(&mut later, 1).await, [("leave", "bob".to_owned())]);
}

/// A back end that follows by a pattern is told of channels that only other nodes have.
#[tokio::test]
async fn a_pattern_is_followed_over_all_nodes() {
    let (_twin, a, b) = two(true);
    let mut ada = b.connect("ada").await;
    ada.ok("join room-1").await;
    let patterns = Patterns::parse(["room-*"]).unwrap();
    let mut follower = a.hub().follow_all(patterns, Credential::Broker, Level::Events).unwrap();
    ada.ok("join room-2").await;
    let mut found = BTreeSet::new();
    while found.len() < 2 {
        let told = tokio::time::timeout(Duration::from_secs(20), follower.next()).await.unwrap();
        if let What::News { news: News::Snapshot(part), .. } = told.what {
            assert_eq!(part.members.len(), 1, "{} is known whole", told.channel);
            found.insert(told.channel.to_string());
        }
    }
    assert_eq!(found, set(&["room-1", "room-2"]));
    ada.ok("leave room-1").await;
    loop {
        let told = tokio::time::timeout(Duration::from_secs(20), follower.next()).await.unwrap();
        if let What::Ended(_) = told.what {
            assert_eq!(told.channel.as_str(), "room-1");
            break;
        }
    }
}

/// A balancer sends each request of a lease to another node.
#[tokio::test]
async fn a_lease_is_taken_here_renewed_there_and_ended_anywhere() {
    let (twin, a, b) = two(true);
    let path = "/v1/channels/room/members/phone";
    let put = |broker: &Broker, body: &'static str| {
        let address = broker.address();
        async move { ask(address, "PUT", path, &[], body).await }
    };
    let answer = put(&a, r#"{"attributes":{"mood":"happy"},"ttlMs":60000}"#).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    until("it is in the store", || twin.count("room") == 1).await;
    let answer = put(&b, r#"{"ttlMs":60000}"#).await;
    assert_eq!(answer.status, 200, "it is no new member: {}", answer.body);
    assert_eq!(answer.body["attributes"]["mood"], "happy", "{}", answer.body);
    let mut looker = a.connect("looker").await;
    look(&mut looker).await;
    assert_eq!(snapshot(&mut looker).await.0, set(&["phone"]));
    let ended = ask(a.address(), "DELETE", path, &[], "").await;
    assert_eq!(ended.status, 204, "{}", ended.body);
    assert_eq!(told(&mut looker, 1).await, [("leave", "phone".to_owned())]);
    until("it is gone from the store", || twin.count("room") == 0).await;
    assert_eq!(get(&b, "/v1/channels/room/count").await["count"], 0);
}

/// Two brokers on one store, above three members of a channel count them.
fn two_giants() -> (Arc<Twin>, Broker, Broker) {
    let twin = Twin::with_roster(3);
    let broker = || Broker::with(|config| config.limits.roster_limit = 3);
    let (a, b) = (broker(), broker());
    twin.join(&a, true);
    twin.join(&b, true);
    (twin, a, b)
}

/// The next count that is told, with the newest members.
async fn counted(client: &mut Client) -> (u64, Vec<String>) {
    loop {
        if let ServerFrame::Count { count, recent, partial, .. } = client.next().await {
            assert!(!partial);
            let recent = recent.unwrap_or_default();
            return (count, recent.into_iter().map(|member| member.user.to_string()).collect());
        }
    }
}

/// As many members as the node itself knows in the channel.
fn held(broker: &Broker) -> usize {
    broker.hub().look(ada_room(), |guarded| guarded.presence().members_held()).unwrap_or(0)
}

/// So many join at both by turns, and are in the store.
async fn join_both(twin: &Twin, brokers: [&Broker; 2], count: usize) -> Vec<Client> {
    let mut members = Vec::new();
    for n in 0..count {
        let mut client = brokers[n % 2].connect(&format!("user-{n}")).await;
        client.ok("join room").await;
        members.push(client);
    }
    until("all are in the store", || twin.count("room") == count).await;
    members
}

#[tokio::test]
async fn of_a_giant_the_summary_alone_is_followed_until_somebody_is_told_each_change() {
    let (twin, a, b) = two_giants();
    let mut members = join_both(&twin, [&a, &b], 6).await;
    let newest: Vec<_> = (0..6).rev().map(|n| format!("user-{n}")).collect();
    let mut lookers = Vec::new();
    for broker in [&a, &b] {
        let mut looker = broker.connect("looker").await;
        looker.ok("sub room").await;
        assert_eq!(counted(&mut looker).await, (6, newest.clone()));
        lookers.push(looker);
        assert_eq!(held(broker), 3, "its own");
        assert_eq!(get(broker, "/v1/channels/room/count").await["count"], 6);
        let all = get(broker, "/v1/channels").await;
        assert_eq!((&all["channels"][0]["count"], all.get("partial")), (&6.into(), None));
        for n in 0..2 {
            let one = get(broker, &format!("/v1/channels/room/members/user-{n}")).await;
            assert_eq!(one["user"], format!("user-{n}"), "{one}");
        }
        let nobody = ask(broker.address(), "GET", "/v1/channels/room/members/eve", &[], "").await;
        assert_eq!(nobody.status, 404, "{}", nobody.body);
        assert_eq!(held(broker), 3, "nothing was loaded for that");
    }
    // Whoever comes is told within a second or so, at its own node too, and never taken back.
    let mut more = a.connect("user-6").await;
    more.ok("join room").await;
    for looker in &mut lookers {
        let (count, recent) = counted(looker).await;
        assert_eq!((count, &*recent[0]), (7, "user-6"));
    }
    // Who is told each change has all of it.
    let mut eve = a.connect("eve").await;
    eve.ok(r#"{"type":"subscribe","channel":"room","level":"events"}"#).await;
    let (all, _, partial) = snapshot(&mut eve).await;
    assert_eq!((all.len(), partial, held(&a), held(&b)), (7, false, 7, 3));
    members[1].ok("leave room").await;
    assert_eq!(told(&mut eve, 1).await, [("leave", "user-1".to_owned())]);
    eve.ok("unsub room").await;
    for looker in &mut lookers {
        while counted(looker).await.0 != 6 {}
    }
    until("the rest is forgotten", || held(&a) == 4).await;
    // A list asks for all, too.
    let list = get(&b, "/v1/channels/room/members").await;
    assert_eq!((seen(&list).len(), &list["count"]), (6, &6.into()), "{list}");
    // Few enough: whoever asked for `auto` is told who.
    for member in &mut members[2..] {
        member.ok("leave room").await;
    }
    for looker in &mut lookers {
        let members = loop {
            if let ServerFrame::Snapshot { members, more: false, .. } = looker.next().await {
                break names(&members);
            }
        };
        assert_eq!(members, set(&["user-0", "user-6"]));
    }
    assert_eq!(held(&b), 2);
}

/// A store that stands still takes nothing away.
#[tokio::test]
async fn the_last_summary_holds_while_the_store_is_gone() {
    let (twin, a, b) = two_giants();
    let _members = join_both(&twin, [&a, &b], 5).await;
    let mut looker = a.connect("looker").await;
    looker.ok("sub room").await;
    assert_eq!(counted(&mut looker).await.0, 5);
    twin.answers(false);
    let mut more = a.connect("more").await;
    more.ok("join room").await;
    let answer = get(&a, "/v1/channels/room/count").await;
    assert_eq!((&answer["count"], &answer["partial"]), (&5.into(), &true.into()));
    twin.answers(true);
    assert_eq!(counted(&mut looker).await.0, 6);
}
