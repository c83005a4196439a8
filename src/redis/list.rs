//! What people are shown of all nodes.

use std::collections::HashMap;

use redis::{RedisError, cmd};

use super::address::Address;
use super::start::{explain_connect, explain_refusal};
use super::wire::Wire;
use crate::cluster::name::Names;
use crate::cluster::nodes::table::{Row, table};
use crate::cluster::wire::life;
use crate::config::ClusterFlags;
use crate::presence::NodeId;

/// A line for each node that Redis knows: its lease, members and channels.
///
/// # Errors
/// One line: what is wrong with the flags, or why Redis does not say.
pub async fn list(flags: &ClusterFlags) -> Result<String, String> {
    flags.check()?;
    let Some(address) = Address::of(flags)? else {
        return Err("--redis-url: say which Redis the nodes share".to_owned());
    };
    let names =
        Names::new(&flags.redis_prefix).map_err(|rule| format!("--redis-prefix: {rule}"))?;
    let wire = Wire::connect(&address, None::<fn(_) -> Result<(), ()>>).await;
    let mut wire = wire.map_err(|error| explain_connect(&address, &error))?;
    let rows = rows(&names, &mut wire).await;
    let rows =
        rows.map_err(|error| explain_refusal(&address, &flags.redis_prefix, "reading", &error))?;
    Ok(table(rows))
}

async fn rows(names: &Names, wire: &mut Wire) -> Result<Vec<Row>, RedisError> {
    let leases: Vec<(String, f64)> = cmd("ZRANGE")
        .arg(names.leases())
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query_async(wire)
        .await?;
    let infos: HashMap<String, String> =
        cmd("HGETALL").arg(names.infos()).query_async(wire).await?;
    let counts: HashMap<String, String> =
        cmd("HGETALL").arg(names.counts()).query_async(wire).await?;
    let (seconds, micros): (i64, i64) = cmd("TIME").query_async(wire).await?;
    let now_ms = seconds * 1_000 + micros / 1_000;
    let row = |(text, ends): &(String, f64)| {
        let node = NodeId::parse(text)?;
        let info = infos.get(text).and_then(|info| life::info(info).ok()).unwrap_or_default();
        Some(Row {
            node,
            name: info.name,
            version: info.version,
            draining: info.draining,
            left_ms: *ends as i64 - now_ms,
            counts: counts.get(text).and_then(|text| life::counts(text)),
        })
    };
    Ok(leases.iter().filter_map(row).collect())
}
