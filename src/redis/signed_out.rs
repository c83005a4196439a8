//! Who was signed out, as Redis keeps it: for nodes that come later, or were cut off meanwhile.

use herenow_protocol::UserId;
use redis::{Cmd, RedisResult, cmd};

use super::wire::Wire;
use crate::limits::{MAX_SIGNED_OUT, SIGNED_OUT_BATCH, SIGNED_OUT_MS};

/// Sorted set: the users who were signed out, by when.
#[must_use]
pub fn key(prefix: &str) -> String {
    format!("{prefix}:signed-out")
}

/// Notes that users were signed out, at most [`SIGNED_OUT_BATCH`] of them. Of two times of one user the
/// later counts. Forgets whose time is over at `now_unix_ms`, and the oldest beyond what a node keeps.
///
/// # Errors
/// What Redis, or the network, says.
pub async fn note(
    wire: &mut Wire,
    prefix: &str,
    users: &[(u64, UserId)],
    now_unix_ms: u64,
) -> RedisResult<()> {
    if users.is_empty() {
        return Ok(());
    }
    let key = key(prefix);
    let mut add = cmd("ZADD");
    add.arg(&key).arg("GT");
    for (at, user) in users {
        add.arg(*at).arg(user.as_str());
    }
    done(wire, &add).await?;
    let over = now_unix_ms.saturating_sub(SIGNED_OUT_MS);
    done(wire, cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(over)).await?;
    let beyond = -(MAX_SIGNED_OUT as i64) - 1;
    done(wire, cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(beyond)).await?;
    done(wire, cmd("PEXPIRE").arg(&key).arg(SIGNED_OUT_MS)).await
}

async fn done(wire: &mut Wire, command: &Cmd) -> RedisResult<()> {
    command.query_async::<()>(wire).await
}

/// Some of those who were signed out, and where to go on: 0 at first, and 0 when that was all. One may
/// come twice. What is no user's name, or no time, is left out.
///
/// # Errors
/// What Redis, or the network, says.
pub async fn load(
    wire: &mut Wire,
    prefix: &str,
    cursor: u64,
) -> RedisResult<(u64, Vec<(u64, UserId)>)> {
    let mut scan = cmd("ZSCAN");
    scan.arg(key(prefix)).arg(cursor).arg("COUNT").arg(SIGNED_OUT_BATCH);
    let (next, flat): (u64, Vec<String>) = scan.query_async(wire).await?;
    let users = flat.chunks_exact(2).filter_map(|pair| {
        let user = UserId::parse(&pair[0], "user").ok()?;
        let at = pair[1].parse::<f64>().ok().filter(|at| (0.0..1e15).contains(at))?;
        Some((at as u64, user))
    });
    Ok((next, users.collect()))
}
