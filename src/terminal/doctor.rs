//! `herenow doctor`: what stands between here and a broker, step by step: address, TLS, path, proxy,
//! origin, token, version, clocks, presence, idle time-outs.

use std::time::Duration;

use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use herenow_protocol::{ChannelName, Request};
use serde_json::json;
use tokio::time::timeout;

use super::address::{Address, SOCKET};
use super::ask::{As, Asker};
use super::back_off::Ended;
use super::diagnosis::{
    Fault, Finding, of_address, of_clock, of_handshake, of_identity, of_idle, of_presence, of_tls,
    of_version,
};
use super::flags::{TokenFlags, channel};
use super::heard::{Heard, Welcome};
use super::link::{Came, Link, path};
use super::out::Out;
use super::safe::{json as safe, padded};
use super::seen::{Answer, First, Handshake, Idle};
use super::stay::Stop;
use crate::auth::named;
use crate::clock::Clock;
use crate::duration;
use crate::limits::TERMINAL_ANSWER;

/// Columns of a step's name.
const STEP: usize = 10;

/// The `id` of the question.
const COUNT: i64 = 1;

/// What is looked at.
#[derive(Args, Clone, Debug)]
pub struct DoctorFlags {
    /// Where the broker is: http://, https://, ws:// or wss://
    #[arg(env = "HERENOW_URL", hide_env = true, value_name = "URL")]
    pub url: String,

    /// Come as a page of this origin does, such as `https://app.example`
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,

    /// How long to say nothing, so that a proxy's idle time-out shows: longer than the broker's
    /// --ping-interval; 0s: don't
    #[arg(long, value_name = "TIME", default_value = "35s", value_parser = duration::any)]
    pub idle: Duration,

    /// Which channel's count to ask for
    #[arg(long, value_name = "CHANNEL", default_value = "herenow-doctor")]
    pub channel: String,

    /// Print a JSON object for each step, a line each
    #[arg(long)]
    pub json: bool,

    /// As whom to come.
    #[command(flatten)]
    pub tokens: TokenFlags,
}

/// Looks, and tells what is found.
///
/// # Errors
/// One line: a fault was found, or nothing could be looked at.
pub async fn doctor(flags: &DoctorFlags, out: Out, stop: Stop) -> Result<(), String> {
    let address = named("URL", Address::parse(&flags.url))?;
    let channel = channel(&flags.channel)?;
    let token = flags.tokens.token()?;
    let mut look = Look { flags, address, channel, token, out, faults: Vec::new() };
    tokio::select! {
        () = stop => return Err("ended before all was looked at".to_owned()),
        looked = look.all() => looked?,
    }
    match look.faults[..] {
        [] => Ok(()),
        [one] => Err(format!("a fault was found: {one}")),
        _ => Err(format!("{} faults were found: {}", look.faults.len(), look.faults.join(", "))),
    }
}

struct Look<'a> {
    flags: &'a DoctorFlags,
    address: Address,
    channel: ChannelName,
    token: Option<String>,
    out: Out,
    faults: Vec<&'static str>,
}

impl Look<'_> {
    /// Tells what a step came to; whether it is worth going on.
    fn tell(&mut self, step: &str, finding: Finding) -> Result<bool, String> {
        let (mark, color, says, fault) = match finding {
            Finding::Fine(says) => ("ok", AnsiColor::Green, says, None),
            Finding::Note(says) => ("note", AnsiColor::Yellow, says, None),
            Finding::Fault(Fault { name, says, change }) => {
                self.faults.push(name);
                ("FAULT", AnsiColor::Red, says, Some((name, change)))
            }
        };
        let goes_on = fault.is_none();
        if self.flags.json {
            let mut line = json!({"step": step, "ok": goes_on, "says": says});
            if let Some((name, change)) = fault {
                (line["fault"], line["change"]) = (name.into(), change.into());
            }
            self.out.line(&safe(&line.to_string()))?;
            return Ok(goes_on);
        }
        let style = if self.out.colors { color.on_default() } else { Style::new() };
        let (mark, step) = (padded(mark, 5), padded(step, STEP));
        self.out.line(&format!("{style}{mark}{style:#}  {step}  {says}"))?;
        if let Some((_, change)) = fault {
            self.out.line(&format!("       {}  change: {change}", padded("", STEP)))?;
        }
        Ok(goes_on)
    }

    fn whose(&self) -> As {
        As { token: self.token.clone(), origin: self.flags.origin.clone() }
    }

    /// Each step in its turn, as far as it goes.
    async fn all(&mut self) -> Result<(), String> {
        if !self.reach().await? {
            return Ok(());
        }
        let Some(mut link) = self.upgrade().await? else { return Ok(()) };
        let Some(welcome) = self.welcome(&mut link).await? else { return Ok(()) };
        if !self.tell("version", of_version(&welcome))? {
            return Ok(());
        }
        if self.presence(&mut link).await? && !self.flags.idle.is_zero() {
            let idle = self.idle(&mut link).await;
            self.tell("idle", of_idle(idle))?;
        }
        link.close().await;
        Ok(())
    }

    /// Whether anything answers, and by TLS if that is asked for.
    async fn reach(&mut self) -> Result<bool, String> {
        let reached = Asker::connect(&self.address, self.whose()).await.map(|(_, reached)| reached);
        let mut goes_on = self.tell("address", of_address(&self.address, &reached))?;
        if let Some(finding) = of_tls(&self.address, &reached) {
            goes_on &= self.tell("TLS", finding)?;
        }
        if goes_on && self.token.is_some() && !self.address.is_private() {
            let says = "the token goes there in plain text: https:// hides it";
            self.tell("TLS", Finding::Note(says.to_owned()))?;
        }
        Ok(goes_on)
    }

    /// What is answered there to nobody in particular.
    async fn told(&self, address: &Address, path: &str) -> Answer {
        let Ok((mut asker, _)) = Asker::connect(address, As::default()).await else {
            return Answer::default();
        };
        asker.get(&address.path(path)).await.unwrap_or_default()
    }

    /// A WebSocket, if there is one at that path.
    async fn upgrade(&mut self) -> Result<Option<Link>, String> {
        let path = path(&self.address, self.flags.tokens.user.as_deref());
        let upgraded = match Asker::connect(&self.address, self.whose()).await {
            Ok((asker, _)) => asker.upgrade(&path).await,
            Err(why) => Err(Handshake::Broken(why.why())),
        };
        let (health, top) = match &upgraded {
            Ok(_) => (Answer::default(), Answer::default()),
            Err(_) => {
                let health = self.told(&self.address, "/healthz").await;
                (health, self.told(&self.address.top(), SOCKET).await)
            }
        };
        let (upgraded, handshake) = match upgraded {
            Ok(upgraded) => (Some(upgraded), Handshake::Done),
            Err(handshake) => (None, handshake),
        };
        let origin = self.flags.origin.as_deref();
        let finding = of_handshake(&self.address, origin, &handshake, &health, &top);
        self.tell("WebSocket", finding)?;
        match upgraded {
            Some(upgraded) => Ok(Some(Link::over(upgraded).await)),
            None => Ok(None),
        }
    }

    /// As whom we are there, and what time it is there.
    async fn welcome(&mut self, link: &mut Link) -> Result<Option<Welcome>, String> {
        let clock = Clock::start();
        let (first, theirs) = match link.first().await {
            Ok(Heard::Welcome(welcome)) => (First::Welcome(welcome.clone()), welcome.now),
            Ok(frame) => (First::Strange(format!("{frame:?}")), None),
            Err(Ended::Closed { refused: Some(refused), .. }) => {
                let now = refused.now;
                (First::Refused(*refused), now)
            }
            Err(ended) => (First::Strange(ended.why()), None),
        };
        let ours = clock.now().unix_ms as i64;
        let off_ms = theirs.map(|theirs| theirs as i64 - ours);
        let token = self.token.as_ref().map(|token| token.split('.').count() == 3);
        let goes_on = self.tell("identity", of_identity(&first, token, off_ms))?;
        if let (true, Some(off_ms)) = (goes_on, off_ms) {
            self.tell("clock", of_clock(off_ms))?;
        }
        match first {
            First::Welcome(welcome) => Ok(Some(welcome)),
            _ => Ok(None),
        }
    }

    /// Whether members are counted there.
    async fn presence(&mut self, link: &mut Link) -> Result<bool, String> {
        let request = Request::GetCount { channel: self.channel.clone() };
        let answered = async {
            link.say(COUNT, request).await.ok()?;
            loop {
                match link.listen().await.ok()? {
                    Came::Frame(frame @ Heard::Result { id: Some(1) }) => return Some(frame),
                    Came::Frame(Heard::Error(refused)) if refused.id == Some(COUNT) => {
                        return Some(Heard::Error(refused));
                    }
                    _ => {}
                }
            }
        };
        let answer = timeout(TERMINAL_ANSWER, answered).await.ok().flatten();
        self.tell("presence", of_presence(answer.as_ref()))
    }

    /// Says nothing until the broker pings, or the connection ends.
    async fn idle(&self, link: &mut Link) -> Idle {
        let clock = Clock::start();
        let silence = async {
            loop {
                match link.listen().await {
                    Ok(Came::Ping) => return Idle::Pinged(clock.elapsed().as_millis() as u64),
                    Ok(Came::Frame(_)) => {}
                    Err(_) => return Idle::Cut(clock.elapsed().as_millis() as u64),
                }
            }
        };
        let waited = timeout(self.flags.idle, silence).await;
        waited.unwrap_or_else(|_| Idle::Nothing(clock.elapsed().as_millis() as u64))
    }
}
