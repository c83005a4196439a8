//! What is heard of other nodes.

use herenow_protocol::{LeaveReason, UserId};

use super::channel::{Followed, Heard, Here, Part, Replica};
use super::known::Known;
use super::settling::Manner;
use crate::cluster::peers::Peers;
use crate::cluster::record::{Mark, Record};
use crate::cluster::say::Told;
use crate::now::Now;
use crate::presence::pending::Cause;
use crate::presence::{ChannelState, Command, NodeId};

/// Something heard of a user.
#[derive(Debug)]
pub(super) struct News {
    pub(super) record: Option<Record>,
    /// The channel's version at which that was so.
    pub(super) version: u64,
    pub(super) why: Option<Cause>,
    /// It is an answer: what is older than what is known is held against it all the same.
    pub(super) answers: bool,
    /// It is of a load, or follows what was published before.
    pub(super) is_next: bool,
}

impl Replica {
    /// The store published this to those who follow the channel.
    pub fn told(&mut self, told: &Told, state: &ChannelState, peers: &Peers, now: Now) -> Heard {
        self.knows_data(told.era, told.now, now);
        let is_next = self.followed.as_ref().is_some_and(|it| !it.has_told(told.version));
        if let Some(followed) = &mut self.followed {
            followed.follow_on(told.version);
        }
        self.hear_all(told, (false, is_next), Here { state, peers, now })
    }

    /// The store told this apart from what it published: in this node's inbox, or as the answer to a
    /// burial. Also where nobody follows.
    pub fn told_apart(
        &mut self,
        told: &Told,
        state: &ChannelState,
        peers: &Peers,
        now: Now,
    ) -> Heard {
        self.knows_data(told.era, told.now, now);
        self.hear_all(told, (false, false), Here { state, peers, now })
    }

    pub(super) fn hear_all(
        &mut self,
        told: &Told,
        (answers, is_next): (bool, bool),
        here: Here<'_>,
    ) -> Heard {
        let mut commands = Vec::new();
        for user in &told.users {
            let (record, version) = (user.record.clone(), told.version);
            let news = News { record, version, why: user.why, answers, is_next };
            commands.extend(self.hear(&user.user, news, here));
        }
        self.stands(told.version, told.counted);
        self.forget_gone();
        let load_again = self.followed.as_ref().is_some_and(|it| it.hole && it.loading.is_none());
        Heard { commands, load_again }
    }

    /// Takes in what is newer than what is known.
    pub(super) fn hear(&mut self, user: &UserId, news: News, here: Here<'_>) -> Option<Command> {
        let (me, round, at) = (self.me, self.round, (self.generation, news.version));
        let is_mine = news.record.as_ref().is_some_and(|record| record.is_timed_by(me));
        // Who went is forgotten: what comes late by another way must not bring it back.
        let is_news = |it: &Followed| news.is_next || !it.has_told(news.version);
        let concerns = self.followed.as_ref().map_or(is_mine, is_news);
        if !concerns && !self.users.contains_key(user) {
            return None;
        }
        let known = self.users.entry(user.clone());
        let known = known.or_insert_with(|| Known { round, ..Known::default() });
        let cause = news.why.unwrap_or_else(|| why_gone(known));
        if at < known.heard {
            let manner = Manner { cause, moved: false, anew: false };
            if news.answers {
                return self.settle(user, here, manner);
            }
            let own = here.state.own(user);
            self.tidy(user, own.as_ref().is_some_and(super::settling::has_sources));
            return None;
        }
        let first = known.heard.0 != at.0;
        let anew = first && self.lost && (known.heard.0 != 0 || self.followed.is_some());
        if first && self.lost && known.heard.0 != 0 {
            known.outlive();
        }
        let complete = self.followed.as_ref().map(|followed| &followed.peers);
        let was_old = known.old.is_some();
        let unsaid = known.round != round
            && here.state.own(user).as_ref().is_some_and(super::settling::has_sources);
        if self.lost {
            outdate(known, news.record.as_ref(), (me, unsaid), complete, here);
        } else {
            known.old = None;
        }
        let (before, now) = (known.keeps() && !first, news.record.as_ref().is_some_and(keeps));
        let is_same = !first && !was_old && is_as_held(known.record.as_ref(), news.record.as_ref());
        known.record = news.record;
        known.heard = at;
        if let Some(followed) = &mut self.followed {
            followed.present =
                (followed.present + usize::from(now)).saturating_sub(usize::from(before));
        }
        self.settle(user, here, Manner { cause, moved: !is_same, anew })
    }

    /// Forgets those who went so long ago that nothing older may still be told.
    pub(super) fn forget_gone(&mut self) {
        let Some(followed) = &mut self.followed else { return };
        let last = followed.run.map_or(0, |(_, last)| last);
        if followed.may_be_loaded() || followed.gone.is_empty() {
            return;
        }
        for (_, user) in followed.gone.extract_if(.., |(version, _)| *version <= last) {
            let is_over =
                |known: &Known| !known.is_there() && known.todo.is_none() && known.sent.is_none();
            if self.users.get(&user).is_some_and(is_over) {
                self.users.remove(&user);
            }
        }
    }

    /// What `node`, which is among the dead of `peers`, had of users here ends, from behind the user
    /// `from` on (`None`: all), for that cause. Losses whose grace runs stay until that is over, and
    /// leases are timed by whoever buries the node.
    pub fn bury(
        &mut self,
        node: NodeId,
        cause: Cause,
        from: Option<&UserId>,
        state: &ChannelState,
        peers: &Peers,
        now: Now,
    ) -> Part {
        let (batch, next) = self.batch(from);
        let here = Here { state, peers, now };
        let (mut commands, mut found) = (Vec::new(), false);
        for user in batch {
            let Some(known) = self.users.get(&user) else { continue };
            found |= known.record.as_ref().is_some_and(|record| record.is_of(node));
            let marked =
                |record: &Record| matches!(record.marks.get(&node), Some(Mark::Live { .. }));
            if known.record.as_ref().is_some_and(marked) || known.old.as_deref().is_some_and(marked)
            {
                let manner = Manner { cause, moved: true, anew: false };
                commands.extend(self.settle(&user, here, manner));
            }
        }
        Part { commands, next, found }
    }
}

impl Followed {
    /// Something was published.
    fn follow_on(&mut self, version: u64) {
        // A channel without a member has ended, and what begins now has other versions.
        let begins = self.whole && self.loading.is_none() && !self.hole && self.present == 0;
        self.run = Some(match self.run {
            Some((first, last)) if version == last + 1 => (first, version),
            Some((first, last)) if version <= last => (first, last),
            Some(_) if !begins => {
                self.hole = true;
                (version, version)
            }
            _ => (version, version),
        });
    }
}

fn keeps(record: &Record) -> bool {
    !record.marks.is_empty() || !record.leases.is_empty()
}

/// Whether what keeps the user present is the same.
fn is_as_held(one: Option<&Record>, other: Option<&Record>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let leases = |record: &Record| {
                let leases = record.leases.iter();
                leases.map(|(keeper, it)| (*keeper, it.owner, it.away)).collect::<Vec<_>>()
            };
            one.marks == other.marks && leases(one) == leases(other)
        }
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// What the store had before it lost data counts as far as it may only be missing now: as long as whose
/// it is has not said all again. `unsaid`: this node has not.
fn outdate(
    known: &mut Known,
    record: Option<&Record>,
    (me, unsaid): (NodeId, bool),
    complete: Option<&Peers>,
    here: Here<'_>,
) {
    let Some(old) = &mut known.old else { return };
    let missing = |node: &NodeId| {
        let is_complete = complete.is_some_and(|peers| peers.is_complete(*node));
        *node != me && !is_complete && !here.peers.is_dead(*node)
    };
    old.marks.retain(|node, _| {
        missing(node) && record.is_none_or(|record| !record.marks.contains_key(node))
    });
    old.leases.retain(|keeper, lease| {
        missing(&lease.owner) && record.is_none_or(|record| !record.leases.contains_key(keeper))
    });
    known.old.take_if(|old| !unsaid && !keeps(old));
}

/// Why a user goes of whom that was not told.
fn why_gone(known: &Known) -> Cause {
    let marks = known.record.iter().flat_map(|record| record.marks.values());
    let lost = marks.filter_map(|mark| match *mark {
        Mark::Live { .. } => None,
        Mark::Lost { reason, last_seen, .. } => Some((last_seen, reason)),
    });
    match lost.max_by_key(|&(last_seen, _)| last_seen) {
        Some((last_seen, reason)) => Cause::Lost(reason, last_seen),
        None => Cause::Left(LeaveReason::Left),
    }
}
