//! `--jwks-url`: keys that are fetched from whoever signs, replaced there, broken there, and not there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use herenow::clock::Clock;
use herenow_protocol::ErrorCode;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::broker::{Broker, Process, binary};
use crate::client::{Client, PATIENCE};
use crate::free::free_address;
use crate::http::ask;
use crate::place::ROOT;
use crate::secured::Pair;

/// Whoever signs tokens, and publishes its keys.
struct Signer {
    address: SocketAddr,
    /// The whole answer.
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Signer {
    async fn start(answer: String, pair: Option<&Pair>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, answer, pair)
    }

    fn on(listener: TcpListener, answer: String, pair: Option<&Pair>) -> Self {
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let tls = pair.map(Pair::acceptor);
        let signer = Self { address, answer: Arc::clone(&answer), asked: Arc::clone(&asked) };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let (text, tls) = (answer.lock().clone(), tls.clone());
                tokio::spawn(async move {
                    let Some(tls) = tls else { return answer_once(socket, text).await };
                    if let Ok(socket) = tls.accept(socket).await {
                        answer_once(socket, text).await;
                    }
                });
            }
        });
        signer
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}/keys?tenant=tellnobody", self.address.port())
    }

    fn says(&self, answer: String) {
        *self.answer.lock() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer_once(mut socket: impl AsyncRead + AsyncWrite + Unpin, text: String) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && socket.read_exact(&mut byte).await.is_ok() {
        head.push(byte[0]);
    }
    let _ = socket.write_all(text.as_bytes()).await;
    let _ = socket.shutdown().await;
}

fn signer(algorithm: Algorithm) -> EncodingKey {
    let name = if algorithm == Algorithm::ES256 { "ec.pem" } else { "ed.pem" };
    let path = format!("{ROOT}/tests/keys/{name}");
    let pem = std::fs::read(path).unwrap();
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem).unwrap(),
        _ => EncodingKey::from_ed_pem(&pem).unwrap(),
    }
}

/// An answer with these keys.
fn publishes(keys: &[(&str, Algorithm)]) -> String {
    let keys: Vec<Value> = keys
        .iter()
        .map(|&(kid, algorithm)| {
            let mut jwk = Jwk::from_encoding_key(&signer(algorithm), algorithm).unwrap();
            jwk.common.key_id = Some(kid.to_owned());
            serde_json::to_value(jwk).unwrap()
        })
        .collect();
    answer("200 OK", &json!({ "keys": keys }).to_string())
}

fn answer(status: &str, body: &str) -> String {
    let head = "content-type: application/json\r\ncache-control: public, max-age=3600";
    let bytes = body.len();
    format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {bytes}\r\n\r\n{body}")
}

fn token(kid: &str, algorithm: Algorithm) -> String {
    let header = Header { kid: Some(kid.into()), ..Header::new(algorithm) };
    let soon = Clock::start().now().unix_ms / 1_000 + 3_600;
    jsonwebtoken::encode(&header, &json!({"sub": "ada", "exp": soon}), &signer(algorithm)).unwrap()
}

/// What a request with this token is answered.
async fn status(at: SocketAddr, token: &str) -> u16 {
    let header = format!("authorization: Bearer {token}");
    ask(at, "GET", "/v1/channels/room/count", &[&header], "").await.status
}

async fn until_status(at: SocketAddr, token: &str, wanted: u16) {
    let clock = Clock::start();
    while status(at, token).await != wanted {
        assert!(clock.elapsed() < PATIENCE, "never {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn broker_of(url: String) -> Broker {
    Broker::with(|config| config.identity.tokens.jwks_url = Some(url))
}

/// Over HTTPS, with the roots of the system; the binary, since its environment says which those are.
#[tokio::test]
async fn a_key_that_is_new_is_fetched_when_a_token_names_it() {
    use Algorithm::{ES256, EdDSA};
    let pair = Pair::new();
    let signer = Signer::start(publishes(&[("a", ES256)]), Some(&pair)).await;
    let mut command = binary();
    command.env("SSL_CERT_FILE", pair.certificate());
    command.args(["--listen", "127.0.0.1:0", "--jwks-url", &signer.url("https")]);
    let mut broker = Process::spawn(command);
    let at = broker.address();
    let (old, new) = (token("a", ES256), token("b", EdDSA));
    until_status(at, &old, 200).await;
    assert_eq!((signer.asked(), status(at, "nonsense").await), (1, 401));
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut ada = Client::open(stream, &format!("/ws?token={old}"), None).await.unwrap().0;
    ada.next().await;
    signer.says(publishes(&[("b", EdDSA)]));
    // The set is good for an hour: it is the token that has it fetched.
    until_status(at, &new, 200).await;
    assert_eq!((signer.asked(), status(at, &old).await), (2, 401));
    ada.ok("join room").await;
    broker.signal("TERM");
    let (_, log) = broker.exited(PATIENCE);
    assert!(!log.contains("tellnobody"), "{log}");
}

/// Nobody is let in before there are keys, nor sent away for good.
#[tokio::test]
async fn without_keys_everybody_is_to_come_back() {
    let address = free_address();
    let broker = broker_of(format!("http://{address}/keys"));
    let (at, good) = (broker.address(), token("a", Algorithm::ES256));
    let ready = async || ask(at, "GET", "/readyz", &[], "").await.status;
    assert_eq!((status(at, &good).await, ready().await), (503, 503));
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let refused = Client::open(stream, &format!("/ws?token={good}"), None).await;
    assert!(format!("{:?}", refused.err().unwrap()).contains("503"));
    let listener = TcpListener::bind(address).await.unwrap();
    let _signer = Signer::on(listener, publishes(&[("a", Algorithm::ES256)]), None);
    until_status(at, &good, 200).await;
    assert_eq!(ready().await, 200);
}

/// What comes from the signer and is of no use changes nothing. And whoever makes up keys does not have
/// them fetched at will.
#[tokio::test]
async fn the_last_good_set_is_kept_and_nobody_has_it_fetched_at_will() {
    let signer = Signer::start(publishes(&[("a", Algorithm::ES256)]), None).await;
    let broker = broker_of(signer.url("http"));
    let (at, good) = (broker.address(), token("a", Algorithm::ES256));
    let made_up = |n: usize| token(&format!("made up {n}"), Algorithm::ES256);
    until_status(at, &good, 200).await;
    // No key of it could verify anything.
    signer.says(answer("200 OK", r#"{"keys":[]}"#));
    let clock = Clock::start();
    let mut refusals = 0;
    while signer.asked() == 1 {
        assert!(clock.elapsed() < PATIENCE, "never fetched again");
        let header = format!("authorization: Bearer {}", made_up(refusals));
        let refused = ask(at, "GET", "/v1/channels/room/count", &[&header], "").await;
        assert_eq!((refused.status, refused.code()), (401, "unauthenticated"));
        assert!(refused.body["retryAfterMs"].is_u64(), "{refused:?}");
        refusals += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refusals > 20, "{refusals}");
    assert_eq!((signer.asked(), status(at, &good).await), (2, 200));
    // On an open connection, too, a token may come before its key.
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut ada = Client::open(stream, &format!("/ws?token={good}"), None).await.unwrap().0;
    ada.next().await;
    let fresh = json!({"type": "auth", "token": made_up(0)});
    assert_eq!(ada.refused(fresh).await, (ErrorCode::Unauthenticated, Some("token".into())));
}
