//! All connections of the generator, on one thread: one epoll, one read buffer, no task, no wake-up
//! and no allocation per message. Knows WebSocket framing and no protocol above it.

mod intake;

use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use crate::clock::Deadline;
use crate::failure::{Context, Result, fail};
use crate::frame;
use crate::procfs;
use crate::progress::Progress;
use crate::socket::{self, Socket, Stage, Upgrade};

/// Connections that are being opened at the same time: below the backlog of any server's listener,
/// because a SYN that is dropped comes again only after a second.
const RAMP: usize = 100;
const READ_BUFFER: usize = 256 << 10;
const EVENTS: usize = 1024;
/// Descriptors for all that is no connection.
const RESERVED_FILES: usize = 32;
/// How long a loop looks at the sockets before it looks at its deadline again.
pub(crate) const TURN: Duration = Duration::from_millis(50);

/// What the connections do: whoever runs a swarm reacts to these.
pub(crate) trait Driver {
    /// What connection `who` asks for; none: no WebSocket at all, frames from the first byte.
    fn upgrade(&self, who: usize) -> Option<Upgrade>;

    /// The connection stands. What is appended to `out` is sent.
    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()>;

    /// A message came.
    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()>;

    /// The server ended the connection.
    fn ended(&mut self, who: usize, why: &str) -> Result<()> {
        fail!("the server ended connection {who}: {why}")
    }
}

/// What came in so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
}

impl Tally {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { bytes: self.bytes - earlier.bytes, frames: self.frames - earlier.frames }
    }
}

/// The connections.
#[derive(Debug)]
pub(crate) struct Swarm {
    poll: Poll,
    events: Events,
    address: SocketAddr,
    sockets: Vec<Socket>,
    buffer: Vec<u8>,
    opening: usize,
    gone: usize,
    begun: usize,
    ports_per_source: usize,
    first_source: usize,
    pub(crate) tally: Tally,
}

/// Loopback addresses that a swarm has for itself.
const SOURCES: usize = 20;

/// The first of them. No two swarms of a run connect from the same address, because the ports of
/// the one before rest for a minute; and runs beside each other hardly do.
fn next_sources() -> usize {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let taken = std::process::id() as usize * 101 + TAKEN.fetch_add(1, Ordering::Relaxed);
    1 + taken % (socket::SOURCES / SOURCES) * SOURCES
}

impl Swarm {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            address,
            sockets: Vec::new(),
            buffer: vec![0; READ_BUFFER],
            opening: 0,
            gone: 0,
            begun: 0,
            // A port rests a minute after its connection, so leave some of each address unused.
            ports_per_source: procfs::ephemeral_ports() * 2 / 3,
            first_source: next_sources(),
            tally: Tally::default(),
        })
    }

    /// Connections begun and not cleared away, living or not.
    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Opens `count` more connections, a few at a time, until the last one's upgrade is answered.
    pub(crate) fn connect(
        &mut self,
        count: usize,
        deadline: Deadline,
        driver: &mut impl Driver,
    ) -> Result<()> {
        let goal = self.sockets.len() + count;
        let (limit, _) = rlimit::Resource::NOFILE.get()?;
        if (goal + RESERVED_FILES) as u64 > limit {
            fail!("{goal} connections need as many descriptors, and the hard limit is {limit}");
        }
        let mut progress = Progress::new("connections", goal);
        while self.sockets.len() < goal || self.opening > 0 {
            while self.sockets.len() < goal && self.opening < RAMP {
                self.begin(driver)?;
            }
            self.turn(TURN, driver)?;
            let open = self.sockets.len() - self.opening;
            progress.at(open);
            if deadline.passed() {
                fail!("only {open} of {goal} connections were open when the time was up");
            }
        }
        Ok(())
    }

    fn begin(&mut self, driver: &impl Driver) -> Result<()> {
        let who = self.sockets.len();
        let source = self.first_source + self.begun / self.ports_per_source;
        let mut socket = Socket::connect(self.address, source)
            .context(|| format!("connection {who} to {}", self.address))?;
        let upgrade = driver.upgrade(who);
        socket.upgrade = upgrade.is_some();
        if let Some(upgrade) = upgrade {
            socket.request(self.address, &upgrade);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket.stream, Token(who), interest)?;
        self.sockets.push(socket);
        self.begun += 1;
        self.opening += 1;
        Ok(())
    }

    /// Waits for something to happen, at most `wait`, and reacts to it.
    pub(crate) fn turn(&mut self, wait: Duration, driver: &mut impl Driver) -> Result<()> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(wait)) {
            if error.kind() == std::io::ErrorKind::Interrupted {
                return Ok(());
            }
            return Err(error.into());
        }
        let events = mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let who = event.token().0;
            if event.is_writable() || event.is_error() {
                self.writable(who, driver)?;
            }
            if event.is_readable() || event.is_read_closed() {
                self.readable(who, event.is_read_closed(), driver)?;
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
        let socket = &mut self.sockets[who];
        if socket.stage != Stage::Open {
            return Ok(());
        }
        write(&mut socket.out);
        self.flush(who, driver)
    }

    /// Connection `who` stops reading, or reads on.
    pub(crate) fn pause(
        &mut self,
        who: usize,
        paused: bool,
        driver: &mut impl Driver,
    ) -> Result<()> {
        self.sockets[who].paused = paused;
        if paused { Ok(()) } else { self.readable(who, true, driver) }
    }

    /// Says goodbye on every connection and waits until the server has let go of all of them.
    pub(crate) fn close_all(&mut self, deadline: Deadline, driver: &mut impl Driver) -> Result<()> {
        let mut progress = Progress::new("closed", self.sockets.len());
        for who in 0..self.sockets.len() {
            let socket = &mut self.sockets[who];
            if socket.stage != Stage::Open {
                continue;
            }
            if socket.upgrade {
                frame::close(&mut socket.out);
            }
            socket.paused = false;
            socket.stage = Stage::Closing;
            self.flush(who, driver)?;
            if !self.sockets[who].upgrade {
                self.drop_socket(who);
            }
            if who % RAMP == 0 {
                self.turn(Duration::ZERO, driver)?;
            }
        }
        while self.gone < self.sockets.len() {
            self.turn(TURN, driver)?;
            progress.at(self.gone);
            if deadline.passed() {
                let left = self.sockets.len() - self.gone;
                fail!("{left} connections were still open long after we had closed them");
            }
        }
        self.sockets = Vec::new();
        self.gone = 0;
        Ok(())
    }

    fn writable(&mut self, who: usize, driver: &mut impl Driver) -> Result<()> {
        let socket = &mut self.sockets[who];
        if socket.stage == Stage::Connecting {
            if let Some(error) = socket.stream.take_error()? {
                fail!("connection {who} to {}: {error}", self.address);
            }
            if socket.stream.peer_addr().is_err() {
                return Ok(());
            }
            if socket.upgrade {
                socket.stage = Stage::Upgrading;
            } else {
                self.open(who, driver)?;
            }
        }
        if self.sockets[who].out.is_empty() { Ok(()) } else { self.flush(who, driver) }
    }

    fn open(&mut self, who: usize, driver: &mut impl Driver) -> Result<()> {
        self.opening -= 1;
        self.sockets[who].stage = Stage::Open;
        driver.opened(who, &mut self.sockets[who].out)
    }

    fn flush(&mut self, who: usize, driver: &mut impl Driver) -> Result<()> {
        match self.sockets[who].flush() {
            Ok(()) => Ok(()),
            Err(error) => self.lost(who, &error.to_string(), driver),
        }
    }
}
