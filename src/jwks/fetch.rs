//! One try to fetch a set of keys.

use std::time::Duration;

use axum::body::Bytes;
use headers::{CacheControl, HeaderMapExt};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header;
use hyper::{Request, Response, StatusCode};
use tokio::time::timeout;

use crate::limits::{JWKS_AGE, JWKS_AGES, JWKS_TIME, MAX_JWKS_BYTES};
use crate::outgoing::{Client, USER_AGENT, said};

/// A set as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    /// At most [`MAX_JWKS_BYTES`].
    pub(super) text: Bytes,
    /// How long it is good.
    pub(super) age: Duration,
}

/// Fetches a set of keys.
///
/// # Errors
/// One line without the address, which may hold a secret in its query.
pub(super) async fn fetch(client: &Client, url: &str) -> Result<Fetched, String> {
    let request = Request::get(url)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::default())
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::outgoing::{Reach, client};

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
        let client = client(Reach::Everywhere, false).unwrap();
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
