//! The demo page: the files of `web-demo/`, compiled into the binary.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// Name, content type, text.
const FILES: &[(&str, &str, &str)] =
    &[("index.html", "text/html; charset=utf-8", include_str!("../../web-demo/index.html"))];

/// One of the files by its path.
#[expect(clippy::unused_async, reason = "handlers are async")]
pub async fn file(Path(name): Path<String>) -> Response {
    page(&name)
}

/// One of the files by its name.
pub fn page(name: &str) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return (StatusCode::NOT_FOUND, "not found\n").into_response();
    };
    // Asked for anew each time: a page older than its broker would puzzle people.
    ([(CONTENT_TYPE, *kind), (CACHE_CONTROL, "no-cache")], *text).into_response()
}
