//! A channel's followers: the ring that they read, and who is to be told that there is more in it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use herenow_protocol::{ChannelName, Epoch};
use parking_lot::Mutex;

use crate::auth::Credential;
use crate::chance::keyed_hash;
use crate::limits::{FOLLOW_BATCH, RING_AGE_MS, RINGS_BYTES};
use crate::presence::follow::Mark;
use crate::presence::{Follow, Last, Ring, Step, Viewer};
use crate::share::Share;

/// A follower, as the channels that it follows know it.
#[derive(Debug)]
pub(super) struct Reader {
    /// Never used twice.
    pub(super) number: u64,
    /// Whom it may see.
    pub(super) credential: Credential,
    /// A leaf lock.
    ready: Mutex<Ready>,
    /// The follower is gone: no channel adds it any more.
    closed: AtomicBool,
}

/// What a follower is to look at.
#[derive(Debug, Default)]
struct Ready {
    /// Links with something that may be news. Each is in here at most once.
    links: VecDeque<Arc<Link>>,
    /// Who waits for the first of them.
    waiting: Option<Waker>,
    /// How many of them, the first ones, are of channels that were there before the follower; `None`
    /// until all those are known, and again once that was told.
    before: Option<usize>,
}

/// One follower in one channel.
pub(super) struct Link {
    pub(super) reader: Arc<Reader>,
    /// The channel. By name, and not by reference, since the channel holds the link.
    pub(super) name: ChannelName,
    /// Whether it follows this channel alone, and so keeps it alive.
    pub(super) alone: bool,
    /// Where the follower is. Only the follower takes this lock, with the channel's held
    /// unless the channel is gone.
    pub(super) follow: Mutex<Follow>,
    queued: AtomicBool,
    /// How often the channel ended to this follower while others were left in it whom it may not
    /// see.
    endings: AtomicU32,
    /// What it has still to be told of a history that is over, if it is told changes alone. A leaf lock;
    /// boxed, since most have none.
    rest: Option<Box<Mutex<Option<Rest>>>>,
}

/// The last ticks of a history that is over, for a follower of changes alone: the last member's
/// going is told, too, though nothing is left of the channel.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub(super) ring: Arc<Ring>,
    /// Where that history ended.
    pub(super) end: Mark,
    /// The channel goes on, with this one.
    pub(super) next: Option<Epoch>,
    /// The ring's bytes, of those of all rings, until the last follower has read it.
    _share: Option<Arc<Share>>,
}

impl Reader {
    pub(super) fn new(number: u64, credential: Credential) -> Arc<Self> {
        let (ready, closed) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { number, credential, ready, closed })
    }

    /// Whether nobody vouches for who follows.
    pub(super) fn is_guest(&self) -> bool {
        self.credential.caller().is_guest()
    }

    /// The next link to look at, which may be queued again from now on.
    pub(super) fn next_ready(&self) -> Option<Arc<Link>> {
        let link = {
            let mut ready = self.ready.lock();
            ready.before = ready.before.map(|links| links.saturating_sub(1));
            ready.links.pop_front()?
        };
        // Before the look: a tick after it queues the link again.
        link.queued.store(false, Ordering::SeqCst);
        Some(link)
    }

    /// From here on no channel adds it.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// All channels that were there before the follower are among the links that are ready, or were.
    pub(super) fn has_all(&self) {
        let mut ready = self.ready.lock();
        ready.before = Some(ready.links.len());
        let waiting = ready.waiting.take();
        drop(ready);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether the follower has looked at each of those once. True once.
    pub(super) fn takes_all(&self) -> bool {
        self.ready.lock().before.take_if(|links| *links == 0).is_some()
    }

    /// Waits until a link is ready, or all were looked at if that matters. One that became ready just
    /// before counts.
    pub(super) async fn wait(&self, heeds_all: bool) {
        poll_fn(|cx| self.poll(cx, heeds_all)).await;
    }

    /// Whether a link is ready; if not, the task is woken once one is.
    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll(cx, false)
    }

    fn poll(&self, cx: &Context<'_>, heeds_all: bool) -> Poll<()> {
        let mut ready = self.ready.lock();
        if !ready.links.is_empty() || (heeds_all && ready.before == Some(0)) {
            return Poll::Ready(());
        }
        ready.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Link {
    pub(super) fn new(
        reader: &Arc<Reader>,
        name: &ChannelName,
        follow: Follow,
        alone: bool,
    ) -> Arc<Self> {
        let rest = follow.is_of_changes_alone().then(Box::default);
        Arc::new(Self {
            reader: Arc::clone(reader),
            name: name.clone(),
            alone,
            follow: Mutex::new(follow),
            queued: AtomicBool::new(false),
            endings: AtomicU32::new(0),
            rest,
        })
    }

    /// What it has still to be told of a history that is over.
    pub(super) fn rest(&self) -> Option<Rest> {
        self.rest.as_ref()?.lock().clone()
    }

    /// It was told all of it.
    pub(super) fn forget_rest(&self) {
        self.rest.iter().for_each(|rest| *rest.lock() = None);
    }

    /// Whether it follows this channel alone.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether the channel is to be gone to the follower when nobody is left in it whom it sees.
    pub(super) fn is_of_pattern(&self) -> bool {
        !self.alone && !matches!(self.reader.credential.caller().viewer(), Viewer::All)
    }

    /// How the channel's `epoch` is told: to a follower of a pattern as one of its own, and another
    /// one each time that the channel ended to it and not to others. No id of an event has it, so
    /// nobody comes back with it.
    pub(super) fn told_epoch(&self, epoch: Epoch) -> Epoch {
        if !self.is_of_pattern() {
            return epoch;
        }
        let endings = self.endings.load(Ordering::Relaxed);
        Epoch::from_random(keyed_hash((epoch, self.reader.number, endings)))
    }

    /// What the follower is told when the channel ended to it; `None`: it was told nothing before.
    pub(super) fn end(&self) -> Option<Last> {
        let last = self.follow.lock().end()?;
        let epoch = self.told_epoch(last.epoch);
        self.endings.fetch_add(1, Ordering::Relaxed);
        Some(Last { epoch, ..last })
    }

    fn leave(&self, left: &Rest) {
        if let Some(rest) = &self.rest {
            match &mut *rest.lock() {
                // Another history ended meanwhile, of which there is nothing to tell.
                Some(unread) if unread.end.stamp == left.end.stamp => unread.next = left.next,
                rest => *rest = Some(left.clone()),
            }
        }
    }

    /// Has the follower look at this channel before any other: a new channel of that name may be
    /// among them, which comes after this one.
    pub(super) fn queue_first(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            self.reader.ready.lock().links.push_front(Arc::clone(self));
        }
    }

    /// Has the follower look at this channel. One that never does is queued once, and costs the
    /// channel a look at this flag from then on.
    pub(super) fn queue(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            let mut ready = self.reader.ready.lock();
            ready.links.push_back(Arc::clone(self));
            let waiting = ready.waiting.take();
            drop(ready);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("channel", &self.name).finish_non_exhaustive()
    }
}

/// The followers of one channel. A channel without any has none of this.
#[derive(Debug)]
pub(super) struct Followers {
    ring: Ring,
    /// By the number of the follower.
    links: BTreeMap<u64, Arc<Link>>,
    /// How many of them follow this channel alone.
    alone: usize,
    /// Since when there is no follower: the ring stays a while for one that comes back.
    idle_since_ms: Option<u64>,
    /// The ring's, of the bytes of all rings.
    share: Share,
}

impl Followers {
    /// None yet. `stamp`: that of the last tick of the broker; `total` counts the bytes of all
    /// rings.
    pub(super) fn new(stamp: u64, total: Arc<AtomicUsize>, now_ms: u64) -> Self {
        let (ring, links) = (Ring::new(stamp), BTreeMap::new());
        let (idle_since_ms, share) = (Some(now_ms), Share::new(total));
        Self { ring, links, alone: 0, idle_since_ms, share }
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// How many follow this channel alone.
    pub(super) fn alone(&self) -> usize {
        self.alone
    }

    /// Adds a follower, unless it is here already: one of a pattern may be added by whoever makes
    /// the channel and by the follower itself.
    pub(super) fn add(&mut self, link: Arc<Link>) {
        let number = link.reader.number;
        if self.links.contains_key(&number) || link.reader.closed.load(Ordering::SeqCst) {
            return;
        }
        self.idle_since_ms = None;
        self.alone += usize::from(link.alone);
        link.queue();
        self.links.insert(number, link);
    }

    /// Whether the link is of this channel. One of another channel that had the same name is not.
    pub(super) fn has(&self, link: &Arc<Link>) -> bool {
        self.links.get(&link.reader.number).is_some_and(|known| Arc::ptr_eq(known, link))
    }

    pub(super) fn remove(&mut self, number: u64, now_ms: u64) {
        if let Some(link) = self.links.remove(&number) {
            self.alone -= usize::from(link.alone);
        }
        if self.links.is_empty() {
            self.idle_since_ms.get_or_insert(now_ms);
        }
    }

    /// Keeps what a tick told. Where all rings together hold too much, this one is emptied.
    pub(super) fn push(&mut self, step: Arc<Step>) {
        self.ring.push(step);
        if self.share.set(self.ring.bytes()) > RINGS_BYTES {
            self.ring.clear();
            self.share.set(self.ring.bytes());
        }
    }

    /// Has all of them begin anew, with a snapshot. `stamp` is larger than that of any tick before.
    pub(super) fn skip(&mut self, stamp: u64) {
        self.ring.skip(stamp);
        self.share.set(self.ring.bytes());
        self.wake();
    }

    /// Drops what is too old; whether nothing is left that is worth keeping.
    pub(super) fn expire(&mut self, now_ms: u64) -> bool {
        self.ring.trim(now_ms);
        self.share.set(self.ring.bytes());
        self.idle_ends_ms().is_some_and(|ends_ms| ends_ms <= now_ms)
    }

    /// When [`Followers::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.ring.deadline().into_iter().chain(self.idle_ends_ms()).min()
    }

    fn idle_ends_ms(&self) -> Option<u64> {
        self.idle_since_ms.map(|since_ms| since_ms + RING_AGE_MS)
    }

    /// The next links after the follower `number` that are to be told, into `batch`; the number to
    /// go on after, if there may be more.
    pub(super) fn next_batch(
        &self,
        number: Option<u64>,
        batch: &mut Vec<Arc<Link>>,
    ) -> Option<u64> {
        let from = number.map_or(0, |number| number + 1);
        let mut last = None;
        for (number, link) in self.links.range(from..).take(FOLLOW_BATCH) {
            last = Some(*number);
            if !link.queued.load(Ordering::SeqCst) {
                batch.push(Arc::clone(link));
            }
        }
        last
    }

    /// Whoever follows it looks.
    pub(super) fn wake(&self) {
        self.links.values().for_each(Link::queue);
    }

    /// The history `end` is over, and `next` begins: whoever followed it looks.
    pub(super) fn begin_anew(&self, end: Mark, next: Epoch) {
        if self.leaves_rests() {
            let ring = Arc::new(self.ring.clone());
            let rest = Rest { ring, end, next: Some(next), _share: None };
            self.links.values().for_each(|link| link.leave(&rest));
        }
        self.wake();
    }

    /// Whether somebody is told of a history after its end.
    fn leaves_rests(&self) -> bool {
        self.links.values().any(|link| link.rest.is_some())
    }

    /// The channel is over with `end`: whoever followed it looks.
    pub(super) fn bury(mut self, end: Mark) {
        if !self.leaves_rests() {
            return self.wake();
        }
        if self.share.set(self.ring.bytes()) > RINGS_BYTES {
            self.ring.clear();
            self.share.set(0);
        }
        let Self { ring, share, links, .. } = self;
        let rest = Rest { ring: Arc::new(ring), end, next: None, _share: Some(Arc::new(share)) };
        for link in links.values() {
            link.leave(&rest);
            link.queue();
        }
    }
}
