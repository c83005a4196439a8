//! What nodes have each other do about a user, and who was signed out, by a real Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use herenow::auth::Secret;
use herenow::cluster::Act;
use herenow::config::ClusterFlags;
use herenow::limits::{SIGNED_OUT_BATCH, SIGNED_OUT_MS};
use herenow::presence::NodeId;
use herenow::redis::{Address, Orders, Wire, signed_out};
use herenow_protocol::UserId;
use redis::{PushInfo, PushKind, Value};

use super::server::Redis;

const KICK: Act = Act::Kick { at: 1_795_000_000_000, keeps_leases: false };

fn user(name: &str) -> UserId {
    UserId::parse(name, "user").unwrap()
}

pub(crate) fn address(redis: &Redis) -> Address {
    let redis_url = Some(Secret::new(redis.url().as_bytes()));
    Address::of(&ClusterFlags { redis_url, ..ClusterFlags::default() }).unwrap().unwrap()
}

/// A node that closes as many connections as it is told for each kick.
struct Node {
    id: NodeId,
    orders: Arc<Orders>,
    wire: Wire,
}

async fn node(redis: &Redis, number: u64, closes: Option<u64>) -> Node {
    let (id, orders) = (NodeId::new(number), Arc::new(Orders::new("herenow")));
    let (sender, mut published) = tokio::sync::mpsc::unbounded_channel();
    let heard = move |push: PushInfo| sender.send(push).map_err(|_| ());
    let mut wire = Wire::connect(&address(redis), Some(heard)).await.unwrap();
    wire.subscribe(&[orders.topic(), orders.answers(id)], false).await.unwrap();
    let (answering, mut speaks) = (Arc::clone(&orders), wire.clone());
    tokio::spawn(async move {
        while let Some(push) = published.recv().await {
            let PushInfo { kind: PushKind::Message, data } = push else { continue };
            let [Value::BulkString(topic), Value::BulkString(text)] = &data[..] else { continue };
            if *topic == answering.answers(id).into_bytes() {
                answering.answered(text);
            } else if let (Some(order), Some(closed)) = (answering.ordered(id, text), closes) {
                assert_eq!(order.user, user("ada"));
                answering.answer(&mut speaks, id, &order, closed).await.unwrap();
            }
        }
    });
    Node { id, orders, wire }
}

#[tokio::test]
async fn a_kick_reaches_all_nodes_and_counts_what_they_closed() {
    let redis = Redis::start();
    let mut first = node(&redis, 1, Some(100)).await;
    let others = [node(&redis, 2, Some(3)).await, node(&redis, 3, Some(4)).await];
    let others: BTreeSet<_> = others.iter().map(|node| node.id).collect();
    let kicked =
        first.orders.kick(&mut first.wire, first.id, others.clone(), &user("ada"), KICK).await;
    assert_eq!((kicked.closed, kicked.partial), (7, false), "its own is not asked");
    let alone =
        first.orders.kick(&mut first.wire, first.id, BTreeSet::new(), &user("ada"), KICK).await;
    assert!(!alone.partial, "{alone:?}");
    // One that hears and does not answer.
    let deaf = node(&redis, 4, None).await;
    let all = others.into_iter().chain([deaf.id]).collect();
    let start = Instant::now();
    let kicked = first.orders.kick(&mut first.wire, first.id, all, &user("ada"), KICK).await;
    assert_eq!((kicked.closed, kicked.partial), (7, true));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let ada = user("ada");
    first.orders.give(&mut first.wire, first.id, &ada, Act::StopBeating).await.unwrap();
}

#[tokio::test]
async fn who_was_signed_out_is_known_to_nodes_that_come_later() {
    const NOON: u64 = 1_795_000_000_000;
    let redis = Redis::start();
    let mut wire = Wire::connect(&address(&redis), None::<fn(_) -> Result<(), ()>>).await.unwrap();
    let mut out = BTreeMap::new();
    for batch in 0..3 {
        let users: Vec<_> = (0..SIGNED_OUT_BATCH)
            .map(|number| (NOON + number as u64, user(&format!("u {batch} {number} \u{e9}{{}}"))))
            .collect();
        signed_out::note(&mut wire, "herenow", &users, NOON).await.unwrap();
        out.extend(users.into_iter().map(|(at, user)| (user, at)));
    }
    // Of two times the later counts.
    let ada = user("ada");
    for at in [NOON + 10, NOON + 30, NOON + 20] {
        signed_out::note(&mut wire, "herenow", &[(at, ada.clone())], NOON).await.unwrap();
    }
    out.insert(ada, NOON + 30);
    redis.ask("ZADD herenow:signed-out inf strange");
    assert_eq!(load(&mut wire).await, out);
    // A day later only who was signed out since is known.
    let late = [(NOON + 30 + SIGNED_OUT_MS, user("bob"))];
    let now = NOON + SIGNED_OUT_MS + SIGNED_OUT_BATCH as u64;
    signed_out::note(&mut wire, "herenow", &late, now).await.unwrap();
    let bob = [(user("bob"), NOON + 30 + SIGNED_OUT_MS)];
    assert_eq!(load(&mut wire).await, BTreeMap::from(bob));
}

async fn load(wire: &mut Wire) -> BTreeMap<UserId, u64> {
    let (mut all, mut cursor) = (BTreeMap::new(), 0);
    loop {
        let (next, some) = signed_out::load(wire, "herenow", cursor).await.unwrap();
        all.extend(some.into_iter().map(|(at, user)| (user, at)));
        cursor = next;
        if cursor == 0 {
            return all;
        }
    }
}
