//! `outlived`: what becomes of much that outlives its connections, and what others feel of it.
//!
//! A crowd joins channels with a grace and is cut off (`--kick`: thrown out by a back end instead),
//! so that all its memberships end at once. Observers are told how many there are; beside
//! them a pair in a channel of its own measures what an ordinary change takes: before, from the cut
//! until the graces are over (`cut_p99_ms`), and until the last end is told.
//!
//! How it can mislead: crowd, observers and pair share one thread, so reading what observers are told
//! stands before the pair's reading; its p99 is an upper limit. The last is told late if the broker
//! is slow to notice that the connections are gone: `told_s` counts from the cut and the grace.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::Args;
use memchr::memmem;

use crate::clock::{self, Deadline};
use crate::failure::{Result, fail};
use crate::frame;
use crate::histogram::Histogram;
use crate::procfs::Memory;
use crate::server::Server;
use crate::socket::Upgrade;
use crate::subject::Subject;
use crate::swarm::{Driver, Swarm};
use crate::table::{Cell, Table};

const MIB: f64 = 1024.0 * 1024.0;
/// Channels of one connection, below the broker's default limit.
const CHANNELS_EACH: usize = 125;
/// From one change of the pair to the next.
const EVERY: Duration = Duration::from_millis(5);
/// How long the pair is measured alone.
const QUIET: Duration = Duration::from_secs(3);

const COLUMNS: &[&str] = &[
    "memberships",
    "connections",
    "channels",
    "quiet_p99_ms",
    "joined_mib",
    "told_s",
    "cut_p99_ms",
    "others_p50_ms",
    "others_p99_ms",
    "others_max_ms",
    "after_mib",
];

/// Many memberships end at once
#[derive(Args, Debug)]
pub(crate) struct OutlivedArgs {
    /// Connections of the crowd; each is in 125 channels
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) connections: u32,

    /// Channels in all
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(125..=1_000_000))]
    pub(crate) channels: u32,

    /// All of the crowd are one user, whom a back end throws out
    #[arg(long)]
    pub(crate) kick: bool,

    /// The grace of each membership, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub(crate) grace_ms: u64,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// Runs the mode.
pub(crate) fn run(args: &OutlivedArgs) -> Result<()> {
    let mut server = args.subject.launch()?;
    let result = measure(args, &server);
    let row = server.explain(result)?;
    let mut table = Table::new(COLUMNS);
    table.row(row);
    table.publish(args.subject.common.csv.as_deref())
}

fn measure(args: &OutlivedArgs, server: &Server) -> Result<Vec<Cell>> {
    let deadline = args.subject.deadline();
    let mut watch = Watch::new(args)?;
    let mut near = Swarm::new(server.address)?;
    near.connect(2 + watch.observers(), deadline, &mut watch)?;
    let mut crowd = Crowd::new(args);
    let mut far = Swarm::new(server.address)?;
    far.connect(args.connections as usize, deadline, &mut crowd)?;
    let all = args.connections as usize * CHANNELS_EACH;
    if !far.turn_until(deadline, &mut crowd, |crowd| crowd.joined >= all)? {
        fail!("only {} of {all} joins were answered in time", crowd.joined);
    }
    watch.take_in(&mut near)?;
    watch.latency.clear();
    watch.ping_until(&mut near, Deadline::after(QUIET), |_| false)?;
    let (quiet_ms, joined) = (watch.latency.quantile_ms(0.99), Memory::of(server.pid)?.resident);
    watch.latency.clear();
    let began = clock::now();
    let grace = Duration::from_millis(if args.kick { 0 } else { args.grace_ms });
    let kick = if args.kick { Some(kick(server)?) } else { None };
    if kick.is_none() {
        drop(far);
    }
    watch.ping_until(&mut near, Deadline::after(grace), |_| false)?;
    let cut_ms = watch.latency.quantile_ms(0.99);
    if !args.kick {
        watch.latency.clear();
    }
    let expected = args.subject.deadline();
    let all_told = watch.ping_until(&mut near, expected, |watch| watch.present == 0)?;
    let told_s = clock::seconds_since(began) - grace.as_secs_f64();
    if let Some(mut kick) = kick {
        let mut answer = String::new();
        let _ = kick.read_to_string(&mut answer);
        if !answer.starts_with("HTTP/1.1 200") {
            fail!("the kick was answered with {answer}");
        }
    }
    if !all_told {
        fail!("{} of {all} members are shown still", watch.present);
    }
    let latency = watch.latency.clone();
    watch.ping_until(&mut near, Deadline::after(QUIET), |_| false)?;
    let after = Memory::of(server.pid)?.resident;
    Ok(vec![
        all.into(),
        (args.connections as usize).into(),
        (args.channels as usize).into(),
        Cell::Number(quiet_ms, 2),
        Cell::Number(joined as f64 / MIB, 1),
        Cell::Number(told_s, 2),
        Cell::Number(cut_ms, 2),
        Cell::Number(latency.quantile_ms(0.5), 2),
        Cell::Number(latency.quantile_ms(0.99), 2),
        Cell::Number(latency.max_ms(), 2),
        Cell::Number(after as f64 / MIB, 1),
    ])
}

/// Asks for the kick; its answer comes when all is done.
fn kick(server: &Server) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(server.address)?;
    let host = server.address;
    write!(
        socket,
        "DELETE /v1/users/eve/connections HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )?;
    Ok(socket)
}

/// Those who join and are gone.
struct Crowd {
    channels: usize,
    grace_ms: u64,
    one_user: bool,
    joined: usize,
}

impl Crowd {
    fn new(args: &OutlivedArgs) -> Self {
        let (channels, grace_ms) = (args.channels as usize, args.grace_ms);
        Self { channels, grace_ms, one_user: args.kick, joined: 0 }
    }
}

impl Driver for Crowd {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        let path = if self.one_user { "/ws?user=eve".into() } else { format!("/ws?user=u{who}") };
        Some(Upgrade { path, protocol: None })
    }

    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()> {
        for step in 0..CHANNELS_EACH {
            let channel = (who * CHANNELS_EACH + step) % self.channels;
            let grace_ms = self.grace_ms;
            let join =
                format!(r#"{{"type":"join","id":1,"channel":"c{channel}","graceMs":{grace_ms}}}"#);
            frame::text(&join, out);
        }
        Ok(())
    }

    fn message(&mut self, _: usize, payload: &[u8], _: &mut Vec<u8>) -> Result<()> {
        match payload {
            _ if payload.starts_with(br#"{"type":"ok""#) => self.joined += 1,
            _ if payload.starts_with(br#"{"type":"error""#) => {
                fail!("the broker says {}", String::from_utf8_lossy(payload))
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, _: usize, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The number behind `key`.
fn number(payload: &[u8], key: &[u8]) -> Option<usize> {
    let at = memmem::find(payload, key)? + key.len();
    let digits = payload[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')))
}

/// The pair, and those who observe the crowd's channels.
struct Watch {
    channels: usize,
    latency: Histogram,
    /// When each change of the pair was written.
    written: Vec<Instant>,
    /// Members of each of the crowd's channels, as the observers know them, and of all.
    counts: Vec<usize>,
    present: usize,
}

impl Watch {
    fn new(args: &OutlivedArgs) -> Result<Self> {
        let (channels, latency) = (args.channels as usize, Histogram::new()?);
        let counts = vec![0; channels];
        Ok(Self { channels, latency, written: Vec::new(), counts, present: 0 })
    }

    fn observers(&self) -> usize {
        self.channels.div_ceil(CHANNELS_EACH)
    }

    /// Reads what observers are told of the crowd's coming, until nothing comes any more.
    fn take_in(&mut self, near: &mut Swarm) -> Result<()> {
        loop {
            let before = near.tally().frames;
            near.settle(Duration::from_secs(1), self)?;
            if near.tally().frames == before {
                return Ok(());
            }
        }
    }

    /// Has the pair tell a change now and then, until `done`; false if the deadline came first.
    fn ping_until(
        &mut self,
        near: &mut Swarm,
        deadline: Deadline,
        done: impl Fn(&Self) -> bool,
    ) -> Result<bool> {
        let mut due = clock::now();
        while !done(self) {
            if deadline.passed() {
                return Ok(false);
            }
            let now = clock::now();
            if now >= due {
                due = now + EVERY;
                let number = self.written.len();
                self.written.push(now);
                let set = format!(
                    r#"{{"type":"setAttributes","channel":"pair","attributes":{{"n":{number}}}}}"#
                );
                near.send(0, self, |out| frame::text(&set, out))?;
            }
            near.turn(due.saturating_duration_since(clock::now()), self)?;
        }
        Ok(true)
    }
}

impl Driver for Watch {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        Some(Upgrade { path: format!("/ws?user=watch{who}"), protocol: None })
    }

    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()> {
        match who {
            0 => frame::text(r#"{"type":"join","channel":"pair"}"#, out),
            1 => frame::text(r#"{"type":"subscribe","channel":"pair"}"#, out),
            _ => {
                let first = (who - 2) * CHANNELS_EACH;
                for number in first..(first + CHANNELS_EACH).min(self.channels) {
                    let channel =
                        format!(r#"{{"type":"subscribe","channel":"c{number}","level":"events"}}"#);
                    frame::text(&channel, out);
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], _: &mut Vec<u8>) -> Result<()> {
        if payload.starts_with(br#"{"type":"heartbeatDue""#) {
            return Ok(());
        }
        if payload.starts_with(br#"{"type":"error""#) {
            fail!("the broker says {}", String::from_utf8_lossy(payload));
        }
        if who == 1
            && let Some(&written) = number(payload, br#""n":"#).and_then(|n| self.written.get(n))
        {
            self.latency.add(clock::now().saturating_duration_since(written));
        }
        if who > 1
            && let Some(channel) = number(payload, br#""channel":"c"#)
            && let Some(count) = number(payload, br#""count":"#)
        {
            self.present -= std::mem::replace(&mut self.counts[channel], count);
            self.present += count;
        }
        Ok(())
    }
}
