//! The demo page: the files of `web-demo/`, compiled into the binary.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::http::problem;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// A file: its name, its content type, its text.
macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        &[$(($name, $kind, include_str!(concat!("../../web-demo/", $name)))),*]
    };
}

const FILES: &[(&str, &str, &str)] = files! {
    "index.html": HTML,
    "style.css": CSS,
    "app.js": JS,
    "dom.js": JS,
    "view-connection.js": JS,
    "view-feed.js": JS,
    "view-log.js": JS,
    "view-members.js": JS,
    "view-you.js": JS,
    "wire.js": JS,
    "wire-link.js": JS,
    "wire-replica.js": JS,
    "words.js": JS,
};

/// One of the files by its path.
pub async fn file(name: Result<Path<String>, PathRejection>) -> Response {
    page(name.as_ref().map_or("", |Path(name)| name.as_str()))
}

/// One of the files by its name.
#[must_use]
pub fn page(name: &str) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return problem::absent().into_response();
    };
    let headers = [
        (CONTENT_TYPE, *kind),
        // Asked for anew each time: a page older than its broker would puzzle people.
        (CACHE_CONTROL, "no-cache"),
        // The page says the rest of its policy itself; this part only a header can.
        (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
    ];
    (headers, *text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is forgotten here is a page that does not load.
    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/web-demo");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut served: Vec<_> = FILES.iter().map(|(name, ..)| (*name).to_owned()).collect();
        served.sort();
        assert_eq!(served, names);
    }
}
