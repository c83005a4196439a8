//! Two nodes that tell each other of a user, against one that saw everything: what each shows is the
//! same, whatever was done where.

use std::collections::BTreeMap;

use herenow_protocol::StatusPatch;
use proptest::prelude::*;

use super::*;

const NODES: usize = 2;

/// What happens to the user, on one of the nodes.
#[derive(Clone, Debug)]
enum Op {
    Connect,
    Disconnect { heard: u64 },
    TurnConnection,
    Appear { away: bool },
    Vanish { heard: u64 },
    Beat { away: bool },
    StopBeating,
    Patch(StatusPatch),
    Inform(u8),
}

/// What the store keeps of the user.
#[derive(Default)]
struct Kept {
    marks: BTreeMap<usize, bool>,
    set: Option<Attributes>,
    info: Option<Attributes>,
    created_at: Option<u64>,
    seen: u64,
}

/// A node, and what it has not said yet.
struct Node {
    users: Users,
    wrote: bool,
    informed: bool,
    /// Of each connection, and of the membership, whether the user is away from it.
    connections: BTreeMap<u64, bool>,
    member: Option<bool>,
}

impl Node {
    fn new() -> Self {
        Self {
            users: Users::new(10, 1_000),
            wrote: false,
            informed: false,
            connections: BTreeMap::new(),
            member: None,
        }
    }

    /// Does it, if it can be done here.
    fn act(&mut self, op: &Op, number: u64, now: Now) {
        let (ada, room) = (ada(), ChannelName::parse("room", "channel").unwrap());
        match op {
            Op::Connect => {
                let away = self.users.connected(&ada, number, None, now).unwrap().away;
                self.connections.insert(number, away);
            }
            Op::Disconnect { heard } => {
                if let Some((number, away)) = self.connections.pop_first() {
                    self.users.disconnected(&ada, number, away, now.unix_ms - heard, now);
                }
            }
            Op::TurnConnection => {
                if let Some(mut first) = self.connections.first_entry() {
                    let away = !*first.get();
                    first.insert(away);
                    self.users.connection_turned(&ada, away, now);
                }
            }
            Op::Appear { away } if self.member.is_none() => {
                self.member = Some(*away);
                self.users.appeared(&ada, &room, *away, now);
            }
            Op::Appear { .. } => {}
            Op::Vanish { heard } => {
                if let Some(away) = self.member.take() {
                    self.users.vanished(&ada, &room, away, now.unix_ms - heard, now);
                }
            }
            Op::Beat { away } => {
                self.users.record(&ada, now, |record, _| record.beat(1 << 40, Some(*away), now));
            }
            Op::StopBeating => {
                self.users.stop_beating(&ada, now);
            }
            Op::Patch(patch) => {
                let mut wrote = false;
                self.users.record(&ada, now, |record, kept| {
                    wrote = record.patch(&ada, patch.clone(), kept, now);
                });
                self.wrote |= wrote;
            }
            Op::Inform(number) => {
                self.users.inform(&ada, &info(*number), now);
                self.informed = true;
            }
        }
    }

    /// Without what nodes need not agree on.
    fn shows(&self, view: View, now: Now) -> Option<UserStatus> {
        let status = self.users.status(&ada(), view, now)?;
        // Since when a user is known depends on who looked when; and of one that is there it is about
        // now when it was last seen.
        let last_seen = status.last_seen.filter(|_| !status.online);
        let updated_at = status.updated_at.filter(|at| Some(*at) != status.created_at);
        Some(UserStatus { last_seen, updated_at, created_at: None, ..status })
    }
}

/// The nodes, the store between them, and the one node that sees everything.
struct World {
    now: Now,
    nodes: [Node; NODES],
    kept: Kept,
    one: Node,
    next_connection: u64,
}

impl World {
    fn new() -> Self {
        Self {
            now: Now { mono_ms: 0, unix_ms: 1_000_000 },
            nodes: std::array::from_fn(|_| Node::new()),
            kept: Kept::default(),
            one: Node::new(),
            next_connection: 1,
        }
    }

    /// Whether it was done.
    fn act(&mut self, at: usize, op: &Op) -> bool {
        let (now, number) = (self.now, self.next_connection);
        self.next_connection += 1;
        match op {
            // One that is not there cannot end, and what one node ends is not another's.
            Op::Disconnect { .. } | Op::TurnConnection if self.nodes[at].connections.is_empty() => {
                return false;
            }
            Op::Vanish { .. } if self.nodes[at].member.is_none() => return false,
            Op::Appear { .. } if self.nodes.iter().any(|node| node.member.is_some()) => {
                return false;
            }
            // Whoever is away is so by all that it sent before.
            Op::Beat { away: true } | Op::StopBeating => {
                let others = self.nodes.iter_mut().enumerate().filter(|(node, _)| *node != at);
                others.for_each(|(_, node)| node.act(&Op::StopBeating, 0, now));
            }
            _ => {}
        }
        self.nodes[at].act(op, number, now);
        true
    }

    fn say(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(own) = node.users.own(&ada(), self.now) else { return };
        match own.online {
            Some(away) => self.kept.marks.insert(at, away),
            None => self.kept.marks.remove(&at),
        };
        self.kept.seen = self.kept.seen.max(own.seen);
        self.kept.created_at.get_or_insert(own.created_at);
        if std::mem::take(&mut node.wrote) {
            self.kept.set = Some(own.set);
        }
        if std::mem::take(&mut node.informed) {
            self.kept.info = Some(own.info);
        }
    }

    fn hear(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let others = || self.kept.marks.iter().filter(|(node, _)| **node != at);
        let heard = Heard {
            online: others().next().map(|_| others().all(|(_, away)| *away)),
            // What is still to be said is newer.
            set: self.kept.set.clone().filter(|_| !node.wrote),
            info: self.kept.info.clone().filter(|_| !node.informed),
            created_at: self.kept.created_at,
            seen: self.kept.seen,
        };
        node.wrote |= node.users.hear(&ada(), heard, self.now);
    }

    fn exchange(&mut self) {
        for _ in 0..2 {
            (0..NODES).for_each(|at| self.say(at));
            (0..NODES).for_each(|at| self.hear(at));
        }
    }
}

fn ada() -> UserId {
    UserId::parse("ada", "user").unwrap()
}

fn info(number: u8) -> Attributes {
    let map = serde_json::json!({"name": format!("Ada {number}")});
    Attributes::from_map(map.as_object().unwrap())
}

fn op() -> impl Strategy<Value = Op> {
    let heard = 0..=4_u64;
    let patch = (
        any::<Option<bool>>(),
        any::<Option<bool>>(),
        prop::option::of(prop::option::of(0..9_u32)),
        prop::option::of(prop::option::of("[a-c]{1,2}")),
    );
    let patch = patch.prop_map(|(busy, invisible, wait_time, text)| StatusPatch {
        busy,
        invisible,
        wait_time,
        text: text.map(|text| text.map(Into::into)),
    });
    prop_oneof![
        4 => Just(Op::Connect),
        3 => heard.clone().prop_map(|heard| Op::Disconnect { heard }),
        3 => Just(Op::TurnConnection),
        2 => any::<bool>().prop_map(|away| Op::Appear { away }),
        2 => heard.prop_map(|heard| Op::Vanish { heard }),
        2 => any::<bool>().prop_map(|away| Op::Beat { away }),
        2 => Just(Op::StopBeating),
        4 => patch.prop_map(Op::Patch),
        1 => (0..3_u8).prop_map(Op::Inform),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Told at once, two nodes show what one shows that saw all of it.
    #[test]
    fn two_nodes_show_a_user_as_one_that_saw_everything(
        steps in prop::collection::vec((0..NODES, op(), 5..20_u64), 1..60),
    ) {
        let mut world = World::new();
        for (at, op, ms) in &steps {
            world.now.mono_ms += ms;
            world.now.unix_ms += ms;
            let which = world.next_connection;
            let first = world.nodes[*at].connections.first_key_value().map(|(number, _)| *number);
            if !world.act(*at, op) {
                continue;
            }
            // Of several connections it is that node's which turns or ends.
            let mut others = BTreeMap::new();
            if let Some(first) = first {
                others = std::mem::take(&mut world.one.connections);
                let one = others.remove_entry(&first);
                world.one.connections.extend(one);
            }
            world.one.act(op, which, world.now);
            world.one.connections.append(&mut others);
            world.exchange();
            for view in [View::Itself, View::Others] {
                // While another node hears its heartbeats, a user is seen about now.
                let beat = steps.iter().any(|(_, op, _)| matches!(op, Op::Beat { .. }));
                let forgets = |status: UserStatus| {
                    let last_seen = status.last_seen.filter(|_| !beat);
                    UserStatus { last_seen, ..status }
                };
                let shown = world.one.shows(view, world.now).map(forgets);
                for node in &world.nodes {
                    let here = node.shows(view, world.now).map(forgets);
                    prop_assert_eq!(&here, &shown, "{:?}", view);
                }
            }
        }
    }

    /// Told late, in any order, and more than once, they show the same in the end.
    #[test]
    fn nodes_agree_on_a_user_in_whichever_order_they_hear(
        steps in prop::collection::vec((0..NODES, op(), 1..20_u64, 0..4_u8), 1..60),
    ) {
        let mut world = World::new();
        for (at, op, ms, tells) in &steps {
            world.now.mono_ms += ms;
            world.now.unix_ms += ms;
            world.act(*at, op);
            match tells {
                0 => world.say(*at),
                1 => world.hear(*at),
                2 => world.hear(NODES - 1 - at),
                _ => {}
            }
        }
        world.exchange();
        for view in [View::Itself, View::Others] {
            let shown = world.nodes.each_ref().map(|node| node.shows(view, world.now));
            prop_assert_eq!(&shown[0], &shown[1]);
        }
    }
}

/// A patch by a node that did not know that the user was invisible does not show it again.
#[test]
fn what_is_set_without_knowing_is_set_over_what_others_had() {
    let mut world = World::new();
    let now = world.now;
    let invisible = StatusPatch { invisible: Some(true), ..StatusPatch::default() };
    world.act(0, &Op::Connect);
    world.act(0, &Op::Patch(invisible));
    world.say(0);
    let lunch = StatusPatch { text: Some(Some("lunch".into())), ..StatusPatch::default() };
    let node = &mut world.nodes[1];
    node.users.connected(&ada(), 7, None, now).unwrap();
    node.users.record(&ada(), now, |record, kept| record.patch_blindly(&ada(), lunch, kept, now));
    let unheard = node.shows(View::Unheard, now).unwrap();
    assert!(!unheard.online && unheard.last_seen.is_none(), "{unheard:?}");
    world.hear(1);
    assert!(world.nodes[1].wrote, "it is said again");
    world.exchange();
    for node in &world.nodes {
        let (own, shown) = (node.shows(View::Itself, now), node.shows(View::Others, now));
        let (own, shown) = (own.unwrap(), shown.unwrap());
        assert_eq!((own.online, own.invisible, own.text.as_deref()), (true, true, Some("lunch")));
        assert_eq!((shown.online, shown.text.as_deref()), (false, None));
    }
}
