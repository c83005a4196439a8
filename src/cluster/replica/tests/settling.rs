//! What this node has of a user, held against what the store has of it.

use herenow_protocol::Audience;
use serde_json::json;

use super::one::{
    ME, OTHER, One, THIRD, attributes, leased, live, stamp, told, user, with_attributes,
};
use crate::cluster::record::{Record, Stamped};
use crate::cluster::replica::channel::Replica;
use crate::cluster::say::{Base, LeaseSay, MarkSay};
use crate::presence::{Command, Keeper, Lasts, NodeId, Source};

#[test]
fn a_lease_of_a_dead_node_is_timed_by_whoever_buried_it_and_goes_to_whoever_renews_it() {
    let mut one = One::whole([("bob", leased(OTHER))]);
    one.hear_apart(&told(11, [("bob", Some(leased(ME)))]));
    assert!(one.state.held_by(&user("bob")).any(|source| source == Source::LEASE));
    one.hear(&told(11, [("bob", Some(leased(ME)))]));
    one.hear(&told(12, [("bob", Some(leased(THIRD)))]));
    assert_eq!(one.shown(), ["bob"]);
    one.now.mono_ms += 60_000;
    one.apply(Command::Expire);
    assert_eq!(one.shown(), ["bob"], "it is timed elsewhere");
    assert_eq!(one.say(), None);
}

/// It was ended here while the store stood still, say, and an old copy has it.
#[test]
fn a_lease_that_this_node_has_not_is_ended_after_a_loss_and_else_inherited() {
    let mut one = One::whole([]);
    one.replica.lost_data();
    one.hear(&told(11, [("carol", Some(leased(ME)))]));
    let said = one.say().unwrap();
    assert_eq!(said.users[0].leases, [(Keeper::Herenow, LeaseSay::End)]);
    let mut one = One::whole([]);
    one.hear(&told(11, [("carol", Some(leased(ME)))]));
    assert_eq!(one.say(), None);
    assert!(one.state.held_by(&user("carol")).any(|source| source == Source::LEASE));
}

#[test]
fn an_inherited_lease_is_not_held_elsewhere_too() {
    let one = &mut One::whole([]);
    let told = told(11, [("carol", Some(leased(ME)))]);
    let heard = one.replica.told(&told, &one.state, &one.peers, one.now);
    let [Command::Elsewhere(elsewhere)] = &heard.commands[..] else { panic!("{heard:?}") };
    assert_eq!((elsewhere.held.len(), elsewhere.took.len()), (0, 1));
}

#[test]
fn a_lease_that_the_store_has_is_not_said_for_another() {
    let vendor = Source::Lease(Keeper::Vendor(1));
    let both = || {
        let mut record = leased(ME);
        record.leases.insert(Keeper::Vendor(1), record.leases[&Keeper::Herenow]);
        record
    };
    let only_the_vendors = || {
        let mut record = both();
        record.leases.remove(&Keeper::Herenow);
        record
    };
    let said = |one: &mut One| -> Vec<_> {
        let leases = one.say().unwrap().users.remove(0).leases;
        leases.into_iter().map(|(keeper, _)| keeper).collect()
    };
    let mut one = One::new();
    one.join("ada", vendor);
    assert_eq!(said(&mut one), [Keeper::Vendor(1)]);
    one.answered(&told(11, [("ada", Some(only_the_vendors()))]));
    // Another is inherited.
    one.hear_apart(&told(12, [("ada", Some(both()))]));
    one.join("ada", Source::connection(1));
    assert_eq!(said(&mut one), []);
    let with_mark = || Record { marks: live(&[ME]).marks, ..both() };
    one.answered(&told(13, [("ada", Some(with_mark()))]));
    // Another is renewed.
    one.now.mono_ms += 100;
    one.join("ada", Source::LEASE);
    assert_eq!(said(&mut one), [Keeper::Herenow]);
    one.answered(&told(14, [("ada", Some(with_mark()))]));
    one.leave("ada", Source::connection(1));
    assert_eq!(said(&mut one), []);
    one.answered(&told(15, [("ada", Some(both()))]));
    // It was ended and is taken again: nobody else has said so.
    one.leave("ada", vendor);
    assert_eq!(said(&mut one), [Keeper::Vendor(1)]);
    one.answered(&told(16, [("ada", Some(leased(ME)))]));
    one.join("ada", vendor);
    assert_eq!(said(&mut one), [Keeper::Vendor(1)]);
}

/// An old copy of the store, say, buried this node there.
#[test]
fn what_the_store_has_no_more_is_said_again_with_all_that_it_was() {
    let join = |one: &mut One, name: &str, is_more: bool| {
        one.apply(Command::Join {
            user: user(name),
            source: Source::connection(1),
            attributes: is_more.then(|| json!({"n": 1}).as_object().unwrap().clone()),
            merge: true,
            info: is_more.then(|| attributes(&json!({"name": "Ada"}))),
            visible_to: is_more.then(|| Audience::parse(["staff"]).unwrap()),
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
    };
    for is_more in [true, false] {
        let mut one = One::new();
        join(&mut one, "ada", is_more);
        let first = one.say().unwrap().users.remove(0);
        let mut record = live(&[ME]);
        record.info = first.info.map(|it| Stamped { stamp: stamp(1, ME), value: it.value });
        record.audience = first.audience.map(|it| Stamped { stamp: stamp(1, ME), value: it.value });
        let of = if is_more { json!({"n": 1}) } else { json!({}) };
        let record = with_attributes(record, stamp(1, ME), &of, &[]);
        one.answered(&told(11, [("ada", Some(record))]));
        assert!(one.replica.has_said_all());
        one.hear_apart(&told(12, [("ada", None)]));
        let again = one.say().unwrap().users.remove(0);
        let said = [again.attributes.is_some(), again.info.is_some(), again.audience.is_some()];
        assert_eq!(said, [is_more; 3]);
        assert_eq!(again.mark, Some(MarkSay::Live { connections: 1, away: false }));
    }
}

#[test]
fn what_another_wrote_meanwhile_is_written_over_once_more() {
    let named = |name: &str| attributes(&json!({"name": name}));
    let staff = || Audience::parse(["staff"]).unwrap();
    let theirs = |counter| Record {
        info: Some(Stamped { stamp: stamp(counter, OTHER), value: named("Bea") }),
        audience: Some(Stamped { stamp: stamp(counter, OTHER), value: Audience::EVERYONE }),
        ..live(&[ME])
    };
    let join = |one: &mut One| {
        one.apply(Command::Join {
            user: user("ada"),
            source: Source::connection(1),
            attributes: None,
            merge: true,
            info: Some(named("Ada")),
            visible_to: Some(staff()),
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
    };
    let said = |one: &mut One| {
        let user = one.say().unwrap().users.remove(0);
        let info = user.info.map(|it| (it.base, it.value));
        let audience = user.audience.map(|it| (it.base, it.value));
        (info, audience)
    };
    let mut one = One::new();
    join(&mut one);
    let first = (Some((Base::Over, named("Ada"))), Some((Base::IfNone, staff())));
    assert_eq!(said(&mut one), first);
    one.answered(&told(11, [("ada", Some(theirs(3)))]));
    let over = Base::At(stamp(4, ME));
    let again = (Some((over, named("Ada"))), Some((over, staff())));
    assert_eq!(said(&mut one), again);
    let ours = Record {
        info: Some(Stamped { stamp: stamp(4, ME), value: named("Ada") }),
        audience: Some(Stamped { stamp: stamp(4, ME), value: staff() }),
        ..live(&[ME])
    };
    one.answered(&told(12, [("ada", Some(ours))]));
    assert!(one.replica.has_said_all());
    // What was tried before may have been done then: others wrote behind it.
    let mut one = One::new();
    join(&mut one);
    assert_eq!(said(&mut one), first);
    one.replica.unanswered();
    assert_eq!(said(&mut one), first);
    one.answered(&told(11, [("ada", Some(theirs(3)))]));
    assert!(one.replica.has_said_all());
    let own = one.state.own(&user("ada")).unwrap();
    assert_eq!((own.member.info(), own.member.is_restricted()), (&named("Bea"), false));
}

#[test]
fn what_is_written_onto_a_record_that_has_none_is_its_first() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.say().unwrap();
    one.answered(&told(11, [("ada", Some(live(&[ME])))]));
    one.write("ada", &json!({"n": 1}));
    let said = one.say().unwrap().users.remove(0);
    assert_eq!(said.attributes.map(|it| it.base), Some(Base::At(stamp(1, ME))));
}

/// Of a status somebody may have said something long before.
#[test]
fn where_records_are_kept_what_is_remembered_is_said_if_nobody_knows_better() {
    for (keep_ms, value, base) in [
        (60_000, json!({"n": 1}), Some(Base::IfNone)),
        (60_000, json!({}), None),
        (0, json!({"n": 1}), None),
    ] {
        let mut one = One::new();
        one.replica = Replica::new(NodeId::new(ME), keep_ms);
        one.apply(Command::Join {
            user: user("ada"),
            source: Source::connection(1),
            attributes: Some(value.as_object().unwrap().clone()),
            merge: true,
            info: None,
            visible_to: None,
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
        // Nothing was written just now.
        one.replica.users.get_mut(&user("ada")).unwrap().todo = None;
        let said = one.say().unwrap();
        assert_eq!(said.keep_ms, keep_ms);
        assert_eq!(said.users[0].attributes.as_ref().map(|it| it.base), base, "{value}");
    }
}
