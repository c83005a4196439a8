//! What observers saw of each touched user before the tick. One comparison of before with now
//! gives every folding rule: join then leave is nothing, join then update is one join, leave then
//! join is nothing or one update.

use std::sync::Arc;

use herenow_protocol::reply::UpdateReason;
use herenow_protocol::{Event, LeaveReason, LossReason, UserId};
use indexmap::IndexMap;

use super::member::Member;

/// Why a user was touched. Of several reasons in one tick the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The user joined or wrote attributes.
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

    /// Whether a tick might have something to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all that was touched and tells the net effect on each user.
    pub fn fold<'a>(&mut self, now: impl Fn(&UserId) -> Option<&'a Arc<Member>>) -> Vec<Event> {
        std::mem::take(&mut self.0)
            .into_iter()
            .filter_map(|(user, touched)| touched.net_effect(now(&user), user))
            .collect()
    }
}

impl Touched {
    fn net_effect(self, now: Option<&Arc<Member>>, user: UserId) -> Option<Event> {
        match (self.before, now) {
            (None, None) => None,
            (None, Some(now)) => {
                Some(Event::Join { user, attributes: now.attributes.clone(), at: now.joined_at })
            }
            (Some(_), None) => Some(match self.cause {
                Cause::Lost(reason, last_seen) => {
                    Event::Timeout { user, reason, last_seen, at: self.at }
                }
                Cause::Left(reason) => Event::Leave { user, reason, at: self.at },
                // Only the two above end a membership.
                Cause::Own | Cause::Expired => {
                    debug_assert!(false, "{user} went without a cause");
                    Event::Leave { user, reason: LeaveReason::Left, at: self.at }
                }
            }),
            (Some(before), Some(now)) => {
                (before.attributes != now.attributes).then(|| Event::UpdateAttributes {
                    user,
                    attributes: now.attributes.clone(),
                    at: self.at,
                    reason: (self.cause == Cause::Expired).then_some(UpdateReason::Expired),
                })
            }
        }
    }
}
