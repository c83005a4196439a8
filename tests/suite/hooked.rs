//! A back end that is told by webhooks: what it is sent, verified by the library of those who say what
//! signatures are, and how it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use herenow::Config;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::PATIENCE;
use crate::http::ask;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How a receiver answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answers {
    Status(u16),
    /// Never.
    Not,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) headers: HeaderMap,
    pub(crate) raw: Bytes,
}

impl Sent {
    pub(crate) fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(&self.raw, &self.headers).is_ok()
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap()
    }

    pub(crate) fn items(&self) -> Vec<Value> {
        self.body()["events"].as_array().unwrap().clone()
    }
}

/// A back end.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    sent: mpsc::Receiver<Sent>,
    /// What came with the last batch, and was not asked for yet.
    items: Vec<Value>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(Answers::Status(204)));
        let (tell, sent) = mpsc::channel(10_000);
        let how = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (how, tell) = (Arc::clone(&how), tell.clone());
                let service =
                    service_fn(move |request| answer(request, Arc::clone(&how), tell.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, answers, sent, items: Vec::new() }
    }

    pub(crate) fn answers(&self, how: Answers) {
        *self.answers.lock() = how;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=tellnobody", self.address)
    }

    /// The next request.
    pub(crate) async fn sent(&mut self) -> Sent {
        timeout(PATIENCE, self.sent.recv()).await.expect("nothing was sent").unwrap()
    }

    /// A request that came already.
    pub(crate) fn already(&mut self) -> Option<Sent> {
        self.sent.try_recv().ok()
    }

    /// The next thing that it is told, however that is batched. For one that answers well.
    pub(crate) async fn told(&mut self) -> Value {
        while self.items.is_empty() {
            self.items = self.sent().await.items();
            self.items.reverse();
        }
        self.items.pop().unwrap()
    }

    /// The next so many things, in short.
    pub(crate) async fn lines(&mut self, many: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < many {
            lines.extend(short(&self.told().await));
        }
        lines
    }
}

async fn answer(
    request: Request<Incoming>,
    how: Arc<Mutex<Answers>>,
    tell: mpsc::Sender<Sent>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/hook"));
    let raw = body.collect().await?.to_bytes();
    let _ = tell.try_send(Sent { headers: head.headers, raw });
    let answers = *how.lock();
    match answers {
        Answers::Status(status) => {
            let elsewhere = "http://127.0.0.1:1/";
            let answer = Response::builder().status(status).header("location", elsewhere);
            Ok(answer.body(Full::from("ignored")).unwrap())
        }
        Answers::Not => std::future::pending().await,
    }
}

/// What a thing tells, in a line for each event.
pub(crate) fn short(item: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("*").to_owned();
    let place = text(&item["channel"]);
    if item["type"] != "presence" {
        return vec![format!("{place} {}", text(&item["type"]))];
    }
    let event = |event: &Value| {
        let (what, user) = (text(&event["event"]), text(&event["user"]));
        format!("{place} {} {what} {user}", item["seq"])
    };
    item["events"].as_array().unwrap().iter().map(event).collect()
}

/// A file of webhooks, gone with the test.
pub(crate) struct HookFile(PathBuf);

impl HookFile {
    /// With what is to be written for each webhook but its secret.
    pub(crate) fn new(hooks: &[String]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("herenow-hooks-{}-{number}.toml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(hooks);
        file
    }

    /// One webhook, of everything.
    pub(crate) fn to(receiver: &Receiver) -> Self {
        Self::new(&[hook("all", &receiver.url(), "")])
    }

    pub(crate) fn write(&self, hooks: &[String]) {
        std::fs::write(&self.0, hooks.concat()).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// A broker that has it, and is in a hurry.
    pub(crate) fn set(&self, config: &mut Config) {
        config.webhooks.webhooks_file = Some(self.0.clone());
        config.webhooks.webhooks_allow_private = true;
        config.limits.webhook_back_off = (Duration::from_millis(5), Duration::from_millis(50));
        config.limits.max_requests_per_second = 1_000_000;
        config.limits.max_requests_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
    }
}

impl Drop for HookFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A webhook as the file says it.
pub(crate) fn hook(name: &str, url: &str, more: &str) -> String {
    format!("[[hook]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n{more}\n")
}

/// Who is where, as a back end keeps it: by what it is told, and by lists where it is told that it
/// lacks something.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    /// Attributes by user, by channel.
    pub(crate) channels: BTreeMap<String, BTreeMap<String, Value>>,
    /// How often it had to read a list.
    pub(crate) repairs: usize,
    last_id: String,
}

impl Mirror {
    /// Takes in a batch. One that it has had is nothing.
    pub(crate) async fn take(&mut self, sent: &Sent, broker: SocketAddr) {
        if std::mem::replace(&mut self.last_id, sent.id().to_owned()) == sent.id() {
            return;
        }
        for item in sent.items() {
            match (item["type"].as_str().unwrap(), item["channel"].as_str()) {
                ("started", _) => self.channels.clear(),
                ("gap", None) => {
                    self.channels.clear();
                    for channel in channels(broker).await {
                        self.read(&channel, broker).await;
                    }
                }
                ("gap", Some(channel)) => self.read(channel, broker).await,
                ("presence", Some(channel)) => {
                    for event in item["events"].as_array().unwrap() {
                        self.apply(channel, event);
                    }
                }
                _ => {}
            }
        }
    }

    fn apply(&mut self, channel: &str, event: &Value) {
        let members = self.channels.entry(channel.to_owned()).or_default();
        let user = event["user"].as_str().unwrap().to_owned();
        match event["event"].as_str().unwrap() {
            "join" => _ = members.insert(user, event["attributes"].clone()),
            "updateAttributes" => {
                members.entry(user).and_modify(|now| *now = event["attributes"].clone());
            }
            _ => _ = members.remove(&user),
        }
        if members.is_empty() {
            self.channels.remove(channel);
        }
    }

    async fn read(&mut self, channel: &str, broker: SocketAddr) {
        self.repairs += 1;
        let members = members(broker, channel).await;
        match members.is_empty() {
            true => self.channels.remove(channel),
            false => self.channels.insert(channel.to_owned(), members),
        };
    }
}

/// The channels that there are.
pub(crate) async fn channels(broker: SocketAddr) -> BTreeSet<String> {
    let answer = ask(broker, "GET", "/v1/channels?limit=1000", &[], "").await;
    let all = answer.body["channels"].as_array().unwrap().iter();
    all.map(|channel| channel["channel"].as_str().unwrap().to_owned()).collect()
}

/// A channel's members, over HTTP.
pub(crate) async fn members(broker: SocketAddr, channel: &str) -> BTreeMap<String, Value> {
    let path = format!("/v1/channels/{channel}/members?limit=1000");
    let answer = ask(broker, "GET", &path, &[], "").await;
    assert!(answer.body["next"].is_null(), "more than a page");
    let all = answer.body["members"].as_array().unwrap().iter();
    let one = |member: &Value| {
        (member["user"].as_str().unwrap().to_owned(), member["attributes"].clone())
    };
    all.map(one).collect()
}

/// A member by a lease, or its end.
pub(crate) async fn lease(broker: SocketAddr, channel: &str, user: &str, attributes: &Value) {
    let path = format!("/v1/channels/{channel}/members/{user}");
    let body = json!({ "attributes": attributes }).to_string();
    let json = "content-type: application/json";
    let answer = ask(broker, "PUT", &path, &[json], &body).await;
    assert!(answer.status < 300, "{answer:?}");
}

pub(crate) async fn unlease(broker: SocketAddr, channel: &str, user: &str) {
    let path = format!("/v1/channels/{channel}/members/{user}");
    assert_eq!(ask(broker, "DELETE", &path, &[], "").await.status, 204);
}
