//! One try to fetch a set of keys.

use std::error::Error;
use std::time::Duration;

use axum::body::Bytes;
use headers::{CacheControl, HeaderMapExt};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use tokio::time::timeout;

use crate::limits::{JWKS_AGE, JWKS_AGES, JWKS_TIME, MAX_JWKS_BYTES};

/// What asks.
pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// A set as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    /// At most [`MAX_JWKS_BYTES`].
    pub(super) text: Bytes,
    /// How long it is good.
    pub(super) age: Duration,
}

/// What asks. It trusts whom the system trusts, and follows nobody elsewhere: another host could hand
/// out its own keys.
///
/// # Errors
/// One line: the system's certificates can't be read.
pub(super) fn client() -> Result<Client, String> {
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(ring::default_provider())
        .map_err(|error| format!("--jwks-url: the system's certificates: {error}"))?
        .https_or_http()
        .enable_http1()
        .build();
    // It asks too seldom to keep a connection.
    Ok(legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

/// Fetches a set of keys.
///
/// # Errors
/// One line without the address, which may hold a secret in its query.
pub(super) async fn fetch(client: &Client, url: &str) -> Result<Fetched, String> {
    let request = Request::get(url)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("herenow/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| said(&error))?;
    let fetched = async {
        let answer = client.request(request).await.map_err(|error| said(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the answer is {}, not 200", answer.status().as_u16()));
        }
        let age = age_of(&answer);
        Ok(Fetched { text: body(answer).await?, age })
    };
    let late = |_| Err(format!("no answer within {} s", JWKS_TIME.as_secs()));
    timeout(JWKS_TIME, fetched).await.unwrap_or_else(late)
}

fn age_of(answer: &Response<Incoming>) -> Duration {
    let cached = answer.headers().typed_get::<CacheControl>();
    let age = cached.and_then(|cached| cached.max_age()).unwrap_or(JWKS_AGE);
    age.clamp(*JWKS_AGES.start(), *JWKS_AGES.end())
}

async fn body(answer: Response<Incoming>) -> Result<Bytes, String> {
    let whole = Limited::new(answer.into_body(), MAX_JWKS_BYTES).collect().await;
    whole.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            return format!("the answer is larger than {MAX_JWKS_BYTES} bytes: no keys");
        }
        said(&*error)
    })
}

/// The reason of the library's reasons: the outermost alone is "client error".
fn said(error: &dyn Error) -> String {
    let mut reason = error;
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
            assert_eq!((&fetched.text[..], fetched.age.as_secs()), (&b"{}"[..], seconds));
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
