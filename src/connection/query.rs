//! Requests that ask, and one's own status.
//!
//! A node that runs alone answers at once. In a cluster what other nodes have of the channel may have
//! to be fetched first, which takes a second at most: meanwhile the query is *parked*, and what the
//! client sent behind it waits, so that answers come in the order of the questions.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use herenow_protocol::reply::Answer;
use herenow_protocol::{ChannelName, ErrorCode, FrameId, Refusal, StatusPatch, UserId};

use super::client::{Client, Done};
use super::parked::{Answered, Answering, Parked};
use crate::actions::Desk;
use crate::auth::{Access, Caller};
use crate::delivery::{Outlet, Sending};
use crate::now::Now;

/// What a client asks.
#[derive(Debug)]
pub(super) enum Query {
    Count(ChannelName),
    Members { channel: ChannelName, limit: Option<u64>, after: Option<u64> },
    Attributes { channel: ChannelName, user: Option<UserId> },
    Channels { user: Option<UserId>, limit: Option<u64>, after: Option<ChannelName> },
}

/// Who asks, for as long as it takes.
struct Asking {
    desk: Arc<Desk>,
    outlet: Arc<Outlet>,
    access: Option<Arc<Access>>,
}

impl Asking {
    async fn answer(self, query: Query) -> Result<Answered, Refusal> {
        let Self { desk, outlet, access } = self;
        let own = || outlet.user().clone();
        let caller = Caller::User { user: outlet.user(), access: access.as_deref() };
        match query {
            Query::Count(channel) => {
                let known = desk.count(caller, &channel).await?;
                Ok(known.map(|count| Answer::Count { channel, count }).into())
            }
            Query::Members { channel, limit, after } => {
                let known = desk.list(caller, &channel, limit, after).await?;
                let to_all = known.is.1.is_for_all();
                let known = known.map(|(count, page)| {
                    let members = page.members.iter().map(|member| member.view()).collect();
                    let (epoch, seq) = page.place.unzip();
                    Answer::Members { channel, count, epoch, seq, members, next: page.next }
                });
                Ok(Answered { known, to_all })
            }
            Query::Attributes { channel, user } => {
                let user = user.unwrap_or_else(own);
                let known = desk.member(caller, &channel, &user).await?;
                let known = known.map(|member| {
                    let attributes = member.attributes.clone();
                    Answer::Attributes { channel, user, attributes }
                });
                Ok(known.into())
            }
            Query::Channels { user, limit, after } => {
                let user = user.unwrap_or_else(own);
                let known = desk.channels_of(caller, &user, limit, after.as_ref()).await?;
                Ok(known.map(|(channels, next)| Answer::Channels { user, channels, next }).into())
            }
        }
    }
}

impl Client {
    /// Answers a query at once, if all is known that it takes.
    pub(super) fn ask(
        &mut self,
        sending: &Sending<'_>,
        id: Option<&FrameId>,
        query: Query,
    ) -> Result<Done, Refusal> {
        let (desk, outlet) = (Arc::clone(&self.desk), Arc::clone(&self.outlet));
        let alone = desk.hub().engine().is_none();
        let asking = Asking { desk, outlet, access: sending.access().cloned() };
        let mut now = Context::from_waker(Waker::noop());
        let answering = asking.answer(query);
        if alone {
            // It never waits, and so needs no room of its own.
            return match pin!(answering).poll(&mut now) {
                Poll::Ready(answer) => answer.map(Done::Answer),
                Poll::Pending => Err(Refusal::new(ErrorCode::Internal, "the query waits")),
            };
        }
        let mut answering: Answering = Box::pin(answering);
        if let Poll::Ready(answer) = answering.as_mut().poll(&mut now) {
            return answer.map(Done::Answer);
        }
        self.parked = Some(Box::new(Parked { id: id.cloned(), answering }));
        Ok(Done::Later)
    }

    /// The outcome of the query that is parked, once it has one. The task is woken then.
    pub(super) fn poll_parked(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Option<(Option<FrameId>, Result<Done, Refusal>)> {
        let parked = self.parked.as_mut()?;
        let Poll::Ready(answer) = parked.answering.as_mut().poll(cx) else { return None };
        let id = self.parked.take()?.id;
        Some((id, answer.map(Done::Answer)))
    }

    pub(super) fn set_status(
        &self,
        sending: &Sending<'_>,
        patch: StatusPatch,
        now: Now,
    ) -> Result<Done, Refusal> {
        let caller = Self::caller(&self.outlet, sending);
        self.desk.set_status(caller, self.outlet.user(), patch, now)?;
        Ok(Done::Quiet(None))
    }
}
