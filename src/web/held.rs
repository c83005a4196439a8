//! Large answers count as what slow readers keep in memory, until the socket took them.
//!
//! An answer lies in memory whole from the moment it is made. hyper takes a part of it as soon as it has
//! written the one before, so what is not taken is what the client has not read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::Method;
use axum::response::Response;
use herenow_protocol::{ErrorCode, Refusal};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::delivery::{Backlog, Held};
use crate::limits::{ANSWER_PART_BYTES, ANSWER_RETRY_MS};

/// The answer to a request of this `method`, counted if it is large. A stream, whose size nobody knows,
/// is its own affair.
///
/// # Errors
/// `unavailable`: as much is kept for slow readers as may be. Only where nothing was changed: what was
/// done is never told to have been refused.
pub async fn hold(
    backlog: &Arc<Backlog>,
    method: &Method,
    answer: Response,
) -> Result<Response, Refusal> {
    if is_large(&answer) && method.is_safe() && !backlog.has_room() {
        return Err(no_room());
    }
    Ok(keep(backlog, answer).await)
}

/// The same of what is not refused any more.
pub(super) async fn keep(backlog: &Arc<Backlog>, answer: Response) -> Response {
    if !is_large(&answer) {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    // It is there already: its size was known.
    let rest = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let held = backlog.hold(rest.len());
    Response::from_parts(parts, Body::new(Parts { rest, _held: held }))
}

fn is_large(answer: &Response) -> bool {
    answer.body().size_hint().exact().is_some_and(|it| it > ANSWER_PART_BYTES as u64)
}

/// As much is kept as may be: whoever wants more of it comes back later.
pub(super) fn no_room() -> Refusal {
    let text = "the broker keeps as much for slow readers as it may (--max-backlog)";
    let refusal = Refusal::new(ErrorCode::Unavailable, text);
    Refusal { retry_after_ms: Some(ANSWER_RETRY_MS), ..refusal }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_done_is_answered_however_much_is_kept() {
        let backlog = Backlog::new(1);
        let answer = |bytes| Response::new(Body::from(vec![b'x'; bytes]));
        let get = hold(&backlog, &Method::GET, answer(ANSWER_PART_BYTES + 1)).await.unwrap();
        assert_eq!(backlog.bytes(), ANSWER_PART_BYTES + 1);
        let refused = hold(&backlog, &Method::GET, answer(ANSWER_PART_BYTES + 1)).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Unavailable);
        for (method, bytes) in [(Method::PUT, ANSWER_PART_BYTES + 1), (Method::GET, 10)] {
            let held = hold(&backlog, &method, answer(bytes)).await.unwrap();
            assert_eq!(to_bytes(held.into_body(), usize::MAX).await.unwrap().len(), bytes);
        }
        assert_eq!(backlog.bytes(), ANSWER_PART_BYTES + 1);
        drop(get);
        assert_eq!(backlog.bytes(), 0);
    }
}
