//! The store in plain Rust: what the scripts do inside Redis, as `cluster::say` and `cluster::life`
//! document it. The simulator runs on it; `tests/redis/scripts.rs`
//! compares it with the real thing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use herenow::cluster::nodes::burial::Claimed;
use herenow::cluster::say::{SAME_END_MS, VERSIONS_PER_MS};
use herenow::cluster::summary::{Asked, LARGE, NEWEST, NEWEST_BYTES, OVERHEADS, SUMMARY_MS};
use herenow::cluster::{
    Base, Buried, Inbox, LeaseMark, LeaseSay, Load, Mark, MarkSay, NodeInfo, NodeSeen, Place,
    Record, Renew, Renewed, Said, Say, Stamp, Stamped, StoreMs, Summary, Told, UserSay, UserTold,
    Written,
};
use herenow::presence::lists::NUMBER_STEP;
use herenow::presence::pending::Cause;
use herenow::presence::{Keeper, NodeId};
use herenow_protocol::{Attributes, Audience, ChannelName, UserId};

/// All that is in Redis, but for indexes that are hints.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// The same for all groups of channels.
    era: u64,
    channels: HashMap<ChannelName, Channel>,
    nodes: BTreeMap<NodeId, Lease>,
    /// Who buries whom, and until when that is the only one.
    claims: BTreeMap<NodeId, (NodeId, StoreMs)>,
    /// When any node last renewed.
    renewed: StoreMs,
    /// The version with which the last channel began.
    begun: u64,
    /// With which the next one begins, if that is known.
    begins: Option<u64>,
    /// Above how many members they are counted.
    roster: usize,
    /// A mistake: two may have one number.
    twice: bool,
}

#[derive(Clone, Debug)]
struct Channel {
    version: u64,
    /// The last number in lists.
    last: u64,
    records: BTreeMap<UserId, Record>,
    /// Set where only kept records are left.
    expires: Option<StoreMs>,
    /// Whether there is an index of whom all may see, and whether members are counted.
    large: bool,
    counted: bool,
    /// The version of the last summary, and when it was told.
    told: Option<(u64, StoreMs)>,
}

#[derive(Clone, Debug)]
struct Lease {
    /// If that is negative, it was ended before that moment.
    ends: i64,
    info: NodeInfo,
    /// When the info changed.
    changed: StoreMs,
}

impl Lease {
    fn runs(&self, now: StoreMs) -> bool {
        self.ends > now.cast_signed()
    }
}

/// What the store does about a say or a burial, beside its own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// To whoever said it.
    pub(crate) answer: Told,
    /// To whoever follows the channel, if anything changed: the users that did.
    pub(crate) published: Option<Told>,
    /// To whoever follows the summary, if that is due.
    pub(crate) summary: Option<Summary>,
    /// To the nodes whose lost marks were ended, that own a lease no longer, or that have live marks
    /// where kept fields changed.
    pub(crate) inbox: Vec<Inbox>,
}

impl Store {
    /// An empty store, whose data have that name.
    pub(crate) fn new(era: u64) -> Self {
        Self {
            era,
            channels: HashMap::new(),
            nodes: BTreeMap::new(),
            claims: BTreeMap::new(),
            renewed: 0,
            begun: 0,
            begins: None,
            roster: usize::MAX,
            twice: false,
        }
    }

    /// Above so many members they are counted.
    pub(crate) fn with_roster(self, roster: usize) -> Self {
        Self { roster, ..self }
    }

    /// A mistake, if that is so: two may have one number.
    pub(crate) fn with_twice(self, twice: bool) -> Self {
        Self { twice, ..self }
    }

    /// FLUSHALL, or an empty Redis in the place of the old one.
    pub(crate) fn lose_everything(&mut self, new_era: u64) {
        *self = Self { roster: self.roster, twice: self.twice, ..Self::new(new_era) };
    }

    /// What a replica has that lags, or a snapshot on disk.
    pub(crate) fn copy(&self) -> Self {
        self.clone()
    }

    /// The last writes are lost; the era is that of the copy, and Redis' run id another.
    pub(crate) fn go_back(&mut self, copy: Self) {
        *self = copy;
    }

    /// A channel that comes to be next begins with that version: the clock of the real store is finer.
    pub(crate) fn begins_with(&mut self, version: u64) {
        self.begins = Some(version);
    }

    /// Takes out the channel as it is at `now`, or as it would begin.
    fn take(&mut self, channel: &ChannelName, now: StoreMs) -> Channel {
        let there = self.channels.remove(channel);
        let there = there.filter(|there| there.expires.is_none_or(|ends| now < ends));
        let given = self.begins.take();
        there.unwrap_or_else(|| {
            // No two scripts are done in the same microsecond.
            self.begun = given.unwrap_or((now * VERSIONS_PER_MS).max(self.begun + 10));
            Channel {
                version: self.begun,
                last: now / 1_000 * NUMBER_STEP,
                records: BTreeMap::new(),
                expires: None,
                large: false,
                counted: false,
                told: None,
            }
        })
    }

    fn put_back(&mut self, name: &ChannelName, channel: Channel) {
        if !channel.records.is_empty() {
            self.channels.insert(name.clone(), channel);
        }
    }

    /// Does a say, whole.
    pub(crate) fn say(&mut self, name: &ChannelName, say: &Say, now: StoreMs) -> Done {
        let mut channel = self.take(name, now);
        let next = channel.version + 1;
        let (mut users, mut changed_users) = (Vec::new(), Vec::new());
        let mut ended: BTreeMap<NodeId, Vec<UserTold>> = BTreeMap::new();
        for said in &say.users {
            let old = channel.records.remove(&said.user);
            let others = channel.records.values().filter(|_| !self.twice);
            let taken: BTreeSet<_> = others.map(|record| record.place.value.number).collect();
            let (record, changed, lost) = hear(old, said, say, (&mut channel.last, &taken), now);
            let record = record.map(|mut record| {
                record.version = if changed { next } else { record.version };
                channel.records.insert(said.user.clone(), record.clone());
                if say.keep_ms > 0 {
                    channel.expires = is_only_kept(&record).then_some(now + say.keep_ms);
                }
                record
            });
            let told = UserTold { user: said.user.clone(), record, why: said.why };
            changed.then(|| changed_users.push(told.clone()));
            lost.into_iter().for_each(|node| ended.entry(node).or_default().push(told.clone()));
            users.push(told);
        }
        let changed = !changed_users.is_empty();
        channel.version += u64::from(changed);
        let (summary, owes_ms) = self.finish(&mut channel, changed && say.keep_ms == 0, now);
        let told = |users| Told {
            era: self.era,
            version: channel.version,
            changed,
            counted: channel.counted,
            owes_ms: None,
            now,
            users,
        };
        let done = Done {
            answer: Told { owes_ms, ..told(users) },
            published: changed.then(|| told(changed_users)),
            summary,
            inbox: ended
                .into_iter()
                .map(|(node, users)| Inbox { node, channel: name.clone(), told: told(users) })
                .collect(),
        };
        self.put_back(name, channel);
        done
    }

    /// All of a channel.
    pub(crate) fn load(&mut self, name: &ChannelName, now: StoreMs) -> Load {
        let channel = self.take(name, now);
        let version = if channel.records.is_empty() { 0 } else { channel.version };
        let (records, counted) = (channel.records.clone().into_iter().collect(), channel.counted);
        self.put_back(name, channel);
        Load { era: self.era, version, counted, now, records }
    }

    /// Behind all users of a say or a burial: whether members are counted, and the summary as in
    /// [`Store::tell_summary`].
    fn finish(
        &self,
        channel: &mut Channel,
        tends: bool,
        now: StoreMs,
    ) -> (Option<Summary>, Option<u64>) {
        if channel.records.is_empty() {
            channel.counted = false;
            let told = channel.told.take();
            return (told.map(|_| self.summary_of(channel, now)), None);
        }
        let (size, from) = (channel.records.len(), self.roster.min(LARGE));
        if tends && (size * 2 <= from || (size <= from && !channel.large)) {
            (channel.large, channel.counted) = (false, false);
        } else if tends {
            let count = channel.records.values().filter(|record| is_shown(record)).count();
            channel.large = true;
            channel.counted =
                count > self.roster || (channel.counted && count * 5 > self.roster * 4);
        }
        self.tell_summary(channel, now)
    }

    /// The summary, if it is to be published now; and in how many milliseconds somebody has to ask
    /// for that, if it is later.
    fn tell_summary(&self, channel: &mut Channel, now: StoreMs) -> (Option<Summary>, Option<u64>) {
        let is_told = channel.told.is_some_and(|(version, _)| version == channel.version);
        if is_told || !(channel.counted || channel.told.is_some()) {
            return (None, None);
        }
        if let Some((_, at)) = channel.told.filter(|&(_, at)| (at..at + SUMMARY_MS).contains(&now))
        {
            return (None, Some(at + SUMMARY_MS - now));
        }
        channel.told = channel.counted.then_some((channel.version, now));
        (Some(self.summary_of(channel, now)), None)
    }

    fn summary_of(&self, channel: &Channel, now: StoreMs) -> Summary {
        let mut shown: Vec<_> =
            channel.records.iter().filter(|(_, record)| is_shown(record)).collect();
        shown.retain(|_| channel.counted);
        let count = shown.len() as u64;
        // As a sorted set does: by number, then by name.
        shown.sort_by_key(|(user, record)| (record.place.value.number, user.as_str().to_owned()));
        let (mut named, mut left) = (0, NEWEST_BYTES.cast_signed());
        let newest = shown.into_iter().rev().take(NEWEST).map_while(|(user, record)| {
            let bytes = |text: Option<&Attributes>| text.map_or(2, |text| text.as_str().len());
            let info = record.info.as_ref().map(|info| &info.value);
            let attributes = record.attributes.as_ref().map(|it| &it.value.attributes);
            named += OVERHEADS.0 + user.as_str().len() + bytes(info);
            left -= (OVERHEADS.1 + bytes(attributes)).cast_signed();
            let short = Record {
                audience: None,
                marks: BTreeMap::new(),
                leases: BTreeMap::new(),
                attributes: record.attributes.clone().filter(|_| left > 0),
                ..record.clone()
            };
            (named <= NEWEST_BYTES).then(|| (user.clone(), short))
        });
        let newest = newest.collect();
        let (era, version, counted) = (self.era, channel.version, channel.counted);
        Summary { era, version, now, counted, count, newest }
    }

    /// What is answered to whoever asks for a summary and knows that version; and the summary, if it is
    /// published.
    pub(crate) fn summary(
        &mut self,
        name: &ChannelName,
        known: u64,
        now: StoreMs,
    ) -> (Asked, Option<Summary>) {
        let mut channel = self.take(name, now);
        let (published, owes_ms) = self.tell_summary(&mut channel, now);
        let is_known = channel.version == known;
        let summary = (!is_known).then(|| self.summary_of(&channel, now));
        self.put_back(name, channel);
        (Asked { summary, now, owes_ms }, published)
    }

    /// All channels that have a record: what the index says.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.channels.keys()
    }

    /// Channels in which a node has a mark or a lease: what its hint says.
    pub(crate) fn channels_of(&self, node: NodeId) -> Vec<ChannelName> {
        let is_in = |record: &Record| {
            let owns = |lease: &LeaseMark| lease.owner == node;
            record.marks.contains_key(&node) || record.leases.values().any(owns)
        };
        let mut found: Vec<_> = self.channels.iter().collect();
        found.retain(|(_, channel)| channel.records.values().any(is_in));
        let mut found: Vec<_> = found.into_iter().map(|(name, _)| name.clone()).collect();
        found.sort();
        found
    }

    /// Takes a dead node's marks and leases out of one channel: its live marks go for the reason
    /// `why`. What is published is the answer, if that has users.
    pub(crate) fn bury(
        &mut self,
        name: &ChannelName,
        (dead, by): (NodeId, NodeId),
        why: Cause,
        keep_ms: u64,
        now: StoreMs,
    ) -> (Buried, Option<Summary>) {
        let mut channel = self.take(name, now);
        let next = channel.version + 1;
        let (mut users, mut lost_until) = (Vec::new(), None);
        let mut kept = None;
        channel.records.retain(|user, record| {
            let mut reason = None;
            match record.marks.get(&dead).copied() {
                None => {}
                Some(Mark::Lost { until, .. }) if until > now => {
                    lost_until = lost_until.max(Some(until));
                }
                Some(mark) => {
                    record.marks.remove(&dead);
                    reason = Some(match mark {
                        Mark::Live { .. } => why,
                        Mark::Lost { reason, last_seen, .. } => Cause::Lost(reason, last_seen),
                    });
                }
            }
            let mut changed = reason.is_some();
            for lease in record.leases.values_mut().filter(|lease| lease.owner == dead) {
                (lease.owner, changed) = (by, true);
            }
            if !changed {
                return true;
            }
            if keep_ms > 0 {
                see(record, reason);
            }
            let stays = stays(record, keep_ms);
            record.version = next;
            if stays && keep_ms > 0 {
                kept = Some(is_only_kept(record));
            }
            let record = stays.then(|| record.clone());
            users.push(UserTold { user: user.clone(), record, why: reason });
            stays
        });
        if let Some(only_kept) = kept {
            channel.expires = only_kept.then_some(now + keep_ms);
        }
        let changed = !users.is_empty();
        channel.version += u64::from(changed);
        let (summary, owes_ms) = self.finish(&mut channel, changed && keep_ms == 0, now);
        let (version, counted) = (channel.version, channel.counted);
        let told = Told { era: self.era, version, changed, counted, owes_ms, now, users };
        self.put_back(name, channel);
        (Buried { told, lost_until }, summary)
    }

    /// Renews a node's lease, or takes it.
    pub(crate) fn renew(&mut self, renew: &Renew, now: StoreMs) -> Renewed {
        let Renew { node, timeout_ms, era, info, counts: _, since } = renew;
        let silent_ms = now.saturating_sub(self.renewed);
        let stood_still = *timeout_ms > 0 && silent_ms >= *timeout_ms / 2;
        let lived = |lease: &&mut Lease| lease.runs(self.renewed);
        if stood_still {
            let longer = (now + timeout_ms).cast_signed();
            self.nodes.values_mut().filter(lived).for_each(|lease| lease.ends = longer);
        }
        let alive = match self.nodes.get(node) {
            Some(lease) => lease.runs(now),
            None => *era != Some(self.era),
        };
        if alive {
            // Whoever leaves renews nothing: the others may still be given more time.
            self.renewed = if *timeout_ms > 0 { now } else { self.renewed };
            let lease = self.nodes.entry(*node).or_insert_with(|| Lease {
                ends: 0,
                info: info.clone(),
                changed: now,
            });
            lease.ends = (now + timeout_ms).cast_signed();
            if lease.info != *info {
                (lease.info, lease.changed) = (info.clone(), now);
            }
        }
        let seen = |(&node, lease): (&NodeId, &Lease)| NodeSeen {
            node,
            left_ms: lease.ends - now.cast_signed(),
            info: (lease.changed >= *since).then(|| lease.info.clone()),
        };
        Renewed { era: self.era, now, alive, nodes: self.nodes.iter().map(seen).collect() }
    }

    /// A node claims the burial of a dead one, whose lease ends by that whatever it said.
    pub(crate) fn claim(
        &mut self,
        (dead, by): (NodeId, NodeId),
        for_ms: u64,
        now: StoreMs,
    ) -> Claimed {
        let Some(lease) = self.nodes.get_mut(&dead) else { return Claimed::Gone };
        lease.ends = -lease.ends.abs();
        let runs_ms = (-lease.ends - now.cast_signed()).max(0).cast_unsigned();
        match self.claims.get(&dead) {
            Some(&(other, ends)) if other != by && ends > now => {
                Claimed::Others { left_ms: ends - now }
            }
            _ => {
                self.claims.insert(dead, (by, now + for_ms));
                Claimed::Mine { runs_ms }
            }
        }
    }

    /// The nodes that have a lease, or had one, and whether they live.
    pub(crate) fn nodes(&self, now: StoreMs) -> impl Iterator<Item = (NodeId, bool)> {
        self.nodes.iter().map(move |(&node, lease)| (node, lease.runs(now)))
    }

    /// A mistake: leases that a node owns end.
    pub(crate) fn drop_leases(&mut self, name: &ChannelName, owner: NodeId) {
        for record in self.channels.get_mut(name).into_iter().flat_map(|it| it.records.values_mut())
        {
            record.leases.retain(|_, lease| lease.owner != owner);
        }
    }

    /// As if somebody had just renewed: nobody gets more time.
    pub(crate) fn seems_awake(&mut self, now: StoreMs) {
        self.renewed = now;
    }

    /// A node that was buried is forgotten.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.nodes.remove(&node);
        self.claims.remove(&node);
    }
}

/// Whether the user was seen later than known.
fn see(record: &mut Record, why: Option<Cause>) -> bool {
    let Some(Cause::Lost(_, last_seen)) = why else { return false };
    let later = last_seen > record.seen;
    record.seen = record.seen.max(last_seen);
    later
}

fn is_shown(record: &Record) -> bool {
    record.audience.as_ref().is_none_or(|it| it.value.is_everyone())
}

fn is_only_kept(record: &Record) -> bool {
    record.marks.is_empty() && record.leases.is_empty()
}

fn stays(record: &Record, keep_ms: u64) -> bool {
    let says_something =
        record.attributes.is_some() || record.info.is_some() || record.audience.is_some();
    let says_something = says_something || record.seen > 0;
    !is_only_kept(record) || (keep_ms > 0 && says_something)
}

/// What a say makes of one record: the record, if it stays; whether others need to know; and the
/// nodes whose lost marks were ended, or their leases ended or taken over.
#[expect(clippy::too_many_lines, reason = "in the order of the documentation")]
fn hear(
    old: Option<Record>,
    said: &UserSay,
    say: &Say,
    (last, taken): (&mut u64, &BTreeSet<u64>),
    now: StoreMs,
) -> (Option<Record>, bool, BTreeSet<NodeId>) {
    let node = say.node;
    let was_there = old.is_some();
    let mut changed = false;
    let mut record = old.unwrap_or(Record {
        version: 0,
        attributes: None,
        info: None,
        audience: None,
        place: Stamped {
            stamp: Stamp { counter: 0, node },
            value: Place { joined_at: 0, number: 0 },
        },
        marks: BTreeMap::new(),
        leases: BTreeMap::new(),
        seen: 0,
    });
    let takes = |(_, lease): &(Keeper, LeaseSay)| matches!(lease, LeaseSay::Take { .. });
    let live = matches!(said.mark, Some(MarkSay::Live { .. })) || said.leases.iter().any(takes);
    let is_lost = |mark: &Mark| matches!(mark, Mark::Lost { .. });
    let only_grace =
        !record.marks.is_empty() && record.marks.values().all(is_lost) && record.leases.is_empty();
    let forget = said.fresh && live && only_grace;

    let attributes = said.attributes.as_ref().map(|said| Said {
        base: said.base,
        value: Written {
            attributes: said.value.attributes.clone(),
            ends: said.value.ends.iter().map(|(key, left)| (key.clone(), now + left)).collect(),
        },
    });
    let nothing = Written { attributes: Attributes::EMPTY, ends: Vec::new() };
    let mut wrote =
        write(&mut record.attributes, attributes.as_ref(), forget.then_some(nothing), node);
    let everyone = forget.then_some(Audience::EVERYONE);
    changed |= write(&mut record.audience, said.audience.as_ref(), everyone, node);
    wrote |= write(&mut record.info, said.info.as_ref(), None, node);
    changed |= wrote;
    changed |= set_mark(&mut record, said.mark, node, now);
    let mut ended = BTreeSet::new();
    changed |= set_leases(&mut record, &said.leases, node, now, &mut ended);

    if live || said.ends_grace {
        record.marks.retain(|&other, mark| {
            let ends = other != node && is_lost(mark);
            ends.then(|| ended.insert(other));
            changed |= ends;
            !ends
        });
    }
    if say.keep_ms > 0 {
        changed |= see(&mut record, said.why);
        let lives = |(&other, mark): (&NodeId, &Mark)| {
            (wrote && other != node && !is_lost(mark)).then_some(other)
        };
        ended.extend(record.marks.iter().filter_map(lives));
    }
    if !stays(&record, say.keep_ms) {
        return (None, was_there, ended);
    }
    let mut place = was_there.then(|| record.place.clone());
    if write(&mut place, Some(&said.place), None, node) {
        changed = true;
        let hidden = record.audience.as_ref().is_some_and(|it| !it.value.is_everyone());
        place.into_iter().for_each(|place| record.place = place);
        let number = &mut record.place.value.number;
        *number = match *number {
            given if given > 0 && !taken.contains(&given) => given,
            _ if hidden => *last + 1,
            _ => (*last / NUMBER_STEP + 1) * NUMBER_STEP,
        };
        *last = (*last).max(*number);
    }
    (Some(record), changed, ended)
}

/// Whether it was written. `forgotten`: what the field becomes, whatever the base, if nothing is
/// said of it.
fn write<T: Clone>(
    field: &mut Option<Stamped<T>>,
    said: Option<&Said<T>>,
    forgotten: Option<T>,
    node: NodeId,
) -> bool {
    let known = field.as_ref().map(|field| field.stamp);
    let over = Stamp { counter: known.map_or(0, |stamp| stamp.counter) + 1, node };
    let forgets = forgotten.is_some();
    let (base, value) = match (said, forgotten, known) {
        (Some(said), ..) => (said.base, said.value.clone()),
        (None, Some(nothing), Some(_)) => (Base::Over, nothing),
        (None, ..) => return false,
    };
    let stamp = match (base, known) {
        (Base::At(stamp), _) if forgets => Stamp { counter: stamp.counter.max(over.counter), node },
        (_, _) if forgets => over,
        (Base::At(stamp), Some(known)) if stamp <= known => return false,
        (Base::IfNone, Some(_)) => return false,
        (Base::At(stamp), _) => stamp,
        (Base::Over | Base::IfNone, _) => over,
    };
    *field = Some(Stamped { stamp, value });
    true
}

/// Whether others need to know.
fn set_mark(record: &mut Record, said: Option<MarkSay>, node: NodeId, now: StoreMs) -> bool {
    let mark = match said {
        None => return record.marks.remove(&node).is_some(),
        Some(MarkSay::Live { connections, away }) => Mark::Live { connections, away },
        Some(MarkSay::Lost { for_ms, away, reason, last_seen }) => {
            Mark::Lost { until: now + for_ms, away, reason, last_seen }
        }
    };
    let there = record.marks.get(&node).copied();
    let is_same = match (there, mark) {
        (
            Some(Mark::Lost { until, away, reason, last_seen }),
            Mark::Lost { until: u, away: a, reason: r, last_seen: l },
        ) => until.abs_diff(u) < SAME_END_MS && (away, reason, last_seen) == (a, r, l),
        (there, mark) => there == Some(mark),
    };
    if !is_same {
        record.marks.insert(node, mark);
    }
    !is_same
}

/// Whether others need to know. `ended` gets the nodes that own a lease no longer.
fn set_leases(
    record: &mut Record,
    said: &[(Keeper, LeaseSay)],
    node: NodeId,
    now: StoreMs,
    ended: &mut BTreeSet<NodeId>,
) -> bool {
    let mut changed = false;
    for &(keeper, lease) in said {
        let there = record.leases.get(&keeper).copied();
        let owner = there.map(|it| it.owner).filter(|&owner| owner != node);
        match lease {
            LeaseSay::Take { for_ms, again: true, .. }
                if there.is_some_and(|it| it.ends >= now + for_ms) => {}
            LeaseSay::Take { for_ms, away, .. } => {
                ended.extend(owner);
                let mark = LeaseMark { owner: node, ends: now + for_ms, away };
                record.leases.insert(keeper, mark);
                changed |= there.is_none_or(|it| (it.owner, it.away) != (node, away));
            }
            LeaseSay::RanOut if owner.is_some() => {}
            LeaseSay::RanOut | LeaseSay::End => {
                ended.extend(owner);
                changed |= record.leases.remove(&keeper).is_some();
            }
        }
    }
    changed
}
