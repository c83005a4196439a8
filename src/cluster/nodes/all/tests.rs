//! What one node makes of what the store answers.

use super::super::burial::{Claimed, Step};
use super::*;
use crate::limits::BURIAL_CLAIM_MS;

fn seen(node: u64, left_ms: i64, sends: bool, draining: bool) -> NodeSeen {
    let info = Some(NodeInfo { sends, draining, ..NodeInfo::default() });
    NodeSeen { node: NodeId::new(node), left_ms, info }
}

/// The wall clock is so far ahead of the broker's, and the store's so far ahead of that.
const AHEAD_MS: u64 = 1_000_000;

fn now(at_ms: u64) -> Now {
    Now { mono_ms: at_ms, unix_ms: at_ms + AHEAD_MS }
}

fn told(at_ms: u64, nodes: Vec<NodeSeen>) -> Renewed {
    Renewed { era: 1, now: at_ms + 2 * AHEAD_MS, alive: true, nodes }
}

/// Renews at that moment, and is told of these others, by a store whose groups were all asked.
fn renew(nodes: &mut Nodes, at_ms: u64, others: Vec<NodeSeen>) -> Vec<Order> {
    let _ = nodes.renew((0, 0), at_ms);
    let mut orders = nodes.renewed(told(at_ms, others), 1, NodeId::new(99), now(at_ms));
    orders.retain(|order| *order != Order::AskGroups(1));
    nodes.asked_groups(1);
    orders
}

/// Node 1, with leases of 6 s.
fn one() -> Nodes {
    let settings = Settings {
        name: "one".to_owned(),
        version: String::new(),
        timeout_ms: 6_000,
        hold_ms: 700,
        sends: true,
    };
    Nodes::new(NodeId::new(1), settings, 0)
}

fn living(node: u64, left_ms: i64) -> NodeSeen {
    seen(node, left_ms, false, false)
}

fn ids(nodes: &[u64]) -> BTreeSet<NodeId> {
    nodes.iter().copied().map(NodeId::new).collect()
}

fn senders(others: &[u64], turn: u64) -> Senders {
    Senders::new(Some(NodeId::new(1)), others.iter().copied().map(NodeId::new), turn)
}

#[test]
fn those_that_live_and_stay_and_can_tell_back_ends_share_the_channels() {
    let mut nodes = one();
    assert!(!nodes.senders(0).sends(), "it has no lease");
    let all = |left_ms| {
        let (draining, other) = (seen(3, 6_000, true, true), seen(4, 6_000, false, false));
        vec![seen(2, left_ms, true, false), draining, other]
    };
    renew(&mut nodes, 0, all(6_000));
    assert_eq!(nodes.senders(5_999), senders(&[2], 0));
    // By then the others may have taken it for dead.
    assert!(!nodes.senders(6_000).sends());
    // One that is in no list for once is not gone for that, and one that is judged is.
    renew(&mut nodes, 2_000, Vec::new());
    assert_eq!(nodes.senders(2_000), senders(&[2], 0));
    for at_ms in [4_000, 6_000, 8_000, 10_000] {
        renew(&mut nodes, at_ms, all(-1));
    }
    assert_eq!(nodes.senders(10_000), senders(&[], 0));
    // What it told when it was not heard for long, no list of another had.
    renew(&mut nodes, 15_000, all(-1));
    assert_eq!(nodes.senders(15_000), senders(&[], 0));
    renew(&mut nodes, 20_001, all(-1));
    assert_eq!(nodes.senders(20_001), senders(&[], 1));
    nodes.drain();
    assert!(!nodes.senders(20_001).sends());
    let mut none = one();
    none.settings.sends = false;
    renew(&mut none, 0, Vec::new());
    assert!(!none.senders(0).sends());
}

#[test]
fn whose_lease_runs_lives_and_who_is_about_to_run_out_is_looked_after_at_that_moment() {
    let mut nodes = one();
    renew(&mut nodes, 100, vec![living(2, 6_000), living(3, 1), living(4, 0), living(5, -1)]);
    assert_eq!((nodes.others(), nodes.living()), (ids(&[2, 3]), 2));
    assert!(nodes.is_listed(NodeId::new(4)) && !nodes.is_listed(NodeId::new(6)));
    let mut due_after = |at_ms, left_ms| {
        renew(&mut nodes, at_ms, vec![living(2, left_ms)]);
        nodes.due_ms() - at_ms
    };
    // Nothing sooner for who is not late, or over.
    assert_eq!([due_after(2_000, 2_000), due_after(4_000, 0)], [2_000; 2]);
    assert_eq!(due_after(6_000, 1_500), 1_500);
    assert_eq!(due_after(8_000, 0), 2_000);
    assert_eq!(due_after(10_000, 1_500), 2_000, "it is dead, whatever the store says");
}

#[test]
fn who_is_judged_was_last_seen_when_it_last_renewed_and_is_buried_once_it_is_forgotten() {
    let mut nodes = one();
    let ended = || vec![living(2, -500)];
    for at_ms in [0, 2_000, 4_000] {
        assert_eq!(renew(&mut nodes, at_ms, ended()), []);
    }
    let last_seen = 6_000 + AHEAD_MS - 6_500;
    let judged = Order::Judged { node: NodeId::new(2), last_seen };
    assert_eq!(renew(&mut nodes, 6_000, ended()), [judged]);
    assert_eq!(renew(&mut nodes, 8_000, ended()), [], "once");
    assert!(nodes.peers(0).is_dead(NodeId::new(2)));
    let buried = |nodes: &Nodes| [1, 2, 3].map(|node| nodes.is_buried(NodeId::new(node)));
    assert_eq!(buried(&nodes), [false; 3]);
    renew(&mut nodes, 10_000, Vec::new());
    assert_eq!(buried(&nodes), [false, true, false]);
    // Nor is this node, though it was taken for dead and goes by another name.
    let _ = nodes.renew((0, 0), 12_000);
    let answer = Renewed { alive: false, ..told(12_000, Vec::new()) };
    let orders = nodes.renewed(answer, 1, NodeId::new(99), now(12_000));
    assert_eq!(orders, [Order::Reborn(NodeId::new(99))]);
    assert_eq!(buried(&nodes), [true, true, false]);
    assert!(!nodes.is_buried(nodes.me()) && !nodes.is_surely_alive(12_000));
}

#[test]
fn a_node_that_was_heard_of_and_is_in_no_list_is_dead() {
    let mut nodes = one();
    for at_ms in [0, 2_000, 4_000] {
        renew(&mut nodes, at_ms, Vec::new());
    }
    nodes.heard_of(NodeId::new(1), now(4_500));
    nodes.heard_of(NodeId::new(3), now(4_500));
    nodes.heard_of(NodeId::new(3), now(4_600));
    nodes.heard_of(NodeId::new(4), now(6_000));
    let judged =
        |node, at_ms: u64| Order::Judged { node: NodeId::new(node), last_seen: at_ms + AHEAD_MS };
    // This list may be older than what was heard of the other.
    assert_eq!(renew(&mut nodes, 6_000, Vec::new()), [judged(3, 4_500)]);
    assert_eq!(renew(&mut nodes, 8_000, Vec::new()), [judged(4, 6_000)]);
    // Known to be dead: nothing new.
    nodes.heard_of(NodeId::new(3), now(8_500));
    assert_eq!(renew(&mut nodes, 10_000, Vec::new()), []);
    for node in 100..=100 + MAX_STRAY_NODES as u64 {
        nodes.heard_of(NodeId::new(node), now(10_500));
    }
    assert_eq!(renew(&mut nodes, 12_000, Vec::new()).len(), MAX_STRAY_NODES);
}

#[test]
fn what_others_tell_of_themselves_is_asked_for_again_where_it_may_have_been_missed() {
    let mut nodes = one();
    let mut since_after = |at_ms, data, back_ms| {
        let _ = nodes.renew((0, 0), at_ms);
        let answer = Renewed { now: 2 * AHEAD_MS + at_ms - back_ms, ..told(at_ms, Vec::new()) };
        nodes.renewed(answer, data, NodeId::new(99), now(at_ms));
        let since = nodes.renew((0, 0), at_ms).since;
        nodes.failed(at_ms);
        since
    };
    let by_a_little = |at_ms| 2 * AHEAD_MS + at_ms - 6_000;
    assert_eq!(since_after(2_000, 1, 0), by_a_little(2_000));
    assert_eq!(since_after(4_000, 1, 0), by_a_little(4_000));
    // Others told it to a store that lost its data, or with a clock that is behind.
    assert_eq!(since_after(6_000, 2, 0), 0);
    assert_eq!(since_after(8_000, 2, 0), by_a_little(8_000));
    assert_eq!(since_after(10_000, 2, 8_000), 0);
    assert_eq!(since_after(12_000, 2, 8_000), by_a_little(4_000));
}

#[test]
fn of_data_that_are_met_each_group_is_asked_until_all_have_answered() {
    let mut nodes = one();
    let asked_by = |nodes: &mut Nodes, at_ms, data| {
        let _ = nodes.renew((0, 0), at_ms);
        nodes.renewed(told(at_ms, Vec::new()), data, NodeId::new(99), now(at_ms))
    };
    assert_eq!(asked_by(&mut nodes, 0, 1), [Order::AskGroups(1)], "met for the first time");
    assert_eq!(asked_by(&mut nodes, 2_000, 1), [Order::AskGroups(1)]);
    nodes.asked_groups(1);
    assert_eq!(asked_by(&mut nodes, 4_000, 1), []);
    assert_eq!(asked_by(&mut nodes, 6_000, 2), [Order::AskGroups(2)]);
    nodes.asked_groups(1);
    assert_eq!(asked_by(&mut nodes, 8_000, 2), [Order::AskGroups(2)]);
    nodes.asked_groups(2);
    assert_eq!(asked_by(&mut nodes, 10_000, 2), []);
}

#[test]
fn an_answer_that_was_given_up_is_not_heard() {
    let mut nodes = one();
    let _ = nodes.renew((0, 0), 0);
    nodes.failed(500);
    let late = nodes.renewed(told(900, vec![living(2, 6_000)]), 1, NodeId::new(99), now(900));
    assert_eq!((late, nodes.living()), (Vec::new(), 0));
    assert_eq!(nodes.shared_key(), None);
    renew(&mut nodes, 1_000, vec![living(2, 6_000)]);
    assert_eq!((nodes.living(), nodes.shared_key()), (1, Some(1)));
}

#[test]
fn who_shuts_down_says_so_at_once_and_ends_its_lease_in_the_end() {
    let mut nodes = one();
    renew(&mut nodes, 0, Vec::new());
    assert_eq!((nodes.due_ms(), nodes.hold_ms()), (2_000, 700));
    nodes.drain();
    assert_eq!(nodes.due_ms(), 250);
    let renewal = nodes.renew((3, 4), 250);
    assert!(renewal.info.draining && renewal.timeout_ms == 6_000);
    nodes.renewed(told(250, Vec::new()), 1, NodeId::new(99), now(250));
    // Said twice, it is no more urgent.
    nodes.drain();
    assert_eq!(nodes.due_ms(), 2_250);
    let last = nodes.leave((0, 0), 300);
    assert!(last.info.draining && last.timeout_ms == 0);
    // Its lease is over by its own will.
    let answer = Renewed { alive: false, ..told(300, Vec::new()) };
    assert_eq!(nodes.renewed(answer, 1, NodeId::new(99), now(300)), []);
    assert_eq!((nodes.me(), nodes.due_ms()), (NodeId::new(1), crate::now::NEVER));
}

#[test]
fn the_mark_of_a_stranger_is_looked_after_once_it_is_judged() {
    let mut nodes = one();
    let channel = ChannelName::parse("a", "channel").unwrap();
    for at_ms in [0, 2_000, 4_000] {
        renew(&mut nodes, at_ms, vec![living(2, 6_000)]);
    }
    for node in [3, 4] {
        nodes.heard_of(NodeId::new(node), now(4_500));
    }
    for node in 1..=4 {
        nodes.stray(NodeId::new(node), &channel);
    }
    // The other is in a list after all.
    renew(&mut nodes, 6_000, vec![living(2, 6_000), living(4, 6_000)]);
    let bury = |node| Step::Bury { dead: NodeId::new(node), channels: vec![channel.clone()] };
    assert_eq!(nodes.burial().step(6_000), bury(3));
    nodes.burial().buried(NodeId::new(3), std::slice::from_ref(&channel), None, 6_000);
    assert_eq!(nodes.burial().step(6_000), Step::Rest { until_ms: crate::now::NEVER });
    // And of one that is dead already at once.
    nodes.stray(NodeId::new(3), &channel);
    renew(&mut nodes, 8_000, vec![living(2, 6_000)]);
    assert_eq!(nodes.burial().step(8_000), bury(3));
}

#[test]
fn a_dead_node_that_is_listed_is_buried_and_again_if_it_is_brought_back() {
    let mut nodes = one();
    for at_ms in [0, 2_000, 4_000, 6_000] {
        renew(&mut nodes, at_ms, vec![living(2, -1), living(3, 6_000)]);
    }
    let claim = Step::Claim { dead: NodeId::new(2), for_ms: BURIAL_CLAIM_MS };
    assert_eq!(nodes.burial().step(6_000), claim);
    let mine = Claimed::Mine { runs_ms: 0 };
    nodes.burial().claimed(NodeId::new(2), mine, (6_000, 6_000));
    let list = Step::List { dead: NodeId::new(2), cursor: 0 };
    renew(&mut nodes, 8_000, vec![living(2, -1), living(3, 6_000)]);
    assert_eq!(nodes.burial().step(8_000), list);
    renew(&mut nodes, 10_000, vec![living(2, 4_000), living(3, 6_000)]);
    assert_eq!(nodes.burial().step(10_000), claim);
}

#[test]
fn who_has_said_everything_is_known_for_each_group_by_the_data_that_it_holds() {
    let mut nodes = one();
    assert!(!nodes.data_seen(0, 70) && !nodes.data_seen(5, 71));
    let said = |node, group, data| {
        let info = NodeInfo { said: [(group, data)].into(), ..NodeInfo::default() };
        NodeSeen { info: Some(info), ..living(node, 6_000) }
    };
    renew(&mut nodes, 0, vec![said(2, 0, 70), said(3, 0, 69), said(4, 5, 71)]);
    let complete = |nodes: &Nodes, group| {
        let peers = nodes.peers(group);
        [2, 3, 4].map(|node| peers.is_complete(NodeId::new(node)))
    };
    assert_eq!(complete(&nodes, 0), [true, false, false]);
    assert_eq!(complete(&nodes, 5), [false, false, true]);
    assert!(!nodes.peers(0).are_complete());
    // Of a group that was not met before at once.
    assert_eq!(nodes.due_ms(), 2_000);
    assert!(!nodes.data_seen(7, 1) && !nodes.peers(7).are_complete());
    assert_eq!(nodes.due_ms(), 250);
    // Told once, it is known further on.
    renew(&mut nodes, 2_000, vec![living(2, 6_000), said(3, 0, 70), said(4, 0, 70)]);
    assert_eq!(complete(&nodes, 0), [false, true, true]);
    // Other data: nobody has said anything for them, and that is known at once.
    assert!(nodes.is_all_said() && nodes.data_seen(0, 80));
    assert_eq!(complete(&nodes, 0), [false; 3]);
    assert!(!nodes.is_all_said());
    assert_eq!(nodes.due_ms(), 2_250);
    assert_eq!(nodes.take_lost(), [(0, 80)].into());
    nodes.owes(0, 80);
    nodes.walked(0, 80);
    assert!(!nodes.is_all_said());
    renew(&mut nodes, 2_250, Vec::new());
    nodes.settled(0, 80);
    assert!(nodes.is_all_said());
    assert_eq!(nodes.due_ms(), 2_500, "the others are to know");
}

#[test]
fn where_strangers_were_is_kept_up_to_a_bound() {
    let mut nodes = one();
    nodes.heard_of(NodeId::new(3), now(0));
    for number in 0..=MAX_STRAY_NODES {
        let channel = ChannelName::parse(&number.to_string(), "channel").unwrap();
        nodes.stray(NodeId::new(3), &channel);
        nodes.stray(NodeId::new(4), &channel);
    }
    assert_eq!(nodes.found.len(), MAX_STRAY_NODES);
    assert!(nodes.found.iter().all(|(node, _)| *node == NodeId::new(3)));
}
