//! One WebSocket after another, for as long as somebody wants to be there: what is lost is dialled again,
//! as the protocol asks, and a token that is renewed in its file is shown in time.

use std::pin::Pin;
use std::time::Duration;

use herenow_protocol::{Request, Token};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::address::Address;
use super::ask::As;
use super::back_off::{BackOff, Ended};
use super::flags::TokenFlags;
use super::heard::{Heard, Welcome};
use super::link::{Came, Link};
use crate::chance::Chance;
use crate::limits::TERMINAL_DRAW;

/// The `id` of an `auth`.
const AUTH: i64 = 1_000;

/// What a guest has a connection do.
#[derive(Debug)]
pub enum Act {
    /// Ask this, with that `id`: from 1 to 999.
    Say(i64, Request),
    /// Say that we live this often, in milliseconds.
    Keep(u64),
}

/// Why a guest is there no longer.
#[derive(Debug)]
pub enum Over {
    /// It can't be: why, in one line.
    Failed(String),
    /// Not over this connection.
    Ended(Ended),
}

/// Somebody who wants to be there.
pub trait Guest {
    /// A connection is there: what it is to do.
    ///
    /// # Errors
    /// It can't be shown.
    fn welcomed(&mut self, welcome: &Welcome) -> Result<Vec<Act>, String>;

    /// A frame came.
    ///
    /// # Errors
    /// Why that is the end.
    fn heard(&mut self, frame: Heard) -> Result<Vec<Act>, Over>;

    /// The connection is lost, and there is another one after `wait`.
    ///
    /// # Errors
    /// It can't be shown.
    fn lost(&mut self, why: &str, wait: Duration) -> Result<(), String>;

    /// Some time has passed: what is drawn may be drawn anew.
    ///
    /// # Errors
    /// It can't be shown.
    fn tick(&mut self) -> Result<(), String>;

    /// Whether anything is drawn.
    fn draws(&self) -> bool;

    /// The last that is said.
    fn goodbye(&self) -> Option<Request>;
}

/// What ends it from outside.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whom a guest visits, and as whom.
#[derive(Debug)]
pub struct Stay {
    address: Address,
    tokens: TokenFlags,
    /// The token that the broker was shown last.
    shown: Option<String>,
    was_welcomed: bool,
    back_off: BackOff,
    chance: Chance,
}

enum Served {
    Stopped(Box<Link>),
    Failed(String),
    Ended(Ended),
}

impl Stay {
    /// With that broker.
    #[must_use]
    pub fn new(address: Address, tokens: TokenFlags) -> Self {
        Self {
            address,
            tokens,
            shown: None,
            was_welcomed: false,
            back_off: BackOff::default(),
            chance: Chance::from_entropy(),
        }
    }

    /// Serves the guest until `stop`.
    ///
    /// # Errors
    /// One line: the first connection did not come about, or nothing can be done any more.
    pub async fn serve(&mut self, guest: &mut impl Guest, mut stop: Stop) -> Result<(), String> {
        loop {
            let connected = tokio::select! {
                () = &mut stop => return Ok(()),
                connected = self.connect() => connected?,
            };
            let ended = match connected {
                Err(ended) => ended,
                Ok((link, welcome)) => match self.visit(guest, link, &welcome, &mut stop).await {
                    Served::Stopped(mut link) => {
                        if let Some(request) = guest.goodbye() {
                            let _ = link.say(AUTH - 1, request).await;
                        }
                        link.close().await;
                        return Ok(());
                    }
                    Served::Failed(why) => return Err(why),
                    Served::Ended(ended) => ended,
                },
            };
            let Some(wait) = self.again(&ended)? else { return Err(ended.why()) };
            guest.lost(&ended.why(), wait)?;
            let pause = sleep(wait);
            tokio::pin!(pause);
            let mut ticks = interval(TERMINAL_DRAW);
            loop {
                tokio::select! {
                    () = &mut stop => return Ok(()),
                    () = &mut pause => break,
                    _ = ticks.tick(), if guest.draws() => guest.tick()?,
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Result<(Link, Welcome), Ended>, String> {
        self.shown = self.tokens.token()?;
        let whose = As { token: self.shown.clone(), origin: None };
        let opened = Link::open(&self.address, whose, self.tokens.user.as_deref()).await;
        if opened.is_ok() {
            self.was_welcomed = true;
            self.back_off.welcomed();
        }
        Ok(opened)
    }

    /// How long to wait before the next try, if there is any.
    fn again(&mut self, ended: &Ended) -> Result<Option<Duration>, String> {
        let is_same = ended.is_expiry() && self.tokens.token()? == self.shown;
        if !self.was_welcomed || is_same {
            return Ok(None);
        }
        Ok(self.back_off.next(ended, |below| self.chance.below(below)))
    }

    async fn visit(
        &mut self,
        guest: &mut impl Guest,
        mut link: Link,
        welcome: &Welcome,
        stop: &mut Stop,
    ) -> Served {
        let mut acts = match guest.welcomed(welcome) {
            Ok(acts) => acts,
            Err(why) => return Served::Failed(why),
        };
        let mut ticks = interval(TERMINAL_DRAW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for act in acts.drain(..) {
                match act {
                    Act::Keep(interval_ms) => link.keep(interval_ms),
                    Act::Say(id, request) => {
                        if let Err(ended) = link.say(id, request).await {
                            return Served::Ended(ended);
                        }
                    }
                }
            }
            let came = tokio::select! {
                () = &mut *stop => return Served::Stopped(Box::new(link)),
                came = link.next() => came,
                _ = ticks.tick(), if guest.draws() => match guest.tick() {
                    Ok(()) => continue,
                    Err(why) => return Served::Failed(why),
                }
            };
            acts = match came {
                Err(ended) => return Served::Ended(ended),
                Ok(Came::Ping) => Vec::new(),
                Ok(Came::Frame(frame)) => match self.passed_on(guest, frame) {
                    Ok(acts) => acts,
                    Err(Over::Failed(why)) => return Served::Failed(why),
                    Err(Over::Ended(ended)) => return Served::Ended(ended),
                },
            };
        }
    }

    /// What is about the connection as a whole is seen to here.
    fn passed_on(&mut self, guest: &mut impl Guest, frame: Heard) -> Result<Vec<Act>, Over> {
        match &frame {
            Heard::Error(refused) if refused.id.is_none() && refused.code == "token_expired" => {
                // A warning. Without another token this goes on for as long as the old one lasts.
                let token = self.tokens.token().ok().flatten();
                if token == self.shown {
                    return Ok(Vec::new());
                }
                self.shown.clone_from(&token);
                let auth = token.map(|token| Request::Auth { token: Token(token.into()) });
                Ok(auth.map(|auth| Act::Say(AUTH, auth)).into_iter().collect())
            }
            Heard::HeartbeatDue {} => {
                Ok(vec![Act::Say(AUTH + 1, Request::Heartbeat { channels: None })])
            }
            _ => guest.heard(frame),
        }
    }
}
