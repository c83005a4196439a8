//! What comes in: bytes → frames → messages for the driver.

use std::mem;

use crate::failure::{Result, fail};
use crate::frame;
use crate::inflate;
use crate::socket::{Stage, upgraded};
use crate::swarm::connections::Connections;
use crate::swarm::driver::Driver;

const READ_BUFFER: usize = 256 << 10;

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

/// The reading end of all connections: one buffer, because one is read at a time.
#[derive(Debug)]
pub(super) struct Intake {
    buffer: Vec<u8>,
    pub(super) tally: Tally,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; READ_BUFFER], tally: Tally::default() }
    }

    /// Reads what is there. A read that does not fill the buffer has emptied the socket, so a
    /// second one that says so is spared, unless the end of the stream waits behind (`ending`).
    pub(super) fn readable(
        &mut self,
        all: &mut Connections,
        who: usize,
        ending: bool,
        driver: &mut impl Driver,
    ) -> Result<()> {
        loop {
            let socket = &mut all.sockets[who];
            if socket.paused || matches!(socket.stage, Stage::Connecting | Stage::Closed) {
                return Ok(());
            }
            match socket.read(&mut self.buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return all.lost(who, "end of stream without a Close", driver),
                Ok(Some(taken)) => {
                    self.tally.bytes += taken as u64;
                    digest(all, who, &self.buffer[..taken], &mut self.tally, driver)?;
                    if taken < self.buffer.len() && !ending {
                        return Ok(());
                    }
                }
                Err(error) => return all.lost(who, &error.to_string(), driver),
            }
        }
    }

    /// Connection `who`, which is paused, reads at most `bytes`. The result: how many it read.
    pub(super) fn sip(
        &mut self,
        all: &mut Connections,
        who: usize,
        bytes: usize,
        driver: &mut impl Driver,
    ) -> Result<usize> {
        let most = bytes.min(self.buffer.len());
        let socket = &mut all.sockets[who];
        if matches!(socket.stage, Stage::Connecting | Stage::Closed) {
            return Ok(0);
        }
        match socket.read(&mut self.buffer[..most]) {
            Ok(None) => Ok(0),
            Ok(Some(0)) => all.lost(who, "end of stream without a Close", driver).map(|()| 0),
            Ok(Some(taken)) => {
                self.tally.bytes += taken as u64;
                socket.paused = false;
                let result = digest(all, who, &self.buffer[..taken], &mut self.tally, driver);
                all.sockets[who].paused = true;
                result.map(|()| taken)
            }
            Err(error) => all.lost(who, &error.to_string(), driver).map(|()| 0),
        }
    }
}

/// Takes the whole messages out of what came, behind what was left over from before.
fn digest(
    all: &mut Connections,
    who: usize,
    fresh: &[u8],
    tally: &mut Tally,
    driver: &mut impl Driver,
) -> Result<()> {
    let mut joined = mem::take(&mut all.sockets[who].partial);
    let bytes = if joined.is_empty() {
        fresh
    } else {
        joined.extend_from_slice(fresh);
        &joined
    };
    let mut used = 0;
    if all.sockets[who].stage == Stage::Upgrading
        && let Some(end) = upgraded(bytes)?
    {
        used = end;
        all.open(who, driver)?;
    }
    while !matches!(all.sockets[who].stage, Stage::Upgrading | Stage::Closed) {
        let Some(header) = frame::header(&bytes[used..]) else { break };
        let start = used + header.size;
        let Some(payload) = bytes.get(start..start + header.payload) else { break };
        used = start + header.payload;
        take_frame(all, who, header, payload, tally, driver)?;
    }
    let socket = &mut all.sockets[who];
    if joined.is_empty() {
        socket.partial = fresh[used..].to_vec();
    } else {
        joined.drain(..used);
        socket.partial = joined;
    }
    all.flush(who, driver)
}

fn take_frame(
    all: &mut Connections,
    who: usize,
    header: frame::Header,
    payload: &[u8],
    tally: &mut Tally,
    driver: &mut impl Driver,
) -> Result<()> {
    let socket = &mut all.sockets[who];
    match header.opcode {
        frame::TEXT | frame::BINARY if header.last => {
            tally.frames += 1;
            if header.squeezed {
                return inflate::inflated(payload, |payload| {
                    driver.message(who, payload, &mut socket.out)
                });
            }
            driver.message(who, payload, &mut socket.out)
        }
        frame::PING => {
            frame::message(frame::PONG, payload, &mut socket.out);
            Ok(())
        }
        frame::PONG => Ok(()),
        frame::CLOSE => all.lost(who, &frame::close_reason(payload), driver),
        frame::TEXT | frame::BINARY | frame::CONTINUATION => {
            fail!("connection {who}: fragmented messages are not understood here")
        }
        opcode => fail!("connection {who}: the server sent a frame of unknown kind {opcode}"),
    }
}
