//! The golden sequences, each rule by itself, and random histories that are cut anywhere.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::terminal::heard::read;

fn heard(frame: Value) -> Heard {
    let frame = serde_json::from_value(frame).unwrap();
    assert_ne!(frame, Heard::Other);
    frame
}

fn apply(replica: &mut Replica, frame: Value) -> Result<Vec<String>, Gap> {
    let told = replica.apply(heard(frame), None)?.into_iter().map(|news| match news {
        News::List { began } => format!("list{}", if began { " began" } else { "" }),
        News::Count => "count".to_owned(),
        News::Event(event) => format!("{} {}", event.event, event.user),
    });
    Ok(told.collect())
}

fn users(replica: &Replica) -> Vec<&str> {
    replica.newest(usize::MAX).into_iter().map(|(user, _)| user).collect()
}

fn snapshot(epoch: &str, seq: u64, users: &[(&str, u64)]) -> Value {
    let member = |(user, at): &(&str, u64)| json!({"user": user, "attributes": {}, "joinedAt": at});
    let members: Vec<_> = users.iter().map(member).collect();
    json!({"type": "snapshot", "channel": "r", "epoch": epoch, "seq": seq,
        "count": users.len(), "members": members, "reason": "subscribed"})
}

fn presence(seq: u64, events: Value) -> Value {
    let mut frame = json!({"type": "presence", "channel": "r", "seq": seq, "count": 0});
    frame["events"] = events;
    frame
}

/// The golden sequences that every client of the protocol is held to.
#[test]
fn the_golden_sequences_come_out_as_they_say() {
    let golden = include_str!("../../../protocol/vectors/replica.json");
    let golden: Vec<Value> = serde_json::from_str(golden).unwrap();
    for entry in &golden {
        let (name, expect) = (&entry["name"], &entry["expect"]);
        let mut replica = Replica::default();
        for frame in entry["frames"].as_array().unwrap() {
            let frame = read(&frame.to_string());
            if let Heard::Ok { resumed: Some(true), .. } = frame {
                replica.resume();
            }
            let _ = replica.apply(frame, None);
        }
        assert_eq!(expect["count"], replica.count(), "{name}");
        if replica.is_counted() {
            continue;
        }
        let wanted = expect["members"].as_object().unwrap();
        let is: serde_json::Map<_, _> = replica
            .newest(usize::MAX)
            .into_iter()
            .map(|(user, member)| (user.to_owned(), member.attributes.to_map().into()))
            .collect();
        assert_eq!(&is, wanted, "{name}");
        assert_eq!(expect["seq"], replica.since().unwrap().seq, "{name}");
    }
    assert!(golden.len() >= 5);
}

#[test]
fn a_snapshot_comes_in_parts_and_replaces() {
    let mut replica = Replica::default();
    let mut part = snapshot("k3v9x2m7", 4, &[("bob", 2)]);
    part["more"] = true.into();
    assert_eq!(apply(&mut replica, part.clone()), Ok(vec![]));
    // Another begins: the parts so far are void.
    part["seq"] = 5.into();
    apply(&mut replica, part).unwrap();
    assert_eq!(
        apply(&mut replica, snapshot("k3v9x2m7", 5, &[("ada", 1)])),
        Ok(vec!["list".to_owned()])
    );
    assert_eq!(users(&replica), ["bob", "ada"]);
    assert_eq!(replica.since().unwrap().seq, 5);
}

#[test]
fn a_gap_is_noticed_and_a_repeated_seq_is_none() {
    let mut replica = Replica::default();
    apply(&mut replica, snapshot("k3v9x2m7", 4, &[])).unwrap();
    let join = |user: &str| json!([{"event": "join", "user": user, "attributes": {}, "at": 9}]);
    assert_eq!(apply(&mut replica, presence(4, join("eve"))).unwrap(), ["join eve"]);
    assert_eq!(apply(&mut replica, presence(5, join("ada"))).unwrap(), ["join ada"]);
    assert_eq!(apply(&mut replica, presence(7, join("bob"))), Err(Gap));
    assert_eq!(apply(&mut replica, presence(8, join("bob"))), Ok(vec![]), "until a snapshot");
    assert_eq!(users(&replica), ["ada", "eve"]);
}

#[test]
fn what_was_missed_is_told_by_comparing() {
    let mut replica = Replica::default();
    apply(&mut replica, snapshot("k3v9x2m7", 4, &[("bob", 2), ("ada", 1)])).unwrap();
    replica.interrupt();
    let told = apply(&mut replica, snapshot("k3v9x2m7", 9, &[("cy", 3), ("ada", 1)]));
    assert_eq!(told.unwrap(), ["list", "leave bob", "join cy"]);
    // Another history says nothing of who left.
    let told = apply(&mut replica, snapshot("00000001", 0, &[("ada", 8)]));
    assert_eq!(told.unwrap(), ["list began"]);
}

#[test]
fn whom_another_node_may_know_has_not_left() {
    let mut replica = Replica::default();
    apply(&mut replica, snapshot("k3v9x2m7", 4, &[("bob", 2), ("ada", 1)])).unwrap();
    let mut partial = snapshot("k3v9x2m7", 5, &[("ada", 1)]);
    partial["partial"] = true.into();
    assert_eq!(apply(&mut replica, partial).unwrap(), ["list"]);
    assert_eq!(users(&replica), ["bob", "ada"]);
    let whole = snapshot("k3v9x2m7", 6, &[("cy", 3), ("ada", 1)]);
    assert_eq!(apply(&mut replica, whole).unwrap(), ["list", "leave bob"], "cy was there");
}

#[test]
fn at_the_level_of_counts_the_list_is_forgotten() {
    let mut replica = Replica::default();
    apply(&mut replica, snapshot("k3v9x2m7", 4, &[("bob", 2), ("ada", 1)])).unwrap();
    let count = json!({"type": "count", "channel": "r", "seq": 9, "count": 1001,
        "recent": [{"user": "cy"}, {"user": "dee"}]});
    assert_eq!(apply(&mut replica, count).unwrap(), ["count"]);
    assert_eq!((users(&replica), replica.count()), (vec!["cy", "dee"], 1001));
    assert_eq!(replica.since(), None);
    assert_eq!(apply(&mut replica, presence(10, json!([]))), Ok(vec![]));
    let told = apply(&mut replica, snapshot("k3v9x2m7", 12, &[("ada", 1)]));
    assert_eq!(told.unwrap(), ["list"], "nobody is compared with the newest");
}

proptest! {
    /// Frames of events in any order, cut anywhere and healed by a snapshot: the replica is what
    /// a list of who is there says.
    #[test]
    fn it_is_what_the_broker_has(steps in prop::collection::vec((0u8..6, any::<bool>()), 1..60)) {
        let mut truth = std::collections::BTreeMap::new();
        let mut replica = Replica::default();
        apply(&mut replica, snapshot("k3v9x2m7", 0, &[])).unwrap();
        let names = ["a", "b", "c", "d", "e", "f"];
        for (seq, (who, is_lost)) in (1..).zip(steps) {
            let user = names[usize::from(who)];
            let frame = match truth.remove(user) {
                Some(_) => json!([{"event": "leave", "user": user, "reason": "left", "at": seq}]),
                None => {
                    truth.insert(user, seq);
                    json!([{"event": "join", "user": user, "attributes": {}, "at": seq}])
                }
            };
            if is_lost {
                continue;
            }
            if apply(&mut replica, presence(seq, frame)).is_err() {
                let mut list: Vec<_> = truth.iter().map(|(user, at)| (*user, *at)).collect();
                list.sort_by_key(|(_, at)| Reverse(*at));
                apply(&mut replica, snapshot("k3v9x2m7", seq, &list)).unwrap();
            }
            let mut expected: Vec<_> = truth.iter().collect();
            expected.sort_by_key(|(_, at)| Reverse(**at));
            let expected: Vec<_> = expected.into_iter().map(|(user, _)| *user).collect();
            prop_assert_eq!(users(&replica), expected.clone());
            let few: Vec<_> = expected.into_iter().take(2).collect();
            let newest: Vec<_> = replica.newest(2).into_iter().map(|(user, _)| user).collect();
            prop_assert_eq!(newest, few);
        }
    }
}
