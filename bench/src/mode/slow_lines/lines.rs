//! Reading at a line's speed.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::clock;
use crate::failure::Result;
use crate::mode::slow_lines::guests::Guests;
use crate::swarm::Swarm;

/// From one look at the lines to the next.
pub(super) const STEP: Duration = Duration::from_millis(10);
/// What the generator may be late by and still make up for: a line does not save up.
const LATE: Duration = Duration::from_millis(200);

/// Connections of one speed.
#[derive(Debug)]
pub(super) struct Lines {
    who: Range<usize>,
    /// Bytes that each carries between two of its turns.
    bytes: usize,
    /// Steps from one turn of a line to its next.
    turns: usize,
    step: usize,
    due: Instant,
}

impl Lines {
    /// Connections `who` read so many bytes a second each, some of them in each of `turns` steps: few
    /// large sips cost the generator less.
    pub(super) fn new(who: Range<usize>, bytes_per_second: usize, turns: usize) -> Self {
        let bytes = bytes_per_second * STEP.as_millis() as usize * turns / 1000;
        Self { who, bytes, turns, step: 0, due: clock::now() + STEP }
    }

    /// Waits for whatever comes, a step at most, and carries what is due.
    pub(super) fn turn(&mut self, swarm: &mut Swarm, guests: &mut Guests) -> Result<()> {
        let now = clock::now();
        swarm.turn(self.due.saturating_duration_since(now).min(STEP / 2), guests)?;
        let now = clock::now();
        if now > self.due + LATE {
            self.due = now;
        }
        while self.due <= now {
            for who in self.who.clone().skip(self.step % self.turns).step_by(self.turns) {
                self.carry(swarm, guests, who)?;
            }
            self.step += 1;
            self.due += STEP;
        }
        Ok(())
    }

    fn carry(&self, swarm: &mut Swarm, guests: &mut Guests, who: usize) -> Result<()> {
        let mut left = self.bytes;
        while left > 0 {
            match swarm.sip(who, left, guests)? {
                0 => return Ok(()),
                taken => left -= taken,
            }
        }
        Ok(())
    }
}
