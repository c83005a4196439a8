//! `herenow join`: is present in a channel for as long as it runs, and leaves when it is told to end.

use std::time::Duration;

use clap::Args;
use herenow_protocol::{AttributeMap, ChannelName, Request};
use serde_json::{Value, json};

use super::back_off::{Ended, advised};
use super::flags::{TokenFlags, UrlFlag, channel};
use super::heard::{Heard, Refused, Welcome};
use super::lines::object;
use super::moment::long;
use super::out::Out;
use super::safe::shown;
use super::stay::{Act, Guest, Over, Stay, Stop};
use crate::duration;
use crate::limits::{TERMINAL_NAME, TERMINAL_TEXT};

/// The `id` of a `join`.
const JOIN: i64 = 1;

/// Where to be present, and with what.
#[derive(Args, Clone, Debug)]
pub struct JoinFlags {
    /// Which channel
    pub channel: String,

    /// What others see beside the name, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = attributes)]
    pub attributes: Option<AttributeMap>,

    /// How long to stay present if the connection is lost [default: as the broker gives]
    #[arg(long, value_name = "TIME", value_parser = duration::any)]
    pub grace: Option<Duration>,

    /// Print a JSON object for each thing that happens, a line each
    #[arg(long)]
    pub json: bool,

    /// Where the broker is.
    #[command(flatten)]
    pub url: UrlFlag,

    /// As whom to join.
    #[command(flatten)]
    pub tokens: TokenFlags,
}

fn attributes(text: &str) -> Result<AttributeMap, String> {
    serde_json::from_str(text)
        .map_err(|_| r#"must be a JSON object, as {"mood":"calm"}"#.to_owned())
}

/// Is present until `stop`.
///
/// # Errors
/// One line that names what to change.
pub async fn join(flags: JoinFlags, out: Out, stop: Stop) -> Result<(), String> {
    let channel = channel(&flags.channel)?;
    let address = flags.url.address()?;
    let mut stay = Stay::new(address, flags.tokens);
    let (attributes, grace, json) = (flags.attributes, flags.grace, flags.json);
    let mut member =
        Present { channel, attributes, grace, json, out, user: String::new(), joined: false };
    let served = stay.serve(&mut member, stop).await;
    if served.is_ok() && member.joined {
        member.say("left", "left", Value::Null)?;
    }
    served
}

struct Present {
    channel: ChannelName,
    attributes: Option<AttributeMap>,
    grace: Option<Duration>,
    json: bool,
    out: Out,
    user: String,
    joined: bool,
}

impl Present {
    fn say(&mut self, event: &str, text: &str, fields: Value) -> Result<(), String> {
        if self.json {
            return self.out.line(&object(event, self.channel.as_str(), fields));
        }
        self.out.line(&shown(text, TERMINAL_TEXT))
    }

    /// What was written before, here or by the user's other windows, is written over and not away.
    fn join(&self) -> Act {
        let request = Request::Join {
            channel: self.channel.clone(),
            attributes: self.attributes.clone(),
            merge: self.attributes.is_some(),
            grace_ms: self.grace.map(|grace| grace.as_millis() as u64),
            visible_to: None,
            away: None,
        };
        Act::Say(JOIN, request)
    }

    fn is_ours(&self, channels: &[String]) -> bool {
        channels.iter().any(|channel| channel == self.channel.as_str())
    }
}

impl Guest for Present {
    fn welcomed(&mut self, welcome: &Welcome) -> Result<Vec<Act>, String> {
        self.user.clone_from(&welcome.user);
        Ok(vec![self.join()])
    }

    fn heard(&mut self, frame: Heard) -> Result<Vec<Act>, Over> {
        match frame {
            Heard::Ok { id, heartbeat, .. } if id == JOIN => {
                self.joined = true;
                let (user, channel) = (&self.user, self.channel.as_str());
                let [user, channel] = [user, channel].map(|name| shown(name, TERMINAL_NAME));
                let text = format!("present in {channel} as {user}; Ctrl-C leaves");
                self.say("joined", &text, json!({"user": self.user})).map_err(Over::Failed)?;
                Ok(heartbeat.map(|cadence| Act::Keep(cadence.interval_ms)).into_iter().collect())
            }
            Heard::Error(refused @ Refused { id: Some(1), .. }) => {
                if refused.code == "unavailable" || refused.retry_after_ms.is_some() {
                    return Err(Over::Ended(Ended::refused(refused)));
                }
                Err(Over::Failed(advised(&refused)))
            }
            Heard::Removed { channels, reason } if self.is_ours(&channels) => {
                if reason == "rights" {
                    let why = "the token in --token-file no longer grants to join this channel";
                    return Err(Over::Failed(why.to_owned()));
                }
                self.say(
                    "removed",
                    "removed for silence; joining again",
                    json!({"reason": reason}),
                )
                .map_err(Over::Failed)?;
                Ok(vec![self.join()])
            }
            _ => Ok(Vec::new()),
        }
    }

    fn lost(&mut self, why: &str, wait: Duration) -> Result<(), String> {
        let wait_ms = wait.as_millis() as u64;
        let text = format!("{why}; trying again in {}", long(wait_ms.max(1_000)));
        self.say("lost", &text, json!({"reason": why, "retryInMs": wait_ms}))
    }

    fn tick(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn draws(&self) -> bool {
        false
    }

    fn goodbye(&self) -> Option<Request> {
        Some(Request::Leave { channel: self.channel.clone() })
    }
}
