//! The giant channel beside the small ones of `pacing`: a process of its own, this program in a
//! hidden mode, so that the reading of its sockets delays nobody else's.
//!
//! The two talk in lines: the child says `ready` when every subscriber is in place, waits for a line,
//! makes its changes, and says what became of them. If the parent goes first the child reads the end
//! of its input instead and ends, too.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Args;

use crate::broadcast::Broadcast;
use crate::clock::{self, Deadline};
use crate::failure::{Context, Result, fail};
use crate::peer::Peer;
use crate::procfs::CpuTime;
use crate::swarm::Swarm;
use crate::talk::{Heard, Talk};

const READY: &str = "ready";

/// What the child does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) subscribers: u32,
    pub(crate) publishers: u32,
    pub(crate) rate: u32,
    pub(crate) updates: u32,
    pub(crate) timeout: Duration,
    pub(crate) nice: u32,
}

/// What the giant's subscribers got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) deliveries_per_s: f64,
    pub(crate) folded: f64,
    pub(crate) p99_ms: f64,
    /// Processors that the child kept busy.
    pub(crate) cores: f64,
}

impl Report {
    fn line(&self) -> String {
        let Self { deliveries_per_s, folded, p99_ms, cores } = self;
        format!("{deliveries_per_s} {folded} {p99_ms} {cores}")
    }

    fn parse(line: &str) -> Option<Self> {
        let numbers: Vec<f64> = line.split(' ').map_while(|text| text.parse().ok()).collect();
        let [deliveries_per_s, folded, p99_ms, cores] = *numbers.as_slice() else { return None };
        Some(Self { deliveries_per_s, folded, p99_ms, cores })
    }
}

/// The child, as its parent sees it.
#[derive(Debug)]
pub(crate) struct Giant {
    child: Child,
    talk: Talk,
}

impl Giant {
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let mut command = Command::new("nice");
        command.arg("-n").arg(plan.nice.to_string()).arg(std::env::current_exe()?);
        command.arg("giant").arg("--address").arg(plan.address.to_string());
        for (flag, number) in [
            ("--subscribers", plan.subscribers),
            ("--publishers", plan.publishers),
            ("--rate", plan.rate),
            ("--updates", plan.updates),
        ] {
            command.arg(flag).arg(number.to_string());
        }
        command.arg("--timeout").arg(format!("{}ms", plan.timeout.as_millis()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context(|| "cannot start nice(1)".to_owned())?;
        let talk = Talk::with(&mut child)?;
        Ok(Self { child, talk })
    }

    /// Whether every subscriber is in place.
    pub(crate) fn is_ready(&mut self) -> Result<bool> {
        Ok(self.line()?.is_some())
    }

    /// Lets the changes begin.
    pub(crate) fn go(&mut self) -> Result<()> {
        self.talk.say("go").context(|| "the giant channel's process".to_owned())
    }

    /// What became of them, once it is known.
    pub(crate) fn report(&mut self) -> Result<Option<Report>> {
        let Some(line) = self.line()? else { return Ok(None) };
        match Report::parse(&line) {
            Some(report) => Ok(Some(report)),
            None => fail!("the giant channel's process says {line:?}"),
        }
    }

    fn line(&mut self) -> Result<Option<String>> {
        match self.talk.hear() {
            Heard::Line(line) => Ok(Some(line)),
            Heard::Nothing => Ok(None),
            Heard::Ended => fail!("in the giant channel: {}", self.last_words()),
        }
    }

    fn last_words(&mut self) -> String {
        let mut words = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut words);
        }
        let last = words.lines().rfind(|line| !line.is_empty()).unwrap_or("its process ended");
        last.trim_start_matches("herenow-bench: ").to_owned()
    }
}

impl Drop for Giant {
    fn drop(&mut self) {
        // It has said all it has to say, or this run has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child is told by its command line.
#[derive(Args, Debug)]
pub(crate) struct GiantArgs {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    subscribers: u32,
    #[arg(long)]
    publishers: u32,
    #[arg(long)]
    rate: u32,
    #[arg(long)]
    updates: u32,
    #[arg(long, value_parser = clock::parse_duration)]
    timeout: Duration,
}

/// Runs the child.
pub(crate) fn run(args: &GiantArgs) -> Result<()> {
    let mut swarm = Swarm::new(args.address)?;
    let (publishers, subscribers) = (args.publishers as usize, args.subscribers as usize);
    let mut all = Broadcast::new(Peer::Herenow.dialect(1), publishers, subscribers)?;
    all.gather(&mut swarm, Deadline::after(args.timeout))?;
    writeln!(io::stdout(), "{READY}")?;
    if io::stdin().read_line(&mut String::new())? == 0 {
        return Ok(());
    }
    let own = std::process::id();
    let cpu = CpuTime::of(own)?;
    let (updates, rate) = (args.updates as usize, f64::from(args.rate));
    let start = clock::now();
    let deadline = Deadline::after(args.timeout + Duration::from_secs_f64(updates as f64 / rate));
    all.open_loop(&mut swarm, updates, rate, deadline)?;
    let seconds = clock::seconds_since(start);
    let delivered = all.delivered();
    let report = Report {
        deliveries_per_s: delivered.deliveries as f64 / seconds,
        folded: delivered.folded as f64,
        p99_ms: delivered.latency.quantile_ms(0.99),
        cores: CpuTime::of(own)?.since(&cpu) / seconds,
    };
    writeln!(io::stdout(), "{}", report.line())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back() {
        let report = Report { deliveries_per_s: 1.5e6, folded: 3.0, p99_ms: 12.25, cores: 0.5 };
        assert_eq!(Report::parse(&report.line()), Some(report));
        for bad in ["", "ready", "1 2 3", "1 2 3 4 5", "1 2 x 4"] {
            assert_eq!(Report::parse(bad), None, "{bad:?}");
        }
    }
}
