//! What one HTTP connection still owes its client: how long a shutdown waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::task::AtomicWaker;
use hyper::body::{Frame, SizeHint};

use super::connection_limits::Counted;
use crate::limits::SSE_DRAIN;

/// Shared by a connection's socket, the requests that come by it, and its task.
#[derive(Clone, Debug, Default)]
pub struct Owed(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// A [`Debt`], as a number: of two requests on one connection the second waits for the first.
    debt: AtomicU8,
    /// The socket takes nothing of what was answered.
    blocked: AtomicBool,
    /// Requests that have come.
    asked: AtomicU32,
    /// The connection's task, which waits for an answer to end.
    waits: AtomicWaker,
}

#[derive(Clone, Copy)]
enum Debt {
    Nothing,
    /// An answer, to a request whose head has come whole.
    Answer,
    /// The end of an answer that goes on: its wing ends it by itself.
    Stream,
}

impl Owed {
    /// A request has come.
    pub fn asked(&self) {
        self.owe(Debt::Answer);
        self.0.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests have come, modulo 2³².
    #[must_use]
    pub fn asked_so_far(&self) -> u32 {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Whether a request has come that is not answered whole; then the task of `cx` is woken once it is.
    pub fn owes_an_answer(&self, cx: &Context<'_>) -> bool {
        let owes = || self.0.debt.load(Ordering::SeqCst) != Debt::Nothing as u8;
        if owes() {
            self.0.waits.register(cx.waker());
        }
        owes()
    }

    /// It is answered with this, once that is written; until then `counted` is kept.
    pub fn answered(&self, response: Response, counted: Option<Arc<Counted>>) -> Response {
        let kind = response.headers().get(CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            self.owe(Debt::Stream);
        }
        let owed = self.clone();
        response.map(|body| Body::new(Answer { body, owed, _counted: counted }))
    }

    fn owe(&self, debt: Debt) {
        self.0.debt.store(debt as u8, Ordering::SeqCst);
    }

    /// What became of a write.
    pub fn blocked(&self, blocked: bool) {
        self.0.blocked.store(blocked, Ordering::Relaxed);
    }

    /// For how long a broker that goes waits for this connection; `None`: until the answer is
    /// written, as long as it waits for anybody.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        let debt = self.0.debt.load(Ordering::Relaxed);
        if debt == Debt::Stream as u8 {
            return Some(SSE_DRAIN);
        }
        let owes = debt == Debt::Answer as u8 || self.0.blocked.load(Ordering::Relaxed);
        (!owes).then_some(Duration::ZERO)
    }
}

/// An answer's body, which says when it has been handed over whole.
#[derive(Debug)]
struct Answer {
    body: Body,
    owed: Owed,
    _counted: Option<Arc<Counted>>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.owed.owe(Debt::Nothing);
        self.owed.0.waits.wake();
    }
}
