//! The engine: what the hub wants of the other nodes, and the start and end of all loops.

use std::collections::BTreeSet;
use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::address::Address;
use super::ear::Ear;
use super::joint::{Deed, Joint, Owed};
use super::line::Line;
use super::noted::Hints;
use super::orders::Orders;
use super::queue::Queue;
use super::store::Store;
use crate::actions::Desk;
use crate::chance::Chance;
use crate::cluster::name::{Group, Names};
use crate::cluster::nodes::Settings;
use crate::cluster::{Act, Nodes, Peers, Senders, Told};
use crate::config::Config;
use crate::hub::engine::Kicking;
use crate::hub::{Answering, Channel, Engine, Kicked, Meeting};
use crate::limits::MAX_DEEDS;
use crate::metrics::RedisMetrics;
use crate::presence::NodeId;
use crate::vital::Vital;

/// A node among others, by Redis. Its loops run as long as anybody has it, and the hub does.
#[derive(Clone, Debug)]
pub struct Node(Arc<Joint>, Arc<Running>);

/// The loops.
#[derive(Debug)]
struct Running {
    loops: parking_lot::Mutex<Vec<AbortHandle>>,
    vital: Vital,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.loops.lock().iter().for_each(AbortHandle::abort);
    }
}

impl Node {
    /// Joins the hub to all that use the same prefix on that Redis, and starts what has to run for
    /// that. Before anybody can ask the hub for a channel. `port`: where this node listens.
    ///
    /// # Errors
    /// One line: the prefix.
    pub fn join(
        config: &Config,
        address: &Address,
        port: u16,
        desk: &Arc<Desk>,
    ) -> Result<Self, String> {
        let (hub, flags) = (desk.hub(), &config.cluster);
        let prefix = flags.redis_prefix.clone();
        let names = Names::new(&prefix).map_err(|rule| format!("--redis-prefix: {rule}"))?;
        let chance = Arc::new(Chance::from_seed(hub.chance().number()));
        let (clock, metrics) = (hub.clock(), Arc::new(RedisMetrics::default()));
        let line =
            Arc::new(Line::new(address.clone(), clock, Arc::clone(&chance), Arc::clone(&metrics)));
        let (ear, heard) =
            Ear::new(address.clone(), &prefix, clock, Arc::clone(&chance), Arc::clone(&metrics));
        let rules = Arc::downgrade(hub);
        let store = Store::new(
            names,
            Arc::clone(&line),
            address.cluster,
            Box::new(move |channel| {
                // Without it nothing is said.
                rules.upgrade().map_or(usize::MAX, |hub| hub.rules_of(channel).bounds.roster)
            }),
            Arc::clone(&chance),
            Arc::clone(&metrics),
        );
        let settings = Settings {
            name: flags.node_name.clone().unwrap_or_else(|| machine(port)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            timeout_ms: flags.node_timeout.as_millis() as u64,
            hold_ms: flags.drain_hold.as_millis() as u64,
            sends: config.webhooks.webhooks_file.is_some(),
        };
        let me = NodeId::new(chance.number());
        let (deeds, to_do) = mpsc::channel(MAX_DEEDS);
        let joint = Arc::new(Joint {
            hub: Arc::downgrade(hub),
            desk: Arc::downgrade(desk),
            runtime: tokio::runtime::Handle::current(),
            clock,
            chance,
            metrics,
            line,
            store,
            ear,
            orders: Orders::new(&prefix),
            prefix,
            nodes: parking_lot::Mutex::new(Nodes::new(me, settings, clock.now().mono_ms)),
            deeds,
            soon: tokio::sync::Notify::new(),
            burial: tokio::sync::Notify::new(),
            to_compare: tokio::sync::Notify::new(),
            leased: watch::channel(false).0,
            unsaid: Queue::new(clock),
            renewals: parking_lot::Mutex::default(),
            says: Joint::says(),
            owed: parking_lot::Mutex::new(Owed::default()),
            hints: Hints::new(),
            followed: parking_lot::Mutex::default(),
            unloaded: Queue::new(clock),
            loading: parking_lot::Mutex::default(),
            unsummed: Queue::new(clock),
            left: parking_lot::Mutex::default(),
            some_left: tokio::sync::Notify::new(),
            wants_names: watch::channel(false).0,
            meetings: watch::channel(<_>::default()).0,
            to_meet: tokio::sync::Notify::new(),
            senders: watch::channel(Senders::default()).0,
        });
        let running = Running { loops: <_>::default(), vital: hub.vital().clone() };
        let node = Self(joint, Arc::new(running));
        hub.join(Arc::new(node.clone()));
        node.run(heard, to_do);
        Ok(node)
    }

    /// All loops. Each ends when the hub is gone.
    fn run(&self, heard: mpsc::Receiver<super::ear::Heard>, to_do: mpsc::Receiver<Deed>) {
        let joint = || Arc::clone(&self.0);
        let line = Arc::clone(&self.0.line);
        self.spawn(async move { line.keep().await });
        let ears = joint();
        self.spawn(async move {
            ears.listen_always().await;
            ears.ear.keep().await;
        });
        self.spawn(joint().keep_living());
        self.spawn(joint().keep_doing(to_do));
        self.spawn(joint().keep_burying());
        self.spawn(joint().keep_comparing());
        self.spawn(joint().keep_saying());
        self.spawn(joint().keep_striking());
        self.spawn(joint().keep_leaving());
        self.spawn(joint().keep_loading());
        self.spawn(joint().keep_whole());
        self.spawn(joint().keep_hearing(heard));
        self.spawn(joint().keep_meeting());
        self.spawn(joint().keep_summing());
        self.spawn(joint().keep_signed_out());
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.1.vital.mind("what joins the nodes", work);
        self.1.loops.lock().push(tokio::spawn(work).abort_handle());
    }

    /// The other nodes are told that this one shuts down.
    pub fn begin_draining(&self) {
        self.0.begin_draining();
    }

    /// All clients are gone: the rest is said, and the lease ends.
    pub async fn leave(&self) {
        self.0.leave_nodes().await;
    }
}

/// The name of this machine, and the port.
fn machine(port: u16) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let host: String = host.chars().filter(|letter| !letter.is_control()).collect();
    format!("{host}:{port}")
}

impl Engine for Node {
    fn me(&self) -> NodeId {
        self.0.me()
    }

    fn peers(&self, channel: &ChannelName) -> Peers {
        self.0.peers(channel)
    }

    fn shared_key(&self) -> Option<u64> {
        self.0.nodes.lock().shared_key()
    }

    fn is_well(&self) -> bool {
        self.0.line.is_well()
    }

    fn hearing(&self) -> Option<u64> {
        let hears = self.0.line.is_well() && self.0.ear.is_prompt() && self.0.is_surely_alive();
        hears.then(|| self.0.ear.hearing())
    }

    fn others(&self) -> usize {
        self.0.nodes.lock().living()
    }

    fn register(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    fn has_to_say(&self, channel: &Arc<Channel>) {
        self.0.note_unsaid(channel);
    }

    fn follow(&self, channel: &Arc<Channel>) {
        self.0.note_followed(channel);
    }

    fn unfollow(&self, channel: &ChannelName) {
        self.0.note_left(channel);
    }

    fn follow_names(&self, wanted: bool) {
        self.0.wants_names.send_if_modified(|wants| std::mem::replace(wants, wanted) != wanted);
    }

    fn meet_all(&self) -> Meeting<'_> {
        Box::pin(self.0.meet_all())
    }

    fn is_surely_alive(&self) -> bool {
        self.0.is_surely_alive()
    }

    fn senders(&self) -> watch::Receiver<Senders> {
        self.0.senders.subscribe()
    }

    fn look_up<'a>(&'a self, channel: &'a ChannelName, user: &'a UserId) -> Answering<'a, Told> {
        Box::pin(async move { self.0.store.look_up(channel, user).await.ok() })
    }

    fn order(&self, user: &UserId, act: Act) {
        let (joint, user) = (Arc::clone(&self.0), user.clone());
        let runtime = joint.runtime.clone();
        runtime.spawn(async move { joint.give(&user, act).await });
    }

    fn kick<'a>(&'a self, user: &'a UserId, act: Act) -> Kicking<'a> {
        Box::pin(self.0.kick(user, act))
    }

    fn channels_of<'a>(
        &'a self,
        user: &'a UserId,
        after: Option<&'a ChannelName>,
        limit: usize,
    ) -> Answering<'a, Vec<ChannelName>> {
        Box::pin(async move {
            let places = self.0.store.places_of(user).await.ok()?;
            self.0.doubt_read(user, &places);
            let names: BTreeSet<_> = places.into_iter().map(|(channel, _)| channel).collect();
            let behind = names.into_iter().filter(|name| after.is_none_or(|after| name > after));
            Some(behind.take(limit).collect())
        })
    }

    fn channels<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a ChannelName>,
        limit: usize,
    ) -> Answering<'a, Vec<ChannelName>> {
        Box::pin(async move {
            let of = |group| self.0.store.channels(group, prefix, after, limit);
            let groups = futures_util::future::try_join_all(Group::all().map(of)).await.ok()?;
            let names: BTreeSet<_> = groups.into_iter().flatten().collect();
            Some(names.into_iter().take(limit).collect())
        })
    }
}

impl Joint {
    pub(super) async fn give(&self, user: &UserId, act: Act) {
        let me = self.me();
        let given = self
            .line
            .ask(|mut wire| async move { self.orders.give(&mut wire, me, user, act).await })
            .await;
        if let Err(failed) = given {
            tracing::debug!(?failed, "an order did not go out");
        }
    }

    async fn kick(&self, user: &UserId, act: Act) -> Kicked {
        let (me, others) = {
            let nodes = self.nodes.lock();
            (nodes.me(), nodes.others())
        };
        self.note_signed_out(user, act).await;
        let kicked = self.line.ask(|mut wire| async move {
            Ok(self.orders.kick(&mut wire, me, others, user, act).await)
        });
        kicked.await.unwrap_or(Kicked { closed: 0, partial: true })
    }
}
