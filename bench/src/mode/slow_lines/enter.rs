//! Lines that come into a large room, one after the other.

use std::time::{Duration, Instant};

use crate::clock;
use crate::failure::{Result, fail};
use crate::mode::slow_lines::attack::Attack;
use crate::mode::slow_lines::figures::Figures;
use crate::mode::slow_lines::guests::{Guest, Guests};
use crate::mode::slow_lines::lines::Lines;
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;

const CASE: &str = "enter";
const ROOM: &str = "room";
const MEMBERS: usize = 900;
const BYTES: usize = 2_000;
const LINES: usize = 24;
/// 4 Mbit/s.
const SPEED: usize = 500_000;
const EVERY: Duration = Duration::from_millis(250);
const ATTACKERS: usize = 20;
/// What each line may need, against what one needs alone.
const AT_MOST: f64 = 1.3;

pub(super) fn measure(subject: &Subject, figures: &mut Figures) -> Result<()> {
    let mut server = subject.launch_with(&[], None)?;
    let result = all(subject, &server, figures);
    server.explain(result)
}

fn all(subject: &Subject, server: &Server, figures: &mut Figures) -> Result<()> {
    let mut swarm = Swarm::new(server.address)?;
    let mut guests = Guests::new(None);
    guests.fill(&mut swarm, subject.deadline(), ROOM, (MEMBERS, BYTES))?;
    let readers = 1 + 2 * LINES;
    guests.come(&mut swarm, readers, subject.deadline(), |_| Guest {
        slow: true,
        ..Guest::default()
    })?;
    let mut lines = Lines::new(MEMBERS..MEMBERS + readers, SPEED, 1);
    let alone = enter(subject, &mut swarm, &mut guests, &mut lines, MEMBERS, 1)?;
    let Some(alone_s) = alone.first().copied() else { fail!("a line alone does not get in") };
    figures.tell(CASE, "a line alone, s", alone_s);
    let first = MEMBERS + 1;
    let calm = enter(subject, &mut swarm, &mut guests, &mut lines, first, LINES)?;
    report(figures, "", &calm, alone_s, guests.closes);
    let before = guests.closes;
    let attack = Attack::start(server.address, ATTACKERS, ROOM);
    let attacked = enter(subject, &mut swarm, &mut guests, &mut lines, first + LINES, LINES)?;
    figures.tell(CASE, "attacked: comings that read nothing", attack.end() as f64);
    report(figures, "attacked: ", &attacked, alone_s, guests.closes - before);
    Ok(())
}

/// Readers from `first` on come in one after the other. The result: how long each took that got in
/// before too long.
fn enter(
    subject: &Subject,
    swarm: &mut Swarm,
    guests: &mut Guests,
    lines: &mut Lines,
    first: usize,
    count: usize,
) -> Result<Vec<f64>> {
    let deadline = subject.deadline();
    let mut came: Vec<Instant> = Vec::new();
    let mut due = clock::now();
    while guests.whole(first..first + count) < count && !deadline.passed() {
        if came.len() < count && clock::now() >= due {
            due += EVERY;
            let who = first + came.len();
            came.push(clock::now());
            guests.subscribe(swarm, who, ROOM)?;
        }
        lines.turn(swarm, guests)?;
    }
    let mut took = Vec::new();
    for (who, came) in (first..).zip(came) {
        let view = guests.view(who);
        if let Some(whole) = view.whole {
            if view.present() != MEMBERS {
                fail!("a line's snapshot shows {} of {MEMBERS} members", view.present());
            }
            took.push(whole.duration_since(came).as_secs_f64());
        }
    }
    Ok(took)
}

fn report(figures: &mut Figures, how: &str, took: &[f64], alone_s: f64, closes: usize) {
    let slowest = took.iter().copied().fold(f64::NAN, f64::max);
    let name = |what: &str| format!("{how}{what}");
    figures.tell(CASE, &name("lines that got in"), took.len() as f64);
    figures.bound(CASE, &name("lines that did not"), (LINES - took.len()) as f64, 0.0);
    figures.bound(CASE, &name("closes"), closes as f64, 0.0);
    figures.bound(CASE, &name("the slowest, × alone"), slowest / alone_s, AT_MOST);
}
