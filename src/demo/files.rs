//! The demo page, the operator's page and the client library: the files of `web-demo/`,
//! `clients/javascript/src/` and `clients/javascript/dist/`, compiled into the binary.

use axum::Extension;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LOCATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, VARY,
};
use axum::response::{IntoResponse, IntoResponseParts, Response};
use rust_embed::{Embed, EmbeddedFile};

use crate::web::accepted::takes_gzip;
use crate::web::compressed::ForAll;
use crate::web::problem;
use crate::web::tagged::{tag_of, tagged};

#[derive(Embed)]
#[folder = "web-demo/"]
struct PageFiles;

#[derive(Embed)]
#[folder = "clients/javascript/src/"]
struct LibraryFiles;

/// The library as one file, minified, and the same gzipped.
#[derive(Embed)]
#[folder = "clients/javascript/dist/"]
struct OneFile;

/// So many digits of its hash stand in the versioned address of the one file.
const VERSION_DIGITS: usize = 16;

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
/// is not sent again: each has a tag.
const FRESH: (HeaderName, &str) = (CACHE_CONTROL, "no-cache");

/// Never asked for again: whatever has this address has this content.
const KEPT: (HeaderName, &str) = (CACHE_CONTROL, "public, max-age=31536000, immutable");

/// Which pages may embed a file; Fetch calls it CORP.
const EMBEDDED_BY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The page itself.
pub async fn index(asked: HeaderMap) -> Response {
    page("index.html", &asked)
}

/// A file of the page, by its path.
pub async fn file(name: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Response {
    let name = text(name);
    // A slash that was written as %2f leads into no folder.
    if name.contains('/') { problem::absent().into_response() } else { page(&name, &asked) }
}

/// The operator's page.
pub async fn admin(asked: HeaderMap) -> Response {
    page("admin/index.html", &asked)
}

/// A file of the operator's page, by its path.
pub async fn admin_file(name: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Response {
    page(&format!("admin/{}", text(name)), &asked)
}

fn page(name: &str, asked: &HeaderMap) -> Response {
    // The page says the rest of its policy itself; this part only a header can.
    let headers = [FRESH, (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")];
    answer(name, PageFiles::get(name), (headers, Extension(ForAll)), asked)
}

/// It is public code, and pages of any origin import it as it lies here.
const OPEN: [(HeaderName, &str); 2] =
    [(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (EMBEDDED_BY, "cross-origin")];

/// A module of the client library, by its path, or all of it as one file: `herenow.js`, whose versioned
/// address is `herenow-DIGITS.js`.
pub async fn client(name: Result<Path<String>, PathRejection>, asked: HeaderMap) -> Response {
    let name = text(name);
    match version(&name) {
        Some(version) => one_file(version, &asked),
        None => {
            let headers = ([FRESH], OPEN, Extension(ForAll));
            answer(&name, LibraryFiles::get(&name), headers, &asked)
        }
    }
}

/// Which version of the one file such a path names, if it names any: empty for the newest.
fn version(name: &str) -> Option<&str> {
    let version = name.strip_prefix("herenow")?.strip_suffix(".js")?;
    let Some(digits) = version.strip_prefix('-') else {
        return Some(version).filter(|it| it.is_empty());
    };
    let is_one = digits.len() == VERSION_DIGITS && digits.bytes().all(|it| it.is_ascii_hexdigit());
    is_one.then_some(digits)
}

/// The one file that we have. A page that names another version was made for a broker before or after
/// this one: it gets this one too, and keeps it no longer than till it asks again.
fn one_file(version: &str, asked: &HeaderMap) -> Response {
    let Some(plain) = OneFile::get("herenow.js") else {
        return problem::absent().into_response();
    };
    let tag = tag(&plain);
    let ours = &tag[1..=VERSION_DIGITS];
    let cached = if version == ours { KEPT } else { FRESH };
    let place = [(CONTENT_LOCATION, format!("herenow-{ours}.js"))];
    let vary = [cached, (VARY, ACCEPT_ENCODING.as_str())];
    match OneFile::get("herenow.js.gz").filter(|_| takes_gzip(asked)) {
        Some(packed) => {
            let gzip = [(CONTENT_ENCODING, "gzip")];
            answer("herenow.js", Some(packed), (vary, OPEN, place, gzip), asked)
        }
        None => answer("herenow.js", Some(plain), (vary, OPEN, place), asked),
    }
}

/// A path that can't be decoded names no file.
fn text(name: Result<Path<String>, PathRejection>) -> String {
    name.map(|Path(name)| name).unwrap_or_default()
}

/// The file with these headers; that it has not changed, where the request names its tag; or that
/// there is none.
fn answer(
    name: &str,
    file: Option<EmbeddedFile>,
    headers: impl IntoResponseParts,
    asked: &HeaderMap,
) -> Response {
    let Some((kind, file)) = kind(name).zip(file) else {
        return problem::absent().into_response();
    };
    tagged(&tag(&file), asked, (headers, [(CONTENT_TYPE, kind)]), file.data)
}

/// The entity tag of what is in a file. Its hash was taken when the broker was compiled.
fn tag(file: &EmbeddedFile) -> String {
    tag_of(&file.metadata.sha256_hash())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The files that lie in a folder; none if there is no such folder.
    fn names_in(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        files.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// A file of an unknown kind is a page that does not load; so is a new one that was not there
    /// when the broker was compiled last.
    #[test]
    fn every_file_of_the_folders_is_served() {
        let (page, client): (Vec<_>, Vec<_>) =
            (PageFiles::iter().collect(), LibraryFiles::iter().collect());
        assert_eq!(OneFile::iter().collect::<Vec<_>>(), ["herenow.js", "herenow.js.gz"]);
        for (folder, mut served) in [("web-demo", page), ("clients/javascript/src", client)] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut names = names_in(&path);
            names.extend(names_in(&path.join("admin")).iter().map(|name| format!("admin/{name}")));
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
            ("clients/javascript/src/link.js", LibraryFiles::get("link.js")),
        ] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let (file, lies_there) = (file.unwrap(), std::fs::read(path).unwrap());
            assert_eq!(file.data, lies_there, "{folder}");
            let hash = format!("{:x}", Sha256::digest(&lies_there));
            assert_eq!(tag(&file), format!("\"{}\"", &hash[..32]), "{folder}");
        }
    }

    #[test]
    fn a_version_is_sixteen_digits_or_none() {
        assert_eq!(version("herenow.js"), Some(""));
        assert_eq!(version("herenow-0123456789abcdef.js"), Some("0123456789abcdef"));
        for name in [
            "index.js",
            "herenow",
            "herenow.css",
            "herenowx.js",
            "herenow-.js",
            "herenow-1.js",
            "herenow-0123456789abcdeg.js",
            "herenow-0123456789abcdef0.js",
            "herenow-0123456789abcdef.js.gz",
        ] {
            assert_eq!(version(name), None, "{name}");
        }
    }
}
