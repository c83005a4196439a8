//! What really happens, seen by nobody but the test, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};

use herenow::cluster::Mark;
use herenow::presence::Viewer;
use herenow_protocol::UserId;

use super::node::{CHANNELS, Node, STORE_AHEAD_MS, channel};
use super::observer::{Told, order};
use super::world::{Place, World, user};

/// Ends of leases within so long from the moment of a look are not looked at.
const EDGE_MS: u64 = 2_500;

#[derive(Clone, Copy, Debug)]
struct Lease {
    ends_ms: Option<u64>,
    acted_ms: u64,
    slot: usize,
    sure: bool,
}

/// What happened. Moments by one clock.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Channel, user, node and tab; and whether it was there when all was well last.
    connections: BTreeMap<(usize, usize, usize, usize), bool>,
    leases: BTreeMap<(usize, usize), Lease>,
    /// Nodes with which something was since all was well last.
    troubled: BTreeSet<usize>,
    last_trouble_ms: BTreeMap<usize, u64>,
    any_trouble_ms: Option<u64>,
    lost: bool,
    pub(super) long_freeze: bool,
}

impl Truth {
    pub(super) fn connected(&mut self, place: Place, _now_ms: u64) {
        let key = (place.at, place.user, place.slot, place.tab);
        self.connections.entry(key).or_insert(false);
    }

    pub(super) fn disconnected(&mut self, place: Place) {
        self.connections.remove(&(place.at, place.user, place.slot, place.tab));
    }

    pub(super) fn connections_of(&self, slot: usize) -> Vec<Place> {
        let of = self.connections.keys().filter(|key| key.2 == slot);
        of.map(|&(at, user, slot, tab)| Place { slot, at, user, tab }).collect()
    }

    /// A lease was taken, renewed or ended.
    pub(super) fn leased(&mut self, place: Place, ends_ms: Option<u64>, now_ms: u64) {
        let before = self.leases.get(&(place.at, place.user)).copied();
        // Two nodes at about the same moment: whoever comes last to the store.
        let apart = before.is_none_or(|before| {
            let ends_soon = before.ends_ms.is_some_and(|ends_ms| ends_ms < now_ms + EDGE_MS);
            before.slot == place.slot || (before.acted_ms + 1_500 < now_ms && !ends_soon)
        });
        let was_sure = before.is_none_or(|before| before.sure);
        let sure = self.any_trouble_ms.is_none() && apart && was_sure;
        let lease = Lease { ends_ms, acted_ms: now_ms, slot: place.slot, sure };
        self.leases.insert((place.at, place.user), lease);
    }

    /// The process at that place is no more.
    pub(super) fn gone(&mut self, slot: usize) {
        self.connections.retain(|key, _| key.2 != slot);
        if self.lost {
            self.leases.values_mut().for_each(|lease| lease.sure = false);
        }
    }

    pub(super) fn lost_data(&mut self, _as_of_ms: Option<u64>) {
        self.lost = true;
        if !self.troubled.is_empty() {
            self.leases.values_mut().for_each(|lease| lease.sure = false);
        }
    }

    pub(super) fn trouble(&mut self, now_ms: u64) {
        if self.any_trouble_ms.is_none() {
            for lease in self.leases.values_mut().filter(|it| it.acted_ms + 1_500 > now_ms) {
                lease.sure = false;
            }
        }
        self.any_trouble_ms = Some(now_ms);
    }

    /// The node is cut off or stands still for so long: others may take it for dead.
    pub(super) fn node_trouble(&mut self, slot: usize, ms: u64, now_ms: u64) {
        let last_ms = self.last_trouble_ms.insert(slot, now_ms);
        let often = last_ms.is_some_and(|last_ms| last_ms + 5_000 > now_ms);
        if ms > 900 || often {
            self.troubled.insert(slot);
            if self.lost {
                self.leases.values_mut().for_each(|lease| lease.sure = false);
            }
        }
    }

    /// Somebody at a node was told that a user is gone.
    pub(super) fn told_gone(&self, slot: usize, told: &Told) -> Result<(), String> {
        for (&(at, number, node, _), &was_there) in &self.connections {
            let is_it = at == told.at && user(number) == told.user;
            if is_it && was_there && !self.troubled.contains(&node) {
                let user = &told.user;
                return Err(format!(
                    "at node {slot} {user} went in c{at}, and is connected to node {node} all the while"
                ));
            }
        }
        Ok(())
    }

    /// Who must be there, and who may be.
    fn present(&self, at: usize, now_ms: u64) -> (BTreeSet<UserId>, BTreeSet<UserId>) {
        let connected = self.connections.keys().filter(|key| key.0 == at);
        let mut must: BTreeSet<_> = connected.map(|key| user(key.1)).collect();
        let mut may = must.clone();
        for (&(_, number), lease) in self.leases.iter().filter(|(key, _)| key.0 == at) {
            let lives = lease.ends_ms.is_some_and(|ends_ms| ends_ms > now_ms);
            let edge = lease.ends_ms.is_some_and(|ends_ms| ends_ms.abs_diff(now_ms) < EDGE_MS);
            if !lease.sure || edge {
                may.insert(user(number));
            } else if lives {
                must.insert(user(number));
                may.insert(user(number));
            }
        }
        (must, may)
    }

    fn all_is_well(&mut self, now_ms: u64) {
        self.connections.values_mut().for_each(|was_there| *was_there = true);
        self.troubled.clear();
        self.last_trouble_ms.clear();
        (self.any_trouble_ms, self.lost, self.long_freeze) = (None, false, false);
        self.leases.retain(|_, lease| lease.sure || lease.ends_ms.is_some());
        // Whoever could not be sure is by now, but for what is looked at in the store.
        self.leases.retain(|_, lease| lease.ends_ms.is_none_or(|ends_ms| ends_ms > now_ms));
    }
}

impl World {
    /// Nothing fails or happens any more; after a while all must agree.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.heal();
        let troubled = self.truth.any_trouble_ms.is_some();
        self.pass(if troubled { 17_000 } else { 6_500 })?;
        let mut checked = self.check();
        for _ in 0..6 {
            if checked.is_ok() {
                break;
            }
            self.pass(3_000)?;
            checked = self.check();
        }
        checked.map_err(|what| format!("{} ms, all at rest: {what}", self.now_ms))?;
        self.truth.all_is_well(self.now_ms);
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        for at in 0..CHANNELS {
            self.check_channel(at)?;
            self.check_summaries(at)?;
        }
        Ok(())
    }

    /// Each node knows how many there are in a giant, and the newest of them.
    fn check_summaries(&self, at: usize) -> Result<(), String> {
        let store = self.summary(at);
        let wanted = store.counted.then(|| (store.count, store.newest.clone()));
        for (number, slot) in self.slots.iter().enumerate() {
            let node = slot.node.as_ref().ok_or("a node is missing")?;
            let replica = &node.channels[at].replica;
            let known = replica.summary().map(|known| (known.count, known.newest.clone()));
            let counts = replica.counts().filter(|_| replica.is_followed());
            if known != wanted || counts.is_some_and(|counts| counts != store.counted) {
                let told = format!("c{at}: node {number} counts {known:#?}, {counts:?}");
                return Err(format!("{told}, the store {store:#?}"));
            }
        }
        Ok(())
    }

    fn check_channel(&mut self, at: usize) -> Result<(), String> {
        let (must, may) = self.truth.present(at, self.now_ms);
        let mut all = None;
        let mut first: Option<(usize, BTreeMap<_, _>)> = None;
        for (number, slot) in self.slots.iter().enumerate() {
            let node = slot.node.as_ref().ok_or("a node is missing")?;
            let one = &node.channels[at];
            if !one.replica.has_said_all() {
                return Err(format!("node {number} has something to say in c{at}"));
            }
            let shown = node.shown(at);
            if shown.len() != one.all() {
                return Err(format!("node {number} lists c{at} wrongly"));
            }
            if !one.replica.is_followed() {
                continue;
            }
            if node.channels[at].replica.wants_load(&node.peers(at)) {
                return Err(format!("node {number} does not know c{at}"));
            }
            if one.observer.as_ref().is_some_and(|observer| !observer.agrees(&one.state)) {
                return Err(format!("node {number} told c{at} wrongly"));
            }
            match &first {
                None => first = Some((number, shown)),
                Some((other, known)) if *known != shown => {
                    let users = known.keys().chain(shown.keys());
                    let differs = |user: &&UserId| known.get(*user) != shown.get(*user);
                    let user = users.clone().rfind(differs);
                    let record = user.and_then(|user| one.replica.record(user));
                    let peers = node.peers(at);
                    let ids = self.slots.iter().map(|it| it.node.as_ref().map(Node::id));
                    return Err(format!(
                        "c{at}:\nnode {other} {known:#?}\nnode {number} {shown:#?}\n\
                         {user:?} {record:?}\n{peers:?}\n{:?}",
                        ids.collect::<Vec<_>>(),
                    ));
                }
                Some(_) => {}
            }
            let (list, sources) = (order(&one.state), one.state.connections());
            let (wanted, connections) = all.get_or_insert_with(|| (list.clone(), sources));
            let is_numbered = |user: &UserId| {
                let number = one.state.member(user, Viewer::All).map(|member| member.number);
                let record = one.replica.record(user);
                number.is_some() && number == record.map(|record| record.place.value.number)
            };
            if *wanted != list || *connections != sources || !list.iter().all(is_numbered) {
                let places: Vec<_> = list
                    .iter()
                    .map(|user| {
                        let shown = one.state.member(user, Viewer::All);
                        let shown = shown.map(|it| (it.joined_at, it.number));
                        (user, shown, one.replica.record(user).map(|record| &record.place))
                    })
                    .collect();
                return Err(format!(
                    "c{at}: {wanted:?} of {connections} connections, at node {number} {list:?} of \
                     {sources}\n{places:#?}"
                ));
            }
        }
        let shown = first.map(|(_, shown)| shown.into_keys().collect());
        self.check_stored(at, shown, (must, may))
    }

    /// `shown`: by all nodes that follow the channel, if any does.
    fn check_stored(
        &mut self,
        at: usize,
        shown: Option<BTreeSet<UserId>>,
        (must, may): (BTreeSet<UserId>, BTreeSet<UserId>),
    ) -> Result<(), String> {
        let load = self.store.load(&channel(at), STORE_AHEAD_MS + self.now_ms);
        let stored: BTreeSet<_> = load.records.iter().map(|(user, _)| user.clone()).collect();
        let ids: BTreeSet<_> =
            self.slots.iter().filter_map(|it| Some(it.node.as_ref()?.id())).collect();
        for (user, record) in &load.records {
            for (id, mark) in &record.marks {
                if matches!(mark, Mark::Live { .. }) && !ids.contains(id) {
                    return Err(format!("c{at}: {user} has a mark of {id}, which is no more"));
                }
            }
        }
        let shown = shown.unwrap_or_else(|| stored.clone());
        if stored != shown {
            let nodes: Vec<_> = self.store.nodes(load.now).collect();
            return Err(format!(
                "c{at}: shown are {shown:?}, in the store are {:?}, nodes {nodes:?}",
                load.records
            ));
        }
        if !must.is_subset(&shown) || !shown.is_subset(&may) {
            return Err(format!(
                "c{at}: shown are {shown:?}, there are {must:?}, perhaps {may:?}: {:?}, nodes {ids:?}",
                load.records
            ));
        }
        Ok(())
    }

    /// When one writes after the other, and all is well, what was written last holds.
    pub(super) fn write_calmly(&mut self) -> Result<(), String> {
        let keys: Vec<_> = self.truth.connections.keys().copied().collect();
        for (round, &(at, number, slot, tab)) in
            keys.iter().cycle().take(4.min(keys.len() * 4)).enumerate()
        {
            let place = Place { slot, at, user: number, tab };
            let value = 100 + round as u8;
            if !self.write(place, value, round % 2 == 0, false) {
                continue;
            }
            let (name, key) = (user(number), ["a", "b", "c"][usize::from(value) % 3]);
            let wanted = self.slots[slot].node.as_ref().map(|node| node.shown(at)[&name].clone());
            self.pass(1_500)?;
            for node in self.slots.iter().filter_map(|slot| slot.node.as_ref()) {
                let one = node.shown(at).get(&name).cloned();
                let follows = node.channels[at].replica.is_followed();
                let has = |text: &String| text.contains(&format!("\"{key}\":{value}"));
                if (follows || node.id() == self.slots[slot].node.as_ref().unwrap().id())
                    && !one.as_ref().is_some_and(has)
                {
                    let known = node.channels[at].replica.record(&name);
                    let stored = self.store.load(&channel(at), STORE_AHEAD_MS + self.now_ms);
                    let stored = stored.records.iter().find(|(user, _)| *user == name);
                    return Err(format!(
                        "{name} wrote {key}:{value} in c{at} at node {slot}: {one:?}, not {wanted:?}, at {} \
                         (follows: {follows}), which knows {known:#?}\nthe store {stored:#?}",
                        node.id(),
                    ));
                }
            }
        }
        Ok(())
    }
}
