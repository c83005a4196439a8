//! A channel of a cluster: whether it is followed, and how much of what other nodes have is known.
//!
//! A channel is *followed* while somebody here looks at it: a subscriber, a follower of its own or of
//! a pattern, and for a while whoever asked for it. Only then are other nodes' members in it. Whoever
//! comes first waits until all of them are known, a second at most, and sees what is known then.
//!
//! Of a giant nobody may look who is told each change: then its summary alone is followed, and of the
//! others' members how many there are and the newest of them is all that is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use herenow_protocol::UserId;
use tokio::sync::oneshot;

use crate::cluster::Replica;
use crate::limits::{ATTENTION_MS, LOAD_WAIT_MS};
use crate::presence::{ChannelState, NodeId};

/// What a channel of a cluster has beside its members.
#[derive(Debug)]
pub(super) struct Clustered {
    /// What this node says of the channel and hears of it.
    pub(super) replica: Replica,
    knows: Knows,
    /// The hearing ([`Engine::hearing`](super::Engine::hearing)) in which that was asked for: what was
    /// heard since is in it, as long as the hearing is the same.
    heard_in: u64,
    /// What those who look need to know.
    wanted: Wanted,
    /// All is known and the summary would do: it was asked for.
    narrows: bool,
    /// Until when all stays known although the summary would do: whoever went may come back.
    lingers_ms: Option<u64>,
    /// Everybody who looks is to begin anew.
    anew: bool,
    /// Set if somebody asked lately.
    attended: Option<Attended>,
    /// Those who asked and wait until all is known. Bounded by the requests under way.
    waiting: Vec<oneshot::Sender<()>>,
    /// Those who did something of a user and wait until the store has it. Bounded so, too.
    untold: Vec<(UserId, oneshot::Sender<()>)>,
}

/// That somebody asked: counted among all channels for which somebody did.
#[derive(Debug)]
struct Attended {
    /// Until when the channel is followed for it.
    until_ms: u64,
    /// Until when for somebody who asked for members.
    members_until_ms: Option<u64>,
    total: Arc<AtomicUsize>,
}

/// What is known of the members that other nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// Nothing: nobody here looks.
    Nothing,
    /// Nothing yet. Whoever looks waits until then, and is told nothing meanwhile.
    Awaited { until_ms: u64 },
    /// Perhaps not all.
    Part,
    /// All.
    All,
    /// How many there are, and the newest.
    Summary,
}

/// What somebody needs to know of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// Nothing: nobody looks.
    Nothing,
    /// How many members there are, and the newest.
    Count,
    /// Who they are.
    Members,
}

impl Attended {
    fn new(total: &Arc<AtomicUsize>) -> Self {
        total.fetch_add(1, Ordering::Relaxed);
        Self { until_ms: 0, members_until_ms: None, total: Arc::clone(total) }
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.total.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Clustered {
    /// Of a channel that comes to be on the node `me`, in which records are kept so long after the last
    /// mark went, in milliseconds.
    pub(super) fn new(me: NodeId, keep_ms: u64) -> Self {
        let replica = Replica::new(me, keep_ms);
        Self {
            replica,
            knows: Knows::Nothing,
            heard_in: 0,
            wanted: Wanted::Nothing,
            narrows: false,
            lingers_ms: None,
            anew: false,
            attended: None,
            waiting: Vec::new(),
            untold: Vec::new(),
        }
    }

    /// Whether the channel is followed.
    pub(super) fn is_followed(&self) -> bool {
        self.knows != Knows::Nothing
    }

    /// Whether all members are known.
    pub(super) fn is_whole(&self) -> bool {
        self.knows == Knows::All
    }

    /// Whether the summary is all that is known.
    pub(super) fn is_summed(&self) -> bool {
        self.knows == Knows::Summary
    }

    /// Whether so much is known as somebody needs to know, and as it is now, if that is the hearing of now.
    pub(super) fn knows(&self, wanted: Wanted, hearing: Option<u64>) -> bool {
        let summed = self.is_summed() && !self.replica.is_summary_partial();
        let whole = self.is_whole() && !self.replica.is_behind();
        let known = whole || (wanted == Wanted::Count && summed);
        wanted == Wanted::Nothing || (known && hearing == Some(self.heard_in))
    }

    /// From here on those who look need to know this.
    pub(super) fn set_wanted(&mut self, wanted: Wanted, now_ms: u64) {
        if (self.wanted, wanted) == (Wanted::Members, Wanted::Count) {
            self.lingers_ms = Some(now_ms + ATTENTION_MS);
        }
        self.wanted = wanted;
    }

    /// Whether the summary suffices to all who look, if there is one.
    pub(super) fn counts_only(&self) -> bool {
        self.wanted == Wanted::Count
    }

    /// Whether the summary is to be asked for, since all is known and need not be: said once.
    pub(super) fn begins_to_narrow(&mut self) -> bool {
        let can = self.is_whole() && self.counts_only() && self.replica.counts() == Some(true);
        let begins = can && self.lingers_ms.is_none() && !self.narrows && !self.replica.has_lost();
        self.narrows |= begins;
        begins
    }

    /// The summary is known, and suffices. Whether that is new: what else is known is to be forgotten.
    pub(super) fn sum_up(&mut self) -> bool {
        let is_new = self.is_followed() && !self.is_summed();
        if is_new {
            (self.knows, self.anew, self.narrows) = (Knows::Summary, true, false);
        }
        is_new
    }

    /// What is known was asked for in that hearing, and all of it has come: whoever waited for no more
    /// than that goes on.
    pub(super) fn heard_in(&mut self, hearing: u64) {
        self.heard_in = hearing;
        self.release();
    }

    /// Whether nobody is to be told anything just now.
    pub(super) fn holds_back(&self) -> bool {
        matches!(self.knows, Knows::Awaited { .. })
    }

    /// Whether somebody asked for the channel lately.
    pub(super) fn is_attended(&self) -> bool {
        self.attended.is_some()
    }

    /// What whoever asked lately needs to know.
    pub(super) fn attention(&self) -> Wanted {
        match &self.attended {
            None => Wanted::Nothing,
            Some(Attended { members_until_ms: None, .. }) => Wanted::Count,
            Some(_) => Wanted::Members,
        }
    }

    /// Whether nothing would be lost with the channel.
    pub(super) fn is_idle(&self) -> bool {
        self.replica.is_settled() && !self.is_attended() && !self.holds_back()
    }

    /// From here on the channel is followed. Where the store is `well` all is known soon, so it is
    /// worth waiting for.
    pub(super) fn begin(&mut self, well: bool, now_ms: u64) {
        let until_ms = now_ms + LOAD_WAIT_MS;
        self.knows = if well { Knows::Awaited { until_ms } } else { Knows::Part };
        self.narrows = false;
        if !well {
            self.release();
        }
    }

    /// From here on the channel is not followed.
    pub(super) fn end(&mut self) {
        (self.knows, self.anew) = (Knows::Nothing, false);
        (self.narrows, self.lingers_ms) = (false, None);
        self.replica.unfollow_summary();
        self.release();
    }

    /// All that other nodes have was taken in. If that is the first time, everybody who looks was told
    /// less before, or nothing, and begins anew.
    pub(super) fn complete(&mut self) {
        self.narrows = false;
        if self.is_followed() && !self.is_whole() && !self.is_summed() {
            self.replica.unfollow_summary();
            (self.knows, self.anew) = (Knows::All, true);
        }
    }

    /// Whether everybody who looks is to begin anew at the next tick.
    pub(super) fn begins_anew(&self) -> bool {
        self.anew
    }

    /// The same, once.
    pub(super) fn take_anew(&mut self) -> bool {
        std::mem::take(&mut self.anew)
    }

    /// Somebody asks: the channel is followed for a while. `None`: so much as it `wants` is known, or
    /// will not be soon. `total` counts the channels for which somebody asked.
    pub(super) fn attend(
        &mut self,
        total: &Arc<AtomicUsize>,
        wants: Wanted,
        hearing: Option<u64>,
        now_ms: u64,
    ) -> Option<oneshot::Receiver<()>> {
        let attended = self.attended.get_or_insert_with(|| Attended::new(total));
        attended.until_ms = now_ms + ATTENTION_MS;
        if wants == Wanted::Members {
            attended.members_until_ms = Some(attended.until_ms);
        }
        let summed = self.is_summed() && wants < Wanted::Members;
        // After a gap all is asked for again, and that comes soon if anything is heard.
        let stays = (summed || self.is_whole()) && hearing.is_none_or(|it| it == self.heard_in);
        if stays || self.knows == Knows::Part {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push(sender);
        Some(receiver)
    }

    /// Ends what time ends. Whether those who waited see what is known from here on.
    pub(super) fn expire(&mut self, now_ms: u64) -> bool {
        self.attended.take_if(|attended| attended.until_ms <= now_ms);
        if let Some(attended) = &mut self.attended {
            attended.members_until_ms.take_if(|until_ms| *until_ms <= now_ms);
        }
        self.lingers_ms.take_if(|until_ms| *until_ms <= now_ms);
        let over = matches!(self.knows, Knows::Awaited { until_ms } if until_ms <= now_ms);
        if over {
            self.knows = Knows::Part;
            self.release();
        }
        over
    }

    /// When [`Clustered::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<u64> {
        let awaited = match self.knows {
            Knows::Awaited { until_ms } => Some(until_ms),
            _ => None,
        };
        let attended = self.attended.as_ref();
        let members = attended.and_then(|attended| attended.members_until_ms);
        let attended = attended.map(|attended| attended.until_ms);
        [awaited, attended, members, self.lingers_ms].into_iter().flatten().min()
    }

    /// What tells that the store has what was done here of the user; `None`: it has.
    pub(super) fn until_told(
        &mut self,
        user: &UserId,
        state: &ChannelState,
    ) -> Option<oneshot::Receiver<()>> {
        if self.replica.has_told(user, state) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.untold.push((user.clone(), sender));
        Some(receiver)
    }

    /// Something was answered by the store: whoever waited for no more than that goes on.
    pub(super) fn release_told(&mut self, state: &ChannelState) {
        let replica = &self.replica;
        for (_, sender) in self.untold.extract_if(.., |(user, _)| replica.has_told(user, state)) {
            let _ = sender.send(());
        }
        self.untold.retain(|(_, sender)| !sender.is_closed());
    }

    fn release(&mut self) {
        // Whoever gave up is no longer there.
        for one in std::mem::take(&mut self.waiting) {
            let _ = one.send(());
        }
    }
}
