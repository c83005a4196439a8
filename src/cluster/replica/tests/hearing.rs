//! What is told, and what becomes of it.

use herenow_protocol::Audience;
use serde_json::{Value, json};

use super::one::{
    ME, OTHER, One, STORE_MS, THIRD, attributes, leased, live, lost, peers, stamp, told, user,
    with_attributes,
};
use crate::cluster::record::{Record, Stamped, example};
use crate::cluster::replica::channel::Replica;
use crate::limits::LOSS_SLACK_MS;
use crate::presence::{Command, Lasts, NodeId, Source, Viewer};

#[test]
fn what_changes_nothing_makes_no_command() {
    let second = |mut record: Record| {
        record.place.value.number += 64;
        record
    };
    let mut one = One::whole([("bob", live(&[OTHER])), ("carol", second(leased(OTHER)))]);
    let commands = |one: &mut One, version, bob, carol| {
        let told = told(version, [("bob", Some(bob)), ("carol", Some(second(carol)))]);
        let heard = one.replica.told(&told, &one.state, &one.peers, one.now);
        heard.commands.len()
    };
    assert_eq!(commands(&mut one, 11, live(&[OTHER]), leased(OTHER)), 0);
    assert_eq!(commands(&mut one, 12, live(&[OTHER, THIRD]), leased(OTHER)), 1);
    assert_eq!(commands(&mut one, 13, live(&[OTHER, THIRD]), leased(THIRD)), 1);
}

/// Two ends of one key that were told twice took a while each time.
#[test]
fn ends_that_hardly_differ_are_the_same() {
    let both = || json!({"a": 1, "b": 2});
    let with =
        |ends: &[(&str, u64)]| with_attributes(live(&[OTHER]), stamp(2, OTHER), &both(), ends);
    let end = STORE_MS + 5_000;
    let mut one = One::whole([("bob", with(&[("a", end)]))]);
    let mut version = 10;
    let mut commands = |ends: &[(&str, u64)]| {
        version += 1;
        let told = told(version, [("bob", Some(with(ends)))]);
        let heard = one.replica.told(&told, &one.state, &one.peers, one.now);
        let count = heard.commands.len();
        heard.commands.into_iter().for_each(|command| one.apply(command));
        count
    };
    assert_eq!(commands(&[("a", end)]), 0);
    assert_eq!(commands(&[("a", end + LOSS_SLACK_MS - 1)]), 0);
    assert_eq!(commands(&[("a", end + LOSS_SLACK_MS)]), 1);
    assert_eq!(commands(&[("b", end + LOSS_SLACK_MS)]), 1);
    assert_eq!(commands(&[("a", end), ("b", end + LOSS_SLACK_MS)]), 1);
    assert_eq!(commands(&[]), 1);
    assert_eq!(commands(&[]), 0);
}

#[test]
fn what_was_written_here_stays_until_it_was_answered() {
    let named = |name: &str| attributes(&json!({"name": name}));
    let mut one = One::whole([]);
    one.apply(Command::Join {
        user: user("ada"),
        source: Source::connection(1),
        attributes: Some(json!({"n": 1}).as_object().unwrap().clone()),
        merge: true,
        info: Some(named("Ada")),
        visible_to: Some(Audience::parse(["staff"]).unwrap()),
        away: None,
        lasts: Lasts::Connection { grace_ms: 0 },
    });
    let theirs = |at: &[u64]| Record {
        info: Some(Stamped { stamp: stamp(5, OTHER), value: named("Bea") }),
        audience: Some(Stamped { stamp: stamp(5, OTHER), value: Audience::EVERYONE }),
        ..with_attributes(live(at), stamp(5, OTHER), &json!({"m": 2}), &[])
    };
    let is = |one: &One| {
        let member = one.state.own(&user("ada")).unwrap().member;
        (member.attributes.clone(), member.info().clone(), member.is_restricted())
    };
    // Patched onto what the other wrote, which nobody here knew.
    one.hear(&told(11, [("ada", Some(theirs(&[OTHER])))]));
    let both = attributes(&json!({"m": 2, "n": 1}));
    assert_eq!(is(&one), (both.clone(), named("Ada"), true));
    one.say().unwrap();
    one.hear(&told(12, [("ada", Some(theirs(&[OTHER])))]));
    assert_eq!(is(&one), (both.clone(), named("Ada"), true));
    let ours = Record {
        info: Some(Stamped { stamp: stamp(6, ME), value: named("Ada") }),
        audience: Some(Stamped { stamp: stamp(6, ME), value: Audience::parse(["staff"]).unwrap() }),
        ..with_attributes(live(&[OTHER, ME]), stamp(6, ME), &json!({"m": 2, "n": 1}), &[])
    };
    one.answered(&told(13, [("ada", Some(ours))]));
    assert_eq!(is(&one), (both, named("Ada"), true));
    assert!(one.replica.has_said_all());
    // And then what another writes counts.
    let later = Record {
        info: Some(Stamped { stamp: stamp(7, OTHER), value: named("Bea") }),
        audience: Some(Stamped { stamp: stamp(7, OTHER), value: Audience::EVERYONE }),
        ..with_attributes(live(&[OTHER, ME]), stamp(7, OTHER), &json!({"k": 3}), &[])
    };
    one.hear(&told(14, [("ada", Some(later))]));
    assert_eq!(is(&one), (attributes(&json!({"k": 3})), named("Bea"), false));
}

#[test]
fn keys_that_another_wrote_keep_their_ends_where_others_are_patched() {
    let theirs = |counter, value: &Value| {
        let ends = [("a", STORE_MS + 5_000)];
        with_attributes(live(&[OTHER]), stamp(counter, OTHER), value, &ends)
    };
    let mut one = One::whole([("ada", theirs(2, &json!({"a": 1})))]);
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    one.hear(&told(11, [("ada", Some(theirs(3, &json!({"a": 2}))))]));
    let own = one.state.own(&user("ada")).unwrap();
    assert_eq!(own.member.attributes, attributes(&json!({"a": 2, "n": 1})));
    assert_eq!(own.ends, [("a".into(), one.now.mono_ms + 5_000)]);
}

#[test]
fn what_merely_grace_keeps_elsewhere_ends_with_it() {
    let until = STORE_MS + 2_000;
    let mut one = One::whole([("bob", lost(OTHER, until))]);
    assert_eq!(one.shown(), ["bob"]);
    // By then the node that has it has told, if it could.
    one.now.mono_ms += 2_000 + LOSS_SLACK_MS - 1;
    one.apply(Command::Expire);
    assert_eq!(one.shown(), ["bob"]);
    one.now.mono_ms += 1;
    one.apply(Command::Expire);
    assert!(one.shown().is_empty());
}

#[test]
fn after_a_loss_what_is_missing_stays_until_whose_it_is_has_said_all() {
    let all = || [("bob", live(&[OTHER])), ("carol", live(&[THIRD])), ("dave", leased(THIRD))];
    let mut one = One::whole(all());
    one.peers = peers(&[], &[OTHER, THIRD], &[]);
    one.replica.lost_data();
    assert!(one.replica.has_lost() && one.replica.is_behind());
    assert!(one.replica.wants_load(&one.peers));
    assert!(!one.load(100, []));
    assert_eq!(one.shown(), ["bob", "carol", "dave"]);
    assert!(one.replica.has_lost() && !one.replica.wants_load(&one.peers));
    // One has said all, and another not yet: no load would tell more.
    one.peers = peers(&[OTHER], &[THIRD], &[]);
    assert!(!one.replica.wants_load(&one.peers));
    one.hear(&told(101, [("carol", Some(live(&[THIRD])))]));
    one.peers = peers(&[OTHER, THIRD], &[], &[]);
    assert!(one.replica.wants_load(&one.peers));
    assert!(!one.load(102, [("carol", live(&[THIRD]))]));
    assert_eq!(one.shown(), ["carol"]);
    assert!(!one.replica.has_lost() && !one.replica.is_behind());
    // Of the dead nobody says anything.
    let mut one = One::whole(all());
    one.peers = peers(&[], &[THIRD], &[OTHER]);
    one.replica.lost_data();
    one.load(100, []);
    assert_eq!(one.shown(), ["carol", "dave"]);
}

#[test]
fn what_was_said_again_after_a_loss_counts_and_not_what_was_before() {
    let mut one = One::whole([("bob", live(&[THIRD])), ("carol", leased(THIRD))]);
    one.peers = peers(&[], &[THIRD], &[]);
    one.replica.lost_data();
    one.load(100, []);
    assert_eq!(one.shown(), ["bob", "carol"]);
    one.hear(&told(101, [("bob", Some(live(&[THIRD]))), ("carol", Some(leased(THIRD)))]));
    one.hear(&told(102, [("bob", None), ("carol", None)]));
    assert!(one.shown().is_empty());
}

#[test]
fn a_loss_whose_time_is_over_keeps_nobody() {
    for (until, stays) in [(STORE_MS - LOSS_SLACK_MS, false), (STORE_MS - LOSS_SLACK_MS + 1, true)]
    {
        let mut one = One::whole([]);
        one.hear(&told(11, [("bob", Some(lost(OTHER, until)))]));
        assert_eq!(one.shown().len(), usize::from(stays), "{until}");
    }
}

/// Numbers begin anew with each life of a channel: of two that have one the later has it.
#[test]
fn a_number_that_is_anothers_by_now_is_not_taken() {
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    let numbered = |one: &One, name| {
        let page = one.state.members(10, None, Viewer::All);
        let member = page.members.iter().find(|it| it.user.as_str() == name);
        member.map(|it| it.number)
    };
    let number = live(&[OTHER]).place.value.number;
    assert_eq!(numbered(&one, "bob"), Some(number));
    // Came late, while a load goes on, so that it may be so: by now the number is bob's.
    one.begin(20);
    one.hear_apart(&told(9, [("carol", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["bob", "carol"]);
    assert_eq!(numbered(&one, "bob"), Some(number));
    // Came later than bob: it is carol's.
    one.hear_apart(&told(11, [("carol", Some(live(&[OTHER])))]));
    assert_eq!(numbered(&one, "carol"), Some(number));
}

#[test]
fn what_is_kept_of_whoever_is_gone_is_told_where_records_are_kept() {
    for (keep_ms, tells) in [(60_000, 1), (0, 0)] {
        let mut one = One::new();
        one.replica = Replica::new(NodeId::new(ME), keep_ms);
        one.replica.follow();
        let load = one.begin(10);
        let kept = with_attributes(example(&[], &[]), stamp(2, OTHER), &json!({"n": 1}), &[]);
        let (state, peers) = (&one.state, &one.peers);
        let records = [(user("ada"), kept)];
        let commands = one.replica.load_part(load, &records, state, peers, one.now);
        assert_eq!(commands.len(), tells);
    }
}
