//! What observers saw of each touched user before the tick. One comparison of before with now
//! gives every folding rule: join then leave is nothing, join then update is one join, leave then
//! join is nothing or one update. And one more lens gives every rule of visibility: a member that
//! a viewer may not see is none.

use std::sync::Arc;

use herenow_protocol::reply::UpdateReason;
use herenow_protocol::{Event, LeaveReason, LossReason, UserId};
use indexmap::IndexMap;

use super::member::Member;
use super::viewer::Viewer;

/// Why a user was touched. Of several reasons in one tick the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The user joined, wrote attributes, changed who may see it, or whether it is away.
    Own,
    /// Keys ran out.
    Expired,
    /// The last source left.
    Left(LeaveReason),
    /// The last source was lost; when it was last heard, by the wall clock.
    Lost(LossReason, u64),
}

/// A user touched since the last tick.
#[derive(Debug)]
struct Touched {
    before: Option<Arc<Member>>,
    cause: Cause,
    at: u64,
}

/// The users touched since the last tick, in the order of the first touch. Bounded by the channel's
/// members before the tick and those that joined since, which the frame rates bound.
#[derive(Debug, Default)]
pub struct Pending(IndexMap<UserId, Touched>);

impl Pending {
    /// Notes a change of `user` at wall-clock time `at`. `before` is what observers see as long as
    /// no tick has told them better, so only the first touch keeps it.
    pub fn touch(&mut self, user: &UserId, before: Option<&Arc<Member>>, cause: Cause, at: u64) {
        match self.0.get_mut(user) {
            Some(touched) => (touched.cause, touched.at) = (cause, at),
            None => {
                let touched = Touched { before: before.cloned(), cause, at };
                self.0.insert(user.clone(), touched);
            }
        }
    }

    /// The member that observers still see although it has left since.
    #[must_use]
    pub fn still_seen(&self, user: &UserId) -> Option<&Arc<Member>> {
        self.0.get(user)?.before.as_ref()
    }

    /// Whether the user was touched.
    #[must_use]
    pub fn has(&self, user: &UserId) -> bool {
        self.0.contains_key(user)
    }

    /// The touched users.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.0.keys()
    }

    /// The members among them that observers still see as they were.
    pub fn before(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.0.values().filter_map(|touched| touched.before.as_ref())
    }

    /// How many were touched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets those touched last, but for the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Whether a tick might have something to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out all that was touched; `now` is the member as it is.
    pub fn take<'a>(&mut self, now: impl Fn(&UserId) -> Option<&'a Arc<Member>>) -> Vec<Changed> {
        std::mem::take(&mut self.0)
            .into_iter()
            .map(|(user, Touched { before, cause, at })| {
                let now = now(&user).cloned();
                Changed { user, before, now, cause, at }
            })
            .collect()
    }
}

/// What became of one user from one tick to the next.
#[derive(Debug)]
pub struct Changed {
    user: UserId,
    before: Option<Arc<Member>>,
    now: Option<Arc<Member>>,
    cause: Cause,
    at: u64,
}

impl Changed {
    /// What became of `user` by the wall-clock time `at`, for whoever knows by itself what it was
    /// told before.
    #[must_use]
    pub fn new(
        user: UserId,
        before: Option<Arc<Member>>,
        now: Option<Arc<Member>>,
        cause: Cause,
        at: u64,
    ) -> Self {
        Self { user, before, now, cause, at }
    }

    /// The user that it is about.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The member that observers saw before, if they saw one.
    #[must_use]
    pub fn before(&self) -> Option<&Arc<Member>> {
        self.before.as_ref()
    }

    /// The member as it is now, if it is one.
    #[must_use]
    pub fn now(&self) -> Option<&Arc<Member>> {
        self.now.as_ref()
    }

    /// Why it changed last.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// When it changed last, by the wall clock.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of memory that keeping this holds, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let members = self.before.iter().chain(&self.now);
        size_of::<Self>() + members.map(|member| member.bytes()).sum::<usize>()
    }

    /// The member before and now, where it is one that not everyone may see.
    pub fn restricted(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.before.iter().chain(&self.now).filter(|member| member.is_restricted())
    }

    /// What `viewer` is told.
    #[must_use]
    pub fn event_for(&self, viewer: Viewer<'_>) -> Option<Event> {
        let before = self.before.as_deref().filter(|member| viewer.sees(member));
        let now = self.now.as_deref().filter(|member| viewer.sees(member));
        self.net_effect(before, now)
    }

    fn net_effect(&self, before: Option<&Member>, now: Option<&Member>) -> Option<Event> {
        let (user, at) = (self.user.clone(), self.at);
        match (before, now) {
            (None, None) => None,
            (None, Some(now)) => Some(now.join()),
            (Some(_), None) => Some(match self.cause {
                Cause::Lost(reason, last_seen) => Event::Timeout { user, reason, last_seen, at },
                Cause::Left(reason) => Event::Leave { user, reason, at },
                // It is still there, but not for this viewer.
                Cause::Own | Cause::Expired => Event::Leave { user, reason: LeaveReason::Left, at },
            }),
            (Some(before), Some(now)) => {
                let info = (before.info() != now.info()).then(|| now.info().clone());
                let away = (before.away != now.away).then_some(now.away);
                let joined_at = now.is_placed_anew(before).then_some(now.joined_at);
                let else_differs = info.is_some() || away.is_some() || joined_at.is_some();
                let differs = else_differs || before.attributes != now.attributes;
                differs.then(|| Event::UpdateAttributes {
                    user,
                    attributes: now.attributes.clone(),
                    info,
                    away,
                    joined_at,
                    at,
                    reason: (self.cause == Cause::Expired).then_some(UpdateReason::Expired),
                })
            }
        }
    }
}
