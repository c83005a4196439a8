//! What a node asks of Redis: each question typed, with what it is answered.

use std::fmt;
use std::sync::Arc;

use herenow_protocol::{ChannelName, UserId};
use redis::{Cmd, Value, cmd};

use super::line::{Failed, Line};
use super::scripts::Scripts;
use super::wire::Wire;
use crate::chance::Chance;
use crate::cluster::name::{Group, Names, entry, read_entry};
use crate::cluster::nodes::burial::Claimed;
use crate::cluster::summary::Asked;
use crate::cluster::wire::{Read, Strange, life, said, told};
use crate::cluster::{Buried, Load, Record, Renew, Renewed, Say, Told, UserTold};
use crate::limits::{INDEX_PAGE, LOAD_PAGE, STATUS_KEPT_MS};
use crate::metrics::RedisMetrics;
use crate::presence::NodeId;
use crate::presence::pending::Cause;

/// Above how many members of a channel they are counted.
pub type RosterLimits = Box<dyn Fn(&ChannelName) -> usize + Send + Sync>;

/// What is asked of Redis.
pub struct Store {
    names: Names,
    line: Arc<Line>,
    scripts: Scripts,
    chance: Arc<Chance>,
    metrics: Arc<RedisMetrics>,
    /// By which command scripts publish.
    publish: &'static str,
    roster: RosterLimits,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("names", &self.names).finish_non_exhaustive()
    }
}

/// What comes in pages, and where the next begins; 0: that was all.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on this one.
    pub items: Vec<T>,
    /// Where to go on.
    pub next: u64,
}

impl Store {
    /// Asks by `line`, of names that `names` gives.
    #[must_use]
    pub fn new(
        names: Names,
        line: Arc<Line>,
        is_cluster: bool,
        roster: RosterLimits,
        chance: Arc<Chance>,
        metrics: Arc<RedisMetrics>,
    ) -> Self {
        let publish = if is_cluster { "SPUBLISH" } else { "PUBLISH" };
        Self { names, line, scripts: Scripts::default(), chance, metrics, publish, roster }
    }

    /// What things are called.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The era of data that begin with this.
    fn new_era(&self) -> String {
        format!("{:016x}", self.chance.number())
    }

    /// What was read, with what could not be counted, and said once in a while.
    pub(super) fn read<T>(&self, read: Result<Read<T>, Strange>) -> Result<T, Failed> {
        match read {
            Ok(read) => {
                if let Some(first) = read.first {
                    self.complain(&first, read.strange);
                }
                Ok(read.value)
            }
            Err(strange) => {
                self.complain(&strange, 1);
                Err(Failed::Refused(strange.to_string()))
            }
        }
    }

    fn complain(&self, strange: &Strange, count: usize) {
        let before = self.metrics.strange.inc_by(count as u64);
        if before == 0 {
            tracing::warn!(
                what = strange.to_string(),
                "something in Redis is not ours; more is only counted"
            );
        }
    }

    /// Says something of a channel.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn say(&self, channel: &ChannelName, say: &Say) -> Result<Told, Failed> {
        let mut call = self.scripts.say.prepare_invoke();
        call.arg(said::text(say));
        self.begin_call(&mut call, channel);
        call.arg(self.names.inboxes());
        let text = self.text(&call).await?;
        self.read(told::told(&text))
    }

    /// Clears away what the dead node had of some users of a channel, which it had for that cause;
    /// `me` takes over its leases. At most [`SAY_USERS`](crate::limits::SAY_USERS) of them.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn bury(
        &self,
        channel: &ChannelName,
        (dead, me): (NodeId, NodeId),
        why: Cause,
        users: &[UserId],
    ) -> Result<Buried, Failed> {
        let mut call = self.scripts.bury.prepare_invoke();
        call.arg(dead.to_string());
        self.begin_call(&mut call, channel);
        let keep_ms = if channel.is_status() { STATUS_KEPT_MS } else { 0 };
        call.arg(me.to_string()).arg(said::cause(why)).arg(keep_ms).arg(self.names.inbox(dead));
        for user in users {
            call.arg(user.as_str());
        }
        let text = self.text(&call).await?;
        self.read(told::buried(&text))
    }

    /// The summary of a channel, unless it has the version `known`; `None`: it is not wanted. It is
    /// published, if that is due.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn summary(
        &self,
        channel: &ChannelName,
        known: Option<u64>,
    ) -> Result<Asked, Failed> {
        let mut call = self.scripts.summary.prepare_invoke();
        call.arg(known.map(|known| known.to_string()).unwrap_or_default());
        self.begin_call(&mut call, channel);
        let text = self.text(&call).await?;
        self.read(told::summary(&text))
    }

    /// What all calls about a channel begin with, behind their first argument.
    fn begin_call(&self, call: &mut redis::ScriptInvocation<'_>, channel: &ChannelName) {
        let names = &self.names;
        let group = Group::of(channel);
        call.key(names.records(channel)).key(names.head(channel));
        call.key(names.channels(group)).key(names.era(group)).key(names.shown(channel));
        call.arg(self.new_era()).arg(channel.as_str()).arg(names.topic(channel));
        call.arg(self.publish).arg(names.summary(channel)).arg((self.roster)(channel));
    }

    /// What a load begins with: all but the records.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn load(&self, channel: &ChannelName) -> Result<Load, Failed> {
        self.head(self.names.head(channel), Group::of(channel)).await
    }

    /// The era of a group.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn era(&self, group: Group) -> Result<u64, Failed> {
        // As a load of a channel that there is not.
        Ok(self.head(self.names.era(group) + ":none", group).await?.era)
    }

    async fn head(&self, key: String, group: Group) -> Result<Load, Failed> {
        let mut call = self.scripts.load.prepare_invoke();
        call.key(key).key(self.names.era(group)).arg(self.new_era());
        let text = self.text(&call).await?;
        let load = told::load(&text).map(|value| Read { value, strange: 0, first: None });
        self.read(load)
    }

    /// A page of a channel's records.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn page(
        &self,
        channel: &ChannelName,
        cursor: u64,
    ) -> Result<Page<(UserId, Record)>, Failed> {
        let mut scan = cmd("HSCAN");
        scan.arg(self.names.records(channel)).arg(cursor).arg("COUNT").arg(LOAD_PAGE);
        let (next, flat): (u64, Vec<Vec<u8>>) = self.ask(scan).await?;
        let fields = flat.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1]));
        let items = self.read(Ok(told::page(fields)))?;
        Ok(Page { items, next })
    }

    /// One user of a channel, as if it were told.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn look_up(&self, channel: &ChannelName, user: &UserId) -> Result<Told, Failed> {
        let mut get = cmd("HGET");
        get.arg(self.names.records(channel)).arg(user.as_str());
        let text: Option<Vec<u8>> = self.ask(get).await?;
        let fields = text.iter().map(|text| (user.as_str().as_bytes(), text.as_slice()));
        let record = self.read(Ok(told::page(fields)))?.pop().map(|(_, record)| record);
        // Behind the record: it is never newer than the version that is told with it.
        let Load { era, version, counted, now, .. } = self.load(channel).await?;
        let users = vec![UserTold { user: user.clone(), record, why: None }];
        Ok(Told { era, version, changed: false, counted, owes_ms: None, now, users })
    }

    // Nodes.

    /// Renews the lease of a node, or takes it.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn renew(&self, renew: &Renew) -> Result<Renewed, Failed> {
        let names = &self.names;
        let mut call = self.scripts.renew.prepare_invoke();
        call.key(names.leases()).key(names.infos()).key(names.counts()).key(names.life());
        let era = renew.era.map(|era| format!("{era:016x}")).unwrap_or_default();
        call.arg(renew.node.to_string()).arg(renew.timeout_ms).arg(era);
        call.arg(life::info_text(&renew.info)).arg(life::counts_text(renew.counts));
        call.arg(renew.since).arg(self.new_era());
        let text = self.text(&call).await?;
        self.read(life::renewed(&text))
    }

    /// Ends the lease of a dead node, and claims its burial for `me`.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn claim(&self, dead: NodeId, me: NodeId, for_ms: u64) -> Result<Claimed, Failed> {
        let mut call = self.scripts.claim.prepare_invoke();
        call.key(self.names.leases()).key(self.names.life());
        call.arg(dead.to_string()).arg(me.to_string()).arg(for_ms);
        let (whose, left_ms): (i64, i64) = self.run(&call).await?;
        Ok(match whose {
            0 => Claimed::Gone,
            1 => Claimed::Mine { runs_ms: left_ms.max(0).cast_unsigned() },
            _ => Claimed::Others { left_ms: left_ms.max(0).cast_unsigned() },
        })
    }

    /// Forgets a dead node, of which nothing is left in any channel.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn forget(&self, dead: NodeId) -> Result<(), Failed> {
        let _: i64 = self.ask(cmd("DEL").arg(self.names.channels_of(dead)).to_owned()).await?;
        let names = &self.names;
        let mut call = self.scripts.forget.prepare_invoke();
        call.key(names.leases()).key(names.infos()).key(names.counts()).key(names.life());
        call.arg(dead.to_string());
        self.run(&call).await
    }

    // Hints.

    /// A page of the channels in which a node may have something.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn channels_of_node(
        &self,
        node: NodeId,
        cursor: u64,
    ) -> Result<Page<ChannelName>, Failed> {
        let mut scan = cmd("SSCAN");
        scan.arg(self.names.channels_of(node)).arg(cursor).arg("COUNT").arg(LOAD_PAGE);
        let (next, names): (u64, Vec<Vec<u8>>) = self.ask(scan).await?;
        let items = self.read(Ok(told::channels(names.iter().map(Vec::as_slice))))?;
        Ok(Page { items, next })
    }

    /// The channels in which a user may be, and the nodes by which it is there.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn places_of(&self, user: &UserId) -> Result<Vec<(ChannelName, NodeId)>, Failed> {
        let key = self.names.places_of(user);
        let entries: Vec<String> = self.ask(cmd("SMEMBERS").arg(key).to_owned()).await?;
        Ok(entries.iter().filter_map(|text| read_entry(text)).collect())
    }

    /// The first channels of a group, by name, behind `after`, that begin with `prefix`; at most
    /// [`INDEX_PAGE`] and `limit`.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn channels(
        &self,
        group: Group,
        prefix: &str,
        after: Option<&ChannelName>,
        limit: usize,
    ) -> Result<Vec<ChannelName>, Failed> {
        let from = match after {
            Some(after) if after.as_str() >= prefix => format!("({after}"),
            _ => format!("[{prefix}"),
        };
        let mut until = b"(".to_vec();
        until.extend_from_slice(prefix.as_bytes());
        // No name has this byte, which is in no UTF-8.
        until.push(0xff);
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(self.names.channels(group)).arg(from).arg(until);
        range.arg("LIMIT").arg(0).arg(limit.min(INDEX_PAGE));
        let names: Vec<Vec<u8>> = self.ask(range).await?;
        self.read(Ok(told::channels(names.iter().map(Vec::as_slice))))
    }

    /// Notes where a node has something (`adds`), or has no longer.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn note_places(
        &self,
        channel: &ChannelName,
        node: NodeId,
        of_node: bool,
        users: &[&UserId],
        adds: bool,
    ) -> Result<(), Failed> {
        let command = if adds { "SADD" } else { "SREM" };
        let mut all = Vec::with_capacity(users.len() + 1);
        if of_node {
            let mut note = cmd(command);
            note.arg(self.names.channels_of(node)).arg(channel.as_str());
            all.push(note);
        }
        for user in users {
            let mut note = cmd(command);
            note.arg(self.names.places_of(user)).arg(entry(channel, node));
            all.push(note);
        }
        if all.is_empty() {
            return Ok(());
        }
        let noted = |wire: Wire| async move {
            let each = all.iter().map(|note| {
                let mut wire = wire.clone();
                async move { note.query_async::<Value>(&mut wire).await }
            });
            futures_util::future::try_join_all(each).await.map(|_| ())
        };
        self.line.ask(noted).await
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: Cmd) -> Result<T, Failed> {
        self.line.ask(|mut wire| async move { command.query_async(&mut wire).await }).await
    }

    async fn text(&self, call: &redis::ScriptInvocation<'_>) -> Result<String, Failed> {
        self.run(call).await
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        call: &redis::ScriptInvocation<'_>,
    ) -> Result<T, Failed> {
        self.line.ask(|mut wire| async move { call.invoke_async(&mut wire).await }).await
    }
}
