//! One user on two nodes: what each shows of it, and what that costs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use herenow::config::Config;
use herenow::hub::Hub;
use herenow::server::{self, Broker};
use herenow_protocol::{StatusPatch, UserId, UserStatus};

use super::bus::{Bus, Node};

struct World {
    bus: Arc<Bus>,
    brokers: [Broker; 2],
    nodes: [Arc<Node>; 2],
}

fn ada() -> UserId {
    UserId::parse("ada", "user").unwrap()
}

fn patch(change: impl FnOnce(&mut StatusPatch)) -> StatusPatch {
    let mut patch = StatusPatch::default();
    change(&mut patch);
    patch
}

impl World {
    fn start() -> Self {
        let bus = Bus::new();
        let listen = "127.0.0.1:0".parse().unwrap();
        let start = || server::start(&Config { listen, ..Config::default() }).unwrap();
        let brokers = [start(), start()];
        let nodes = [bus.join(1, brokers[0].hub()), bus.join(2, brokers[1].hub())];
        Self { bus, brokers, nodes }
    }

    fn hub(&self, at: usize) -> &Arc<Hub> {
        self.brokers[at].hub()
    }

    fn beat(&self, at: usize, away: Option<bool>) {
        let now = self.hub(at).clock().now();
        self.hub(at).heartbeat_user(&ada(), away, None, now).unwrap();
    }

    fn set(&self, at: usize, patch: StatusPatch) {
        self.hub(at).set_status(&ada(), patch, self.hub(at).clock().now());
    }

    /// What others see at that node, asked as a client does.
    async fn shown(&self, at: usize) -> Option<UserStatus> {
        let hub = self.hub(at);
        assert!(!hub.attend_users(&[ada()]).await, "all is known");
        hub.status(&ada(), false, hub.clock().now())
    }

    /// Waits until both nodes show what is wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&UserStatus) -> bool) {
        for _ in 0..500 {
            let shown = [self.shown(0).await, self.shown(1).await];
            if shown.iter().all(|status| status.as_ref().is_some_and(&wanted)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: {:?}", [self.shown(0).await, self.shown(1).await]);
    }
}

#[tokio::test]
async fn a_user_has_one_status_on_all_nodes() {
    let world = World::start();
    assert_eq!(world.shown(1).await, None, "nobody knows the user");
    world.beat(0, None);
    world.until("online", |status| status.online && !status.away).await;
    world.set(1, patch(|it| (it.busy, it.text) = (Some(true), Some(Some("lunch".into())))));
    world.until("set at the other", |it| it.busy && it.text.as_deref() == Some("lunch")).await;
    world.beat(1, Some(true));
    world.until("away by the last heartbeat, wherever it came", |it| it.online && it.away).await;
    world.beat(0, Some(false));
    world.until("and back", |status| status.online && !status.away).await;
    world.hub(1).stop_heartbeat(&ada());
    world.until("stopped at the other", |it| !it.online && it.last_seen.is_some()).await;
    let shown = [world.shown(0).await.unwrap(), world.shown(1).await.unwrap()];
    assert_eq!(shown[0], shown[1], "to the millisecond");
}

#[tokio::test]
async fn whoever_wants_to_be_invisible_is_so_on_all_nodes() {
    let world = World::start();
    world.beat(0, None);
    world.until("online", |status| status.online).await;
    // Nobody follows at the node where it is online, and still that node knows.
    tokio::time::sleep(Duration::from_millis(5_600)).await;
    world.set(1, patch(|it| it.invisible = Some(true)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.nodes[0].cut.store(true, Ordering::SeqCst);
    let hub = world.hub(0);
    let told = hub.status(&ada(), false, hub.clock().now()).unwrap();
    assert!(!told.online, "{told:?}");
    assert!(hub.status(&ada(), true, hub.clock().now()).unwrap().invisible);
    world.nodes[0].cut.store(false, Ordering::SeqCst);
    // A node that never heard of it, and that Redis does not answer.
    world.nodes[1].cut.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(5_600)).await;
    world.beat(1, None);
    world.set(1, patch(|it| it.text = Some(Some("hidden".into()))));
    let hub = world.hub(1);
    let told = hub.status(&ada(), false, hub.clock().now()).unwrap();
    assert!(!told.online, "{told:?}");
    world.nodes[1].cut.store(false, Ordering::SeqCst);
    let own = |at: usize| {
        let hub = world.hub(at);
        hub.status(&ada(), true, hub.clock().now()).unwrap()
    };
    world.until("still", |status| !status.online && status.text.is_none()).await;
    assert!(own(0).invisible && own(0).text.as_deref() == Some("hidden"), "{:?}", own(0));
}

#[tokio::test]
async fn a_user_whom_nobody_watches_costs_a_message_to_come_and_one_to_go() {
    let world = World::start();
    let quiet = || tokio::time::sleep(Duration::from_millis(300));
    world.beat(0, None);
    quiet().await;
    assert_eq!(world.bus.take_says().len(), 1, "it came");
    for _ in 0..50 {
        world.beat(0, Some(false));
    }
    quiet().await;
    assert_eq!(world.bus.take_says(), [], "heartbeats cost nothing");
    world.hub(0).stop_heartbeat(&ada());
    quiet().await;
    assert_eq!(world.bus.take_says().len(), 1, "it went");
    assert_eq!(world.hub(0).channel_count(), 0, "and leaves no channel behind");
}
