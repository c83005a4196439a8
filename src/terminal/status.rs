//! `herenow status`: whether a user is online, what it says of itself, and where it is.

use clap::Args;
use herenow_protocol::UserId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::segment;
use super::back_off::advised;
use super::flags::{TokenFlags, UrlFlag};
use super::moment::{date, long};
use super::out::Out;
use super::safe::{json as safe, shown};
use super::who::Broker;
use crate::limits::{LIST_MAX, TERMINAL_NAME, TERMINAL_PAGES, TERMINAL_TEXT};

/// Whose.
#[derive(Args, Clone, Debug)]
pub struct StatusFlags {
    /// Whose
    #[arg(value_name = "USER")]
    pub whose: String,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Where the broker is.
    #[command(flatten)]
    pub url: UrlFlag,

    /// As whom to ask it.
    #[command(flatten)]
    pub tokens: TokenFlags,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Status {
    online: bool,
    away: bool,
    invisible: bool,
    busy: bool,
    wait_time: Option<u64>,
    text: Option<String>,
    last_seen: Option<u64>,
}

#[derive(Deserialize)]
struct Page {
    channels: Vec<String>,
    next: Option<String>,
}

/// Tells it.
///
/// # Errors
/// One line that names what to change.
pub async fn status(flags: &StatusFlags, mut out: Out) -> Result<(), String> {
    let user =
        UserId::parse(&flags.whose, "USER").map_err(|refusal| refusal.message.into_owned())?;
    let mut broker = Broker::connect(&flags.url, &flags.tokens).await?;
    let path = format!("/v1/users/{}", segment(user.as_str()));
    let told: Value = match broker.find(&format!("{path}/status"), &[]).await? {
        Ok(told) => told,
        // Whoever was never there is not there.
        Err(refused) if refused.code == "not_found" => {
            json!({"user": user.as_str(), "online": false, "busy": false})
        }
        Err(refused) => return Err(advised(&refused)),
    };
    let mut channels = Vec::new();
    let mut after = None;
    for _ in 0..TERMINAL_PAGES {
        let limit = ("limit", LIST_MAX.to_string());
        let query: Vec<_> =
            std::iter::once(limit).chain(after.map(|after| ("after", after))).collect();
        let page: Page = broker.get(&format!("{path}/channels"), &query).await?;
        channels.extend(page.channels);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if flags.json {
        let mut all = told;
        all["channels"] = json!(channels);
        return out.line(&safe(&all.to_string()));
    }
    let status = serde_json::from_value(told).unwrap_or_default();
    out.line(&format!("{}: {}", shown(user.as_str(), TERMINAL_NAME), words(&status)))?;
    channels
        .iter()
        .try_for_each(|channel| out.line(&format!("  in {}", shown(channel, TERMINAL_NAME))))
}

/// The status in words.
fn words(status: &Status) -> String {
    let mut words = vec![if status.online { "online" } else { "offline" }.to_owned()];
    if status.away {
        words.push("away".to_owned());
    }
    if status.invisible {
        words.push("invisible to others".to_owned());
    }
    if status.busy {
        let how_long = status.wait_time.map(|minutes| format!(" for {}", long(minutes * 60_000)));
        words.push(format!("busy{}", how_long.unwrap_or_default()));
    }
    if let Some(text) = &status.text {
        words.push(format!("\"{}\"", shown(text, TERMINAL_TEXT)));
    }
    if let (false, Some(at)) = (status.online, status.last_seen) {
        words.push(format!("last seen {}", date(at)));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_line() {
        let of = |json: Value| words(&serde_json::from_value(json).unwrap());
        assert_eq!(of(json!({"online": false, "busy": false})), "offline");
        assert_eq!(
            of(
                json!({"online": true, "away": true, "busy": true, "waitTime": 90, "text": "at\u{1b}[2J lunch", "lastSeen": 5})
            ),
            "online, away, busy for 1h, \"at\\u{1b}[2J lunch\""
        );
        assert_eq!(
            of(json!({"online": false, "busy": true, "lastSeen": 1_795_403_460_314_u64})),
            "offline, busy, last seen 2026-11-23T03:11:00Z"
        );
    }
}
