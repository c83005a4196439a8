//! What joins the brokers of a test: an engine on the store's twin, in this process. It can stand still,
//! as a store does that is slow or gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use herenow::clock::Clock;
use herenow::cluster::summary::Asked;
use herenow::cluster::{Act, Peers, Senders, Summary, Told, UserTold};
use herenow::hub::engine::{Kicked, Kicking, Meeting};
use herenow::hub::{Answering, Channel, Engine, Hub};
use herenow::presence::NodeId;
use herenow_protocol::{ChannelName, UserId};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::many::store::Store;

/// The one store.
#[derive(Debug)]
pub(crate) struct Twin {
    clock: Clock,
    store: Mutex<Store>,
    nodes: Mutex<Vec<Arc<Node>>>,
    /// Whether it answers.
    answers: watch::Sender<bool>,
}

/// One broker's engine.
#[derive(Debug)]
pub(crate) struct Node {
    me: NodeId,
    twin: Weak<Twin>,
    answers: watch::Receiver<bool>,
    /// Whether it takes the store for gone while that does not answer.
    notices: bool,
    orders: Sender<Order>,
    followed: Mutex<BTreeSet<ChannelName>>,
    /// Those of which the summary is heard.
    summed: Mutex<BTreeSet<ChannelName>>,
    follows_names: Mutex<bool>,
}

#[derive(Debug)]
enum Order {
    Say(Arc<Channel>),
    Follow(Arc<Channel>),
    Hear(ChannelName, Arc<Told>),
    Sum(ChannelName, Arc<Summary>),
    Meet(ChannelName),
}

impl Twin {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_roster(1_000)
    }

    /// Above so many members of a channel the store counts them.
    pub(crate) fn with_roster(roster: usize) -> Arc<Self> {
        let (store, nodes) = (Mutex::new(Store::new(7).with_roster(roster)), Mutex::default());
        Arc::new(Self { clock: Clock::start(), store, nodes, answers: watch::Sender::new(true) })
    }

    /// A broker more. `notices`: it finds out that the store stands still.
    pub(crate) fn join(self: &Arc<Self>, broker: &Broker, notices: bool) {
        let (orders, ordered) = channel(100_000);
        let mut nodes = self.nodes.lock();
        let node = Arc::new(Node {
            me: NodeId::new(nodes.len() as u64 + 1),
            twin: Arc::downgrade(self),
            answers: self.answers.subscribe(),
            notices,
            orders,
            followed: Mutex::default(),
            summed: Mutex::default(),
            follows_names: Mutex::default(),
        });
        broker.hub().join(Arc::clone(&node) as Arc<dyn Engine>);
        tokio::spawn(run(Arc::clone(&node), Arc::clone(broker.hub()), ordered));
        nodes.push(node);
    }

    /// From here on the store answers, or stands still.
    pub(crate) fn answers(&self, answers: bool) {
        self.answers.send_replace(answers);
    }

    /// How many users the store has in the channel.
    pub(crate) fn count(&self, name: &str) -> usize {
        let name = ChannelName::parse(name, "channel").unwrap();
        self.store.lock().load(&name, self.now()).records.len()
    }

    /// How many channels the nodes follow.
    pub(crate) fn followed(&self) -> usize {
        self.nodes.lock().iter().map(|node| node.followed.lock().len()).sum()
    }

    fn now(&self) -> u64 {
        1_000_000 + self.clock.now().mono_ms
    }

    /// The store is asked for the summary, by somebody who knows that version.
    fn summary(&self, name: &ChannelName, known: u64) -> Asked {
        let (asked, published) = self.store.lock().summary(name, known, self.now());
        self.publish_summary(name, published);
        asked
    }

    fn publish_summary(&self, name: &ChannelName, summary: Option<Summary>) {
        let Some(summary) = summary.map(Arc::new) else { return };
        for node in &*self.nodes.lock() {
            if node.summed.lock().contains(name) {
                node.queue(Order::Sum(name.clone(), Arc::clone(&summary)));
            }
        }
    }

    /// Whoever was told that it owes a summary asks then.
    fn owe(self: &Arc<Self>, name: &ChannelName, in_ms: Option<u64>) {
        let Some(in_ms) = in_ms else { return };
        let (twin, name) = (Arc::clone(self), name.clone());
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(in_ms + 5)).await;
            let asked = twin.summary(&name, 0);
            twin.owe(&name, asked.owes_ms);
        });
    }

    fn publish(&self, name: &ChannelName, told: &Arc<Told>, begins: bool) {
        for node in &*self.nodes.lock() {
            if node.followed.lock().contains(name) {
                node.queue(Order::Hear(name.clone(), Arc::clone(told)));
            }
            if begins && *node.follows_names.lock() {
                node.queue(Order::Meet(name.clone()));
            }
        }
    }
}

impl Node {
    fn queue(&self, order: Order) {
        // A broker may outlive its engine, at the end of a test.
        let full = matches!(self.orders.try_send(order), Err(TrySendError::Full(_)));
        assert!(!full, "more than a test has to say");
    }
}

async fn run(node: Arc<Node>, hub: Arc<Hub>, mut ordered: Receiver<Order>) {
    while let Some(order) = ordered.recv().await {
        let mut answers = node.answers.clone();
        if answers.wait_for(|answers| *answers).await.is_err() {
            return;
        }
        let Some(twin) = node.twin.upgrade() else { return };
        match order {
            Order::Say(channel) => {
                let Some(say) = hub.take_say(&channel) else { continue };
                let begins = !twin.store.lock().channels().any(|name| name == channel.name());
                let done = twin.store.lock().say(channel.name(), &say, twin.now());
                twin.publish_summary(channel.name(), done.summary);
                twin.owe(channel.name(), done.answer.owes_ms);
                for told in done.published.map(Arc::new).iter() {
                    twin.publish(channel.name(), told, begins);
                }
                hub.said(&channel, Some(&done.answer));
            }
            Order::Follow(channel) => {
                let name = channel.name();
                if !hub.is_summed(&channel) {
                    node.followed.lock().insert(name.clone());
                }
                let load = twin.store.lock().load(name, twin.now());
                hub.stands(&channel, &load);
                if load.counted && hub.counts_only(&channel) || hub.is_summed(&channel) {
                    node.summed.lock().insert(name.clone());
                    if !hub.is_summed(&channel) {
                        hub.listening_summary(&channel);
                    }
                    let asked = hub.ask_summary(&channel);
                    let answer = twin.summary(name, asked.version);
                    if hub.summary_answered(&channel, (asked, 1), &answer) {
                        node.followed.lock().remove(name);
                        continue;
                    }
                    node.followed.lock().insert(name.clone());
                }
                node.summed.lock().remove(name);
                let Some(number) = hub.listening(&channel) else { continue };
                hub.load_begins(&channel, number, (load.era, load.version, load.now));
                for records in load.records.chunks(2) {
                    hub.load_part(&channel, number, records);
                }
                hub.load_ends(&channel, number, 1).await;
            }
            Order::Hear(name, told) => hub.published(&name, &told),
            Order::Sum(name, summary) => hub.summary_told(&name, &summary),
            Order::Meet(name) => hub.meet(&name),
        }
    }
}

impl Engine for Node {
    fn me(&self) -> NodeId {
        self.me
    }

    fn peers(&self, _: &ChannelName) -> Peers {
        Peers::default()
    }

    fn shared_key(&self) -> Option<u64> {
        Some(7)
    }

    fn is_well(&self) -> bool {
        *self.answers.borrow() || !self.notices
    }

    fn hearing(&self) -> Option<u64> {
        self.is_well().then_some(1)
    }

    fn others(&self) -> usize {
        self.twin.upgrade().map_or(0, |twin| twin.nodes.lock().len() - 1)
    }

    fn register(&self, _: &mut Registry) {}

    fn has_to_say(&self, channel: &Arc<Channel>) {
        self.queue(Order::Say(Arc::clone(channel)));
    }

    fn follow(&self, channel: &Arc<Channel>) {
        self.queue(Order::Follow(Arc::clone(channel)));
    }

    fn unfollow(&self, channel: &ChannelName) {
        self.followed.lock().remove(channel);
        self.summed.lock().remove(channel);
    }

    fn meet_all(&self) -> Meeting<'_> {
        self.follow_names(true);
        Box::pin(async {})
    }

    fn is_surely_alive(&self) -> bool {
        true
    }

    fn senders(&self) -> watch::Receiver<Senders> {
        watch::channel(Senders::default()).1
    }

    fn follow_names(&self, wanted: bool) {
        *self.follows_names.lock() = wanted;
        let Some(twin) = self.twin.upgrade().filter(|_| wanted) else { return };
        for name in twin.store.lock().channels() {
            self.queue(Order::Meet(name.clone()));
        }
    }

    fn look_up<'a>(&'a self, channel: &'a ChannelName, user: &'a UserId) -> Answering<'a, Told> {
        Box::pin(async move {
            let _ = self.answers.clone().wait_for(|answers| *answers).await;
            let twin = self.twin.upgrade()?;
            let load = twin.store.lock().load(channel, twin.now());
            let found = load.records.into_iter().find(|(found, _)| found == user);
            let record = found.map(|(_, record)| record);
            let users = vec![UserTold { user: user.clone(), record, why: None }];
            let (era, version, now, counted) = (load.era, load.version, load.now, load.counted);
            Some(Told { era, version, changed: false, counted, owes_ms: None, now, users })
        })
    }

    fn order(&self, _: &UserId, _: Act) {}

    fn kick<'a>(&'a self, _: &'a UserId, _: Act) -> Kicking<'a> {
        Box::pin(std::future::ready(Kicked::default()))
    }

    fn channels_of<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<&'a ChannelName>,
        limit: usize,
    ) -> Answering<'a, Vec<ChannelName>> {
        Box::pin(async move {
            let twin = self.twin.upgrade().filter(|_| *self.answers.borrow())?;
            let mut store = twin.store.lock();
            let all: BTreeSet<_> = store.channels().cloned().collect();
            let now = twin.now();
            let has = |name: &ChannelName, store: &mut Store| {
                store.load(name, now).records.iter().any(|(found, _)| found == user)
            };
            let mut found: Vec<_> = all.into_iter().filter(|name| has(name, &mut store)).collect();
            found.retain(|name| !name.is_status() && after.is_none_or(|after| name > after));
            found.truncate(limit);
            Some(found)
        })
    }

    fn channels<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ChannelName>,
        limit: usize,
    ) -> Answering<'a, Vec<ChannelName>> {
        Box::pin(async move {
            let twin = self.twin.upgrade().filter(|_| *self.answers.borrow())?;
            let all: BTreeSet<_> = twin.store.lock().channels().cloned().collect();
            let wanted = |name: &ChannelName| {
                name.as_str().starts_with(prefix)
                    && after.is_none_or(|after| name > after)
                    && !name.is_status()
            };
            Some(all.into_iter().filter(wanted).take(limit).collect())
        })
    }
}
