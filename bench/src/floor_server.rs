//! The floor: what the machine itself takes to hand the same bytes to the same sockets.
//!
//! One thread. A frame that a publisher sends is written to every subscriber by a bare loop of
//! blocking write(2): plain, one write for each frame; batched, one write for all frames that were
//! there to read. No channels, no list, no encoding, no slow readers. Frames from publishers while there
//! is no subscriber are read and dropped: the floor of reading.

use std::io::{ErrorKind, Read, Write};
use std::mem;
use std::net::SocketAddr;

use clap::Args;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::failure::Result;
use crate::frame;
use crate::peer::{SUBSCRIBE, SUBSCRIBED};

const LISTENER: Token = Token(usize::MAX);
const MASK_BYTES: usize = 4;

/// The server of the floor's measurements
#[derive(Args, Debug)]
pub(crate) struct FloorServerArgs {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,

    /// Write all frames that wait at once
    #[arg(long)]
    batched: bool,
}

struct FloorServer {
    poll: Poll,
    listener: TcpListener,
    clients: Vec<Option<TcpStream>>,
    subscribers: Vec<std::net::TcpStream>,
    /// Frames for the subscribers, and where each ends.
    pending: Vec<u8>,
    ends: Vec<usize>,
    batched: bool,
}

/// Serves until it is killed.
pub(crate) fn run(args: &FloorServerArgs) -> Result<()> {
    let mut floor = FloorServer {
        poll: Poll::new()?,
        listener: TcpListener::bind(args.listen)?,
        clients: Vec::new(),
        subscribers: Vec::new(),
        pending: Vec::new(),
        ends: Vec::new(),
        batched: args.batched,
    };
    floor.poll.registry().register(&mut floor.listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept()?,
                Token(client) => floor.read(client, &mut buffer)?,
            }
        }
        floor.write_all();
    }
}

impl FloorServer {
    fn accept(&mut self) -> Result<()> {
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nodelay(true)?;
                    let token = Token(self.clients.len());
                    self.poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    self.clients.push(Some(stream));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads whole frames: publishers here write each frame at once, so none is ever cut.
    fn read(&mut self, client: usize, buffer: &mut [u8]) -> Result<()> {
        let Some(stream) = &mut self.clients[client] else { return Ok(()) };
        let taken = match stream.read(buffer) {
            Ok(taken) if taken > 0 => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            _ => {
                self.clients[client] = None;
                return Ok(());
            }
        };
        let mut bytes = &buffer[..taken];
        while let Some(header) = frame::header(bytes) {
            let start = header.size + MASK_BYTES;
            let Some(payload) = bytes.get(start..start + header.payload) else { break };
            if payload == SUBSCRIBE.as_bytes() {
                return self.subscribe(client);
            }
            if !self.subscribers.is_empty() {
                // The same header without the mask.
                self.pending.extend_from_slice(&[bytes[0], bytes[1] & 0x7f]);
                self.pending.extend_from_slice(&bytes[2..header.size]);
                self.pending.extend_from_slice(payload);
                self.ends.push(self.pending.len());
            }
            bytes = &bytes[start + header.payload..];
        }
        Ok(())
    }

    fn subscribe(&mut self, client: usize) -> Result<()> {
        let Some(mut stream) = self.clients[client].take() else { return Ok(()) };
        self.poll.registry().deregister(&mut stream)?;
        let mut stream = std::net::TcpStream::from(stream);
        stream.set_nonblocking(false)?;
        stream.write_all(SUBSCRIBED)?;
        self.subscribers.push(stream);
        Ok(())
    }

    fn write_all(&mut self) {
        let pending = mem::take(&mut self.pending);
        let mut ends = mem::take(&mut self.ends);
        if self.batched {
            ends.drain(..ends.len().saturating_sub(1));
        }
        let mut start = 0;
        for end in ends {
            let frame = &pending[start..end];
            // A subscriber that is gone stays in the list: the run is over.
            self.subscribers.iter_mut().for_each(|stream| drop(stream.write_all(frame)));
            start = end;
        }
    }
}
