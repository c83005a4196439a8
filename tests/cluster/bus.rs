//! Brokers in one process, joined by the store in plain Rust instead of Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use herenow::cluster::{Act, Peers, Senders, Told, UserTold};
use herenow::hub::{Answering, Channel, Engine, Hub, Kicked, Kicking, Meeting};
use herenow::presence::NodeId;
use herenow_protocol::{ChannelName, UserId};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch;

use super::store::Store;

/// What joins the nodes.
#[derive(Debug)]
pub(crate) struct Bus {
    store: Mutex<Store>,
    nodes: Mutex<BTreeMap<NodeId, Arc<Node>>>,
    since: Instant,
    /// How many says the store has done.
    says: Mutex<Vec<ChannelName>>,
}

/// One node's end of the bus.
#[derive(Debug)]
pub(crate) struct Node {
    me: NodeId,
    bus: Arc<Bus>,
    hub: OnceLock<Weak<Hub>>,
    /// The store does not answer this node, and tells it nothing.
    pub(crate) cut: AtomicBool,
    followed: Mutex<BTreeSet<ChannelName>>,
    tasks: Sender<Task>,
}

#[derive(Debug)]
enum Task {
    Say(Arc<Channel>),
    Load(Arc<Channel>),
    Order(UserId, Act),
}

impl Bus {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            store: Mutex::new(Store::new(7)),
            nodes: Mutex::default(),
            since: Instant::now(),
            says: Mutex::default(),
        })
    }

    /// Joins a broker that nobody has asked for anything yet.
    pub(crate) fn join(self: &Arc<Self>, number: u64, hub: &Arc<Hub>) -> Arc<Node> {
        let (tasks, mut to_do) = channel(100_000);
        let (hub_of, followed) = (OnceLock::new(), Mutex::default());
        let (me, bus) = (NodeId::new(number), Arc::clone(self));
        let node = Node { me, bus, hub: hub_of, cut: AtomicBool::new(false), followed, tasks };
        let node = Arc::new(node);
        node.hub.set(Arc::downgrade(hub)).unwrap();
        hub.join(Arc::clone(&node) as Arc<dyn Engine>);
        self.nodes.lock().unwrap().insert(node.me, Arc::clone(&node));
        let works = Arc::clone(&node);
        tokio::spawn(async move {
            while let Some(task) = to_do.recv().await {
                works.work(task).await;
            }
        });
        node
    }

    /// What the store has done since the last time that somebody asked.
    pub(crate) fn take_says(&self) -> Vec<ChannelName> {
        std::mem::take(&mut self.says.lock().unwrap())
    }

    fn now(&self) -> u64 {
        1_000_000 + self.since.elapsed().as_millis() as u64
    }

    fn others(&self, but: NodeId) -> Vec<Arc<Node>> {
        let nodes = self.nodes.lock().unwrap();
        nodes.values().filter(|node| node.me != but && !node.is_cut()).cloned().collect()
    }

    fn publish(&self, name: &ChannelName, told: &Told) {
        for node in self.nodes.lock().unwrap().values().filter(|node| !node.is_cut()) {
            if node.followed.lock().unwrap().contains(name) {
                node.with_hub(|hub| hub.published(name, told));
            }
        }
    }
}

impl Node {
    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    fn with_hub<T>(&self, act: impl FnOnce(&Arc<Hub>) -> T) -> Option<T> {
        self.hub.get()?.upgrade().map(|hub| act(&hub))
    }

    async fn work(&self, task: Task) {
        let Some(hub) = self.hub.get().and_then(Weak::upgrade) else { return };
        match task {
            Task::Say(channel) => self.say(&hub, &channel).await,
            Task::Load(channel) => self.load(&hub, &channel).await,
            Task::Order(user, act) => {
                assert_eq!(act, Act::StopBeating, "kicks need a desk");
                hub.stop_heartbeat_here(&user);
            }
        }
    }

    async fn say(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) {
        while let Some(say) = hub.take_say(channel) {
            if self.is_cut() {
                hub.said(channel, None);
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let (name, now) = (channel.name(), self.bus.now());
            let done = self.bus.store.lock().unwrap().say(name, &say, now);
            self.bus.says.lock().unwrap().push(name.clone());
            hub.said(channel, Some(&done.answer));
            if let Some(told) = &done.published {
                self.bus.publish(name, told);
            }
            for inbox in &done.inbox {
                let node = self.bus.nodes.lock().unwrap().get(&inbox.node).cloned();
                let node = node.filter(|node| !node.is_cut());
                node.and_then(|node| {
                    node.with_hub(|hub| hub.told_apart(&inbox.channel, &inbox.told))
                });
            }
        }
    }

    async fn load(&self, hub: &Arc<Hub>, channel: &Arc<Channel>) {
        let Some(number) = hub.listening(channel) else { return };
        if self.is_cut() {
            return hub.load_fails(channel, number);
        }
        self.followed.lock().unwrap().insert(channel.name().clone());
        let load = self.bus.store.lock().unwrap().load(channel.name(), self.bus.now());
        hub.load_begins(channel, number, (load.era, load.version, load.now));
        hub.load_part(channel, number, &load.records);
        hub.load_ends(channel, number, 1).await;
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
        !self.is_cut()
    }

    fn hearing(&self) -> Option<u64> {
        self.is_well().then_some(1)
    }

    fn has_to_say(&self, channel: &Arc<Channel>) {
        let _ = self.tasks.try_send(Task::Say(Arc::clone(channel)));
    }

    fn follow(&self, channel: &Arc<Channel>) {
        let _ = self.tasks.try_send(Task::Load(Arc::clone(channel)));
    }

    fn unfollow(&self, channel: &ChannelName) {
        self.followed.lock().unwrap().remove(channel);
    }

    fn follow_names(&self, _: bool) {}

    fn meet_all(&self) -> Meeting<'_> {
        Box::pin(async {})
    }

    fn is_surely_alive(&self) -> bool {
        true
    }

    fn senders(&self) -> watch::Receiver<Senders> {
        watch::channel(Senders::default()).1
    }

    fn look_up<'a>(&'a self, channel: &'a ChannelName, user: &'a UserId) -> Answering<'a, Told> {
        let load = self.bus.store.lock().unwrap().load(channel, self.bus.now());
        let record = load.records.into_iter().find(|(of, _)| of == user).map(|(_, record)| record);
        let users = vec![UserTold { user: user.clone(), record, why: None }];
        let (era, version, now) = (load.era, load.version, load.now);
        let counted = load.counted;
        let told = Told { era, version, changed: false, counted, owes_ms: None, now, users };
        Box::pin(async { (!self.is_cut()).then_some(told) })
    }

    fn others(&self) -> usize {
        self.bus.others(self.me).len()
    }

    fn register(&self, _: &mut Registry) {}

    fn order(&self, user: &UserId, act: Act) {
        for node in self.bus.others(self.me) {
            let _ = node.tasks.try_send(Task::Order(user.clone(), act));
        }
    }

    fn kick<'a>(&'a self, _: &'a UserId, _: Act) -> Kicking<'a> {
        Box::pin(async { Kicked::default() })
    }

    fn channels_of<'a>(
        &'a self,
        _: &'a UserId,
        _: Option<&'a ChannelName>,
        _: usize,
    ) -> Answering<'a, Vec<ChannelName>> {
        Box::pin(async { Some(Vec::new()) })
    }

    fn channels<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a ChannelName>,
        _: usize,
    ) -> Answering<'a, Vec<ChannelName>> {
        Box::pin(async { Some(Vec::new()) })
    }
}
