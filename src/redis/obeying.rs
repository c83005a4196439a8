//! Orders of other nodes, and who was signed out while this one was away.

use std::sync::Arc;

use herenow_protocol::UserId;

use super::joint::Joint;
use super::signed_out;
use crate::cluster::Act;
use crate::presence::NodeId;

impl Joint {
    /// Does what another node ordered, and answers it.
    pub(super) fn obey(self: &Arc<Self>, me: NodeId, text: &[u8]) {
        let Some(order) = self.orders.ordered(me, text) else { return };
        let joint = Arc::clone(self);
        tokio::spawn(async move {
            let Some(desk) = joint.desk.upgrade() else { return };
            let closed = desk.obey(order.user.clone(), order.act, joint.now()).await;
            // Whoever ordered waits for a second, and knows then that somebody did not answer.
            let answer = joint.line.ask(|mut wire| {
                let (order, orders) = (&order, &joint.orders);
                async move { orders.answer(&mut wire, me, order, closed).await }
            });
            let _ = answer.await;
        });
    }

    /// Keeps for nodes that come later that the user was signed out.
    pub(super) async fn note_signed_out(&self, user: &UserId, act: Act) {
        let Act::Kick { at, .. } = act else { return };
        let users = [(at, user.clone())];
        let now_ms = self.now().unix_ms;
        let noted = self.line.ask(|mut wire| {
            let users = &users;
            async move { signed_out::note(&mut wire, &self.prefix, users, now_ms).await }
        });
        if let Err(failed) = noted.await {
            tracing::debug!(?failed, "who was signed out is not kept in Redis");
        }
    }

    /// After each connection to Redis: learns who was signed out meanwhile.
    pub(super) async fn keep_signed_out(self: Arc<Self>) {
        let mut joined = self.line.joined();
        let mut number = 0;
        loop {
            let now = match joined.wait_for(Option::is_some).await {
                Ok(now) => now.as_ref().map_or(0, |now| now.number),
                Err(_) => return,
            };
            if now != number {
                number = now;
                self.load_signed_out().await;
            }
            if joined.changed().await.is_err() {
                return;
            }
        }
    }

    async fn load_signed_out(&self) {
        let mut cursor = 0;
        loop {
            let page = self.line.ask(|mut wire| async move {
                signed_out::load(&mut wire, &self.prefix, cursor).await
            });
            let Ok((next, users)) = page.await else { return };
            let Some(desk) = self.desk.upgrade() else { return };
            desk.catch_up_sign_outs(users, self.now()).await;
            cursor = next;
            if cursor == 0 {
                return;
            }
        }
    }
}
