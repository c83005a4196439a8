//! The turns of a swarm: waiting for sockets, reacting, sending, closing.

use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use mio::Events;

use crate::clock::Deadline;
use crate::failure::{Result, fail};
use crate::frame;
use crate::progress::Progress;
use crate::socket::Stage;
use crate::swarm::connections::Connections;
use crate::swarm::driver::Driver;
use crate::swarm::intake::{Intake, Tally};

/// Connections that are being opened at the same time: below the backlog of any server's listener,
/// because a SYN that is dropped comes again only after a second.
const RAMP: usize = 100;
const EVENTS: usize = 1024;
/// Descriptors for all that is no connection.
const RESERVED_FILES: usize = 32;
/// How long a loop looks at the sockets before it looks at its deadline again.
pub(crate) const TURN: Duration = Duration::from_millis(50);

/// All connections of one load.
#[derive(Debug)]
pub(crate) struct Swarm {
    all: Connections,
    intake: Intake,
    events: Events,
}

impl Swarm {
    /// No connections yet; all of them will go to `address`.
    ///
    /// # Errors
    /// If the system gives no poll.
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            all: Connections::new(address)?,
            intake: Intake::new(),
            events: Events::with_capacity(EVENTS),
        })
    }

    /// Connections begun and not cleared away, living or not.
    pub(crate) fn len(&self) -> usize {
        self.all.sockets.len()
    }

    /// What came in so far.
    pub(crate) fn tally(&self) -> Tally {
        self.intake.tally
    }

    /// Opens `count` more connections, a few at a time, until the last one's upgrade is answered.
    pub(crate) fn connect(
        &mut self,
        count: usize,
        deadline: Deadline,
        driver: &mut impl Driver,
    ) -> Result<()> {
        let goal = self.all.sockets.len() + count;
        let (limit, _) = rlimit::Resource::NOFILE.get()?;
        if (goal + RESERVED_FILES) as u64 > limit {
            fail!("{goal} connections need as many descriptors, and the hard limit is {limit}");
        }
        let mut progress = Progress::new("connections", goal);
        while self.all.sockets.len() < goal || self.all.opening > 0 {
            while self.all.sockets.len() < goal && self.all.opening < RAMP {
                self.all.begin(driver)?;
            }
            self.turn(TURN, driver)?;
            let open = self.all.sockets.len() - self.all.opening;
            progress.at(open);
            if deadline.passed() {
                fail!("only {open} of {goal} connections were open when the time was up");
            }
        }
        Ok(())
    }

    /// Waits for something to happen, at most `wait`, and reacts to it.
    pub(crate) fn turn(&mut self, wait: Duration, driver: &mut impl Driver) -> Result<()> {
        if let Err(error) = self.all.poll.poll(&mut self.events, Some(wait)) {
            if error.kind() == std::io::ErrorKind::Interrupted {
                return Ok(());
            }
            return Err(error.into());
        }
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let who = event.token().0;
            if event.is_writable() || event.is_error() {
                self.all.writable(who, driver)?;
            }
            if event.is_readable() || event.is_read_closed() {
                self.intake.readable(&mut self.all, who, event.is_read_closed(), driver)?;
            }
        }
        self.events = events;
        Ok(())
    }

    /// Turns until `done` holds; false if the deadline came first.
    pub(crate) fn turn_until<D: Driver>(
        &mut self,
        deadline: Deadline,
        driver: &mut D,
        mut done: impl FnMut(&D) -> bool,
    ) -> Result<bool> {
        while !done(driver) {
            if deadline.passed() {
                return Ok(false);
            }
            self.turn(deadline.left(TURN), driver)?;
        }
        Ok(true)
    }

    /// Lets everything that is on its way arrive, for `time`.
    pub(crate) fn settle(&mut self, time: Duration, driver: &mut impl Driver) -> Result<()> {
        self.turn_until(Deadline::after(time), driver, |_| false).map(drop)
    }

    /// Sends on connection `who` what `write` appends.
    pub(crate) fn send(
        &mut self,
        who: usize,
        driver: &mut impl Driver,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        let socket = &mut self.all.sockets[who];
        if socket.stage != Stage::Open {
            return Ok(());
        }
        write(&mut socket.out);
        self.all.flush(who, driver)
    }

    /// Connection `who` stops reading, or reads on.
    pub(crate) fn pause(
        &mut self,
        who: usize,
        paused: bool,
        driver: &mut impl Driver,
    ) -> Result<()> {
        self.all.sockets[who].paused = paused;
        if paused { Ok(()) } else { self.intake.readable(&mut self.all, who, true, driver) }
    }

    /// Connection `who`, which is paused, reads at most `bytes`. The result: how many it read.
    pub(crate) fn sip(
        &mut self,
        who: usize,
        bytes: usize,
        driver: &mut impl Driver,
    ) -> Result<usize> {
        self.intake.sip(&mut self.all, who, bytes, driver)
    }

    /// Says goodbye on every connection and waits until the server has let go of all of them.
    pub(crate) fn close_all(&mut self, deadline: Deadline, driver: &mut impl Driver) -> Result<()> {
        let mut progress = Progress::new("closed", self.all.sockets.len());
        for who in 0..self.all.sockets.len() {
            let socket = &mut self.all.sockets[who];
            if socket.stage != Stage::Open {
                continue;
            }
            if socket.upgrade {
                frame::close(&mut socket.out);
            }
            socket.paused = false;
            socket.stage = Stage::Closing;
            self.all.flush(who, driver)?;
            if !self.all.sockets[who].upgrade {
                self.all.end(who);
            }
            if who % RAMP == 0 {
                self.turn(Duration::ZERO, driver)?;
            }
        }
        while self.all.gone < self.all.sockets.len() {
            self.turn(TURN, driver)?;
            progress.at(self.all.gone);
            if deadline.passed() {
                let left = self.all.sockets.len() - self.all.gone;
                fail!("{left} connections were still open long after we had closed them");
            }
        }
        self.all.sockets = Vec::new();
        self.all.gone = 0;
        Ok(())
    }
}
