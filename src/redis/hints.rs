//! Hints: where a user may be, and in which channels a node may have something.
//!
//! They lie in other slots than the channels, so no script keeps them right. One that is there although
//! nothing is to be found costs whoever reads it a look; one that is missing hides a user, or what a
//! dead node left. So a hint is written before what it leads to, and struck out behind it.
//!
//! A hint names a node, and only that node writes it. That node strikes it out, or whoever buries it.
//! Both is done by whoever has its turn in the channel: what one strikes out is never what another has
//! just written.

use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};

use super::joint::Joint;
use super::line::Failed;
use super::noted::Doubt;
use crate::cluster::Told;
use crate::presence::NodeId;

impl Joint {
    /// `node`, which this one is, will have something of these users in the channel. In its turn.
    pub(super) async fn note(
        &self,
        channel: &ChannelName,
        node: NodeId,
        users: &[&UserId],
    ) -> Result<(), Failed> {
        let missing = self.hints.noted.lock().missing(node, channel, users);
        if missing.users.is_empty() {
            return Ok(());
        }
        // Where a status is kept follows from its user.
        let places = if channel.is_status() { &[] } else { &*missing.users };
        self.store.note_places(channel, node, missing.of_node, places, true).await?;
        // Under a name that it has no more it says nothing again, so nothing is to be remembered.
        if node == self.me() {
            self.hints.noted.lock().add(node, channel, &missing);
        }
        Ok(())
    }

    /// `node`, which this one is, has nothing of these users in the channel any longer. In its turn. A
    /// hint that stays by a failure is found out by whoever reads it.
    pub(super) async fn strike_out(&self, channel: &ChannelName, node: NodeId, users: &[&UserId]) {
        let (users, last) = self.hints.noted.lock().remove(node, channel, users);
        let places = if channel.is_status() { &[] } else { &*users };
        let _ = self.store.note_places(channel, node, last, places, false).await;
    }

    /// Something was told that this node had not asked for: of users whom it had there, others may have
    /// taken over all that it had.
    pub(super) fn doubt_told(&self, channel: &ChannelName, told: &Told) {
        if channel.is_status() {
            return;
        }
        let node = self.me();
        for user in &told.users {
            let is_mine = user.record.as_ref().is_some_and(|record| record.is_of(node));
            if !is_mine && self.hints.noted.lock().has(node, channel, &user.user) {
                let (channel, user) = (channel.clone(), user.user.clone());
                self.hints.doubt(Doubt { channel, user, node, was_read: false });
            }
        }
    }

    /// Hints of the user were read: those that lead nowhere are found out.
    pub(super) fn doubt_read(&self, user: &UserId, places: &[(ChannelName, NodeId)]) {
        let now = self.now();
        for (channel, node) in places {
            let mut nodes = self.nodes.lock();
            nodes.heard_of(*node, now);
            let doubtful = *node == nodes.me() || nodes.is_buried(*node);
            drop(nodes);
            if doubtful {
                let (channel, user) = (channel.clone(), user.clone());
                self.hints.doubt(Doubt { channel, user, node: *node, was_read: true });
            }
        }
    }

    /// Strikes out what leads nowhere.
    pub(super) async fn keep_striking(self: Arc<Self>) {
        loop {
            self.hints.some.notified().await;
            let doubts = std::mem::take(&mut *self.hints.doubts.lock());
            for doubt in doubts {
                self.strike_if_idle(&doubt).await;
            }
        }
    }

    async fn strike_if_idle(&self, doubt: &Doubt) {
        let Doubt { channel, user, node, was_read } = doubt;
        let is_buried = self.nodes.lock().is_buried(*node);
        let _turn = self.hints.turn(channel).await;
        let Some(hub) = self.hub() else { return };
        if *node == self.me() {
            if !hub.has_let_go(channel, user) {
                return;
            }
            let was_noted = self.hints.noted.lock().has(*node, channel, user);
            if was_noted {
                return self.strike_out(channel, *node, &[user]).await;
            }
        } else if !is_buried {
            return;
        }
        if *was_read {
            let _ = self.store.note_places(channel, *node, false, &[user], false).await;
        }
    }
}
