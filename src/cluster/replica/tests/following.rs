//! A channel loaded whole, kept whole, and let go again.

use herenow_protocol::LossReason;
use serde_json::json;

use super::one::{
    ME, OTHER, One, THIRD, attributes, leased, live, peers, stamp, told, user, with_attributes,
};
use crate::cluster::say::{LeaseSay, Told};
use crate::limits::REPLICA_BATCH;
use crate::presence::pending::Cause;
use crate::presence::{Keeper, NodeId, Source};

#[test]
fn a_channel_may_go_when_all_was_said_and_nobody_follows_it() {
    let mut one = One::new();
    let stands = |one: &One| {
        (one.replica.has_to_say(), one.replica.has_said_all(), one.replica.is_settled())
    };
    let (busy, to_say, done) = ((false, false, false), (true, false, false), (false, true, true));
    assert_eq!(stands(&one), done);
    one.join("ada", Source::connection(1));
    assert_eq!(stands(&one), to_say);
    let said = one.say().unwrap();
    assert_eq!((said.users.len(), said.keep_ms), (1, 0));
    assert_eq!(stands(&one), busy);
    one.leave("ada", Source::connection(1));
    assert_eq!(stands(&one), busy);
    assert_eq!(one.say(), None, "one at a time");
    one.answered(&told(10, [("ada", Some(live(&[ME])))]));
    assert_eq!(stands(&one), to_say);
    assert!(one.say().is_some_and(|said| said.users[0].mark.is_none()));
    one.answered(&told(11, [("ada", None)]));
    assert_eq!(stands(&one), done);
    assert_eq!(one.known(), [""; 0]);
    // Whoever follows it, or its summary, wants it kept.
    one.replica.follow();
    assert_eq!(stands(&one), (false, true, false));
    let _ = one.replica.unfollow(None, &one.state, one.now);
    assert_eq!(stands(&one), done);
    one.replica.follow_summary();
    assert_eq!(stands(&one), (false, true, false));
    one.replica.unfollow_summary();
    assert_eq!(stands(&one), done);
    // Nobody is there, so there is nothing to say again.
    one.replica.say_all();
    assert_eq!(stands(&one), done);
}

#[test]
fn a_channel_is_whole_when_it_was_loaded_without_a_gap() {
    let mut one = One::new();
    let stands = |one: &One| {
        let replica = &one.replica;
        (replica.is_whole(), replica.is_behind(), replica.wants_load(&one.peers))
    };
    assert_eq!((stands(&one), one.replica.is_followed()), ((false, false, false), false));
    one.replica.follow();
    assert_eq!((stands(&one), one.replica.is_followed()), ((false, true, true), true));
    let given_up = one.begin(9);
    assert_eq!(stands(&one), (false, false, false));
    one.replica.load_fails(given_up);
    assert_eq!(stands(&one), (false, true, true));
    let load = one.begin(10);
    // What an earlier one still brings counts for nothing.
    one.part(given_up, [("eve", live(&[OTHER]))]);
    one.replica.load_fails(given_up);
    assert!(!one.end(given_up) && !one.replica.is_whole());
    one.part(load, [("bob", live(&[OTHER]))]);
    assert!(!one.end(load));
    assert_eq!(stands(&one), (true, false, false));
    assert_eq!(one.shown(), ["bob"]);
    // Behind a gap what is known stays until another load.
    one.replica.follow();
    assert_eq!(stands(&one), (true, true, true));
    assert_eq!(one.shown(), ["bob"]);
    // An old copy of the store has older versions.
    assert!(!one.load(3, [("carol", live(&[OTHER]))]));
    assert_eq!((stands(&one), one.shown()), ((true, false, false), vec!["carol".to_owned()]));
    let part = one.replica.unfollow(None, &one.state, one.now);
    part.commands.into_iter().for_each(|command| one.apply(command));
    assert_eq!((stands(&one), part.next), ((false, false, false), None));
    assert!(one.shown().is_empty() && one.known().is_empty());
}

/// Nothing is asked of the store for each of them.
#[test]
fn what_walks_over_all_users_goes_in_parts() {
    let mut one = One::new();
    one.replica.follow();
    let load = one.begin(10);
    for number in 0..=REPLICA_BATCH {
        one.part(load, [(&format!("user-{number:04}"), live(&[OTHER]))]);
    }
    let loaded = one.replica.load_ends(load, &one.state, &one.peers, one.now);
    assert!(!loaded.done && !one.replica.is_whole());
    assert!(!one.end(load));
    assert_eq!(one.shown().len(), REPLICA_BATCH + 1);
    one.peers = peers(&[], &[], &[OTHER]);
    let cause = Cause::Lost(LossReason::Node, 5);
    let mut from = None;
    let mut parts = Vec::new();
    loop {
        let (state, peers) = (&one.state, &one.peers);
        let part =
            one.replica.bury(NodeId::new(OTHER), cause, from.as_ref(), state, peers, one.now);
        assert!(part.found);
        parts.push(part.commands.len());
        part.commands.into_iter().for_each(|command| one.apply(command));
        from = part.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(parts, [REPLICA_BATCH, 1]);
    assert!(one.shown().is_empty());
    let (state, peers) = (&one.state, &one.peers);
    let part = one.replica.bury(NodeId::new(THIRD), cause, None, state, peers, one.now);
    assert!(!part.found && part.commands.is_empty());
}

#[test]
fn a_version_that_is_missing_is_noticed_while_anybody_is_there() {
    let bob = || [("bob", Some(live(&[OTHER])))];
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    assert!(!one.hear(&told(11, bob())) && !one.hear(&told(12, bob())));
    // Once more, or late.
    assert!(!one.hear(&told(12, bob())) && !one.hear(&told(11, bob())));
    assert!(!one.hear(&told(13, bob())) && !one.replica.is_behind());
    assert!(one.hear(&told(15, bob())), "one is missing");
    assert!(one.replica.is_behind() && one.replica.is_whole());
    // A load that began before it does not heal that, and one behind it does.
    let load = one.begin(13);
    one.part(load, [("bob", live(&[OTHER]))]);
    assert!(one.end(load));
    assert!(!one.load(15, [("bob", live(&[OTHER]))]) && !one.replica.is_behind());
    assert!(!one.hear(&told(16, bob())));
    // In a channel without a member versions begin anew.
    assert!(!one.hear(&told(17, [("bob", None)])));
    assert!(!one.hear(&told(70, bob())) && !one.replica.is_behind());
    assert!(!one.hear(&told(71, bob())));
    assert!(one.hear(&told(73, bob())));
}

#[test]
fn what_is_told_while_a_load_goes_on_joins_up_with_it() {
    let bob = || [("bob", Some(live(&[OTHER])))];
    let begun = |first: Option<u64>| {
        let mut one = One::new();
        one.replica.follow();
        let load = one.begin(10);
        if let Some(version) = first {
            assert!(!one.hear(&told(version, bob())), "the load is not over");
        }
        (one, load)
    };
    for (first, missed) in
        [(None, false), (Some(9), false), (Some(10), false), (Some(11), false), (Some(12), true)]
    {
        let (mut one, load) = begun(first);
        one.part(load, [("bob", live(&[OTHER]))]);
        assert_eq!(one.end(load), missed, "{first:?}");
        assert_eq!(one.replica.is_behind(), missed, "{first:?}");
        if !missed {
            let next = first.map_or(11, |first| first.max(10) + 1);
            assert!(!one.hear(&told(next, bob())) && one.hear(&told(next + 2, bob())));
        }
    }
    // Whatever was missed, nobody is there any more.
    let (mut one, load) = begun(None);
    one.hear(&told(12, [("bob", None)]));
    assert!(!one.end(load));
    assert!(one.shown().is_empty());
    // A gap while it goes on.
    let (mut one, load) = begun(Some(11));
    assert!(!one.hear(&told(13, bob())));
    assert!(one.end(load) && one.replica.wants_load(&one.peers));
}

#[test]
fn whom_a_load_does_not_name_has_gone() {
    let mut one = One::whole([("bob", live(&[OTHER])), ("carol", live(&[OTHER]))]);
    let load = one.begin(20);
    one.hear(&told(21, [("dave", Some(live(&[OTHER])))]));
    one.part(load, [("carol", live(&[OTHER]))]);
    one.end(load);
    assert_eq!(one.shown(), ["carol", "dave"], "who came behind its beginning stays");
}

/// By another way it may come late, and would bring back who went.
#[test]
fn whoever_went_is_forgotten_and_not_brought_back_by_what_is_older() {
    let mut one = One::whole([("bob", live(&[OTHER])), ("carol", live(&[OTHER]))]);
    one.hear(&told(11, [("bob", None)]));
    assert_eq!((one.known(), one.shown().len()), (vec!["carol"], 1));
    one.hear_apart(&told(10, [("bob", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["carol"]);
    // What is newer than all that was told counts, and is not forgotten before that was told, too.
    one.hear_apart(&told(13, [("bob", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["bob", "carol"]);
    one.hear_apart(&told(14, [("bob", None)]));
    assert_eq!((one.known(), one.shown().len()), (vec!["bob", "carol"], 1));
    one.hear_apart(&told(13, [("bob", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["carol"]);
    for version in 12..=14 {
        assert!(!one.hear(&told(version, [])));
    }
    assert_eq!(one.known(), ["carol"]);
    // While a load goes on what was told before it may be in it.
    let load = one.begin(14);
    one.hear(&told(15, [("carol", None)]));
    assert_eq!((one.known(), one.shown().len()), (vec!["carol"], 0));
    one.part(load, [("carol", live(&[OTHER]))]);
    assert!(one.shown().is_empty());
    assert!(!one.end(load));
    assert!(one.known().is_empty());
}

#[test]
fn where_nobody_follows_only_what_is_this_nodes_own_concerns_it() {
    let mut one = One::new();
    let carols = with_attributes(leased(ME), stamp(2, OTHER), &json!({"n": 1}), &[]);
    let all = [("bob", Some(live(&[OTHER]))), ("carol", Some(carols))];
    one.hear_apart(&told(11, all));
    let own = one.state.own(&user("carol")).unwrap();
    assert_eq!(own.member.attributes, attributes(&json!({"n": 1})));
    assert_eq!((one.known(), one.shown()), (vec!["carol"], vec!["carol".to_owned()]));
    // The lease that was inherited is this node's to say, also to a store that lost it.
    assert_eq!(one.say(), None);
    one.replica.lost_data();
    let said = one.say().unwrap();
    let again = LeaseSay::Take { for_ms: 9_000, away: false, again: true };
    assert_eq!(said.users[0].leases, [(Keeper::Herenow, again)]);
}

#[test]
fn whether_members_are_counted_is_as_the_newest_version_says() {
    let mut one = One::new();
    assert_eq!(one.replica.counts(), None);
    one.replica.stands(10, true);
    one.replica.stands(9, false);
    assert_eq!(one.replica.counts(), Some(true));
    one.replica.stands(10, false);
    assert_eq!(one.replica.counts(), Some(false));
    one.hear_apart(&Told { counted: true, ..told(11, []) });
    assert_eq!(one.replica.counts(), Some(true));
    // Of other data whatever comes is newer.
    one.replica.lost_data();
    one.replica.stands(1, false);
    assert_eq!(one.replica.counts(), Some(false));
}
