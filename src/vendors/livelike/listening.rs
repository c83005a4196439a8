//! All channels that are listened to, and the task that listens to each: a follower for all who poll
//! the channel, which sees everyone; whom a poll may see is looked at when it reads the ring.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use herenow_protocol::reply::InForce;
use herenow_protocol::{ChannelName, Level};
use tokio::sync::watch;

use super::listened::Listened;
use super::stamps::{PER_MS, Stamps};
use crate::actions::Desk;
use crate::auth::Credential;
use crate::hub::{Follower, What};
use crate::limits::{OCCUPANCY_INTERVAL_MS, POLLED_CHANNELS, REST_MAX};
use crate::now::{NEVER, Now};
use crate::presence::{Member, News};
use crate::web::state::Web;

/// Bits of a node's number: it is a whole number in any JSON reader.
const NODE_BITS: u32 = 31;

/// All channels that are listened to.
#[derive(Debug)]
pub struct Listening {
    desk: Arc<Desk>,
    stopped: watch::Receiver<bool>,
    /// At most about [`POLLED_CHANNELS`].
    channels: DashMap<ChannelName, Arc<Listened>>,
    stamps: Stamps,
    node: u64,
    /// Bytes that all rings hold.
    bytes: Arc<AtomicUsize>,
    next_waiting: AtomicU64,
}

impl Listening {
    /// None yet.
    #[must_use]
    pub fn new(web: &Web) -> Arc<Self> {
        let desk = Arc::clone(&web.desk);
        let node = 1 + desk.hub().chance().below((1 << NODE_BITS) - 1);
        Arc::new(Self {
            stamps: Stamps::new(desk.now().unix_ms),
            desk,
            stopped: web.stopped(),
            channels: DashMap::new(),
            node,
            bytes: Arc::default(),
            next_waiting: AtomicU64::new(0),
        })
    }

    /// The last stamp.
    #[must_use]
    pub fn last_stamp(&self) -> u64 {
        self.stamps.last()
    }

    /// Whose stamps they are.
    #[must_use]
    pub fn node(&self) -> u64 {
        self.node
    }

    /// A number for somebody who waits.
    pub fn number(&self) -> u64 {
        self.next_waiting.fetch_add(1, Ordering::Relaxed)
    }

    /// The channel, which is listened to from now on if it was not; `None`: there are too many.
    pub async fn listen(self: &Arc<Self>, name: &ChannelName) -> Option<Arc<Listened>> {
        let listened = self.find_or_begin(name)?;
        listened.ready().await;
        Some(listened)
    }

    fn find_or_begin(self: &Arc<Self>, name: &ChannelName) -> Option<Arc<Listened>> {
        let now = self.desk.now();
        if let Some(known) = self.channels.get(name) {
            known.polled(now.mono_ms);
            return Some(Arc::clone(known.value()));
        }
        if self.channels.len() >= POLLED_CHANNELS {
            return None;
        }
        let mut new = None;
        let found = Arc::clone(
            self.channels
                .entry(name.clone())
                .or_insert_with(|| {
                    // A stamp of its own, so that whoever polled other channels before lacks this one's.
                    let (stamp, total) = (self.stamps.take(now.unix_ms), Arc::clone(&self.bytes));
                    let listened = Arc::new(Listened::new(name.clone(), stamp, total, now.mono_ms));
                    new = Some(Arc::clone(&listened));
                    listened
                })
                .value(),
        );
        found.polled(now.mono_ms);
        if let Some(listened) = new {
            tokio::spawn(Pump::new(Arc::clone(self), listened).run());
        }
        Some(found)
    }

    /// Whether a channel that nobody polled for long is listened to no longer.
    fn forget_idle(&self, name: &ChannelName, now: Now) -> bool {
        let idle = |_: &ChannelName, known: &Arc<Listened>| known.idle_ms() <= now.mono_ms;
        self.channels.remove_if(name, idle).is_some()
    }
}

/// Takes what a channel's follower is told into its ring.
struct Pump {
    listening: Arc<Listening>,
    listened: Arc<Listened>,
    /// Of a snapshot that has not come whole.
    parts: Vec<Arc<Member>>,
    begun: bool,
    /// When the number of members is told next, in a channel that is too large to tell each.
    occupancy_ms: u64,
}

impl Pump {
    fn new(listening: Arc<Listening>, listened: Arc<Listened>) -> Self {
        Self { listening, listened, parts: Vec::new(), begun: false, occupancy_ms: NEVER }
    }

    async fn run(mut self) {
        let desk = Arc::clone(&self.listening.desk);
        let name = self.listened.name().clone();
        let Ok(mut follower) = desk.follow(Credential::Broker, &name, Level::Auto, None) else {
            return;
        };
        let mut stopped = self.listening.stopped.clone();
        let mut stopped = pin!(async { drop(stopped.wait_for(|&stopped| stopped).await) });
        loop {
            let now = desk.now();
            if self.listening.forget_idle(&name, now) {
                return;
            }
            let until_ms = self.listened.idle_ms().min(self.occupancy_ms);
            let wait = Duration::from_millis(until_ms.saturating_sub(now.mono_ms).max(1));
            tokio::select! {
                biased;
                () = &mut stopped => return,
                told = self.next(&mut follower) => self.tell(told, desk.now()).await,
                () = tokio::time::sleep(wait) => {}
            }
            self.tell_occupancy(desk.now()).await;
        }
    }

    async fn next(&self, follower: &mut Follower) -> What {
        follower.next().await.what
    }

    async fn tell(&mut self, what: What, now: Now) {
        let Self { listening, listened, parts, .. } = self;
        let stamp = || listening.stamps.take(now.unix_ms);
        match what {
            What::Ended(_) => listened.change(|ring| ring.anew(Vec::new(), 0, now, stamp)),
            What::News { news: News::Snapshot(part), .. } => {
                parts.extend(part.members);
                if part.more {
                    return;
                }
                let members = std::mem::take(parts);
                let begun = self.begun;
                listened.change(|ring| {
                    if begun {
                        ring.anew(members, part.count, now, stamp);
                    } else {
                        ring.begin(members, part.count, told_at);
                    }
                });
                self.begin();
            }
            What::News { news: News::Step(step), .. } => {
                let changes = &step.changes;
                listened.change(|ring| ring.step(changes.changed(), changes.count(), now, stamp));
            }
            What::News { news: News::Count(tally), .. } => {
                listened.change(|ring| ring.count(tally.count as u64));
                if self.occupancy_ms == NEVER {
                    self.occupancy_ms = now.mono_ms;
                }
                self.begin();
                return;
            }
            What::News { news: News::Level(InForce::Events), .. } => {
                self.occupancy_ms = NEVER;
                return;
            }
            What::News {
                news: News::Level(_) | News::Status(_) | News::Found { .. } | News::Missed { .. },
                ..
            } => {
                return;
            }
        }
        self.listened.wake().await;
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.listened.begun();
        }
    }

    async fn tell_occupancy(&mut self, now: Now) {
        if self.occupancy_ms > now.mono_ms {
            return;
        }
        self.occupancy_ms = now.mono_ms + OCCUPANCY_INTERVAL_MS;
        let stamp = || self.listening.stamps.take(now.unix_ms);
        self.listened.change(|ring| ring.interval(now, stamp));
        self.listened.wake().await;
    }
}

/// Which stamp stands for the join of a member that was there when the ring began: rather one that is
/// too late, since whoever is told of a join that it knew of lacks nothing.
fn told_at(member: &Member) -> u64 {
    (member.joined_at + REST_MAX.as_millis() as u64) * PER_MS
}
