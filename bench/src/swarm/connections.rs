//! The sockets and the poll that watches them: how connections begin, open, write and end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::{Interest, Poll, Token};

use crate::failure::{Context, Result, fail};
use crate::procfs;
use crate::socket::{SOURCES, Socket, Stage};
use crate::swarm::driver::Driver;

/// Loopback addresses that a swarm has for itself.
const SOURCES_EACH: usize = 20;

/// The first of them. No two swarms of a run connect from the same address, because the ports of
/// the one before rest for a minute; and runs beside each other hardly do.
fn next_sources() -> usize {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let taken = std::process::id() as usize * 101 + TAKEN.fetch_add(1, Ordering::Relaxed);
    1 + taken % (SOURCES / SOURCES_EACH) * SOURCES_EACH
}

/// Every connection begun and not cleared away, living or not.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) poll: Poll,
    pub(super) sockets: Vec<Socket>,
    /// Connections that are not open yet.
    pub(super) opening: usize,
    /// Connections that have ended.
    pub(super) gone: usize,
    address: SocketAddr,
    begun: usize,
    ports_per_source: usize,
    first_source: usize,
}

impl Connections {
    pub(super) fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            sockets: Vec::new(),
            opening: 0,
            gone: 0,
            address,
            begun: 0,
            // A port rests a minute after its connection, so leave some of each address unused.
            ports_per_source: procfs::ephemeral_ports() * 2 / 3,
            first_source: next_sources(),
        })
    }

    /// Begins one more connection.
    pub(super) fn begin(&mut self, driver: &impl Driver) -> Result<()> {
        let who = self.sockets.len();
        let source = self.first_source + self.begun / self.ports_per_source;
        let mut socket = Socket::connect(self.address, source, driver.receive_buffer(who))
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

    /// Connection `who` can be written to: it stands, or what waited for room goes on.
    pub(super) fn writable(&mut self, who: usize, driver: &mut impl Driver) -> Result<()> {
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
        self.flush(who, driver)
    }

    /// Connection `who` may send messages from now on.
    pub(super) fn open(&mut self, who: usize, driver: &mut impl Driver) -> Result<()> {
        self.opening -= 1;
        self.sockets[who].stage = Stage::Open;
        driver.opened(who, &mut self.sockets[who].out)
    }

    /// Writes what waits on connection `who`, as far as it goes.
    pub(super) fn flush(&mut self, who: usize, driver: &mut impl Driver) -> Result<()> {
        let socket = &mut self.sockets[who];
        if socket.out.is_empty() {
            return Ok(());
        }
        match socket.flush() {
            Ok(()) => Ok(()),
            Err(error) => self.lost(who, &error.to_string(), driver),
        }
    }

    /// The server let go of a connection: as we asked it to, or not.
    pub(super) fn lost(&mut self, who: usize, why: &str, driver: &mut impl Driver) -> Result<()> {
        let stage = self.sockets[who].stage;
        self.end(who);
        match stage {
            Stage::Closing | Stage::Closed => Ok(()),
            Stage::Connecting | Stage::Upgrading => {
                fail!("connection {who} was refused: {why}")
            }
            Stage::Open => driver.ended(who, why),
        }
    }

    /// Ends connection `who` on our side, once.
    pub(super) fn end(&mut self, who: usize) {
        let socket = &mut self.sockets[who];
        if socket.stage == Stage::Closed {
            return;
        }
        socket.stage = Stage::Closed;
        socket.partial = Vec::new();
        socket.out = Vec::new();
        // Both fail only if the server was faster, which is as good.
        let _ = self.poll.registry().deregister(&mut socket.stream);
        let _ = socket.stream.shutdown(std::net::Shutdown::Both);
        self.gone += 1;
    }
}
