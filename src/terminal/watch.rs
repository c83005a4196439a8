//! `herenow watch`: who is in a channel, live; who came and who went. On a terminal it is a list that is
//! drawn in place, elsewhere a line for each thing that happens.

use std::time::Duration;

use clap::Args;
use clap::builder::styling::Style;
use herenow_protocol::{ChannelName, Level, Request, Sight, Since};
use serde_json::{Value, json};
use terminal_size::{Height, Width, terminal_size};

use super::back_off::{Ended, advised};
use super::flags::{TokenFlags, UrlFlag, channel};
use super::heard::{Heard, Listed, Refused, Welcome};
use super::lines::{fields, happened, listed, member, object, style};
use super::moment::{clock, long};
use super::out::Out;
use super::replica::{Gap, Member, News, Replica};
use super::safe::{shown, widest};
use super::screen::{ENTER, Head, LEAVE, Told, draw};
use super::stay::{Act, Guest, Over, Stay, Stop};
use crate::clock::Clock;
use crate::limits::{TERMINAL_DRAW, TERMINAL_REDRAW, TERMINAL_TEXT};

/// The `id` of a `subscribe`.
const SUBSCRIBE: i64 = 1;

/// Rows and columns of a terminal that does not tell.
const USUAL_SIZE: (usize, usize) = (24, 80);

/// What is watched, and how it is shown.
#[derive(Args, Clone, Debug)]
pub struct WatchFlags {
    /// Which channel
    pub channel: String,

    /// How much to be told: auto (the count alone in a channel of thousands), events (each change, however
    /// many), or count
    #[arg(long, value_name = "LEVEL", default_value = "auto", value_parser = level)]
    pub level: Level,

    /// Print a JSON object for each thing that happens, a line each
    #[arg(long)]
    pub json: bool,

    /// Where the broker is.
    #[command(flatten)]
    pub url: UrlFlag,

    /// As whom to ask it.
    #[command(flatten)]
    pub tokens: TokenFlags,
}

fn level(name: &str) -> Result<Level, String> {
    Level::parse(name).map_err(|refusal| refusal.message.into_owned())
}

/// Watches until `stop`.
///
/// # Errors
/// One line that names what to change.
pub async fn watch(flags: WatchFlags, out: Out, stop: Stop) -> Result<(), String> {
    let channel = channel(&flags.channel)?;
    let mut stay = Stay::new(flags.url.address()?, flags.tokens);
    let shows = match (flags.json, out.is_terminal) {
        (true, _) => Shows::Json,
        (false, true) => Shows::Screen,
        (false, false) => Shows::Lines,
    };
    let mut watcher = Watcher::new(channel, flags.level, shows, out);
    let served = stay.serve(&mut watcher, stop).await;
    watcher.leave_screen();
    served
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Screen,
    Lines,
    Json,
}

struct Watcher {
    channel: ChannelName,
    level: Level,
    shows: Shows,
    out: Out,
    clock: Clock,
    /// By how much the broker's clock is ahead of ours, in milliseconds.
    ahead_ms: i64,
    sight: Option<Sight>,
    replica: Replica,
    told: Told,
    state: String,
    /// The list was known before.
    listed: bool,
    drawn: String,
    ticks: u32,
}

impl Watcher {
    fn new(channel: ChannelName, level: Level, shows: Shows, out: Out) -> Self {
        Self {
            channel,
            level,
            shows,
            out,
            clock: Clock::start(),
            ahead_ms: 0,
            sight: None,
            replica: Replica::default(),
            told: Told::default(),
            state: String::new(),
            listed: false,
            drawn: String::new(),
            ticks: 0,
        }
    }

    /// What the broker's clock shows.
    fn now_ms(&self) -> u64 {
        self.clock.now().unix_ms.saturating_add_signed(self.ahead_ms)
    }

    fn subscribe(&self, since: Option<Since>) -> Act {
        let (channel, level) = (self.channel.clone(), self.level);
        let (recent, recent_attributes) = (None, true);
        let request = Request::Subscribe { channel, level, recent, recent_attributes, since };
        Act::Say(SUBSCRIBE, request)
    }

    fn object(&mut self, event: &str, fields: Value) -> Result<(), String> {
        self.out.line(&object(event, self.channel.as_str(), fields))
    }

    /// A line about the whole.
    fn note(&mut self, text: &str) -> Result<(), String> {
        let line = format!("{} # {}", clock(self.now_ms()), shown(text, TERMINAL_TEXT));
        self.tell(line)
    }

    fn tell(&mut self, line: String) -> Result<(), String> {
        match self.shows {
            Shows::Screen => {
                self.told.push(line);
                Ok(())
            }
            Shows::Lines => self.out.styled(&line, style(&line)),
            Shows::Json => Ok(()),
        }
    }

    fn show(&mut self, news: News) -> Result<(), String> {
        let count = self.replica.count();
        match news {
            News::List { began } => self.list(began),
            News::Event(event) if self.shows == Shows::Json => {
                self.object(&event.event, fields(&event, count))
            }
            News::Event(event) => {
                let line = happened(&event, self.now_ms());
                self.tell(line)
            }
            News::Count => match self.shows {
                Shows::Json => self.object("count", json!({"count": count})),
                Shows::Lines => self.note(&format!("{count} here")),
                Shows::Screen => Ok(()),
            },
        }
    }

    /// The list is known, for the first time or anew.
    fn list(&mut self, began: bool) -> Result<(), String> {
        let count = self.replica.count();
        let is_first = !std::mem::replace(&mut self.listed, true);
        if self.shows == Shows::Json {
            let members: Vec<_> = self.replica.newest(usize::MAX);
            let members: Vec<_> = members.into_iter().map(|(user, is)| member(user, is)).collect();
            return self
                .object("list", json!({"count": count, "began": began, "members": members}));
        }
        if began {
            self.note(&format!("the broker began anew: {count} here"))?;
        }
        if !is_first || self.shows == Shows::Screen {
            return Ok(());
        }
        self.note(&format!("{count} here"))?;
        let now_ms = self.now_ms();
        let members = self.replica.newest(usize::MAX);
        let width = widest(members.iter().map(|(user, _)| *user));
        let line = |(user, is): (&str, &Member)| {
            let (info, attributes) = (is.info.clone(), is.attributes.clone());
            let (user, joined_at) = (user.to_owned(), is.joined_at);
            let member = Listed { user, info, attributes, away: is.away, joined_at };
            format!("{} = {}", clock(now_ms), listed(&member, width, now_ms))
        };
        let lines: Vec<_> = members.into_iter().map(line).collect();
        lines.into_iter().try_for_each(|line| self.out.styled(&line, Style::new()))
    }

    fn draw(&mut self) -> Result<(), String> {
        let size = terminal_size();
        let size =
            size.map_or(USUAL_SIZE, |(Width(wide), Height(rows))| (rows.into(), wide.into()));
        let (channel, now_ms) = (self.channel.as_str(), self.now_ms());
        let head = Head { channel, state: &self.state, now_ms };
        let page = draw(head, &self.replica, &self.told, size, self.out.colors);
        if page == self.drawn {
            return Ok(());
        }
        if self.drawn.is_empty() {
            self.out.raw(ENTER)?;
        }
        self.out.raw(&page)?;
        self.drawn = page;
        self.told.draw();
        Ok(())
    }

    fn leave_screen(&mut self) {
        if !self.drawn.is_empty() {
            // There is nobody to tell.
            let _ = self.out.raw(LEAVE);
        }
    }
}

impl Guest for Watcher {
    fn welcomed(&mut self, welcome: &Welcome) -> Result<Vec<Act>, String> {
        let ours = self.clock.now().unix_ms as i64;
        self.ahead_ms = welcome.now.map_or(0, |theirs| theirs as i64 - ours);
        self.sight = welcome.sight;
        if !self.state.is_empty() {
            match self.shows {
                Shows::Json => self.object("connected", Value::Null)?,
                _ => self.note("connected again")?,
            }
        }
        self.state = "live".to_owned();
        Ok(vec![self.subscribe(self.replica.since())])
    }

    fn heard(&mut self, frame: Heard) -> Result<Vec<Act>, Over> {
        match frame {
            Heard::Ok { id, resumed: Some(true), .. } if id == SUBSCRIBE => self.replica.resume(),
            Heard::Ok { sight: Some(sight), .. } => self.sight = Some(sight),
            // Too often, or the broker is full: another connection, in a while.
            Heard::Error(refused @ Refused { id: Some(1), retry_after_ms: Some(_), .. }) => {
                return Err(Over::Ended(Ended::refused(refused)));
            }
            Heard::Error(refused) if refused.id == Some(SUBSCRIBE) => {
                return Err(Over::Failed(advised(&refused)));
            }
            Heard::Removed { channels, reason } if reason == "rights" => {
                if channels.iter().any(|channel| channel == self.channel.as_str()) {
                    let why = "the token in --token-file no longer grants to watch this channel";
                    return Err(Over::Failed(why.to_owned()));
                }
            }
            frame => match self.replica.apply(frame, self.sight) {
                Ok(news) => {
                    for news in news {
                        self.show(news).map_err(Over::Failed)?;
                    }
                }
                Err(Gap) => return Ok(vec![self.subscribe(None)]),
            },
        }
        Ok(Vec::new())
    }

    fn lost(&mut self, why: &str, wait: Duration) -> Result<(), String> {
        self.replica.interrupt();
        let wait_ms = wait.as_millis() as u64;
        self.state = "connection lost".to_owned();
        match self.shows {
            Shows::Json => self.object("lost", json!({"reason": why, "retryInMs": wait_ms})),
            _ => self.note(&format!("{why}; trying again in {}", long(wait_ms.max(1_000)))),
        }
    }

    fn tick(&mut self) -> Result<(), String> {
        self.ticks = self.ticks.wrapping_add(1);
        let slow = (TERMINAL_REDRAW.as_millis() / TERMINAL_DRAW.as_millis()) as u32;
        // What happens is drawn soon, and what only grows older in its time.
        if self.told.is_fresh() || self.drawn.is_empty() || self.ticks.is_multiple_of(slow) {
            return self.draw();
        }
        Ok(())
    }

    fn draws(&self) -> bool {
        self.shows == Shows::Screen
    }

    fn goodbye(&self) -> Option<Request> {
        None
    }
}
