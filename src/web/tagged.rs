//! Answers that have a tag: whoever has one already is told so, instead of the same once more.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderMap};
use axum::response::{IntoResponse, IntoResponseParts, Response};
use futures_util::stream;
use headers::{HeaderMapExt, IfNoneMatch};

/// The tag of something with that SHA-256: half of it.
#[must_use]
pub fn tag_of(hash: &[u8; 32]) -> String {
    let digits: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// What has that tag, with these headers; or that it has not changed, where the request names the tag.
pub fn tagged(
    tag: &str,
    asked: &HeaderMap,
    headers: impl IntoResponseParts,
    content: impl IntoResponse,
) -> Response {
    if is_known(asked, tag) {
        // What the whole answer would say to caches, as RFC 9110 wants it (15.4.5). Not a plain empty
        // body: its length, 0, would be told as the content's (8.6).
        let nothing = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
        return (StatusCode::NOT_MODIFIED, headers, [(ETAG, tag)], nothing).into_response();
    }
    (headers, [(ETAG, tag)], content).into_response()
}

/// Whether the client has what `tag` names already: `If-None-Match` lists it, or is `*`, which anything
/// fits (RFC 9110, 13.1.2).
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let listed = asked.typed_get::<IfNoneMatch>();
    listed.zip(tag.parse().ok()).is_some_and(|(listed, tag)| !listed.precondition_passes(&tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let known = |lines: &[&str]| {
            let mut asked = HeaderMap::new();
            for line in lines {
                asked.append("if-none-match", line.parse().unwrap());
            }
            is_known(&asked, "\"abc\"")
        };
        for lines in [
            &["\"abc\""][..],
            &["W/\"abc\""],
            &["*"],
            &["\"x\", \"abc\""],
            &["\"a,b\",W/\"abc\" , \"y\""],
            &["\"x\"", "\"abc\""],
        ] {
            assert!(known(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["abc"],
            &["\"ABC\""],
            &["\"abcd\""],
            &["w/\"abc\""],
            &["\"x\", \"y\""],
            &["\"x,abc\""],
        ] {
            assert!(!known(lines), "{lines:?}");
        }
    }
}
