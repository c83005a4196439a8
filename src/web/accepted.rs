//! Whether a client takes an answer that is gzipped.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;

/// Whether `Accept-Encoding` allows gzip (RFC 9110, 12.5.3): by its name, or by `*` where its name is
/// absent, with a weight above 0. Without the header an answer stays as it is.
#[must_use]
pub fn takes_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut any = false;
    for coding in lines.flat_map(|line| line.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| {
            let weight =
                part.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case("q"));
            weight.is_some_and(|(_, weight)| {
                weight.trim().parse().is_ok_and(|weight: f32| weight <= 0.0)
            })
        });
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return !is_refused;
        }
        any |= name == "*" && !is_refused;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let takes = |lines: &[&str]| {
            let mut asked = HeaderMap::new();
            for line in lines {
                asked.append(ACCEPT_ENCODING, line.parse().unwrap());
            }
            takes_gzip(&asked)
        };
        for lines in [
            &["gzip"][..],
            &["gzip, deflate, br, zstd"],
            &["br;q=1.0, GZIP ; q=0.001"],
            &["br", "x-gzip"],
            &["*"],
            &["*;q=0, gzip"],
            &["identity, *;q=0.5"],
        ] {
            assert!(takes(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["br"],
            &["identity"],
            &["gzip;q=0"],
            &["gzip; Q=0.000, br"],
            &["gzip;q=0, *"],
            &["*;q=0"],
            &["gzipped"],
        ] {
            assert!(!takes(lines), "{lines:?}");
        }
    }
}
