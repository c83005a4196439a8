//! What is said, when, and what is said again.

use herenow_protocol::{Audience, LeaveReason, LossReason};
use serde_json::{Value, json};

use super::one::{
    ME, OTHER, One, STORE_MS, THIRD, attributes, leased, live, lost, stamp, told, user,
    with_attributes,
};
use crate::cluster::record::{Mark, Place, Record, Stamp, Stamped, Written, example};
use crate::cluster::say::{Base, LeaseSay, MarkSay, Say, Told, UserTold};
use crate::limits::SAY_USERS;
use crate::presence::pending::Cause;
use crate::presence::{Command, Keeper, Lasts, NodeId, Source};

#[test]
fn all_is_said_again_part_by_part() {
    let mut one = One::new();
    let names: Vec<_> = (0..SAY_USERS + 2).map(|number| format!("user-{number:03}")).collect();
    for (number, name) in names.iter().enumerate() {
        one.join(name, Source::connection(number as u64));
    }
    let mut said = Vec::new();
    let mut parts = Vec::new();
    let mut version = 10;
    let mut say_all = |one: &mut One, said: &mut Vec<String>| {
        parts.clear();
        while let Some(say) = one.say() {
            parts.push(say.users.len());
            said.extend(say.users.iter().map(|it| it.user.to_string()));
            version += 1;
            let users = say.users.iter().map(|it| UserTold {
                user: it.user.clone(),
                record: Some(live(&[ME])),
                why: None,
            });
            one.answered(&Told { users: users.collect(), ..told(version, []) });
        }
        parts.clone()
    };
    assert_eq!(say_all(&mut one, &mut said), [SAY_USERS, 2]);
    assert_eq!(said, names, "in the order in which it was done");
    assert_eq!(say_all(&mut one, &mut said), [0; 0]);
    said.clear();
    one.replica.say_all();
    assert_eq!(say_all(&mut one, &mut said), [SAY_USERS, 2]);
    assert_eq!(said, names);
}

#[test]
fn what_is_said_at_once_is_bounded_in_bytes() {
    let mut one = One::new();
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        one.join(name, Source::connection(number as u64));
        one.apply(Command::SetAttributes {
            user: user(name),
            source: Source::connection(number as u64),
            attributes: json!({"pad": "x".repeat(30_000)}).as_object().unwrap().clone(),
            merge: false,
            ttl_ms: None,
        });
        let info = attributes(&json!({"pad": "x".repeat(3_000)}));
        one.apply(Command::Inform { user: user(name), info });
    }
    assert_eq!(one.say().map(|say| say.users.len()), Some(2));
}

#[test]
fn what_was_not_answered_is_said_again() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    let first = one.say().unwrap();
    one.write("ada", &json!({"m": 2}));
    one.replica.unanswered();
    assert!(one.replica.has_to_say());
    let again = one.say().unwrap();
    let value = |say: &Say| say.users[0].attributes.as_ref().map(|it| it.value.attributes.clone());
    assert_eq!(value(&first), Some(attributes(&json!({"n": 1}))));
    assert_eq!(value(&again), Some(attributes(&json!({"n": 1, "m": 2}))));
    // Whoever went meanwhile may be there by what was said.
    one.replica.unanswered();
    one.leave("ada", Source::connection(1));
    let gone = one.say().unwrap();
    assert_eq!((gone.users.len(), gone.users[0].mark), (1, None));
    one.answered(&told(11, [("ada", None)]));
    assert!(one.replica.is_settled() && one.known().is_empty());
}

/// Nobody was told that it was there.
#[test]
fn whoever_came_and_went_before_anything_was_said_is_not_said() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.leave("ada", Source::connection(1));
    assert_eq!(one.say(), None);
    assert!(one.replica.is_settled() && one.known().is_empty());
}

#[test]
fn a_lease_that_is_ended_here_is_ended_whoever_times_it() {
    let mut one = One::new();
    for keeper in [Keeper::Vendor(1), Keeper::Herenow, Keeper::Herenow] {
        one.replica.ended_lease(&user("ada"), keeper);
    }
    assert!(one.replica.has_to_say());
    let said = one.say().unwrap();
    let ended = [(Keeper::Vendor(1), LeaseSay::End), (Keeper::Herenow, LeaseSay::End)];
    assert_eq!((said.users.len(), &said.users[0].leases[..]), (1, &ended[..]));
}

/// A lease that is said again must not end sooner than one that others renewed meanwhile; a new one
/// ends when it says.
#[test]
fn only_what_was_taken_before_a_loss_is_said_to_be_said_again() {
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    one.join("ada", Source::LEASE);
    let taken = |one: &mut One| {
        let said = one.say().unwrap();
        let again = said.users.iter().map(|it| match it.leases[..] {
            [(Keeper::Herenow, LeaseSay::Take { again, for_ms: 9_000, away: false })] => again,
            ref other => panic!("{other:?}"),
        });
        again.collect::<Vec<_>>()
    };
    assert_eq!(taken(&mut one), [false]);
    one.answered(&told(11, [("ada", Some(leased(ME)))]));
    one.replica.lost_data();
    assert_eq!(taken(&mut one), [true]);
    one.answered(&told(12, [("ada", Some(leased(ME)))]));
    one.hear(&told(13, [("carol", Some(live(&[OTHER])))]));
    one.join("dave", Source::LEASE);
    one.join("carol", Source::LEASE);
    assert_eq!(taken(&mut one), [false, false]);
}

#[test]
fn a_node_that_shuts_down_says_its_connections_lost_but_of_who_is_elsewhere() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.join("bob", Source::connection(2));
    one.say().unwrap();
    one.answered(&told(10, [("ada", Some(live(&[ME]))), ("bob", Some(live(&[ME, OTHER])))]));
    one.replica.drain(one.now.mono_ms + 5_000, one.now);
    let marks: Vec<_> = one.say().unwrap().users.iter().map(|it| it.mark).collect();
    let (reason, last_seen) = (LossReason::Connection, one.now.unix_ms);
    let gone = MarkSay::Lost { for_ms: 5_000, away: false, reason, last_seen };
    assert_eq!(marks, [Some(gone), None]);
}

#[test]
fn only_what_is_new_is_said() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    one.join("ada", Source::LEASE);
    let said = one.say().unwrap().users.remove(0);
    assert!(said.attributes.is_some() && said.why.is_none());
    let stamp = example(&[], &[]).place.stamp;
    let value = Written { attributes: attributes(&json!({"n": 1})), ends: Vec::new() };
    let record = |leases| Record {
        attributes: Some(Stamped { stamp, value: value.clone() }),
        leases,
        ..live(&[ME])
    };
    one.answered(&told(11, [("ada", Some(record(leased(ME).leases)))]));
    one.leave("ada", Source::LEASE);
    let said = one.say().unwrap().users.remove(0);
    assert_eq!(said.leases, [(Keeper::Herenow, LeaseSay::End)]);
    assert!(said.attributes.is_none() && said.info.is_none() && said.audience.is_none());
    one.answered(&told(12, [("ada", Some(record(leased(THIRD).leases)))]));
    // Ended and taken anew before that was said: it is taken.
    one.join("ada", Source::LEASE);
    one.leave("ada", Source::LEASE);
    one.join("ada", Source::LEASE);
    let said = one.say().unwrap().users.remove(0);
    let take = LeaseSay::Take { for_ms: 9_000, away: false, again: false };
    assert_eq!(said.leases, [(Keeper::Herenow, take)]);
    one.answered(&told(13, [("ada", Some(record(leased(ME).leases)))]));
    // Why it went is told when nothing is left of it here.
    one.leave("ada", Source::connection(1));
    assert_eq!(one.say().unwrap().users[0].why, None);
    one.answered(&told(14, [("ada", Some(leased(ME)))]));
    one.leave("ada", Source::LEASE);
    assert_eq!(one.say().unwrap().users[0].why, Some(Cause::Left(LeaveReason::Left)));
}

#[test]
fn what_is_written_over_a_record_stands_by_the_stamps_that_are_known() {
    let mut one = One::whole([]);
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    let said = |one: &mut One| {
        let user = one.say().unwrap().users.remove(0);
        (user.attributes.map(|it| it.base), user.place.base)
    };
    assert_eq!(said(&mut one), (Some(Base::IfNone), Base::IfNone));
    // The answer tells what another wrote meanwhile: over that, it is said again.
    let record = |counter, node, value: &Value| {
        with_attributes(live(&[ME]), stamp(counter, node), value, &[])
    };
    one.answered(&told(11, [("ada", Some(record(4, OTHER, &json!({"m": 2}))))]));
    let place = Base::At(example(&[], &[]).place.stamp);
    assert_eq!(said(&mut one), (Some(Base::At(stamp(5, ME))), place));
    let both = json!({"m": 2, "n": 1});
    assert_eq!(one.state.own(&user("ada")).unwrap().member.attributes, attributes(&both));
    one.answered(&told(12, [("ada", Some(record(5, ME, &both)))]));
    assert!(one.replica.has_said_all());
    // Said again, it is as it was.
    one.replica.say_all();
    assert_eq!(said(&mut one), (Some(Base::At(stamp(5, ME))), place));
}

/// It tells nothing of how long the member was there unseen.
#[test]
fn whom_more_may_see_takes_a_new_place() {
    let mut one = One::whole([]);
    let join = |one: &mut One, roles: Option<&[&str]>| {
        one.apply(Command::Join {
            user: user("ada"),
            source: Source::connection(1),
            attributes: None,
            merge: true,
            info: None,
            visible_to: roles.map(|roles| Audience::parse(roles.iter().copied()).unwrap()),
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
    };
    let stamp = |counter| Stamp { counter, node: NodeId::new(ME) };
    let record = |counter, roles: &[&str]| Record {
        audience: Some(Stamped {
            stamp: stamp(counter),
            value: Audience::parse(roles.iter().copied()).unwrap(),
        }),
        place: Stamped { stamp: stamp(3), value: Place { joined_at: 5, number: 64 } },
        ..live(&[ME])
    };
    join(&mut one, Some(&["staff"]));
    let place = |one: &mut One, version, answer: Record| {
        let said = one.say().unwrap().users.remove(0);
        one.answered(&told(version, [("ada", Some(answer))]));
        (said.place.base, said.place.value.number, said.audience.map(|it| it.value))
    };
    let only = |roles: &[&str]| Some(Audience::parse(roles.iter().copied()).unwrap());
    let staff = record(1, &["staff"]);
    assert_eq!(place(&mut one, 11, staff), (Base::IfNone, 0, only(&["staff"])));
    // Fewer see it: it stays where it is.
    join(&mut one, Some(&[]));
    let none = (Base::At(stamp(3)), 0, only(&[]));
    assert_eq!(place(&mut one, 12, record(2, &[])), none);
    join(&mut one, Some(&["staff"]));
    let anew = (Base::At(stamp(4)), 0, only(&["staff"]));
    assert_eq!(place(&mut one, 13, record(3, &["staff"])), anew);
    // Said again after a loss, it keeps its number.
    one.replica.lost_data();
    let kept = (Base::At(stamp(3)), 64, only(&["staff"]));
    assert_eq!(place(&mut one, 14, record(3, &["staff"])), kept);
}

/// A lease that ends later is no news: others learn its end when it comes.
#[test]
fn what_is_news_to_others_is_said_sooner() {
    let mut one = One::new();
    let stands = |one: &One| {
        (one.replica.is_pressing(&one.state), one.replica.has_told(&user("ada"), &one.state))
    };
    let (nothing, news, in_flight) = ((false, true), (true, false), (false, false));
    assert_eq!(stands(&one), nothing);
    let version = std::cell::Cell::new(10);
    let next = || version.replace(version.get() + 1);
    let settles = |one: &mut One, record: Record| {
        assert_eq!(stands(one), news);
        one.say().unwrap();
        assert_eq!(stands(one), in_flight);
        one.answered(&told(next(), [("ada", Some(record))]));
        assert_eq!((stands(one), one.replica.has_to_say()), (nothing, false));
    };
    one.join("ada", Source::connection(1));
    settles(&mut one, live(&[ME]));
    let connections = |connections| Record {
        marks: [(NodeId::new(ME), Mark::Live { connections, away: false })].into(),
        ..live(&[])
    };
    one.join("ada", Source::connection(2));
    settles(&mut one, connections(2));
    one.join("ada", Source::LEASE);
    let both = |away| {
        let mut record = Record { leases: leased(ME).leases, ..connections(2) };
        record.leases.values_mut().for_each(|lease| lease.away = away);
        record
    };
    settles(&mut one, both(false));
    one.write("ada", &json!({"n": 1}));
    let both =
        |away| with_attributes(both(away), example(&[], &[]).place.stamp, &json!({"n": 1}), &[]);
    settles(&mut one, both(false));
    // Renewed: no news, until nobody knows whether the store has it.
    one.now.mono_ms += 100;
    one.join("ada", Source::LEASE);
    assert_eq!((stands(&one), one.replica.has_to_say()), (nothing, true));
    one.say().unwrap();
    one.replica.unanswered();
    settles(&mut one, both(false));
    one.apply(Command::SetAway { user: user("ada"), source: Source::LEASE, away: true });
    settles(&mut one, both(true));
    // The store has something else: it is said again.
    one.hear_apart(&told(next(), [("ada", Some(both(false)))]));
    settles(&mut one, both(true));
    // What is lost is said, and then it is no news.
    for source in [1, 2].map(Source::connection) {
        one.apply(Command::Lose {
            user: user("ada"),
            source,
            reason: LossReason::Connection,
            last_seen: 3,
            graced: true,
        });
    }
    let gone = |last_seen| {
        let mut record = both(true);
        let lost = lost(ME, STORE_MS + 5_000).marks;
        record.marks = lost;
        record.marks.values_mut().for_each(|mark| {
            if let Mark::Lost { last_seen: seen, .. } = mark {
                *seen = last_seen;
            }
        });
        record
    };
    settles(&mut one, gone(3));
    one.leave("ada", Source::LEASE);
    settles(&mut one, lost(ME, STORE_MS + 5_000));
    // All again is, whatever it says.
    one.replica.say_all();
    assert_eq!(stands(&one), (true, true));
}

#[test]
fn many_renewed_leases_are_pressing_all_the_same() {
    let mut one = One::new();
    let names: Vec<_> = (0..=SAY_USERS).map(|number| format!("user-{number:03}")).collect();
    names.iter().for_each(|name| one.join(name, Source::LEASE));
    let mut version = 10;
    while let Some(say) = one.say() {
        version += 1;
        let record = Some(Record { version, ..leased(ME) });
        let users = say.users.iter().map(|it| UserTold {
            user: it.user.clone(),
            record: record.clone(),
            why: None,
        });
        one.answered(&Told { users: users.collect(), ..told(version, []) });
    }
    one.now.mono_ms += 100;
    names[..SAY_USERS].iter().for_each(|name| one.join(name, Source::LEASE));
    assert!(one.replica.has_to_say() && !one.replica.is_pressing(&one.state));
    one.join(&names[SAY_USERS], Source::LEASE);
    assert!(one.replica.is_pressing(&one.state));
}

#[test]
fn of_what_nobody_wrote_nothing_is_said_also_when_all_is_said_again() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    let first = one.say().unwrap().users.remove(0);
    one.answered(&told(11, [("ada", Some(live(&[ME])))]));
    one.replica.say_all();
    let again = one.say().unwrap().users.remove(0);
    for said in [first, again] {
        assert!(said.attributes.is_none() && said.info.is_none() && said.audience.is_none());
        assert!(said.mark.is_some());
    }
}
