//! What comes in: bytes → frames → messages for the driver, and how connections end.

use std::mem;

use crate::failure::{Result, fail};
use crate::frame;
use crate::socket::{Stage, upgraded};
use crate::swarm::{Driver, Swarm};

impl Swarm {
    /// Reads what is there. A read that does not fill the buffer has emptied the socket, so a
    /// second one that says so is spared, unless the end of the stream waits behind (`ending`).
    pub(super) fn readable(
        &mut self,
        who: usize,
        ending: bool,
        driver: &mut impl Driver,
    ) -> Result<()> {
        let mut buffer = mem::take(&mut self.buffer);
        let result = self.read_all(who, ending, &mut buffer, driver);
        self.buffer = buffer;
        result
    }

    fn read_all(
        &mut self,
        who: usize,
        ending: bool,
        buffer: &mut [u8],
        driver: &mut impl Driver,
    ) -> Result<()> {
        loop {
            let socket = &mut self.sockets[who];
            if socket.paused || matches!(socket.stage, Stage::Connecting | Stage::Closed) {
                return Ok(());
            }
            match socket.read(buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return self.lost(who, "end of stream without a Close", driver),
                Ok(Some(taken)) => {
                    self.tally.bytes += taken as u64;
                    self.digest(who, &buffer[..taken], driver)?;
                    if taken < buffer.len() && !ending {
                        return Ok(());
                    }
                }
                Err(error) => return self.lost(who, &error.to_string(), driver),
            }
        }
    }

    /// Takes the whole messages out of what came, behind what was left over from before.
    fn digest(&mut self, who: usize, fresh: &[u8], driver: &mut impl Driver) -> Result<()> {
        let mut joined = mem::take(&mut self.sockets[who].partial);
        let bytes = if joined.is_empty() {
            fresh
        } else {
            joined.extend_from_slice(fresh);
            &joined
        };
        let mut used = 0;
        if self.sockets[who].stage == Stage::Upgrading
            && let Some(end) = upgraded(bytes)?
        {
            used = end;
            self.open(who, driver)?;
        }
        while !matches!(self.sockets[who].stage, Stage::Upgrading | Stage::Closed) {
            let Some(header) = frame::header(&bytes[used..]) else { break };
            let start = used + header.size;
            let Some(payload) = bytes.get(start..start + header.payload) else { break };
            used = start + header.payload;
            self.take_frame(who, header, payload, driver)?;
        }
        let socket = &mut self.sockets[who];
        if joined.is_empty() {
            socket.partial = fresh[used..].to_vec();
        } else {
            joined.drain(..used);
            socket.partial = joined;
        }
        if socket.out.is_empty() { Ok(()) } else { self.flush(who, driver) }
    }

    fn take_frame(
        &mut self,
        who: usize,
        header: frame::Header,
        payload: &[u8],
        driver: &mut impl Driver,
    ) -> Result<()> {
        let socket = &mut self.sockets[who];
        match header.opcode {
            frame::TEXT | frame::BINARY if header.last => {
                self.tally.frames += 1;
                driver.message(who, payload, &mut socket.out)
            }
            frame::PING => {
                frame::message(frame::PONG, payload, &mut socket.out);
                Ok(())
            }
            frame::PONG => Ok(()),
            frame::CLOSE => self.lost(who, &frame::close_reason(payload), driver),
            frame::TEXT | frame::BINARY | frame::CONTINUATION => {
                fail!("connection {who}: fragmented messages are not understood here")
            }
            opcode => fail!("connection {who}: the server sent a frame of unknown kind {opcode}"),
        }
    }

    /// The server let go of a connection: as we asked it to, or not.
    pub(super) fn lost(&mut self, who: usize, why: &str, driver: &mut impl Driver) -> Result<()> {
        let stage = self.sockets[who].stage;
        self.drop_socket(who);
        match stage {
            Stage::Closing | Stage::Closed => Ok(()),
            Stage::Connecting | Stage::Upgrading => {
                fail!("connection {who} was refused: {why}")
            }
            Stage::Open => driver.ended(who, why),
        }
    }

    pub(super) fn drop_socket(&mut self, who: usize) {
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

    /// Connection `who`, which is paused, reads at most `bytes`.
    pub(crate) fn sip(&mut self, who: usize, bytes: usize, driver: &mut impl Driver) -> Result<()> {
        let mut buffer = mem::take(&mut self.buffer);
        let most = bytes.min(buffer.len());
        self.sockets[who].paused = false;
        let result = match self.sockets[who].read(&mut buffer[..most]) {
            Ok(Some(taken)) if taken > 0 => {
                self.tally.bytes += taken as u64;
                self.digest(who, &buffer[..taken], driver)
            }
            _ => Ok(()),
        };
        self.sockets[who].paused = true;
        self.buffer = buffer;
        result
    }
}
