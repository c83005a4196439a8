//! Following without a socket: somebody inside the process is told what a subscriber is told, as
//! values. Server-sent events are the first of them.
//!
//! A follower holds places in channels' rings and nothing else; one that reads slowly, or never,
//! costs nobody anything. It looks at its channels one after the other, each once before any again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use herenow_protocol::reply::SnapshotReason;
use herenow_protocol::{ChannelName, Epoch, ErrorCode, Level, Refusal};
use prometheus_client::metrics::gauge::Gauge;

use super::channel::Channel;
use super::door::At;
use super::followers::{Link, Reader};
use super::lot::Lot;
use super::state::{Hub, PatternFollower};
use crate::auth::{Credential, Patterns};
use crate::limits::{FOLLOW_BATCH, MAX_PATTERN_FOLLOWERS};
use crate::now::Now;
use crate::presence::follow::Mark;
use crate::presence::{self, ChannelState, Follow, Last, News, Next, Ring};

/// Somebody who follows a channel, or all channels that match a pattern. Ends when it is dropped.
#[derive(Debug)]
pub struct Follower {
    hub: Arc<Hub>,
    reader: Arc<Reader>,
    scope: Scope,
    /// Channels in which a count is owed that may not be told yet, and from when on it may. At most
    /// as many as it follows.
    later: Vec<(u64, Arc<Link>)>,
}

#[derive(Debug)]
enum Scope {
    /// It keeps this channel alive.
    One(Arc<Channel>),
    Pattern,
}

/// What a follower is told.
#[derive(Debug)]
pub struct Told {
    /// Of which channel.
    pub channel: ChannelName,
    /// What.
    pub what: What,
}

/// See [`Told`].
#[derive(Debug)]
pub enum What {
    /// This of the channel's history `epoch`.
    News {
        /// The history that the numbers count in.
        epoch: Epoch,
        /// What it is.
        news: News,
        /// Up to where the follower has had everything with it; `None` in the midst of a snapshot.
        mark: Option<Mark>,
    },
    /// The channel is gone, and with it perhaps ticks that were not told: it had no member left. One
    /// of that name that comes to be later begins anew, with a snapshot.
    Ended(Last),
}

impl Hub {
    /// Follows one channel as `credential` may see it, at level `asked`. Counts as a subscriber,
    /// and keeps the channel alive as one does. With `since` it goes on from there if nothing that
    /// it lacks is gone; otherwise, and without, it begins with a snapshot. Rights are the caller's
    /// to check.
    #[must_use]
    pub fn follow(
        self: &Arc<Self>,
        at: At<'_>,
        credential: Credential,
        asked: Level,
        since: Option<Mark>,
    ) -> Follower {
        self.follow_from(at, credential, |presence, ring| match since {
            Some(since) => Follow::resuming(asked, since, presence, ring),
            None => Follow::new(asked),
        })
    }

    /// As [`Hub::follow`], every change from here on, without what there is already.
    #[must_use]
    pub fn follow_on(self: &Arc<Self>, at: At<'_>, credential: Credential) -> Follower {
        self.follow_from(at, credential, Follow::from_here)
    }

    fn follow_from(
        self: &Arc<Self>,
        at: At<'_>,
        credential: Credential,
        follow: impl FnOnce(&ChannelState, &Ring) -> Follow,
    ) -> Follower {
        let reader = self.new_reader(credential);
        let channel = self.enter(at, |door| {
            door.tell_status();
            door.follow(|presence, ring| {
                Link::new(&reader, at.name(), follow(presence, ring), true)
            });
            Arc::clone(door.channel())
        });
        self.observers_of(at.name()).inc();
        let scope = Scope::One(channel);
        Follower { hub: Arc::clone(self), reader, scope, later: Vec::new() }
    }

    /// Follows all channels that match, those to come included, as `credential` may see them, each
    /// from a snapshot on. It keeps none of them alive and counts in none.
    ///
    /// # Errors
    /// `unavailable`: there are as many followers of patterns as there may be.
    pub fn follow_all(
        self: &Arc<Self>,
        patterns: Patterns,
        credential: Credential,
        asked: Level,
    ) -> Result<Follower, Refusal> {
        let (follower, _) = self.follow_matching(patterns, credential, asked, false, None)?;
        Ok(follower)
    }

    /// As [`Hub::follow_all`], for the broker itself: changes alone, whoever may see them, and never a
    /// snapshot. What it lacks is told as [`News::Missed`], at the beginning, too, of each channel that
    /// is there already. Of a channel that goes it is told all.
    ///
    /// # Errors
    /// As [`Hub::follow_all`].
    pub fn follow_changes(self: &Arc<Self>, patterns: Patterns) -> Result<Follower, Refusal> {
        let (broker, events) = (Credential::Broker, Level::Events);
        let (follower, _) = self.follow_matching(patterns, broker, events, true, None)?;
        Ok(follower)
    }

    /// `lot`: the channels that fall to it, if they are not all, but those that [`Sharing`] says; it is
    /// added to those that are there by that.
    ///
    /// [`Sharing`]: super::sharing::Sharing
    pub(super) fn follow_matching(
        self: &Arc<Self>,
        patterns: Patterns,
        credential: Credential,
        asked: Level,
        changes_alone: bool,
        lot: Option<Lot>,
    ) -> Result<(Follower, Arc<Reader>), Refusal> {
        let (reader, shares) = (self.new_reader(credential), lot.is_some());
        {
            let mut all = self.patterns.write();
            if all.len() >= MAX_PATTERN_FOLLOWERS {
                let rule = format!(
                    "{MAX_PATTERN_FOLLOWERS} others follow channels by a pattern, and that is the \
                     limit"
                );
                return Err(Refusal::new(ErrorCode::Unavailable, rule));
            }
            let (reader, patterns) = (Arc::clone(&reader), patterns.clone());
            all.push(PatternFollower { reader, patterns, level: asked, changes_alone, lot });
            self.follow_names(&all);
        }
        // New channels are added by whoever makes them from here on; those that were there before
        // are added here, and one that is met twice is added once.
        if !shares {
            let follow = move || if changes_alone { Follow::changes() } else { Follow::new(asked) };
            self.runtime.spawn(attach(Arc::clone(self), Arc::clone(&reader), patterns, follow));
        }
        let (hub, scope) = (Arc::clone(self), Scope::Pattern);
        let follower = Follower { hub, reader: Arc::clone(&reader), scope, later: Vec::new() };
        Ok((follower, reader))
    }

    /// What counts those who observe the channel.
    pub(super) fn observers_of(&self, name: &ChannelName) -> &Gauge {
        if name.is_status() { &self.metrics.watchers } else { &self.metrics.subscribers }
    }

    fn new_reader(&self, credential: Credential) -> Arc<Reader> {
        Reader::new(self.next_follower.fetch_add(1, Ordering::Relaxed), credential)
    }

    /// The channels that match, as they are now.
    pub(super) fn matching(&self, patterns: &Patterns) -> Vec<Arc<Channel>> {
        let matches = |name: &ChannelName| !name.is_status() && patterns.match_any(name.as_str());
        let found = self.channels.iter().filter(|entry| matches(entry.key()));
        found.map(|entry| Arc::clone(entry.value())).collect()
    }

    /// Whether somebody here follows channels by a pattern that the name matches.
    pub(super) fn matches_patterns(&self, name: &ChannelName) -> bool {
        let falls_here = |lot: &Lot| lot.read().has(name);
        let matches = |one: &PatternFollower| {
            one.patterns.match_any(name.as_str()) && one.lot.as_ref().is_none_or(falls_here)
        };
        !name.is_status() && self.patterns.read().iter().any(matches)
    }

    /// Has the engine tell which channels there are as long as that matters. With the patterns locked.
    fn follow_names(&self, all: &[PatternFollower]) {
        if let Some(engine) = self.engine() {
            engine.follow_names(!all.is_empty());
        }
    }

    fn follows_patterns(&self, number: u64) -> bool {
        self.patterns.read().iter().any(|one| one.reader.number == number)
    }
}

/// Adds a follower to the channels that were there before it.
async fn attach(
    hub: Arc<Hub>,
    reader: Arc<Reader>,
    patterns: Patterns,
    follow: impl Fn() -> Follow,
) {
    let found = hub.aside(move |hub| hub.matching(&patterns)).await.unwrap_or_default();
    for channels in found.chunks(FOLLOW_BATCH) {
        if !hub.follows_patterns(reader.number) {
            return;
        }
        for channel in channels {
            let name = channel.name();
            hub.enter_existing(name, |door| {
                if reader.is_guest() && !door.rules().guests_look {
                    return;
                }
                door.follow(|_, _| Link::new(&reader, name, follow(), false));
            });
        }
        tokio::task::yield_now().await;
    }
    reader.has_all();
}

/// Takes a follower from all channels that it was added to.
async fn detach(hub: Arc<Hub>, number: u64, patterns: Patterns) {
    let found = hub.aside(move |hub| hub.matching(&patterns)).await.unwrap_or_default();
    for channels in found.chunks(FOLLOW_BATCH) {
        let now = hub.clock.now();
        for channel in channels {
            hub.enter_existing(channel.name(), |door| door.unfollow(number, now));
        }
        tokio::task::yield_now().await;
    }
}

impl Follower {
    /// Waits for the next thing. Nothing is lost if the wait is given up.
    pub async fn next(&mut self) -> Told {
        loop {
            let now = self.hub.clock.now();
            if let Some(told) = self.try_next(now) {
                return told;
            }
            self.wait(now, false).await;
        }
    }

    /// As [`Follower::next`]; `None`, once: of each channel that was there before a follower of
    /// patterns it was told at least the beginning.
    pub async fn next_or_all(&mut self) -> Option<Told> {
        loop {
            if self.reader.takes_all() {
                return None;
            }
            let now = self.hub.clock.now();
            if let Some(told) = self.try_next(now) {
                return Some(told);
            }
            self.wait(now, true).await;
        }
    }

    /// Until there may be something, or a count that is owed may be told.
    async fn wait(&self, now: Now, heeds_all: bool) {
        let due_ms = self.later.iter().map(|(due_ms, _)| *due_ms).min();
        let Some(due_ms) = due_ms else { return self.reader.wait(heeds_all).await };
        let in_ms = due_ms.saturating_sub(now.mono_ms).max(1);
        tokio::select! {
            () = self.reader.wait(heeds_all) => {}
            () = tokio::time::sleep(Duration::from_millis(in_ms)) => {}
        }
    }

    /// The next thing, or the task is woken once there may be one. For whoever counts nobody: a count
    /// that is owed and may not be told yet wakes nobody.
    pub fn poll_next(&mut self, cx: &Context<'_>, now: Now) -> Poll<Told> {
        loop {
            if let Some(told) = self.try_next(now) {
                return Poll::Ready(told);
            }
            std::task::ready!(self.reader.poll_ready(cx));
        }
    }

    /// The next thing, if there is one.
    pub fn try_next(&mut self, now: Now) -> Option<Told> {
        let due = self.later.extract_if(.., |(due_ms, _)| *due_ms <= now.mono_ms);
        due.for_each(|(_, link)| link.queue());
        loop {
            let link = self.reader.next_ready()?;
            match self.look(&link, now) {
                Looked::Gone => {
                    self.later.retain(|(_, other)| !Arc::ptr_eq(other, &link));
                    // Once, and before anything of a new channel of that name, whose link was queued
                    // after this one. Of a channel that came and went unseen there is nothing to say.
                    let Some(last) = link.end() else { continue };
                    // It may be there all the same, and begin anew.
                    link.queue();
                    return Some(Told { channel: link.name.clone(), what: What::Ended(last) });
                }
                Looked::Over(epoch, next) => {
                    // Before a new channel of that name, whose link was queued after this one.
                    link.queue_first();
                    if let Next::News(news) = next {
                        let what = What::News { epoch, news, mark: None };
                        return Some(Told { channel: link.name.clone(), what });
                    }
                }
                Looked::At(_, _, Next::Nothing) => {}
                Looked::At(_, _, Next::Later(in_ms)) => {
                    self.later.push((now.mono_ms + in_ms, link));
                }
                Looked::At(epoch, mark, Next::News(news)) => {
                    if is_resync(&news) {
                        self.hub.metrics.resyncs.inc();
                    }
                    // There may be more: after the other channels' turn.
                    link.queue();
                    let what = What::News { epoch, news, mark };
                    return Some(Told { channel: link.name.clone(), what });
                }
            }
        }
    }

    /// What there is in one channel.
    fn look(&self, link: &Arc<Link>, now: Now) -> Looked {
        let gone = || look_back(link).unwrap_or(Looked::Gone);
        let Some(channel) = self.hub.find(&link.name) else { return gone() };
        let guarded = channel.look();
        let Some(ring) = guarded.ring(link) else { return gone() };
        // With the lock held, under which a history ends.
        if let Some(looked) = look_back(link) {
            return looked;
        }
        if guarded.holds_back() || guarded.begins_anew() {
            // Woken once everybody is known, or for too long was not; and at the tick that begins anew.
            return Looked::At(guarded.presence().epoch(), None, Next::Nothing);
        }
        let viewer = link.reader.credential.caller().viewer();
        let epoch = guarded.presence().epoch();
        let mut follow = link.follow.lock();
        if link.is_of_pattern() {
            // To whoever sees nobody of those who are left, the channel is gone.
            let of_another = follow.last().is_some_and(|last| last.epoch != epoch);
            if of_another || guarded.is_none_to(viewer) {
                return Looked::Gone;
            }
        }
        let next = follow.next(guarded.presence(), ring, viewer, now.mono_ms);
        Looked::At(link.told_epoch(epoch), follow.mark(), next)
    }
}

enum Looked {
    At(Epoch, Option<Mark>, Next),
    /// In a history that is over. Behind the last of it there is more to look at.
    Over(Epoch, Next),
    Gone,
}

/// What there is left of a history that is over.
fn look_back(link: &Link) -> Option<Looked> {
    let rest = link.rest()?;
    let next = {
        let mut follow = link.follow.lock();
        let next = follow.next_change(rest.end, &rest.ring);
        match (&next, rest.next) {
            (Next::Nothing, Some(epoch)) => follow.goes_on_as(epoch),
            // All was told, so there is nothing to take back.
            (Next::Nothing, None) => _ = follow.end(),
            _ => {}
        }
        next
    };
    if matches!(next, Next::Nothing) {
        link.forget_rest();
    }
    Some(Looked::Over(rest.end.epoch, next))
}

/// Whether a follower that fell behind begins anew with this.
fn is_resync(news: &News) -> bool {
    matches!(
        news,
        News::Snapshot(presence::Part { reason: SnapshotReason::Resync, more: false, .. })
    )
}

impl Drop for Follower {
    fn drop(&mut self) {
        let number = self.reader.number;
        self.reader.close();
        match &self.scope {
            Scope::One(channel) => {
                let now = self.hub.clock.now();
                self.hub.enter(At::Held(channel), |door| door.unfollow(number, now));
                self.hub.observers_of(channel.name()).dec();
            }
            Scope::Pattern => {
                let mut all = self.hub.patterns.write();
                let Some(place) = all.iter().position(|one| one.reader.number == number) else {
                    return;
                };
                let patterns = all.swap_remove(place).patterns;
                self.hub.follow_names(&all);
                drop(all);
                self.hub.runtime.spawn(detach(Arc::clone(&self.hub), number, patterns));
            }
        }
    }
}
