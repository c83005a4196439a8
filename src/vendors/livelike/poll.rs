//! A poll: whoever sends it is a member of the channels that it names, and is told what becomes of
//! those whose presence it names, as soon as there is something.
//!
//! Its client takes any refusal for the last word, and never polls again. So one is given only for
//! what will never be right; where it may be right later the connection breaks, and the client comes
//! back with the timetoken that it had.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use herenow_protocol::{ErrorCode, Refusal};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use super::gather::Gathering;
use super::input::{self, Names, Since};
use super::listened::Listened;
use super::listening::Listening;
use super::presence::{Staying, stay};
use super::shapes::{Polled, Refused};
use crate::auth::Credential;
use crate::limits::{POLL_HOLD, POLL_MESSAGES};
use crate::web::hang_up::hang_up;
use crate::web::input::Query;
use crate::web::state::Web;

/// A poll that is held: as little as possible, since many are.
#[derive(Debug)]
struct Poll {
    web: Web,
    listening: Arc<Listening>,
    credential: Credential,
    listened: Box<[Arc<Listened>]>,
    /// The key that the client calls its own.
    key: Box<str>,
    since: u64,
    /// The timetoken is another broker's.
    foreign: bool,
}

/// What became of a poll when it came.
enum Begun {
    Answered(Response),
    Held(Box<Poll>),
}

/// Answers a poll.
pub async fn subscribe(
    State(web): State<Web>,
    Extension(listening): Extension<Arc<Listening>>,
    Extension(credential): Extension<Credential>,
    Path((key, names, _)): Path<(String, String, String)>,
    query: Query,
) -> Result<Response, Refused> {
    // The request is gone before the wait.
    let begun = begin(web, listening, credential, key, &names, &query).await?;
    drop((names, query));
    match begun {
        Begun::Answered(response) => Ok(response),
        Begun::Held(poll) => poll.hold().await,
    }
}

async fn begin(
    web: Web,
    listening: Arc<Listening>,
    credential: Credential,
    key: String,
    names: &str,
    query: &Query,
) -> Result<Begun, Refused> {
    let Names { channels, watched } = Names::parse(names, query)?;
    let since = input::since(query)?;
    let staying = Staying::of(query, web.desk.rules().max_lease_ms)?;
    // All of it, before any of it is done.
    let caller = credential.caller();
    for channel in &watched {
        web.desk.check_follow(caller, channel)?;
    }
    let mut listened = Vec::with_capacity(watched.len());
    for channel in &watched {
        let mut stopped = web.stopped();
        let found = tokio::select! {
            biased;
            _ = stopped.wait_for(|&stopped| stopped) => None,
            found = listening.listen(channel) => found,
        };
        let Some(found) = found else { return Ok(Begun::Answered(hang_up())) };
        listened.push(found);
    }
    // From before this request's own join, so that it hears of that, and behind the rings' beginnings.
    let until = listening.last_stamp();
    match stay(&web.desk, &credential, &channels, &staying).await {
        // There may be room later; heartbeats try again.
        Err(refusal) if is_for_now(&refusal) => {}
        stayed => stayed?,
    }
    let Some(Since { stamp, node }) = since else {
        return Ok(Begun::Answered(Json(Polled::new(until, listening.node())).into_response()));
    };
    let foreign = node.is_some_and(|node| node != listening.node());
    let (listened, key, since) = (listened.into(), key.into(), stamp);
    Ok(Begun::Held(Box::new(Poll { web, listening, credential, listened, key, since, foreign })))
}

fn is_for_now(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::ChannelFull | ErrorCode::TooManyChannels)
}

impl Poll {
    async fn hold(self: Box<Self>) -> Result<Response, Refused> {
        let waiting = Waiting::new(&self.listening, &self.listened);
        let _held = Held::new(&self.web);
        let mut stopped = self.web.stopped();
        let end = tokio::time::sleep(self.patience());
        tokio::pin!(end);
        let (mut since, mut foreign) = (self.since, self.foreign);
        loop {
            let now = self.web.desk.now();
            self.web.desk.auth().check_signed_in(self.credential.caller(), now)?;
            // First, and then the rings.
            let until = self.listening.last_stamp();
            if let Some(polled) = self.look(since, until, foreign) {
                return Ok(Json(polled).into_response());
            }
            (since, foreign) = (until, false);
            tokio::select! {
                biased;
                _ = stopped.wait_for(|&stopped| stopped) => return Ok(hang_up()),
                () = waiting.notify.notified() => {}
                () = end.as_mut() => {
                    return Ok(Json(Polled::new(since, self.listening.node())).into_response());
                }
            }
        }
    }

    /// How long it is held; not beyond the end of its token.
    fn patience(&self) -> Duration {
        let ends_ms = self.credential.caller().expires_unix_ms();
        let left_ms = ends_ms.map(|ms| ms.saturating_sub(self.web.desk.now().unix_ms));
        left_ms.map_or(POLL_HOLD, |ms| POLL_HOLD.min(Duration::from_millis(ms)))
    }

    /// What there is to tell after `since` up to `until`, if there is anything.
    fn look(&self, since: u64, until: u64, foreign: bool) -> Option<Polled> {
        let viewer = self.credential.caller().viewer();
        let mut gathering = Gathering::new(since, until, POLL_MESSAGES, foreign);
        for listened in &self.listened {
            listened.read(|ring| gathering.add(ring, viewer));
        }
        let gathered = gathering.finish();
        if gathered.events.is_empty() && gathered.repairs.is_empty() {
            return None;
        }
        let unix_ms = self.web.desk.now().unix_ms;
        let mut polled = Polled::new(gathered.until, self.listening.node());
        for place in gathered.repairs {
            let listened = &self.listened[place];
            let repair = listened.read(|ring| ring.repair(since, until, viewer));
            polled.repair(&self.key, listened.name(), until, unix_ms, repair);
        }
        for (place, kept) in gathered.events {
            if let Some(action) = kept.action(viewer) {
                polled.event(&self.key, self.listened[place].name(), &kept, action);
            }
        }
        Some(polled)
    }
}

/// Somebody who is woken by the rings that it waits for, until it is dropped.
struct Waiting<'a> {
    number: u64,
    notify: Arc<Notify>,
    listened: &'a [Arc<Listened>],
}

impl<'a> Waiting<'a> {
    fn new(listening: &Listening, listened: &'a [Arc<Listened>]) -> Self {
        let (number, notify) = (listening.number(), Arc::default());
        listened.iter().for_each(|one| one.wait(number, &notify));
        Self { number, notify, listened }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.listened.iter().for_each(|one| one.leave(self.number));
    }
}

/// Counts a poll for as long as it is held.
struct Held(Gauge);

impl Held {
    fn new(web: &Web) -> Self {
        let polls = web.desk.hub().metrics().polls.clone();
        polls.inc();
        Self(polls)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
