//! Large answers, gzipped for who takes that.
//!
//! Only those that say so themselves ([`ForAll`]): what is in them everyone may see who may ask. In
//! others what one user wrote may stand beside what only the asker may see, and the size of compressed
//! bytes would tell of the one by the other. A layer that one can buy compresses all, answers 406 after
//! the request was done, and leaves entity tags as they were; so this one is ours.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, VARY,
};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;

use super::accepted::takes_gzip;
use super::held::keep;
use super::state::Web;
use crate::limits::SQUEEZE_BYTES;

const GZIP: (HeaderName, HeaderValue) = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));

/// In an answer's extensions: everyone who may ask may see all of it, so it may be compressed.
#[derive(Clone, Copy, Debug)]
pub struct ForAll;

/// Compresses what may be, and is worth it.
pub async fn compress(State(web): State<Web>, request: Request, next: Next) -> Response {
    let takes = takes_gzip(request.headers());
    let mut response = next.run(request).await;
    if response.extensions_mut().remove::<ForAll>().is_none() || !web.compresses {
        return response;
    }
    response.headers_mut().append(VARY, ACCEPT_ENCODING.into());
    if takes && response.status() == StatusCode::NOT_MODIFIED {
        // As the whole answer would have it.
        weaken(response.headers_mut());
    }
    let worth = response.body().size_hint().exact().is_some_and(|it| it >= SQUEEZE_BYTES as u64);
    if !(takes && worth && response.status() == StatusCode::OK) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It lies in memory whole, as its size told.
    let Ok(plain) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let body = match web.packed.of(parts.headers.get(ETAG), &plain) {
        Some(packed) => {
            weaken(&mut parts.headers);
            parts.headers.remove(CONTENT_LENGTH);
            parts.headers.extend([GZIP]);
            packed
        }
        None => plain,
    };
    // It was counted as it was: now it is other bytes.
    keep(web.desk.hub().backlog(), Response::from_parts(parts, Body::from(body))).await
}

/// The bytes are others than those that the tag was made of, and say the same: that is what a weak tag
/// stands for (RFC 9110, 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok());
    let strong = tag.filter(|tag| tag.starts_with('"'));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::try_from(format!("W/{tag}")).ok()) {
        headers.insert(ETAG, weak);
    }
}
