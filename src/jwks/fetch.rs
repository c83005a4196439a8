//! One try to fetch a set of keys.

use std::time::Duration;

use headers::{CacheControl, HeaderMapExt};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::crypto::ring;

use crate::limits::{JWKS_AGE, JWKS_AGES, JWKS_TIME, MAX_JWKS_BYTES};

/// A set as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    /// At most [`MAX_JWKS_BYTES`].
    pub(super) text: Vec<u8>,
    /// How long it is good.
    pub(super) age: Duration,
}

/// What asks. It trusts whom the system trusts, and follows nobody elsewhere: another host could hand
/// out its own keys.
///
/// # Errors
/// One line: the system's certificates can't be read.
pub(super) fn client() -> Result<Client, String> {
    // The library asks for it where a program may have several.
    let _ = ring::default_provider().install_default();
    let agent = concat!("herenow/", env!("CARGO_PKG_VERSION"));
    let client = Client::builder().user_agent(agent).redirect(Policy::none()).timeout(JWKS_TIME);
    client.build().map_err(|error| format!("--jwks-url: {}", said(&error)))
}

/// Fetches a set of keys.
///
/// # Errors
/// One line without the address, which may hold a secret in its query.
pub(super) async fn fetch(client: &Client, url: &str) -> Result<Fetched, String> {
    let asked = client.get(url).header("accept", "application/json").send();
    let answer = asked.await.map_err(|error| said(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("the answer is {}, not 200", answer.status().as_u16()));
    }
    let age = age_of(&answer);
    Ok(Fetched { text: body(answer).await?, age })
}

fn age_of(answer: &Response) -> Duration {
    let cached = answer.headers().typed_get::<CacheControl>();
    let age = cached.and_then(|cached| cached.max_age()).unwrap_or(JWKS_AGE);
    age.clamp(*JWKS_AGES.start(), *JWKS_AGES.end())
}

async fn body(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| said(&error))? {
        if text.len() + part.len() > MAX_JWKS_BYTES {
            return Err(format!("the answer is larger than {MAX_JWKS_BYTES} bytes: no keys"));
        }
        text.extend_from_slice(&part);
    }
    Ok(text)
}

/// What the library says, with its reasons: the outermost alone is "error sending request".
fn said(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", JWKS_TIME.as_secs());
    }
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of an answer; without `ends` it goes on until the one who asked hangs up.
    async fn fetched(answer: &str, ends: bool) -> Result<Fetched, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys?tell=nobody", listener.local_addr().unwrap());
        let answering = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 1024]).await;
            socket.write_all(answer.as_bytes()).await.unwrap();
            while !ends && socket.write_all(&[b'x'; 4096]).await.is_ok() {}
        };
        let client = client().unwrap();
        tokio::join!(fetch(&client, &url), answering).0
    }

    #[tokio::test]
    async fn an_answer_is_good_as_long_as_it_says_within_bounds() {
        for (says, seconds) in [
            ("", 600),
            ("cache-control: no-store\r\n", 600),
            ("cache-control: public, max-age=900\r\n", 900),
            ("cache-control: max-age=0\r\n", 60),
            ("cache-control: max-age=31536000\r\n", 24 * 3_600),
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{says}content-length: 2\r\n\r\n{{}}");
            let fetched = fetched(&answer, true).await.unwrap();
            assert_eq!((fetched.text.as_slice(), fetched.age.as_secs()), (&b"{}"[..], seconds));
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_in_one_line_without_the_address() {
        let elsewhere = "HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n";
        for (answer, ends, says) in [
            ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", true, "500, not 200"),
            (elsewhere, true, "302, not 200"),
            ("no HTTP\r\n\r\n", true, ""),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", true, ""),
            ("HTTP/1.1 200 OK\r\n\r\n", false, "larger than"),
        ] {
            let why = fetched(answer, ends).await.unwrap_err();
            assert!(why.contains(says) && !why.is_empty(), "{answer:?}: {why}");
            assert!(!why.contains('\n') && !why.contains("nobody"), "{answer:?}: {why}");
        }
    }
}
