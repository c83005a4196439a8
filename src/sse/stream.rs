//! One stream: each thing that a follower is told becomes an event for each of its frames.
//!
//! Nothing is queued: the follower is asked for the next thing when the socket has taken the last.
//! What a slow reader holds is the frames of one tick, which share the members' attributes with the
//! channel, and what HTTP has buffered of one more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::stream::{self, Stream};
use herenow_protocol::{Level, ServerFrame, Sight, UserStatus};
use tokio::sync::watch;
use tokio::time::timeout;

use super::cursor::Cursor;
use super::streams::Streams;
use crate::actions::Desk;
use crate::auth::Credential;
use crate::hub::{Follower, Told, What};
use crate::limits::{RECONNECT_SPREAD, SSE_RETRY};
use crate::presence::News;
use crate::presence::follow::Mark;

/// What is followed, and for whom.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) follower: Follower,
    pub(super) credential: Credential,
    pub(super) level: Level,
    /// It is of one channel, and so can come back to where it was.
    pub(super) resumes: bool,
}

struct Open {
    desk: Arc<Desk>,
    order: Order,
    sight: Sight,
    keep_alive: Duration,
    ending: watch::Receiver<bool>,
    expires_unix_ms: Option<u64>,
    /// Whether the client was sent anything yet.
    begun: bool,
    /// What is left of the news that were told last.
    frames: VecDeque<ServerFrame>,
    /// Comes with the last of them.
    id: Option<String>,
    /// The last status that was told: the first one may be told by a tick, too.
    status: LastStatus,
    over: bool,
}

enum Woken {
    Ending,
    Told(Told),
    Synced,
    Quiet,
}

/// The events of a stream, for as long as its client listens, its token is valid, its user is not
/// signed out and the broker runs.
pub(super) fn events(
    desk: &Arc<Desk>,
    streams: &Streams,
    order: Order,
) -> impl Stream<Item = Result<Event, axum::Error>> + use<> {
    let open = Open {
        desk: Arc::clone(desk),
        sight: order.credential.caller().sight(),
        keep_alive: streams.keep_alive,
        ending: streams.open(),
        expires_unix_ms: order.credential.caller().expires_unix_ms(),
        begun: false,
        frames: VecDeque::new(),
        id: None,
        status: LastStatus::default(),
        over: false,
        order,
    };
    stream::unfold(open, async |mut open| {
        let event = open.next().await?;
        Some((event, open))
    })
}

impl Open {
    /// The next event; `None`: the stream is over.
    async fn next(&mut self) -> Option<Result<Event, axum::Error>> {
        if !std::mem::replace(&mut self.begun, true) {
            // At once, so that the client knows that it is heard, even if there is nothing to tell.
            return Some(Ok(comment()));
        }
        loop {
            if self.over || self.has_expired() || self.is_signed_out() {
                return None;
            }
            if let Some(frame) = self.frames.pop_front() {
                return Some(self.event(&frame));
            }
            match self.wake().await {
                Woken::Told(told) => self.tell(&told),
                Woken::Synced => return Some(self.event(&ServerFrame::Synced)),
                Woken::Quiet if self.has_expired() || self.is_signed_out() => return None,
                Woken::Quiet => return Some(Ok(comment())),
                Woken::Ending => {
                    self.over = true;
                    return Some(Ok(self.farewell()));
                }
            }
        }
    }

    async fn wake(&mut self) -> Woken {
        let wait = self.keep_alive.min(self.expires_in());
        tokio::select! {
            biased;
            _ = self.ending.wait_for(|&ending| ending) => Woken::Ending,
            told = timeout(wait, self.order.follower.next_or_all()) => match told {
                Ok(Some(told)) => Woken::Told(told),
                Ok(None) => Woken::Synced,
                Err(_) => Woken::Quiet,
            },
        }
    }

    /// Until the token's end; for ever, if there is none.
    fn expires_in(&self) -> Duration {
        let now = self.desk.now();
        self.expires_unix_ms.map_or(Duration::MAX, |unix_ms| {
            Duration::from_millis(unix_ms.saturating_sub(now.unix_ms))
        })
    }

    fn has_expired(&self) -> bool {
        self.expires_in().is_zero()
    }

    /// Looked at whenever there is something to say, a comment at least: so nothing is told behind a
    /// kick.
    fn is_signed_out(&self) -> bool {
        let caller = self.order.credential.caller();
        self.desk.auth().check_signed_in(caller, self.desk.now()).is_err()
    }

    fn tell(&mut self, told: &Told) {
        let Told { channel, what } = told;
        let level = self.order.level;
        let (frames, id) = match what {
            What::Ended(last) => (vec![last.emptied(channel, level)], None),
            What::News { epoch, news, mark } => {
                let viewer = self.order.credential.caller().viewer();
                (news.frames(channel, *epoch, viewer, level), self.id_of(news, *mark))
            }
        };
        (self.frames, self.id) = (frames.into(), id);
        self.frames.retain(|frame| self.status.is_news(frame));
    }

    /// The `id` that comes with the last frame of some news. An empty one has the client forget the
    /// one before: what it knew of the members is gone with the level, and so is the way back.
    fn id_of(&self, news: &News, mark: Option<Mark>) -> Option<String> {
        if !self.order.resumes {
            return None;
        }
        match news {
            News::Level(_) | News::Count(_) => Some(String::new()),
            News::Snapshot(_)
            | News::Step(_)
            | News::Status(_)
            | News::Found { .. }
            | News::Missed { .. } => {
                mark.map(|mark| Cursor { mark, sight: self.sight }.to_string())
            }
        }
    }

    fn event(&mut self, frame: &ServerFrame) -> Result<Event, axum::Error> {
        let id = if self.frames.is_empty() { self.id.take() } else { None };
        id.map_or_else(Event::default, |id| Event::default().id(id)).json_data(frame)
    }

    /// The last event at a shutdown: when to come back. It differs from stream to stream, so that
    /// not all come back at once.
    fn farewell(&self) -> Event {
        let spread_ms = self.desk.hub().chance().below(RECONNECT_SPREAD.as_millis() as u64);
        Event::default().retry(SSE_RETRY + Duration::from_millis(spread_ms))
    }
}

#[derive(Default)]
struct LastStatus(Option<UserStatus>);

impl LastStatus {
    /// Whether the frame tells anything but the status that was told last.
    fn is_news(&mut self, frame: &ServerFrame) -> bool {
        let ServerFrame::Status { status } = frame else { return true };
        self.0.replace(status.clone()).as_ref() != Some(status)
    }
}

fn comment() -> Event {
    Event::default().comment("")
}
