//! Large answers count as what slow readers keep in memory, until the socket took them.
//!
//! An answer lies in memory whole from the moment it is made. hyper takes a part of it as soon as it has
//! written the one before, so what is not taken is what the client has not read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::response::Response;
use herenow_protocol::{ErrorCode, Refusal};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::delivery::{Backlog, Held};
use crate::limits::{ANSWER_PART_BYTES, ANSWER_RETRY_MS};

/// The answer, counted if it is large. A stream, whose size nobody knows, is its own affair.
///
/// # Errors
/// `unavailable`: as much is kept for slow readers as may be.
pub async fn hold(backlog: &Arc<Backlog>, answer: Response) -> Result<Response, Refusal> {
    let large = answer.body().size_hint().exact().filter(|&it| it > ANSWER_PART_BYTES as u64);
    if large.is_none() {
        return Ok(answer);
    }
    if !backlog.has_room() {
        let text = "the broker keeps as much for slow readers as it may (--max-backlog)";
        let refusal = Refusal::new(ErrorCode::Unavailable, text);
        return Err(Refusal { retry_after_ms: Some(ANSWER_RETRY_MS), ..refusal });
    }
    let (parts, body) = answer.into_parts();
    // It is there already: its size was known.
    let rest = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let held = backlog.hold(rest.len());
    Ok(Response::from_parts(parts, Body::new(Parts { rest, _held: held })))
}

/// An answer that is given part by part, and counts as long as a part of it is left.
struct Parts {
    rest: Bytes,
    _held: Held,
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let most = self.rest.len().min(ANSWER_PART_BYTES);
        let part = self.rest.split_to(most);
        Poll::Ready((!part.is_empty()).then(|| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
