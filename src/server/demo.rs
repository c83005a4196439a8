//! The demo page and the client library: the files of `web-demo/` and `client/src/`, compiled into
//! the binary.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
};
use axum::response::{IntoResponse, Response};

use crate::http::problem;

/// A file: its name and what is in it.
type File = (&'static str, &'static [u8]);

/// The files of a folder. They are named one by one, so that what is served can be read here; a test
/// finds out who is forgotten.
macro_rules! files {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../", $folder, "/", $name)))),*]
    };
}

const PAGE: &[File] = files! { "web-demo":
    "index.html",
    "style.css",
    "app.js",
    "breakable.js",
    "dom.js",
    "guinea-pig.js",
    "meter.js",
    "view-break.js",
    "view-connection.js",
    "view-copy.js",
    "view-crowd.js",
    "view-feed.js",
    "view-stage.js",
    "view-wire.js",
    "view-you.js",
    "viewers.js",
    "words.js",
};

const CLIENT: &[File] = files! { "client/src":
    "index.js",
    "carried.js",
    "channel.js",
    "client.js",
    "emitter.js",
    "error.js",
    "link.js",
    "livelike.js",
    "react.js",
    "replica.js",
    "rooms.js",
    "session.js",
    "soon.js",
    "token.js",
    "user.js",
};

/// The content type of a file, by how its name ends.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

/// Asked for anew each time: a page older than its broker would puzzle people.
const FRESH: (HeaderName, &str) = (CACHE_CONTROL, "no-cache");

/// Whoever may embed a file; Fetch calls it CORP.
const EMBEDDED_BY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A file of the page, by its path.
pub async fn file(name: Result<Path<String>, PathRejection>) -> Response {
    page(&text(name))
}

/// A file of the page, by its name.
#[must_use]
pub fn page(name: &str) -> Response {
    // The page says the rest of its policy itself; this part only a header can.
    answer(PAGE, name, [FRESH, (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")])
}

/// A module of the client library, by its path. It is public code, and pages of any origin import
/// it as it lies here.
pub async fn client(name: Result<Path<String>, PathRejection>) -> Response {
    let open = [FRESH, (ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (EMBEDDED_BY, "cross-origin")];
    answer(CLIENT, &text(name), open)
}

/// A path that can't be decoded names no file.
fn text(name: Result<Path<String>, PathRejection>) -> String {
    name.map(|Path(name)| name).unwrap_or_default()
}

/// The file of that name with these headers, or that there is none.
fn answer<const N: usize>(
    files: &[File],
    name: &str,
    headers: [(HeaderName, &'static str); N],
) -> Response {
    let file = files.iter().find(|(file, _)| *file == name);
    match file.and_then(|(_, bytes)| Some((kind(name)?, *bytes))) {
        Some((kind, bytes)) => (headers, [(CONTENT_TYPE, kind)], bytes).into_response(),
        None => problem::absent().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is forgotten here is a page that does not load.
    #[test]
    fn every_file_of_the_folders_is_served() {
        for (folder, files) in [("web-demo", PAGE), ("client/src", CLIENT)] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut names: Vec<_> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            let mut served: Vec<_> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
            served.sort();
            assert_eq!(served, names, "{folder}");
            for name in &names {
                assert!(kind(name).is_some(), "{folder}/{name} is of an unknown kind");
            }
        }
    }
}
