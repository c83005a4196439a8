//! Thousands of very slow readers over many busy rooms, and a pair that reads well.

use std::time::Duration;

use crate::clock;
use crate::failure::Result;
use crate::mode::slow_lines::figures::Figures;
use crate::mode::slow_lines::guests::{Guest, Guests, join, write};
use crate::mode::slow_lines::lines::Lines;
use crate::mode::slow_lines::pair::Pair;
use crate::mode::slow_lines::view::attributes;
use crate::procfs::{CpuTime, Memory, reset_peak};
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;

const CASE: &str = "many";
const MIB: f64 = 1024.0 * 1024.0;
const ROOMS: usize = 50;
/// Members of each room; the same connections are in all rooms.
const MEMBERS: usize = 200;
const BYTES: usize = 2_000;
const READERS: usize = 2_000;
const SPEED: usize = 10_000;
/// Changes a second in all rooms together: twice what a line carries of each.
const WRITES: f64 = 500.0;
/// How long each stage lasts: nothing else, only writing, the readers too.
const STAGES: [Duration; 3] =
    [Duration::from_secs(10), Duration::from_secs(10), Duration::from_secs(60)];
/// `--max-backlog` of the broker, by its default.
const BACKLOG_MIB: f64 = 64.0;
/// The pair's p99 may be so many times what it is when nothing else happens, or so long.
const P99_TIMES: f64 = 2.0;
const P99_MS: f64 = 5.0;
/// Readers that subscribe in each step.
const STEP: usize = 10;

pub(super) fn measure(subject: &Subject, figures: &mut Figures) -> Result<()> {
    // A member's connection joins all rooms at once, and the pair is in a hurry.
    let flags = ["--max-frames-per-second=1000", "--max-frames-burst=10000"];
    let mut server = subject.launch_with(&flags, None)?;
    let result = all(subject, &server, figures);
    server.explain(result)
}

fn room(number: usize) -> String {
    format!("room-{number}")
}

fn all(subject: &Subject, server: &Server, figures: &mut Figures) -> Result<()> {
    let mut swarm = Swarm::new(server.address)?;
    let mut guests = Guests::new(None);
    let first = attributes(0, BYTES);
    guests.come(&mut swarm, MEMBERS, subject.deadline(), |_| Guest {
        says: (0..ROOMS).map(|number| join(&room(number), &first)).collect(),
        ..Guest::default()
    })?;
    let pair = Pair::start(server.address, subject.deadline_after(600.0))?;
    let mut nobody = Lines::new(MEMBERS..MEMBERS, SPEED, 1);
    let mut writing = Writing::default();
    // So that both ends know their ways before anything is measured.
    writing.stage(&mut swarm, &mut guests, &mut nobody, (0.0, Duration::from_secs(1), 0))?;
    pair.take();
    writing.stage(&mut swarm, &mut guests, &mut nobody, (0.0, STAGES[0], 0))?;
    let quiet = pair.take();
    writing.stage(&mut swarm, &mut guests, &mut nobody, (WRITES, STAGES[1], 0))?;
    let written = pair.take();
    reset_peak(server.pid);
    let before = Memory::of(server.pid)?;
    guests.come(&mut swarm, READERS, subject.deadline(), |_| Guest {
        slow: true,
        ..Guest::default()
    })?;
    let mut lines = Lines::new(MEMBERS..MEMBERS + READERS, SPEED, 20);
    pair.take();
    let cpu = (CpuTime::of(server.pid)?, CpuTime::of(std::process::id())?);
    let began = clock::now();
    writing.stage(&mut swarm, &mut guests, &mut lines, (WRITES, STAGES[2], READERS))?;
    let seconds = clock::seconds_since(began);
    let beside = pair.take();
    let peak = Memory::of(server.pid)?.peak;
    let cores = |now: CpuTime, then: &CpuTime| now.since(then) / seconds;
    pair.end()?;
    figures.tell(CASE, "quiet: p99, ms", quiet.quantile_ms(0.99));
    figures.tell(CASE, "only written: p99, ms", written.quantile_ms(0.99));
    figures.tell(CASE, "beside: p50, ms", beside.quantile_ms(0.5));
    let most = (P99_TIMES * quiet.quantile_ms(0.99)).max(P99_MS);
    figures.bound(CASE, "beside: p99, ms", beside.quantile_ms(0.99), most);
    let whole = guests.whole(MEMBERS..MEMBERS + READERS);
    figures.tell(CASE, "readers that had a whole snapshot", whole as f64);
    figures.bound(CASE, "closes", guests.closes as f64, 0.0);
    figures.tell(CASE, "memory before, MiB", before.resident as f64 / MIB);
    let more = (peak as f64 - before.resident as f64) / MIB;
    figures.bound(CASE, "memory above that at its peak, MiB", more, BACKLOG_MIB);
    figures.tell(CASE, "the broker's processors", cores(CpuTime::of(server.pid)?, &cpu.0));
    figures.tell(CASE, "the generator's", cores(CpuTime::of(std::process::id())?, &cpu.1));
    Ok(())
}

/// The changes in all rooms, one after the other.
#[derive(Default)]
struct Writing {
    made: usize,
}

impl Writing {
    /// Writes `rate` changes a second for so long, has as many readers subscribe, a few at a time, and
    /// the lines read.
    fn stage(
        &mut self,
        swarm: &mut Swarm,
        guests: &mut Guests,
        lines: &mut Lines,
        (rate, long, readers): (f64, Duration, usize),
    ) -> Result<()> {
        let (began, first) = (clock::now(), self.made);
        let mut subscribed = 0;
        loop {
            let passed = clock::now().duration_since(began);
            if passed >= long {
                return Ok(());
            }
            while ((self.made - first) as f64) < passed.as_secs_f64() * rate {
                let (room, round) = (room(self.made % ROOMS), self.made / ROOMS);
                let set = write(&room, &attributes((round / MEMBERS) as u32 + 1, BYTES));
                guests.say(swarm, round % MEMBERS, &set)?;
                self.made += 1;
            }
            for _ in 0..STEP.min(readers - subscribed) {
                let room = room(subscribed % ROOMS);
                guests.subscribe(swarm, MEMBERS + subscribed, &room)?;
                subscribed += 1;
            }
            lines.turn(swarm, guests)?;
        }
    }
}
