//! The demo page and the client library: the files of `web-demo/` and `client/src/`, compiled into
//! the binary.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use headers::{HeaderMapExt, IfNoneMatch};
use rust_embed::{Embed, EmbeddedFile};

use crate::web::problem;

#[derive(Embed)]
#[folder = "web-demo/"]
struct PageFiles;

#[derive(Embed)]
#[folder = "client/src/"]
struct LibraryFiles;

/// The content type of a file, by how its name ends. A file of another kind is not served.
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

/// Asked for anew each time: a page older than its broker would puzzle people. What has not changed
/// is not sent again: see [`tag`].
const FRESH: (HeaderName, &str) = (CACHE_CONTROL, "no-cache");

/// Which pages may embed a file; Fetch calls it CORP.
const EMBEDDED_BY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The page itself.
pub async fn index(asked: HeaderMap) -> Response {
    page("index.html", &asked)
}

/// A file of the page, by its path.
pub async fn file(name: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Response {
    page(&text(name), &asked)
}

fn page(name: &str, asked: &HeaderMap) -> Response {
    // The page says the rest of its policy itself; this part only a header can.
    let headers = [FRESH, (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")];
    answer(name, PageFiles::get(name), headers, asked)
}

/// A module of the client library, by its path. It is public code, and pages of any origin import
/// it as it lies here.
pub async fn client(name: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Response {
    let name = text(name);
    let open = [FRESH, (ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (EMBEDDED_BY, "cross-origin")];
    answer(&name, LibraryFiles::get(&name), open, &asked)
}

/// A path that can't be decoded names no file.
fn text(name: Result<Path<String>, PathRejection>) -> String {
    name.map(|Path(name)| name).unwrap_or_default()
}

/// The file with these headers; that it has not changed, where the request names its tag; or that
/// there is none.
fn answer<const N: usize>(
    name: &str,
    file: Option<EmbeddedFile>,
    headers: [(HeaderName, &'static str); N],
    asked: &HeaderMap,
) -> Response {
    let Some((kind, file)) = kind(name).zip(file) else {
        return problem::absent().into_response();
    };
    let tag = tag(&file);
    if is_known(asked, &tag) {
        // What the whole answer would say to caches, as RFC 9110 wants it (15.4.5). Not a plain empty
        // body: its length, 0, would be told as the file's (8.6).
        let nothing = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
        return (StatusCode::NOT_MODIFIED, headers, [(ETAG, tag)], nothing).into_response();
    }
    (headers, [(ETAG, tag)], [(CONTENT_TYPE, kind)], file.data).into_response()
}

/// The entity tag of what is in a file: half of its SHA-256, which was taken when the broker was
/// compiled.
fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let (half, _) = hash.split_at(hash.len() / 2);
    let digits: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Whether the client has what `tag` names already: `If-None-Match` lists it, or is `*`, which any
/// file fits (RFC 9110, 13.1.2).
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let listed = asked.typed_get::<IfNoneMatch>();
    listed.zip(tag.parse().ok()).is_some_and(|(listed, tag)| !listed.precondition_passes(&tag))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// A file of an unknown kind is a page that does not load; so is a new one that was not there
    /// when the broker was compiled last.
    #[test]
    fn every_file_of_the_folders_is_served() {
        let (page, client): (Vec<_>, Vec<_>) =
            (PageFiles::iter().collect(), LibraryFiles::iter().collect());
        for (folder, mut served) in [("web-demo", page), ("client/src", client)] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut names: Vec<_> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            served.sort();
            assert_eq!(served, names, "{folder}");
            for name in &names {
                assert!(kind(name).is_some(), "{folder}/{name} is of an unknown kind");
            }
        }
    }

    #[test]
    fn what_is_in_a_file_decides_its_tag() {
        for (folder, file) in [
            ("web-demo/index.html", PageFiles::get("index.html")),
            ("web-demo/app.js", PageFiles::get("app.js")),
            ("client/src/link.js", LibraryFiles::get("link.js")),
        ] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let (file, lies_there) = (file.unwrap(), std::fs::read(path).unwrap());
            assert_eq!(file.data, lies_there, "{folder}");
            let hash = format!("{:x}", Sha256::digest(&lies_there));
            assert_eq!(tag(&file), format!("\"{}\"", &hash[..32]), "{folder}");
        }
    }

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
