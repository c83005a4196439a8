//! What the operator's page is answered.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use herenow_protocol::{ErrorCode, Refusal};
use schemars::JsonSchema;
use serde::Serialize;

use super::samples::{Sample, Samples, sample};
use crate::auth::{Caller, Credential, KeyRight};
use crate::limits::SAMPLE_STEP;
use crate::web::compressed::ForAll;
use crate::web::input::Query;
use crate::web::problem::Problem;
use crate::web::state::Web;

/// The broker in numbers. Of many nodes it is one: the one that answers.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Of the broker.
    pub version: &'static str,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// How many other nodes live; absent: it runs alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_nodes: Option<u64>,
    /// As it is now.
    pub now: Sample,
    /// From one sample to the next, in milliseconds.
    pub step_ms: u64,
    /// Of the last hour, oldest first.
    pub samples: Vec<Sample>,
}

/// Answers the broker in numbers, and the samples since the one that the caller has.
pub async fn overview(
    State(web): State<Web>,
    Extension(samples): Extension<Arc<Samples>>,
    Extension(credential): Extension<Credential>,
    query: Query,
) -> Result<(Extension<ForAll>, Json<Overview>), Problem> {
    credential.caller().may_operate(KeyRight::Read)?;
    let since = query.number("since", 0, u64::MAX)?.unwrap_or_default();
    let hub = web.desk.hub();
    let overview = Overview {
        version: env!("CARGO_PKG_VERSION"),
        uptime_ms: hub.clock().elapsed().as_millis() as u64,
        other_nodes: hub.engine().map(|engine| engine.others() as u64),
        now: sample(&web).await,
        step_ms: SAMPLE_STEP.as_millis() as u64,
        samples: samples.since(since),
    };
    Ok((Extension(ForAll), Json(overview)))
}

/// An API key, as far as whoever has it may know.
#[derive(Debug, JsonSchema, Serialize)]
pub struct KeyView {
    /// What the operator calls it. Absent in open mode: nobody needs a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do: `read`, `write`, `kick`.
    pub rights: Vec<&'static str>,
}

/// Who asks, if it is a back end.
pub async fn key(Extension(credential): Extension<Credential>) -> Result<Json<KeyView>, Problem> {
    let (name, rights) = match credential.caller() {
        Caller::Key(key) => (Some(key.name().to_owned()), key.rights()),
        Caller::Anyone(_) => (None, &KeyRight::ALL[..]),
        Caller::User { .. } | Caller::Broker => {
            let rule = "this is for back ends: it needs an API key, not a user's token";
            return Err(Refusal::new(ErrorCode::Forbidden, rule).into());
        }
    };
    Ok(Json(KeyView { name, rights: rights.iter().map(|right| right.as_str()).collect() }))
}
