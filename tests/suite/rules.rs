//! The rules of presence (who is a member, from when to when, and what observers are told), over
//! real sockets. Attributes have a file of their own.

use std::collections::BTreeSet;

use herenow::hub::{At, Hub};
use herenow::presence::{Lasts, Source};
use herenow_protocol::reply::{Answer, SnapshotReason};
use herenow_protocol::{ChannelName, ErrorCode, Event, ServerFrame, UserId};
use serde_json::json;

use crate::broker::{Broker, Process, took, until};
use crate::client::{Client, End};
use crate::commands;
use crate::replica::Observer;
use crate::seed::seed;
use crate::wire::{Wire, close_frame};

fn join(channel: &str, grace_ms: u64) -> serde_json::Value {
    json!({"type": "join", "channel": channel, "graceMs": grace_ms})
}

// Rule 1: joining.

#[tokio::test]
async fn the_first_source_joins_and_a_second_tab_is_silent() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    tab1.ok("join room mood=happy").await;
    assert_eq!(observer.told().await, r#"join ada {"mood":"happy"}"#);
    tab2.ok("join room").await;
    observer.told_nothing().await;
    observer.agrees().await;
}

#[tokio::test]
async fn joining_again_is_idempotent() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    for _ in 0..3 {
        ada.ok("join room mood=happy").await;
        ada.ok("join room").await;
    }
    assert_eq!(observer.told().await, r#"join ada {"mood":"happy"}"#);
    observer.told_nothing().await;
    // Three joins were one source: one leave ends it.
    ada.ok("leave room").await;
    assert_eq!(observer.told().await, "leave ada left");
}

#[tokio::test]
async fn attributes_brought_again_replace_and_are_told_if_they_differ() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    tab1.ok("join room mood=happy seat=1").await;
    assert_eq!(observer.told().await, r#"join ada {"mood":"happy","seat":1}"#);
    tab1.ok("join room seat=1 mood=happy").await;
    observer.told_nothing().await;
    tab1.ok("join room mood=sad").await;
    assert_eq!(observer.told().await, r#"update ada {"mood":"sad"}"#);
    tab2.ok("join room tab=2").await;
    assert_eq!(observer.told().await, r#"update ada {"tab":2}"#);
    tab2.ok(json!({"type": "join", "channel": "room", "attributes": {}})).await;
    assert_eq!(observer.told().await, "update ada {}");
    observer.agrees().await;
}

// Rule 2: leaving.

#[tokio::test]
async fn one_of_two_tabs_leaves_in_silence_and_the_last_is_told() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    let mut stranger = broker.connect("ada").await;
    tab1.ok("join room").await;
    tab2.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    tab1.ok("leave room").await;
    // A tab that has not joined, or no longer, has nothing to take away.
    tab1.ok("leave room").await;
    stranger.ok("leave room").await;
    observer.told_nothing().await;
    tab2.ok("leave room").await;
    assert_eq!(observer.told().await, "leave ada left");
    observer.told_nothing().await;
}

#[tokio::test]
async fn a_close_by_the_client_leaves_everything_it_joined() {
    let broker = Broker::start();
    let mut den = broker.observer("den").await;
    let mut room = broker.observer("room").await;
    for (code, answered) in [(1000, 1000), (1001, 1001), (4999, 4999), (1005, 1005)] {
        let mut ada = broker.connect("ada").await;
        ada.ok("join den").await;
        // Grace is for connections that are lost.
        ada.ok(join("room", 60_000)).await;
        assert_eq!((den.told().await, room.told().await), both("join ada {}"));
        assert_eq!(ada.close(code).await, End::Close(answered, String::new()));
        assert_eq!((den.told().await, room.told().await), both("leave ada closed"));
    }
    den.told_nothing().await;
    room.told_nothing().await;
}

/// A page that is reloaded, or gives up a connection which it thinks is dead.
#[tokio::test]
async fn a_close_that_says_back_soon_is_a_loss() {
    let broker = Broker::start();
    let mut den = broker.observer("den").await;
    let mut room = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join den").await;
    ada.ok(join("room", 60_000)).await;
    assert_eq!((den.told().await, room.told().await), both("join ada {}"));
    assert_eq!(ada.close(4200).await, End::Close(4200, String::new()));
    assert_eq!(den.told().await, "timeout ada connection", "it asked for no grace there");
    let mut back = broker.connect("ada").await;
    back.ok(join("room", 0)).await;
    room.told_nothing().await;
    back.close(1000).await;
    assert_eq!(room.told().await, "leave ada closed");
}

fn both(text: &str) -> (String, String) {
    (text.to_owned(), text.to_owned())
}

#[tokio::test]
async fn one_of_two_tabs_closes_in_silence() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    tab1.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    tab2.ok("join room").await;
    tab1.close(1000).await;
    observer.told_nothing().await;
    tab2.kill();
    assert_eq!(observer.told().await, "timeout ada connection");
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_lost_and_has_not_left() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.say("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    ada.write(&[0x81, 0x02, b'h', b'b']).await; // not masked
    assert_eq!(ada.ended().await.code(), 1002);
    assert_eq!(observer.told().await, "timeout ada connection");
}

// Rule 3: losing.

#[tokio::test]
async fn a_lost_connection_is_a_timeout_at_once() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    for end in [Client::kill, Client::reset] {
        let mut ada = broker.connect("ada").await;
        ada.ok("join room").await;
        let Event::Join { at: joined_at, .. } = observer.event().await else { panic!("no join") };
        ada.ok("hb").await;
        let clock = herenow::clock::Clock::start();
        end(ada);
        let event = observer.event().await;
        assert!(clock.elapsed().as_secs() < 1, "it took {:?}", clock.elapsed());
        assert_eq!(crate::replica::short(&event), "timeout ada connection");
        let Event::Timeout { last_seen, at, .. } = event else { panic!("no timeout") };
        // Two clocks of whole milliseconds: one may be ahead of the other by one.
        let ordered = joined_at <= last_seen + 1 && last_seen <= at;
        assert!(ordered, "joined at {joined_at}, seen at {last_seen}, gone at {at}");
    }
    observer.told_nothing().await;
}

#[tokio::test]
async fn two_tabs_lost_together_are_one_timeout() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    tab1.ok("join room").await;
    tab2.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    tab1.kill();
    tab2.kill();
    assert_eq!(observer.told().await, "timeout ada connection");
    observer.told_nothing().await;
}

#[tokio::test]
async fn who_comes_back_within_the_grace_was_never_away() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(join("room", 1_000)).await;
    assert_eq!(observer.told().await, "join ada {}");
    ada.kill();
    until("the connection is gone", || broker.hub().connection_count() == 1).await;
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    // This grace ends later than ada's would have: timers only run forward.
    let mut bob = broker.connect("bob").await;
    bob.ok(join("room", 1_250)).await;
    assert_eq!(observer.told().await, "join bob {}");
    bob.kill();
    assert_eq!(observer.told().await, "timeout bob connection");
    observer.told_nothing().await;
    observer.agrees().await;
    // The new join asked for no grace.
    ada.kill();
    assert_eq!(observer.told().await, "timeout ada connection");
    observer.told_nothing().await;
}

#[tokio::test]
async fn the_end_of_the_grace_is_one_timeout() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.ok(join("room", 700)).await;
    assert_eq!(observer.told().await, "join ada {}");
    let clock = herenow::clock::Clock::start();
    ada.kill();
    // Still a member, as far as anybody can see.
    until("the connection is gone", || broker.hub().connection_count() == 1).await;
    assert_eq!(observer.client.count("room").await, 1);
    let event = observer.event().await;
    assert!(took(clock).as_millis() >= 700, "after {:?}", clock.elapsed());
    assert_eq!(crate::replica::short(&event), "timeout ada connection");
    let Event::Timeout { last_seen, at, .. } = event else { panic!("no timeout") };
    assert!(at - last_seen >= 700, "the grace began at {last_seen} and ended at {at}");
    observer.told_nothing().await;
    assert_eq!(observer.client.count("room").await, 0);
}

#[tokio::test]
async fn a_living_tab_outlasts_the_grace_of_another() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    tab1.ok(join("room", 300)).await;
    tab2.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    tab1.kill();
    let mut bob = broker.connect("bob").await;
    bob.ok(join("room", 600)).await;
    assert_eq!(observer.told().await, "join bob {}");
    bob.kill();
    assert_eq!(observer.told().await, "timeout bob connection");
    observer.told_nothing().await;
    tab2.ok("leave room").await;
    assert_eq!(observer.told().await, "leave ada left");
}

#[tokio::test]
async fn the_last_living_tab_leaves_while_another_is_in_grace() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let (mut tab1, mut tab2) = (broker.connect("ada").await, broker.connect("ada").await);
    tab1.ok(join("room", 500)).await;
    tab2.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    tab1.kill();
    until("the connection is gone", || broker.hub().connection_count() == 2).await;
    tab2.ok("leave room").await;
    // A member is present while at least one source lives, and grace is a life.
    observer.told_nothing().await;
    assert_eq!(observer.told().await, "timeout ada connection");
    observer.told_nothing().await;
}

#[tokio::test]
async fn grace_beyond_its_bound_is_refused_whole() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    let refused = ada.refused(join("room", 60_001)).await;
    assert_eq!(refused, (ErrorCode::InvalidField, Some("graceMs".into())));
    observer.told_nothing().await;
    ada.ok(join("room", 60_000)).await;
    assert_eq!(observer.told().await, "join ada {}");
}

// Rule 6: counting, and who is what. Rule 9: lists.

#[tokio::test]
async fn the_count_is_the_number_of_users() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut clients = Vec::new();
    for user in ["ada", "bob", "ada", "carol", "bob", "ada"] {
        let mut client = broker.connect(user).await;
        client.ok("join room").await;
        clients.push(client);
    }
    for _ in 0..3 {
        observer.told().await;
    }
    assert_eq!(observer.client.count("room").await, 3);
    for client in clients {
        client.close(1000).await;
    }
    for _ in 0..3 {
        observer.told().await;
    }
    assert_eq!(observer.client.count("room").await, 0);
    observer.told_nothing().await;
}

#[tokio::test]
async fn to_subscribe_is_not_to_join_nor_the_other_way_round() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    assert_eq!(ada.count("room").await, 0, "a subscriber is no member");
    ada.ok("join room").await;
    let mut bob = broker.connect("bob").await;
    bob.ok("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    assert_eq!(observer.told().await, "join bob {}");
    ada.expect_quiet().await; // a member is no subscriber
    // Neither ends the other.
    observer.client.ok("join room").await;
    assert_eq!(observer.told().await, "join observer {}");
    observer.client.ok("leave room").await;
    assert_eq!(observer.told().await, "leave observer left");
    observer.client.ok("join room").await;
    observer.events().await;
    observer.client.ok("unsub room").await;
    bob.ok("leave room").await;
    assert_eq!(observer.client.count("room").await, 2);
    observer.client.expect_quiet().await;
}

#[tokio::test]
async fn users_are_asked_for_and_found_where_they_are() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    ada.ok("join room mood=happy").await;
    ada.ok("join den").await;
    ada.ok("sub attic").await;
    let mut bob = broker.connect("bob").await;
    let Answer::Channels { user, channels, next: None } = bob.answer("where ada").await else {
        panic!()
    };
    let names: BTreeSet<_> = channels.iter().map(ChannelName::as_str).collect();
    assert_eq!((user.as_str(), names), ("ada", BTreeSet::from(["room", "den"])));
    let Answer::Attributes { attributes, .. } = bob.answer("get room ada").await else { panic!() };
    assert_eq!(attributes.as_str(), r#"{"mood":"happy"}"#);
    assert_eq!(bob.refused("get room").await.0, ErrorCode::NotFound);
    assert_eq!(bob.refused("get nowhere ada").await.0, ErrorCode::NotFound);
    assert_eq!(bob.count("nowhere").await, 0);
    assert!(bob.members("nowhere").await.is_empty());
    ada.ok("leave den").await;
    ada.ok("leave room").await;
    let Answer::Channels { channels, .. } = bob.answer("where ada").await else { panic!() };
    assert!(channels.is_empty());
}

/// Members without connections: `n` of them, `m0` the oldest.
fn crowd(hub: &std::sync::Arc<Hub>, channel: &str, n: usize) {
    let name = ChannelName::parse(channel, "channel").unwrap();
    for number in 0..n {
        let user = UserId::parse(&format!("m{number}"), "user").unwrap();
        let source = Source::connection(hub.number_connection());
        let lasts = Lasts::Connection { grace_ms: 0 };
        let command = commands::join(user, source, None, None, lasts);
        let now = hub.clock().now();
        hub.enter(At::Named(&name), |door| door.apply(command, now)).unwrap();
    }
}

#[tokio::test]
async fn lists_run_newest_first_and_are_capped_and_the_count_is_not() {
    const CROWD: usize = 1_205;
    let broker = Broker::start();
    crowd(broker.hub(), "room", CROWD);
    let mut ada = broker.connect("ada").await;
    let newest_first: Vec<_> = (0..CROWD).rev().map(|n| format!("m{n}")).collect();
    for (limit, most) in
        [(None, 200), (Some(1), 1), (Some(7), 7), (Some(999), 999), (Some(1000), 1000)]
    {
        if limit == Some(1) {
            continue; // a walk of 1,205 steps tells no more than the one by sevens
        }
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let query =
                json!({"type": "getMembers", "channel": "room", "limit": limit, "after": after});
            let Answer::Members { count, members, next, .. } = ada.answer(query).await else {
                panic!("no members")
            };
            assert_eq!(count, CROWD as u64);
            assert!(!members.is_empty() && members.len() <= most, "{} of {most}", members.len());
            // A page is bounded in bytes too, which a thousand of these exceed.
            assert!(members.len() == most.min(CROWD - listed.len()) || members.len() > 200);
            listed.extend(members.into_iter().map(|member| member.user.as_str().to_owned()));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, newest_first, "with limit {limit:?}");
    }
    for limit in [0, 1_001] {
        let query = json!({"type": "getMembers", "channel": "room", "limit": limit});
        let refused = ada.refused(query).await;
        assert_eq!(refused, (ErrorCode::InvalidField, Some("limit".into())));
    }
}

#[tokio::test]
async fn a_page_that_is_just_full_is_the_last() {
    let broker = Broker::start();
    crowd(broker.hub(), "room", 200);
    let mut ada = broker.connect("ada").await;
    let Answer::Members { members, next, .. } = ada.answer("who room").await else { panic!() };
    assert_eq!((members.len(), next), (200, None));
}

#[tokio::test]
async fn who_comes_or_goes_meanwhile_moves_no_page() {
    let broker = Broker::start();
    crowd(broker.hub(), "room", 10);
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let query =
        |after| json!({"type": "getMembers", "channel": "room", "limit": 4, "after": after});
    let Answer::Members { members, next, .. } = ada.answer(query(None)).await else { panic!() };
    assert_eq!(members[0].user.as_str(), "ada");
    // The newest goes, another comes: the next page begins where the first one ended.
    ada.ok("leave room").await;
    let mut bob = broker.connect("bob").await;
    bob.ok("join room").await;
    let Answer::Members { count, members, .. } = ada.answer(query(next)).await else { panic!() };
    let users: Vec<_> = members.iter().map(|member| member.user.as_str()).collect();
    assert_eq!((count, users), (11, vec!["m6", "m5", "m4", "m3"]));
}

// Rule 7: one end for each join, no ghosts.

#[tokio::test]
async fn who_left_is_not_lost_as_well() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    for end in [Client::kill, Client::reset] {
        let mut ada = broker.connect("ada").await;
        ada.ok(join("room", 250)).await;
        assert_eq!(observer.told().await, "join ada {}");
        ada.ok("leave room").await;
        assert_eq!(observer.told().await, "leave ada left");
        end(ada);
        until("the connection is gone", || broker.hub().connection_count() == 1).await;
        observer.told_nothing().await;
    }
    // Closing, and breaking off right behind it.
    let mut ada = Wire::connect(broker.address(), "ada").await;
    ada.say("join room").await;
    assert_eq!(observer.told().await, "join ada {}");
    ada.write(&close_frame(1000)).await;
    drop(ada);
    assert_eq!(observer.told().await, "leave ada closed");
    until("the connection is gone", || broker.hub().connection_count() == 1).await;
    observer.told_nothing().await;
}

#[tokio::test]
async fn nothing_remains_of_an_empty_channel() {
    let broker = Broker::start();
    let hub = broker.hub();
    let mut ada = broker.connect("ada").await;
    // Looking leaves no trace, nor does what is refused.
    ada.count("room").await;
    ada.members("room").await;
    ada.ok("leave room").await;
    ada.ok("unsub room").await;
    ada.refused(join("room", 999_999)).await;
    ada.refused(json!({"type": "join", "channel": "room", "attributes": {"a": "x".repeat(5000)}}))
        .await;
    ada.refused("set room a=1").await;
    assert_eq!(hub.channel_count(), 0);
    ada.ok("join room").await;
    ada.ok("sub den").await;
    assert_eq!(hub.channel_count(), 2);
    ada.ok("unsub den").await;
    ada.ok("leave room").await;
    until("the channels are gone", || hub.channel_count() == 0).await;
    for end in [Client::kill, Client::reset] {
        let mut bob = broker.connect("bob").await;
        bob.ok("join room").await;
        bob.ok("sub room").await;
        bob.ok("sub den").await;
        end(bob);
        until("the channels are gone", || hub.channel_count() == 0).await;
    }
    let mut bob = broker.connect("bob").await;
    bob.ok(join("room", 300)).await;
    bob.kill();
    until("the member in grace is gone", || hub.channel_count() == 0).await;
    until("the connection is gone", || hub.connection_count() == 1).await;
}

#[tokio::test]
async fn a_channel_that_vanished_begins_a_new_history() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    let mut replica = ada.observe("room").await;
    ada.ok("join room").await;
    replica.apply(&ada.next().await);
    ada.ok("leave room").await;
    replica.apply(&ada.next().await);
    let first = replica.since();
    assert_eq!(first.seq, 2);
    // A subscriber keeps the history going although there is no member.
    let mut bob = broker.connect("bob").await;
    assert_eq!(bob.observe("room").await.since(), first);
    ada.ok("unsub room").await;
    assert_eq!(ada.observe("room").await.since(), first);
    // So does a member although there is no subscriber.
    bob.ok("join room").await;
    replica.apply(&ada.next().await);
    ada.ok("unsub room").await;
    bob.ok("unsub room").await;
    assert_eq!(ada.observe("room").await.since(), replica.since());
    ada.ok("unsub room").await;
    bob.close(1000).await;
    until("the channel is gone", || broker.hub().channel_count() == 0).await;
    let subscribe = json!({"type": "subscribe", "channel": "room", "since": replica.since()});
    let ServerFrame::Ok { resumed, .. } = ada.request(subscribe).await else { panic!("no ok") };
    assert_eq!(resumed, Some(false));
    let ServerFrame::Snapshot { epoch, seq, count, reason, .. } = ada.next().await else {
        panic!("no snapshot")
    };
    assert_ne!(epoch, first.epoch);
    assert_eq!((seq, count, reason), (0, 0, SnapshotReason::Subscribed));
}

// Rule 8: one order for all; and what folds within a tick.

#[tokio::test]
async fn who_subscribes_late_sees_what_all_others_see() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    let mut late = Vec::new();
    for n in 0..20 {
        let mut client = broker.connect(&format!("user{n}")).await;
        client.ok(format!("join room n={n}")).await;
        ada.ok(if n % 2 == 0 { "join room" } else { "leave room" }).await;
        late.push((broker.observer("room").await, client));
    }
    observer.client.ok("join room last=true").await;
    catch_up(&mut observer).await;
    assert_eq!(observer.replica.members().len(), 21);
    for (other, _) in &mut late {
        catch_up(other).await;
        assert_eq!(other.replica.members(), observer.replica.members());
        assert_eq!(other.replica.since(), observer.replica.since());
    }
    observer.agrees().await;
}

/// Takes frames until the observer sees the last mark.
async fn catch_up(observer: &mut Observer) {
    let mark = UserId::parse("observer", "user").unwrap();
    while observer
        .replica
        .members()
        .get(&mark)
        .is_none_or(|member| !member.attributes.as_str().contains("last"))
    {
        observer.events().await;
    }
}

/// What one write asks is applied before any tick: here broker and client share one thread.
#[tokio::test]
async fn what_happens_within_a_tick_is_told_as_its_net_effect() {
    let broker = Broker::start();
    let mut observer = broker.observer("room").await;
    let mut ada = broker.connect("ada").await;
    ada.send_all(["join room", "leave room"]).await;
    observer.told_nothing().await;
    ada.send_all(["join room a=1", "set room a=2", "set room a=3"]).await;
    assert_eq!(observer.told().await, r#"join ada {"a":3}"#);
    ada.send_all(["set room a=4", "set room b=5"]).await;
    assert_eq!(observer.told().await, r#"update ada {"b":5}"#);
    ada.send_all(["set room b=6", "set room b=5"]).await;
    observer.told_nothing().await;
    let joined_at = observer.client.members("room").await[0].joined_at;
    ada.send_all(["leave room", "join room b=5"]).await;
    observer.told_nothing().await;
    ada.send_all(["leave room", "join room"]).await;
    assert_eq!(observer.told().await, "update ada {}");
    assert_eq!(observer.client.members("room").await[0].joined_at, joined_at);
    observer.agrees().await;
    ada.send_all(["leave room", "join room", "leave room"]).await;
    assert_eq!(observer.told().await, "leave ada left");
    ada.send_all(["join room", "leave room", "join room c=1"]).await;
    assert_eq!(observer.told().await, r#"join ada {"c":1}"#);
    ada.send_all(["leave room", "leave room"]).await;
    assert_eq!(observer.told().await, "leave ada left");
    observer.told_nothing().await;
}

/// With threads a tick may come between any two commands: whatever is told has to add up.
#[tokio::test]
async fn with_threads_the_net_effect_is_the_same() {
    let process = Process::start(&["--max-frames-burst", "1000000", "--log", "warn"]);
    let mut observer = Observer::of(process.address(), "room").await;
    let mut ada = process.connect("ada").await;
    let mut random = fastrand::Rng::with_seed(seed("with_threads_the_net_effect_is_the_same"));
    let commands = ["join room", "join room a=1", "leave room", "set room a=2", "set room b=3"];
    for round in 0..300 {
        let burst: Vec<_> =
            (0..random.usize(1..8)).map(|_| commands[random.usize(..commands.len())]).collect();
        ada.send_all(burst).await;
        // Who is there afterwards is known; how many frames tell it is not.
        ada.ok(format!("join room round={round}")).await;
        let done = format!(r#"{{"round":{round}}}"#);
        let user = UserId::parse("ada", "user").unwrap();
        while observer.replica.members().get(&user).is_none_or(|m| m.attributes.as_str() != done) {
            observer.events().await;
        }
        observer.agrees().await;
    }
    ada.close(1000).await;
    assert_eq!(observer.told().await, "leave ada closed");
    observer.told_nothing().await;
}
