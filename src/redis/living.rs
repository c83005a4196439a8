//! Being one of several nodes: the lease, who is dead, what the dead left, and data that were lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use herenow_protocol::{ChannelName, LossReason, UserId};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::joint::{Deed, Joint};
use super::line::Failed;
use crate::cluster::Record;
use crate::cluster::life::fingerprint;
use crate::cluster::name::{GROUPS, Group};
use crate::cluster::nodes::{Order, Step};
use crate::hub::{Channel, Hub};
use crate::limits::{FLUSH_TIME, SAY_USERS};
use crate::now::NEVER;
use crate::presence::NodeId;
use crate::presence::pending::Cause;

impl Joint {
    /// The topics that are no channel's.
    pub(super) async fn listen_always(&self) {
        let me = self.me();
        let topics =
            vec![self.store.names().inbox(me), self.orders.topic(), self.orders.answers(me)];
        self.ear.listen_always(topics).await;
    }

    /// Renews the lease in time, for as long as the hub lives.
    pub(super) async fn keep_living(self: Arc<Self>) {
        let mut joined = self.line.joined();
        let mut reborn = None;
        loop {
            let due_ms = self.nodes.lock().due_ms();
            let wait_ms = due_ms.saturating_sub(self.now().mono_ms);
            if wait_ms > 0 {
                let wait = Duration::from_millis(wait_ms.min(60_000));
                tokio::select! {
                    () = sleep(wait) => {}
                    () = self.soon.notified() => {}
                    changed = joined.changed() => {
                        if changed.is_err() { return; }
                        let now = joined.borrow_and_update().clone();
                        now.into_iter().for_each(|it| self.do_later(Deed::Joined(it)));
                    }
                }
                continue;
            }
            let Some(hub) = self.hub() else { return };
            let renewed = self.renew(&hub).await;
            self.tell_senders();
            let Some(orders) = renewed else { continue };
            let again = orders.iter().find_map(|order| match order {
                Order::Reborn(me) => Some(*me),
                _ => None,
            });
            if let Some(me) = again {
                // Before it has a lease of that name, nobody may hear of it.
                self.leased.send_replace(false);
                reborn = Some(me);
            } else if !self.leased.send_replace(true) {
                self.listen_always().await;
                if let Some(me) = reborn.take() {
                    self.do_later(Deed::Order(Order::Reborn(me)));
                }
            }
            for order in orders.into_iter().filter(|order| !matches!(order, Order::Reborn(_))) {
                self.do_later(Deed::Order(order));
            }
        }
    }

    fn counts(hub: &Hub) -> (u64, u64) {
        (hub.metrics().members.get().max(0).cast_unsigned(), hub.channel_count() as u64)
    }

    async fn renew(&self, hub: &Arc<Hub>) -> Option<Vec<Order>> {
        let (renew, patience_ms) = {
            let mut nodes = self.nodes.lock();
            let renew = nodes.renew(Self::counts(hub), self.now().mono_ms);
            (renew, nodes.patience_ms())
        };
        let patience = Duration::from_millis(patience_ms);
        let answer = timeout(patience, self.store.renew(&renew)).await;
        let answer = answer.unwrap_or(Err(Failed::Unknown));
        let joined = self.line.joined_now();
        let now = self.now();
        let new_id = NodeId::new(self.chance.number());
        let mut nodes = self.nodes.lock();
        match (answer, joined) {
            (Ok(answer), Some(joined)) => {
                let data = fingerprint(answer.era, joined.runs.of_nodes());
                let orders = nodes.renewed(answer, data, new_id, now);
                self.metrics.nodes.set(nodes.living() as i64);
                drop(nodes);
                self.burial.notify_one();
                Some(orders)
            }
            (_, _) => {
                nodes.failed(now.mono_ms);
                None
            }
        }
    }

    /// Does what takes long, in order.
    pub(super) async fn keep_doing(self: Arc<Self>, mut deeds: mpsc::Receiver<Deed>) {
        let mut number = 0;
        while let Some(deed) = deeds.recv().await {
            let Some(hub) = self.hub() else { return };
            match deed {
                Deed::Order(Order::Reborn(me)) => {
                    tracing::warn!(%me, "the other nodes took this one for dead; it begins again");
                    self.hints.forget();
                    hub.reborn(me).await;
                    self.tend_data(&hub).await;
                }
                Deed::Order(Order::Judged { node, last_seen }) => {
                    tracing::warn!(%node, "a node is dead");
                    self.metrics.deaths.inc();
                    hub.bury(node, Cause::Lost(LossReason::Node, last_seen)).await;
                    self.burial.notify_one();
                }
                Deed::Order(Order::AskGroups(data)) => {
                    if self.ask_groups().await {
                        self.nodes.lock().asked_groups(data);
                    }
                    self.tend_data(&hub).await;
                }
                Deed::Joined(joined) => {
                    self.ask_groups().await;
                    self.tend_data(&hub).await;
                    let is_new = joined.number > 1 && joined.number != number;
                    number = joined.number;
                    if is_new {
                        // What was said last may have been lost on the way.
                        let unsaid = hub.say_all(|_| true, false).await;
                        self.load_followed(|_| true);
                        tokio::spawn(Arc::clone(&self).come_back(unsaid));
                    }
                }
                Deed::Lost => self.tend_data(&hub).await,
            }
        }
    }

    /// Whoever tells back ends knows which nodes do.
    fn tell_senders(&self) {
        let senders = self.nodes.lock().senders(self.now().mono_ms);
        self.senders.send_if_modified(|known| {
            let is_new = *known != senders;
            if is_new {
                *known = senders;
            }
            is_new
        });
    }

    /// What back ends were told of these channels was perhaps in no list of another node: that is said to
    /// them once it is.
    async fn come_back(self: Arc<Self>, unsaid: Vec<Arc<Channel>>) {
        let Some(hub) = self.hub() else { return };
        self.flush(&hub, &unsaid, FLUSH_TIME).await;
        self.nodes.lock().is_back();
        self.tell_senders();
    }

    /// Asks every group which data it holds. Whether all answered.
    async fn ask_groups(&self) -> bool {
        let asked = Group::all().map(|group| async move { (group, self.store.era(group).await) });
        let mut answered = true;
        for (group, era) in futures_util::future::join_all(asked).await {
            match era {
                Ok(era) => drop(self.era_seen(group, era)),
                Err(_) => answered = false,
            }
        }
        answered
    }

    fn load_followed(&self, of: impl Fn(Group) -> bool) {
        let followed = self.followed.lock();
        let channels = followed.values().filter(|channel| of(Group::of(channel.name())));
        channels.for_each(|channel| self.unloaded.push(channel));
    }

    /// Says everything again in groups that lost data, and says so when that is done.
    async fn tend_data(&self, hub: &Arc<Hub>) {
        let mut lost = self.nodes.lock().take_lost();
        if lost.is_empty() {
            return;
        }
        // Mostly the others lost theirs as well, and all is done at once.
        self.ask_groups().await;
        lost.extend(self.nodes.lock().take_lost());
        let lost: BTreeMap<Group, u64> =
            Group::all().filter_map(|group| Some((group, *lost.get(&group.number())?))).collect();
        tracing::warn!(groups = lost.len(), "Redis holds other data: all is said again");
        self.hints.lost();
        {
            let mut owed = self.owed.lock();
            owed.walks.extend(lost.iter().map(|(&group, &data)| (group, data)));
        }
        let groups: Vec<Group> = lost.keys().copied().collect();
        if groups.len() < usize::from(GROUPS) {
            // Hints of theirs may have lain where data were lost: what is said is noted.
            let others = groups.clone();
            hub.say_all(move |name| !others.contains(&Group::of(name)), false).await;
        }
        let unsaid = hub.say_all(move |name| groups.contains(&Group::of(name)), true).await;
        self.load_followed(|group| lost.contains_key(&group));
        self.to_compare.notify_one();
        for channel in &unsaid {
            // What was in flight may have been answered meanwhile, and all that followed.
            self.owe(channel);
            self.settle(hub, channel);
        }
        for (group, data) in lost {
            self.owed.lock().walks.remove(&group);
            self.nodes.lock().walked(group.number(), data);
        }
        self.soon.notify_one();
    }

    /// Clears away what the dead left in Redis.
    pub(super) async fn keep_burying(self: Arc<Self>) {
        // Where leases may have been taken over by a burial whose answer did not come.
        let mut unheard = BTreeSet::new();
        loop {
            let Some(hub) = self.hub() else { return };
            if let Some(channel) = unheard.first().cloned()
                && !hub.attend(&channel).await
            {
                unheard.remove(&channel);
            }
            drop(hub);
            let step = self.nodes.lock().burial().step(self.now().mono_ms);
            let done = match step.clone() {
                Step::Rest { until_ms } => {
                    let ms = match until_ms {
                        NEVER => 60_000,
                        until_ms => until_ms.saturating_sub(self.now().mono_ms).max(10),
                    };
                    // Whichever comes first.
                    let _ = timeout(Duration::from_millis(ms), self.burial.notified()).await;
                    continue;
                }
                step => self.bury(step).await,
            };
            if done.is_err() {
                self.nodes.lock().burial().failed(self.now().mono_ms);
                if let Step::Bury { channels, .. } = step {
                    unheard.extend(channels);
                }
            }
        }
    }

    async fn bury(&self, step: Step) -> Result<(), Failed> {
        match step {
            Step::Rest { .. } => {}
            Step::Claim { dead, for_ms } => {
                let asked_ms = self.now().mono_ms;
                let claimed = self.store.claim(dead, self.me(), for_ms).await?;
                let when = (asked_ms, self.now().mono_ms);
                self.nodes.lock().burial().claimed(dead, claimed, when);
            }
            Step::List { dead, cursor } => {
                let page = self.store.channels_of_node(dead, cursor).await?;
                self.nodes.lock().burial().listed(dead, page.items, page.next);
            }
            Step::Bury { dead, channels } => {
                let mut lost_ms = None;
                for channel in &channels {
                    lost_ms = lost_ms.max(self.bury_in(channel, dead).await?);
                }
                let now_ms = self.now().mono_ms;
                self.nodes.lock().burial().buried(dead, &channels, lost_ms, now_ms);
            }
            Step::Forget { dead } => {
                self.store.forget(dead).await?;
                self.nodes.lock().burial().forgotten(dead);
            }
        }
        Ok(())
    }

    /// Buries the node in one channel. For how long losses of it stay there, in milliseconds.
    async fn bury_in(&self, channel: &ChannelName, dead: NodeId) -> Result<Option<u64>, Failed> {
        let (mut lost_ms, mut cursor) = (None, 0);
        loop {
            let mut page = self.store.page(channel, cursor).await?;
            page.items.retain(|(_, record)| record.is_of(dead));
            for some in page.items.chunks(SAY_USERS) {
                lost_ms = lost_ms.max(self.bury_some(channel, dead, some).await?);
            }
            cursor = page.next;
            if cursor == 0 {
                return Ok(lost_ms);
            }
        }
    }

    /// The same for some users. Leases of the dead node will be this one's, so it has its own hints of
    /// those before the dead one's go.
    async fn bury_some(
        &self,
        channel: &ChannelName,
        dead: NodeId,
        some: &[(UserId, Record)],
    ) -> Result<Option<u64>, Failed> {
        let me = self.me();
        let left = some.iter().filter(|(_, record)| record.is_timed_by(dead));
        let left: Vec<_> = left.map(|(user, _)| user).collect();
        let users: Vec<_> = some.iter().map(|(user, _)| user.clone()).collect();
        let why = Cause::Lost(LossReason::Node, self.now().unix_ms);
        let _turn = self.hints.turn(channel).await;
        self.note(channel, me, &left).await?;
        let buried = self.store.bury(channel, (dead, me), why, &users).await?;
        self.era_seen(Group::of(channel), buried.told.era);
        let Some(hub) = self.hub() else { return Ok(None) };
        hub.told_apart(channel, &buried.told);
        if let Some(channel) = hub.find(channel) {
            self.owes_summary(&channel, buried.told.owes_ms);
        }
        // Some may have gone since they were read.
        let inherited = |user: &&UserId| {
            let told = buried.told.users.iter().find(|told| told.user == **user);
            told.and_then(|told| told.record.as_ref()).is_some_and(|record| record.is_of(me))
        };
        let spared = left.into_iter().filter(|user| !inherited(user));
        let gone: Vec<_> = spared.filter(|user| hub.has_let_go(channel, user)).collect();
        if !gone.is_empty() {
            self.strike_out(channel, me, &gone).await;
        }
        if !channel.is_status() {
            let gone: Vec<_> = users.iter().collect();
            self.store.note_places(channel, dead, false, &gone, false).await?;
        }
        if me != self.me() {
            // Whoever took the leases over is dead by now.
            let records = buried.told.users.iter().filter_map(|user| user.record.as_ref());
            self.nodes_seen(channel, records);
        }
        Ok(buried.lost_until.map(|until| until.saturating_sub(buried.told.now)))
    }

    /// Other nodes are told that this one shuts down.
    pub(super) fn begin_draining(&self) {
        self.nodes.lock().drain();
        self.tell_senders();
        self.soon.notify_one();
    }

    /// Says the rest, and ends the lease.
    pub(super) async fn leave_nodes(&self) {
        let Some(hub) = self.hub() else { return };
        let hold_ms = self.nodes.lock().hold_ms();
        let unsaid = hub.say_lost(hold_ms).await;
        self.flush(&hub, &unsaid, FLUSH_TIME).await;
        let renew = self.nodes.lock().leave(Self::counts(&hub), self.now().mono_ms);
        if let Err(failed) = self.store.renew(&renew).await {
            tracing::warn!(?failed, "the other nodes will find out late that this one is gone");
        }
    }
}
