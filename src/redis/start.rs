//! Whether all that is needed is there: asked once, before the broker listens. Whoever mistyped an
//! address, or forgot a permission, reads so in one line instead of in a log.

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, Value, cmd};

use super::address::Address;
use super::wire::Wire;
use crate::config::ClusterFlags;
use crate::limits::REDIS_START;

/// The oldest version that has all that is needed: sharded pub/sub.
const OLDEST: u32 = 7;

/// Asks Redis for all that a node does. Waits for at most [`REDIS_START`], and blocks its thread
/// meanwhile: nothing else goes on before the broker listens.
///
/// # Errors
/// One line: what is wrong, and what helps.
pub fn check(address: &Address, flags: &ClusterFlags) -> Result<(), String> {
    let (address, prefix) = (address.clone(), flags.redis_prefix.clone());
    // A runtime of its own: what called this may be one that runs nothing while it waits.
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let asked = tokio::time::timeout(REDIS_START, ask(&address, &prefix)).await;
            asked.unwrap_or_else(|_| {
                let late = humantime::format_duration(REDIS_START);
                Err(format!("--redis-url: {address} answers, but not within {late}"))
            })
        })
    });
    asked.join().unwrap_or_else(|_| Err("--redis-url: asking failed".to_owned()))
}

async fn ask(address: &Address, prefix: &str) -> Result<(), String> {
    let wire = Wire::connect(address, None::<fn(_) -> Result<(), ()>>).await;
    let mut wire = wire.map_err(|error| explain_connect(address, &error))?;
    check_server(address, &mut wire).await?;
    for (words, what) in needed(prefix) {
        let mut command = Cmd::new();
        words.iter().for_each(|word| {
            command.arg(word);
        });
        let answer: Result<Value, _> = command.query_async(&mut wire).await;
        answer.map_err(|error| explain_refusal(address, prefix, &what, &error))?;
    }
    let names = [format!("{prefix}:node:0")];
    let heard = wire.subscribe(&names, false).await;
    heard.map_err(|error| explain_refusal(address, prefix, "SUBSCRIBE", &error))
}

/// Version, role, and whether it is a cluster.
async fn check_server(address: &Address, wire: &mut Wire) -> Result<(), String> {
    let info = |error: RedisError| explain_refusal(address, "", "INFO", &error);
    let info = text(wire.any(&cmd("INFO")).await).map_err(info)?;
    let field = |name: &str| {
        let line = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned);
        info.lines().find_map(line).unwrap_or_default()
    };
    let version = field("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return Err(format!(
            "--redis-url: {address} is version {version}, and {OLDEST}.0 is the oldest that will do"
        ));
    }
    if field("cluster_enabled") == "1" && !address.cluster {
        return Err(format!(
            "--redis-url: {address} belongs to a Redis Cluster: add ?cluster=true to the address"
        ));
    }
    if field("role") == "slave" && !address.cluster {
        return Err(format!("--redis-url: {address} is a replica, which takes no changes"));
    }
    let policy = field("maxmemory_policy");
    if field("maxmemory") != "0" && policy != "noeviction" {
        tracing::warn!(
            policy,
            "Redis may throw away what nodes share where its memory is full: set its \
             maxmemory-policy to noeviction"
        );
    }
    Ok(())
}

fn text(answer: Result<Value, RedisError>) -> Result<String, RedisError> {
    Ok(String::from_redis_value(answer?)?)
}

/// Everything that a node asks for, each on a name that nobody uses.
fn needed(prefix: &str) -> Vec<(Vec<String>, String)> {
    let key = |kind: &str| format!("{prefix}:{{g00}}:start:{kind}");
    let (hash, zset, set, string) = (key("h"), key("z"), key("s"), key("t"));
    let script = "redis.call('HSET', KEYS[1], 'a', '1') redis.call('HGET', KEYS[1], 'a') \
                  redis.call('TIME') redis.call(ARGV[1], KEYS[2], '') \
                  return redis.call('DEL', KEYS[1])";
    let lines = [
        format!("HSET {hash} a 1"),
        format!("HINCRBY {hash} n 1"),
        format!("HGET {hash} a"),
        format!("HMGET {hash} a b"),
        format!("HGETALL {hash}"),
        format!("HLEN {hash}"),
        format!("HSCAN {hash} 0 COUNT 10"),
        format!("HDEL {hash} a"),
        format!("ZADD {zset} 1 a"),
        format!("ZSCORE {zset} a"),
        format!("ZRANGE {zset} 0 -1 WITHSCORES"),
        format!("ZCARD {zset}"),
        format!("ZRANGEBYSCORE {zset} 0 1"),
        format!("ZRANGEBYLEX {zset} - + LIMIT 0 1"),
        format!("ZREM {zset} a"),
        format!("ZSCAN {zset} 0"),
        format!("ZREMRANGEBYSCORE {zset} -inf 0"),
        format!("ZREMRANGEBYRANK {zset} 0 -9"),
        format!("SADD {set} a"),
        format!("SMEMBERS {set}"),
        format!("SSCAN {set} 0"),
        format!("SREM {set} a"),
        format!("SET {string} 1 NX PX 1000"),
        format!("GET {string}"),
        format!("PEXPIRE {string} 1000"),
        format!("PEXPIREAT {string} 9000000000000"),
        format!("PERSIST {string}"),
        format!("EXISTS {string}"),
        format!("DEL {hash} {zset} {set} {string}"),
        "TIME".to_owned(),
        format!("PUBLISH {prefix}:node:0 -"),
        format!("SPUBLISH {prefix}:{{g00}}:t: -"),
    ];
    let mut commands: Vec<_> = lines
        .iter()
        .map(|line| {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let what = words[0].clone();
            (words, what)
        })
        .collect();
    let topic = key("t");
    let eval = ["EVAL", script, "2", &hash, &topic, "SPUBLISH"].map(str::to_owned);
    commands.push((eval.to_vec(), "EVAL".to_owned()));
    let load = ["SCRIPT", "LOAD", "return 1"].map(str::to_owned);
    commands.push((load.to_vec(), "SCRIPT LOAD".to_owned()));
    commands
}

/// Why there is no connection.
pub(super) fn explain_connect(address: &Address, error: &RedisError) -> String {
    let why = error.to_string();
    let detail = error.detail().unwrap_or_default();
    let said = format!("{why} {detail}");
    if said.contains("cluster support disabled") {
        return format!("--redis-url: {address} is no Redis Cluster: leave out ?cluster=true");
    }
    let login = error.kind() == ErrorKind::AuthenticationFailed
        || ["NOAUTH", "WRONGPASS", "HELLO must be called"].iter().any(|sign| said.contains(sign));
    if login {
        return format!(
            "--redis-url: {address} refuses the login; the user stands in the address, the password \
             in --redis-password-file or HERENOW_REDIS_PASSWORD"
        );
    }
    if error.kind() == ErrorKind::RESP3NotSupported || said.contains("unknown command 'HELLO'") {
        return format!("--redis-url: {address} is older than version {OLDEST}.0");
    }
    let is_late = error.is_timeout();
    let hints = ["ertificate", "TLS", "corrupt"];
    // A server without TLS may wait for the end of what it takes for a command.
    let hint = if hints.iter().any(|hint| said.contains(hint)) || (is_late && address.is_tls()) {
        "; TLS is asked for by rediss://, and certificates are those that this machine trusts, or \
         those in the file that SSL_CERT_FILE names"
    } else {
        ""
    };
    let why = if is_late { "no answer in time".to_owned() } else { one_line(&why) };
    format!("--redis-url: can't connect to {address}: {why}{hint}")
}

/// Why a command was refused.
pub(super) fn explain_refusal(
    address: &Address,
    prefix: &str,
    what: &str,
    error: &RedisError,
) -> String {
    let why = one_line(&error.to_string());
    let denied = error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
        || error.code() == Some("NOPERM")
        || why.contains("can't run this command")
        || why.contains("ermission");
    if !denied {
        return format!("--redis-url: {address} refuses {what}: {why}");
    }
    let prefix = if prefix.is_empty() { "herenow" } else { prefix };
    format!(
        "--redis-url: {address} does not permit {what} ({why}); what a node needs is granted by: ACL \
         SETUSER name ~{prefix}:* &{prefix}:* +@read +@write +@pubsub +@scripting +@connection +info \
         +time +cluster"
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
