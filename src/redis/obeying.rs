//! Orders of other nodes, and who was signed out while this one was away.

use std::collections::BTreeMap;
use std::sync::Arc;

use herenow_protocol::UserId;

use super::joint::Joint;
use super::signed_out;
use crate::cluster::Act;
use crate::limits::SIGNED_OUT_BATCH;
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

    /// Learns who was signed out meanwhile, and tells what Redis does not know: of a kick that came
    /// while it did not answer, or before its data were lost.
    async fn load_signed_out(&self) {
        let Some(mut untold) = self.signed_out_here() else { return };
        let mut cursor = 0;
        loop {
            let page = self.line.ask(|mut wire| async move {
                signed_out::load(&mut wire, &self.prefix, cursor).await
            });
            let Ok((next, users)) = page.await else { return };
            for (at, user) in &users {
                if untold.get(user).is_some_and(|own| own <= at) {
                    untold.remove(user);
                }
            }
            let Some(desk) = self.desk.upgrade() else { return };
            desk.catch_up_sign_outs(users, self.now()).await;
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let mut untold: Vec<_> = untold.into_iter().map(|(user, at)| (at, user)).collect();
        untold.sort_unstable();
        self.tell_signed_out(&untold).await;
    }

    /// Whom this node knows to be signed out, and since when; `None`: it is about to end.
    fn signed_out_here(&self) -> Option<BTreeMap<UserId, u64>> {
        let desk = self.desk.upgrade()?;
        let (mut all, mut after) = (BTreeMap::new(), None);
        loop {
            let page = desk.auth().signed_out_after(after.as_ref(), SIGNED_OUT_BATCH);
            let Some(last) = page.last() else { return Some(all) };
            after = Some(last.clone());
            all.extend(page.into_iter().map(|(at, user)| (user, at)));
        }
    }

    /// Has Redis keep them, and the nodes that are there look, who may have been cut off as well: for
    /// the latest.
    async fn tell_signed_out(&self, users: &[(u64, UserId)]) {
        let now_ms = self.now().unix_ms;
        for some in users.chunks(SIGNED_OUT_BATCH) {
            let noted = self.line.ask(|mut wire| async move {
                signed_out::note(&mut wire, &self.prefix, some, now_ms).await
            });
            if noted.await.is_err() {
                return;
            }
        }
        let latest = users.len().saturating_sub(SIGNED_OUT_BATCH);
        for (at, user) in users.iter().skip(latest) {
            self.give(user, Act::SignOut { at: *at }).await;
        }
    }
}
