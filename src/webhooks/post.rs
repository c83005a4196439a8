//! One try to send a batch.

use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response, header};
use tokio::time::timeout;

use super::file::Target;
use super::signature::{ID, SIGNATURE, TIMESTAMP};
use crate::limits::{WEBHOOK_ANSWER_BYTES, WEBHOOK_RETRY_AFTER};
use crate::outgoing::{Client, USER_AGENT, said};

/// A batch was not taken.
#[derive(Debug)]
pub(super) struct NotTaken {
    /// Why, in one line without the address, which may hold a secret.
    pub(super) why: String,
    /// When the receiver wants to be asked again, if it said so.
    pub(super) retry_after: Option<Duration>,
}

/// Sends `body` under `id` at `unix_s`, and waits at most `patience` for the answer. It is taken by any
/// answer of 2xx.
pub(super) async fn post(
    client: &Client,
    target: &Target,
    (id, unix_s, body): (&str, u64, &Bytes),
    patience: Duration,
) -> Result<(), NotTaken> {
    let because = |why| NotTaken { why, retry_after: None };
    let signatures: Vec<_> =
        target.secrets.iter().map(|secret| secret.sign(id, unix_s, body)).collect();
    let request = Request::post(&target.url)
        .header(CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, USER_AGENT)
        .header(ID, id)
        .header(TIMESTAMP, unix_s)
        .header(SIGNATURE, signatures.join(" "))
        .body(Full::new(body.clone()))
        .map_err(|error| because(said(&error)))?;
    let answered = async {
        let answer = client.request(request).await.map_err(|error| because(said(&error)))?;
        let (status, retry_after) = (answer.status(), retry_after(&answer));
        // What it says is nobody's business. Read to its end, its connection can be used again.
        let _ = Limited::new(answer.into_body(), WEBHOOK_ANSWER_BYTES).collect().await;
        if status.is_success() {
            return Ok(());
        }
        Err(NotTaken { why: format!("the answer is {}", status.as_u16()), retry_after })
    };
    let late = |_| Err(because(format!("no answer within {} s", patience.as_secs_f32())));
    timeout(patience, answered).await.unwrap_or_else(late)
}

fn retry_after<B>(answer: &Response<B>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(WEBHOOK_RETRY_AFTER))
}
