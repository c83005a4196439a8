//! Slow members of a room that is written faster than their lines carry.

use std::time::Duration;

use crate::clock::{self, Deadline};
use crate::failure::{Result, fail};
use crate::mode::slow_lines::figures::Figures;
use crate::mode::slow_lines::guests::{Guest, Guests, RECEIVE_BUFFER, join, write};
use crate::mode::slow_lines::lines::Lines;
use crate::mode::slow_lines::view::attributes;
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;

const CASE: &str = "busy";
const ROOM: &str = "room";
const WRITERS: usize = 300;
const BYTES: usize = 2_000;
const READERS: usize = 30;
const SPEED: usize = 100_000;
/// Each member is written once a second, for so many.
const ROUNDS: u32 = 30;
/// From one heartbeat of a slow member to the next.
const BEAT: Duration = Duration::from_secs(15);
/// How much later than its line needs for the room once a replica may be true.
const GRACE_S: f64 = 2.0;
const WATCHER: usize = WRITERS;
/// A reader that reads the quiet room, to see what its line needs.
const ALONE: usize = WRITERS + 1;
const FIRST: usize = WRITERS + 2;

pub(super) fn measure(subject: &Subject, figures: &mut Figures) -> Result<()> {
    let mut server = subject.launch_with(&[], None)?;
    let result = all(subject, &server, figures);
    server.explain(result)
}

fn all(subject: &Subject, server: &Server, figures: &mut Figures) -> Result<()> {
    let mut swarm = Swarm::new(server.address)?;
    let mut guests = Guests::new(None);
    guests.fill(&mut swarm, subject.deadline(), ROOM, (WRITERS, BYTES))?;
    guests.come(&mut swarm, 1, subject.deadline(), |_| Guest::default())?;
    guests.subscribe(&mut swarm, WATCHER, ROOM)?;
    guests.come(&mut swarm, 1, subject.deadline(), |_| Guest { slow: true, ..Guest::default() })?;
    let once = once(subject, &mut swarm, &mut guests)?;
    guests.come(&mut swarm, READERS, subject.deadline(), |_| Guest {
        says: vec![join(ROOM, "{}")],
        slow: true,
        ..Guest::default()
    })?;
    let mut lines = Lines::new(FIRST..FIRST + READERS, SPEED, 2);
    for who in FIRST..FIRST + READERS {
        guests.subscribe(&mut swarm, who, ROOM)?;
    }
    let deadline = subject.deadline();
    while guests.whole(FIRST..FIRST + READERS) < READERS {
        lines.turn(&mut swarm, &mut guests)?;
        if deadline.passed() {
            fail!("not every slow member had the quiet room in time");
        }
    }
    busy(&mut swarm, &mut guests, &mut lines)?;
    let quiet = clock::now();
    for who in [WATCHER].into_iter().chain(FIRST..FIRST + READERS) {
        guests.view_mut(who).expect(WRITERS + READERS, WRITERS, ROUNDS);
    }
    let patience = Deadline::after(Duration::from_secs_f64(5.0 * once) + subject.timeout());
    let settled = Duration::from_secs_f64(1.0 + once);
    // What is true might become untrue again by what is still on its way: so a while longer.
    while !patience.passed() && !is_settled(&guests, settled) {
        lines.turn(&mut swarm, &mut guests)?;
    }
    let readers = FIRST..FIRST + READERS;
    let truths = readers.clone().filter_map(|who| guests.view(who).true_since);
    let after: Vec<f64> = truths.map(|at| at.duration_since(quiet).as_secs_f64()).collect();
    let last =
        if after.len() == READERS { after.into_iter().fold(0.0, f64::max) } else { f64::NAN };
    let snapshots = readers.map(|who| guests.view(who).snapshots - 1);
    figures.tell(CASE, "receive buffer asked for, KiB", RECEIVE_BUFFER as f64 / 1024.0);
    figures.tell(CASE, "the line's time for the room once, s", once);
    figures.tell(CASE, "resyncs of the one with the fewest", snapshots.min().unwrap_or(0) as f64);
    figures.bound(CASE, "closes", guests.closes as f64, 0.0);
    figures.bound(CASE, "memberships ended by the broker", guests.removed as f64, 0.0);
    let lost = guests.view(WATCHER).lost;
    figures.bound(CASE, "ends told (timeout, leave)", lost as f64, 0.0);
    figures.bound(CASE, "the last is true after, s", last, once + GRACE_S);
    Ok(())
}

/// Seconds in which a line carries the room once.
fn once(subject: &Subject, swarm: &mut Swarm, guests: &mut Guests) -> Result<f64> {
    let mut line = Lines::new(ALONE..ALONE + 1, SPEED, 2);
    let (began, deadline) = (clock::now(), subject.deadline());
    guests.subscribe(swarm, ALONE, ROOM)?;
    while !deadline.passed() {
        line.turn(swarm, guests)?;
        if let Some(whole) = guests.view(ALONE).whole {
            // It takes no part in what follows.
            swarm.pause(ALONE, false, guests)?;
            return Ok(whole.duration_since(began).as_secs_f64());
        }
    }
    fail!("a line alone had not carried the room in time")
}

/// Writes each member once a second, evenly, while the slow ones read on and say that they are there.
fn busy(swarm: &mut Swarm, guests: &mut Guests, lines: &mut Lines) -> Result<()> {
    let texts: Vec<String> =
        (1..=ROUNDS).map(|round| write(ROOM, &attributes(round, BYTES))).collect();
    let began = clock::now();
    let (mut written, mut beats) = (0, 1);
    let goal = WRITERS * ROUNDS as usize;
    while written < goal {
        let passed = clock::now().duration_since(began);
        let due = (passed.as_secs_f64() * WRITERS as f64) as usize;
        while written < due.min(goal) {
            guests.say(swarm, written % WRITERS, &texts[written / WRITERS])?;
            written += 1;
        }
        if passed >= BEAT * beats {
            beats += 1;
            for who in FIRST..FIRST + READERS {
                guests.say(swarm, who, r#"{"type":"heartbeat"}"#)?;
            }
        }
        lines.turn(swarm, guests)?;
    }
    Ok(())
}

/// Whether everybody has shown the truth for at least so long.
fn is_settled(guests: &Guests, long: Duration) -> bool {
    let now = clock::now();
    let since = |who| guests.view(who).true_since;
    (FIRST..FIRST + READERS).all(|who| since(who).is_some_and(|since| now - since >= long))
}
