//! `herenow who`: who is in a channel now, all pages of them.

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::address::{Address, segment};
use super::ask::{As, Asker};
use super::back_off::advised;
use super::flags::{TokenFlags, UrlFlag, channel};
use super::heard::{Listed, Refused};
use super::lines::{listed, object};
use super::out::Out;
use super::safe::{json as safe, shown, widest};
use crate::clock::Clock;
use crate::limits::{LIST_MAX, TERMINAL_NAME, TERMINAL_PAGES};

/// Who is asked for.
#[derive(Args, Clone, Debug)]
pub struct WhoFlags {
    /// Which channel
    pub channel: String,

    /// Only how many
    #[arg(long)]
    pub count: bool,

    /// Print a JSON object for each member, a line each
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
struct Count {
    count: u64,
}

#[derive(Deserialize)]
struct Page {
    members: Vec<serde_json::Value>,
    next: Option<u64>,
    #[serde(default)]
    partial: bool,
}

/// Lists them.
///
/// # Errors
/// One line that names what to change.
pub async fn who(flags: &WhoFlags, mut out: Out) -> Result<(), String> {
    let channel = channel(&flags.channel)?;
    let mut broker = Broker::connect(&flags.url, &flags.tokens).await?;
    let path = format!("/v1/channels/{}", segment(channel.as_str()));
    if flags.count {
        let Count { count } = broker.get(&format!("{path}/count"), &[]).await?;
        return match flags.json {
            true => out.line(&object("count", channel.as_str(), json!({"count": count}))),
            false => out.line(&count.to_string()),
        };
    }
    let now_ms = Clock::start().now().unix_ms;
    let mut after = None;
    for _ in 0..TERMINAL_PAGES {
        let limit = ("limit", LIST_MAX.to_string());
        let query: Vec<_> = std::iter::once(limit)
            .chain(after.map(|after: u64| ("after", after.to_string())))
            .collect();
        let page: Page = broker.get(&format!("{path}/members"), &query).await?;
        if flags.json {
            page.members.iter().try_for_each(|member| out.line(&safe(&member.to_string())))?;
        } else {
            let members =
                page.members.into_iter().filter_map(|member| serde_json::from_value(member).ok());
            let members: Vec<Listed> = members.collect();
            let width = widest(members.iter().map(|member| member.user.as_str()));
            members.iter().try_for_each(|member| out.line(&listed(member, width, now_ms)))?;
        }
        if page.partial && page.next.is_none() {
            return Err(
                "that may not be all: of the other nodes not everything is known".to_owned()
            );
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

/// A broker that is asked over HTTP.
#[derive(Debug)]
pub struct Broker {
    asker: Asker,
    address: Address,
    user: Option<String>,
}

impl Broker {
    /// Connects to it.
    ///
    /// # Errors
    /// One line that names what to change.
    pub async fn connect(url: &UrlFlag, tokens: &TokenFlags) -> Result<Self, String> {
        let address = url.address()?;
        let (token, user) = (tokens.token()?, tokens.user.clone());
        let connected = Asker::connect(&address, As { token, origin: None }).await;
        let (asker, _) = connected.map_err(|why| at_fault(&address, &why.why()))?;
        Ok(Self { asker, address, user })
    }

    /// What it answers to a question.
    ///
    /// # Errors
    /// One line: the refusal, or that there is no answer.
    pub async fn get<T: for<'a> Deserialize<'a>>(
        &mut self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, String> {
        self.find(path, query).await?.map_err(|refused| advised(&refused))
    }

    /// The same, or how it was refused.
    ///
    /// # Errors
    /// One line: there is no answer of a broker's.
    pub async fn find<T: for<'a> Deserialize<'a>>(
        &mut self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Result<T, Refused>, String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(query);
        if let Some(user) = &self.user {
            form.append_pair("user", user);
        }
        let path = format!("{}?{}", self.address.path(path), form.finish());
        let answer = self.asker.get(&path).await.map_err(|why| at_fault(&self.address, &why))?;
        if let Some(refused) = answer.refused().filter(|_| answer.status >= 400) {
            return Ok(Err(refused));
        }
        let good = answer.json().filter(|_| answer.status == 200);
        let other = || format!("no broker: answered with {}", answer.status);
        good.map(Ok).ok_or_else(|| at_fault(&self.address, &other()))
    }
}

fn at_fault(address: &Address, why: &str) -> String {
    let to = shown(&address.to_string(), TERMINAL_NAME);
    format!("{to}: {why}; see --url, and herenow doctor {to}")
}
