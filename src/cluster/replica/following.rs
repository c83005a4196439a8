//! The channel with all that other nodes have of it: loaded whole, and let go again.

use std::collections::BTreeSet;

use herenow_protocol::UserId;

use super::channel::{Followed, Here, Loaded, Loading, Part, Replica};
use super::hearing::News;
use super::settling::Manner;
use crate::cluster::peers::Peers;
use crate::cluster::record::{Record, StoreMs};
use crate::cluster::say::VERSIONS_PER_MS;
use crate::now::Now;
use crate::presence::pending::Cause;
use crate::presence::{ChannelState, Command};
use herenow_protocol::LeaveReason;

impl Replica {
    /// From here on what is published is [`Replica::told`], without a gap; a load is to come. Also after
    /// a gap, such as a connection that broke: what is known stays until then.
    pub fn follow(&mut self) {
        // Behind a gap versions may have begun anew: the store may have come back as an old copy.
        self.generation += 1;
        let followed = self.followed.get_or_insert_default();
        (followed.run, followed.hole, followed.loading) = (None, true, None);
        followed.gone.clear();
        followed.present = 0;
    }

    /// Whether what is missing in the store's data may only not have been said again.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.lost
    }

    /// Whether what is known of the others is surely behind: a version was missed, or lost data were
    /// not all said again.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.lost || self.followed.as_ref().is_some_and(|followed| followed.hole)
    }

    /// Whether the channel is to be loaded (again) now: to be asked about once a second while it is
    /// followed, since that follows from `peers`, too.
    #[must_use]
    pub fn wants_load(&self, peers: &Peers) -> bool {
        let Some(followed) = &self.followed else { return false };
        let unsure = &followed.unsure;
        let is_sure = !unsure.is_empty() && unsure.iter().all(|&node| peers.is_complete(node));
        followed.loading.is_none() && (followed.hole || is_sure)
    }

    /// A load is asked for, from here on the only one: whatever an earlier one still brings is older than
    /// what may have been missed since, and counts for nothing. Its number; `None`: the channel is not
    /// followed.
    pub fn load_asked(&mut self) -> Option<u32> {
        let followed = self.followed.as_mut()?;
        self.loads += 1;
        followed.loading = Some(Loading { number: self.loads, version: None, swept: None });
        Some(self.loads)
    }

    /// The load of that number begins, of data of that era, when the channel had that version and the store's clock showed
    /// that (as in [`Load`](crate::cluster::Load)). Its parts follow, and [`Replica::load_ends`]. `peers`:
    /// as they were known when it was asked for.
    pub fn load_begins(&mut self, load: u32, data: (u64, u64, StoreMs), peers: &Peers, now: Now) {
        if self.loading(load).is_none() {
            return;
        }
        let (era, version, clock) = data;
        // A channel that is not there has the version with which it would begin.
        let version = if version == 0 { clock * VERSIONS_PER_MS } else { version };
        self.knows_data(era, clock, now);
        let Some(followed) = &mut self.followed else { return };
        followed.hole = false;
        followed.unsure.clear();
        followed.peers = peers.clone();
        followed.loading = Some(Loading { number: load, version: Some(version), swept: None });
    }

    /// A part of the load. Some users may come twice.
    pub fn load_part(
        &mut self,
        load: u32,
        records: &[(UserId, Record)],
        state: &ChannelState,
        peers: &Peers,
        now: Now,
    ) -> Vec<Command> {
        let Some(begun) = self.begun(load) else { return Vec::new() };
        let here = Here { state, peers, now };
        let mut commands = Vec::new();
        for (user, record) in records {
            // It is as it was at some moment since the load began.
            let version = record.version.max(begun);
            let news = News {
                record: Some(record.clone()),
                version,
                why: None,
                answers: false,
                is_next: true,
            };
            commands.extend(self.hear(user, news, here));
            if let Some(known) = self.users.get_mut(user) {
                known.named = load;
            }
        }
        commands
    }

    /// The load of that number, if it is the one that goes on.
    fn loading(&self, load: u32) -> Option<&Loading> {
        let loading = self.followed.as_ref()?.loading.as_ref();
        loading.filter(|loading| loading.number == load)
    }

    /// The version at which it began.
    fn begun(&self, load: u32) -> Option<u64> {
        self.loading(load)?.version
    }

    /// All parts have come: whom the load did not name goes. To be called again until it is done.
    pub fn load_ends(
        &mut self,
        load: u32,
        state: &ChannelState,
        peers: &Peers,
        now: Now,
    ) -> Loaded {
        let here = Here { state, peers, now };
        let nothing = Loaded { done: true, ..Loaded::default() };
        let Some(begun) = self.begun(load) else { return nothing };
        let (batch, next) = self.batch(self.loading(load).and_then(|it| it.swept.as_ref()));
        let mut commands = Vec::new();
        for user in batch {
            let Some(known) = self.users.get(&user) else { continue };
            if known.named != load && known.heard <= (self.generation, begun) && known.is_there() {
                let news =
                    News { record: None, version: begun, why: None, answers: false, is_next: true };
                commands.extend(self.hear(&user, news, here));
            }
            let old = self.users.get(&user).and_then(|known| known.old.as_deref());
            let kept: BTreeSet<_> = old.map(owners).unwrap_or_default();
            if let Some(followed) = &mut self.followed {
                followed.unsure.extend(kept);
            }
        }
        let Some(followed) = &mut self.followed else { return nothing };
        if let (Some(_), Some(loading)) = (&next, &mut followed.loading) {
            loading.swept = next;
            return Loaded { commands, done: false, load_again: false };
        }
        followed.loading = None;
        followed.whole = true;
        followed.join_up(begun);
        let load_again = followed.hole;
        self.lost &= load_again || !followed.unsure.is_empty();
        self.forget_gone();
        Loaded { commands, done: true, load_again }
    }

    /// The load failed. Another one is to come, or goes on already.
    pub fn load_fails(&mut self, load: u32) {
        let goes_on = self.loading(load).is_none();
        let Some(followed) = self.followed.as_mut().filter(|_| !goes_on) else { return };
        (followed.loading, followed.hole) = (None, true);
    }

    /// What is published is not told here any longer, and what other nodes have is forgotten, from behind
    /// the user `from` on. To be called again with what is next.
    pub fn unfollow(&mut self, from: Option<&UserId>, state: &ChannelState, now: Now) -> Part {
        self.followed = None;
        let peers = Peers::default();
        let here = Here { state, peers: &peers, now };
        let (batch, next) = self.batch(from);
        let cause = Cause::Left(LeaveReason::Left);
        let mut commands = Vec::new();
        for user in batch {
            commands.extend(self.settle(&user, here, Manner { cause, moved: true, anew: false }));
        }
        Part { commands, next, found: false }
    }
}

/// Whose marks and leases a record has.
fn owners(record: &Record) -> BTreeSet<crate::presence::NodeId> {
    record.marks.keys().copied().chain(record.leases.values().map(|lease| lease.owner)).collect()
}

impl Followed {
    /// A load of that version is done: what was told must go on from there.
    fn join_up(&mut self, version: u64) {
        self.run = Some(match self.run {
            None => (version, version),
            Some((first, last)) => {
                self.hole |= last > version && first > version + 1 && self.present > 0;
                (first.min(version), last.max(version))
            }
        });
    }
}
