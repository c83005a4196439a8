//! What a node has all others do about a user, and what they answer.
//!
//! An order is published to all nodes, and each answers by what it publishes to the one that ordered.
//! None of it is kept: a node that is cut off does not hear it, and who was signed out meanwhile it
//! learns when it is back (`signed_out`).

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use herenow_protocol::UserId;
use parking_lot::Mutex;
use redis::{RedisResult, cmd};
use tokio::sync::oneshot;

use super::wire::Wire;
use crate::cluster::{Act, Obeyed, Order};
use crate::hub::Kicked;
use crate::limits::KICK_WAIT;
use crate::presence::NodeId;

/// The orders of this node that are under way, and the topics by which all go.
#[derive(Debug)]
pub struct Orders {
    prefix: Box<str>,
    next: AtomicU64,
    /// At most one for each kick under way.
    waiting: Mutex<HashMap<u64, Waiting>>,
}

/// An order that others have not answered yet.
#[derive(Debug)]
struct Waiting {
    of: BTreeSet<NodeId>,
    closed: u64,
    /// Told once all have answered.
    done: Option<oneshot::Sender<()>>,
}

/// Forgets an order, whichever way its wait ends.
struct Under<'a> {
    orders: &'a Orders,
    number: u64,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.orders.waiting.lock().remove(&self.number);
    }
}

impl Orders {
    /// None yet. All names in Redis begin with `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), next: AtomicU64::new(1), waiting: Mutex::default() }
    }

    /// The topic of all orders. Every node listens to it.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{}:orders", self.prefix)
    }

    /// The topic of what a node is answered. It listens to its own.
    #[must_use]
    pub fn answers(&self, node: NodeId) -> String {
        format!("{}:answers:{node}", self.prefix)
    }

    /// Has all other nodes do something. Nobody is waited for.
    ///
    /// # Errors
    /// What Redis, or the network, says.
    pub async fn give(
        &self,
        wire: &mut Wire,
        me: NodeId,
        user: &UserId,
        act: Act,
    ) -> RedisResult<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.publish(wire, &Order { from: me, number, user: user.clone(), act }).await
    }

    async fn publish(&self, wire: &mut Wire, order: &Order) -> RedisResult<()> {
        cmd("PUBLISH").arg(self.topic()).arg(order.encode()).query_async::<()>(wire).await
    }

    /// Has the `others` kick a user, and waits for what they answer: [`KICK_WAIT`] at most. One that
    /// Redis did not hear lately may be among them: then not all are counted.
    pub async fn kick(
        &self,
        wire: &mut Wire,
        me: NodeId,
        others: BTreeSet<NodeId>,
        user: &UserId,
        act: Act,
    ) -> Kicked {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, all) = oneshot::channel();
        let alone = others.is_empty();
        let waiting = Waiting { of: others, closed: 0, done: Some(sender) };
        self.waiting.lock().insert(number, waiting);
        let under = Under { orders: self, number };
        let order = Order { from: me, number, user: user.clone(), act };
        let asked = tokio::time::timeout(KICK_WAIT, async {
            let published = self.publish(wire, &order).await;
            if published.is_ok() && !alone {
                // Those who answer may be more than are known: they count all the same.
                let _ = all.await;
            }
            published
        });
        let told = matches!(asked.await, Ok(Ok(())));
        let left = self.waiting.lock().get(&number).map(|it| (it.closed, it.of.is_empty()));
        drop(under);
        let (closed, all) = left.unwrap_or_default();
        Kicked { closed, partial: !told || !all }
    }

    /// The order that was published on the topic of all; `None`: it is this node's own, or no order.
    #[must_use]
    pub fn ordered(&self, me: NodeId, text: &[u8]) -> Option<Order> {
        Order::decode(text).filter(|order| order.from != me)
    }

    /// Answers a kick that was done here. Other orders are not answered.
    ///
    /// # Errors
    /// What Redis, or the network, says.
    pub async fn answer(
        &self,
        wire: &mut Wire,
        me: NodeId,
        order: &Order,
        closed: u64,
    ) -> RedisResult<()> {
        if !matches!(order.act, Act::Kick { .. }) {
            return Ok(());
        }
        let obeyed = Obeyed { by: me, number: order.number, closed };
        let topic = self.answers(order.from);
        cmd("PUBLISH").arg(topic).arg(obeyed.encode()).query_async::<()>(wire).await
    }

    /// What was published on this node's own topic.
    pub fn answered(&self, text: &[u8]) {
        let Some(obeyed) = Obeyed::decode(text) else { return };
        let mut waiting = self.waiting.lock();
        let Some(order) = waiting.get_mut(&obeyed.number) else { return };
        order.closed = order.closed.saturating_add(obeyed.closed);
        order.of.remove(&obeyed.by);
        if order.of.is_empty()
            && let Some(done) = order.done.take()
        {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
    }
}
