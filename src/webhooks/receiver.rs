//! `herenow webhook-test`: takes what a webhook sends, verifies it as any receiver must, and shows each
//! thing that it tells in a line.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use clap::Args;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::TcpListener;

use super::signature::{HookSecret, ID};
use crate::auth::{Secret, named, read};
use crate::clock::Clock;
use crate::limits::WEBHOOK_TEST_BYTES;

/// The environment's name for the secret, as messages tell it.
pub const SECRET_VARIABLE: &str = "HERENOW_WEBHOOK_SECRET";

/// What is received, and how it is verified.
#[derive(Args, Clone, Debug)]
pub struct ReceiverFlags {
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub listen: SocketAddr,

    /// File with the webhook's secret, whsec_…; or the secret itself in the environment, as
    /// HERENOW_WEBHOOK_SECRET
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    /// The secret itself, which has no flag.
    #[arg(skip)]
    pub secret: Option<Secret>,
}

impl ReceiverFlags {
    fn secret(&self) -> Result<HookSecret, String> {
        let (secret, name) = match (&self.secret_file, &self.secret) {
            (Some(_), Some(_)) => {
                return Err(format!("--secret-file and {SECRET_VARIABLE}: say one of them"));
            }
            (None, None) => {
                return Err(format!("--secret-file or {SECRET_VARIABLE} must tell the secret"));
            }
            (Some(path), None) => {
                let (bytes, name) = read("--secret-file", path)?;
                (Secret::of_file(&bytes), name)
            }
            (None, Some(secret)) => (secret.clone(), SECRET_VARIABLE.to_owned()),
        };
        let text =
            std::str::from_utf8(secret.expose()).map_err(|_| format!("{name}: is no text"))?;
        named(&name, HookSecret::parse(text))
    }
}

/// Receives until the process ends. `tell` is handed each line, and says whether it could be shown.
///
/// # Errors
/// One line that names the flag: no good secret, or an address that can't be listened on.
pub async fn receive(
    flags: &ReceiverFlags,
    tell: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Result<(), String> {
    let at = flags.listen;
    let at_fault = |error| format!("--listen {at}: {error}");
    let shown = Arc::new(Shown {
        secret: flags.secret()?,
        clock: Clock::start(),
        tell: Tell(Box::new(tell)),
    });
    let listener = TcpListener::bind(at).await.map_err(at_fault)?;
    let address = listener.local_addr().map_err(at_fault)?;
    (shown.tell.0)(&format!("listening on http://{address}"));
    let routes = Router::new().fallback(take).with_state(shown);
    loop {
        let (socket, _) = listener.accept().await.map_err(at_fault)?;
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

/// How lines are shown.
struct Tell(Box<dyn Fn(&str) -> bool + Send + Sync>);

struct Shown {
    secret: HookSecret,
    clock: Clock,
    tell: Tell,
}

/// What is answered to a request: only what is verified is taken, and only what could be shown.
async fn take(State(shown): State<Arc<Shown>>, headers: HeaderMap, body: Body) -> StatusCode {
    let Ok(body) = to_bytes(body, WEBHOOK_TEST_BYTES).await else {
        return shown.refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or was cut");
    };
    let now_unix_s = shown.clock.now().unix_ms / 1_000;
    if let Err(why) = shown.secret.verify(&headers, &body, now_unix_s) {
        return shown.refuse(StatusCode::UNAUTHORIZED, &why);
    }
    let id = headers.get(ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    let Some(lines) = serde_json::from_slice(&body).ok().and_then(|batch| lines(&batch)) else {
        return shown.refuse(StatusCode::BAD_REQUEST, "the body is none of our batches");
    };
    let all = (shown.tell.0)(&format!("{id} verified"));
    if all && lines.iter().all(|line| (shown.tell.0)(line)) {
        return StatusCode::NO_CONTENT;
    }
    StatusCode::INTERNAL_SERVER_ERROR
}

impl Shown {
    fn refuse(&self, status: StatusCode, why: &str) -> StatusCode {
        (self.tell.0)(&format!("refused with {}: {why}", status.as_u16()));
        status
    }
}

/// A line for each thing that a batch tells; `None`: it is none of ours.
fn lines(batch: &Value) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    for item in batch["events"].as_array()? {
        let channel = item["channel"].as_str().unwrap_or("*");
        let mut place = channel.to_owned();
        if let Some(epoch) = item["epoch"].as_str() {
            let _ = write!(place, " {epoch}");
        }
        match (item["seq"].as_u64(), item["from"].as_u64(), item["to"].as_u64()) {
            (Some(seq), ..) => _ = write!(place, " {seq}"),
            (None, Some(from), Some(to)) => _ = write!(place, " {from}-{to}"),
            _ => {}
        }
        let kind = item["type"].as_str()?;
        if kind != "presence" {
            let reason = item["reason"].as_str().map(|reason| format!(" {reason}"));
            lines.push(format!("{place} {kind}{}", reason.unwrap_or_default()));
            continue;
        }
        for event in item["events"].as_array()? {
            let (what, user) = (event["event"].as_str()?, event["user"].as_str()?);
            let more = ["reason", "attributes"].map(|key| &event[key]);
            let more = more.into_iter().filter(|value| !value.is_null());
            let more = more.map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
            let more: String = more.map(|text| format!(" {text}")).collect();
            lines.push(format!("{place} {what} {user}{more}"));
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_thing_is_a_line() {
        let batch = json!({"type": "presence", "events": [
            {"type": "started", "at": 5},
            {"type": "occupied", "channel": "room", "epoch": "e", "seq": 1, "at": 5},
            {"type": "presence", "channel": "room", "epoch": "e", "seq": 1, "count": 1, "events": [
                {"event": "join", "user": "ada", "attributes": {"mood": "calm"}, "at": 5},
                {"event": "leave", "user": "bob", "reason": "closed", "at": 5},
            ]},
            {"type": "gap", "channel": "room", "epoch": "e", "from": 2, "to": 7, "reason": "overflow"},
            {"type": "gap", "reason": "overflow"},
        ]});
        assert_eq!(
            lines(&batch).unwrap(),
            [
                "* started",
                "room e 1 occupied",
                "room e 1 join ada {\"mood\":\"calm\"}",
                "room e 1 leave bob closed",
                "room e 2-7 gap overflow",
                "* gap overflow",
            ]
        );
        for foreign in [json!(5), json!({}), json!({"events": [5]})] {
            assert_eq!(lines(&foreign), None, "{foreign}");
        }
    }
}
