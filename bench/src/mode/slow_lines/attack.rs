//! Clients that come, subscribe, read nothing and come back, on a thread of their own.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};

use crate::clock;
use crate::failure::Result;
use crate::frame;

/// How often each comes, in a second.
const COMINGS: u32 = 10;

/// They, at work.
pub(super) struct Attack {
    came: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Attack {
    pub(super) fn start(address: SocketAddr, attackers: usize, channel: &str) -> Self {
        let (came, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ends, channel) = (Arc::clone(&came), Arc::clone(&done), channel.to_owned());
        let thread = thread::spawn(move || work(address, attackers, &channel, &count, &ends));
        Self { came, done, thread }
    }

    /// Ends it. The result: how often somebody came.
    pub(super) fn end(self) -> usize {
        self.done.store(true, Ordering::Relaxed);
        // One that panicked has come less often, which shows.
        let _ = self.thread.join();
        self.came.load(Ordering::Relaxed)
    }
}

fn work(
    address: SocketAddr,
    attackers: usize,
    channel: &str,
    came: &AtomicUsize,
    done: &AtomicBool,
) {
    let mut sockets: Vec<Option<TcpStream>> = (0..attackers).map(|_| None).collect();
    let step = Duration::from_secs(1) / (COMINGS * attackers as u32);
    let mut due = clock::now();
    for who in (0..attackers).cycle() {
        if done.load(Ordering::Relaxed) {
            return;
        }
        // Its earlier connection ends with what it has not read, so with a reset.
        sockets[who] = None;
        sockets[who] = come(address, who, channel).ok();
        came.fetch_add(usize::from(sockets[who].is_some()), Ordering::Relaxed);
        due += step;
        thread::sleep(due.saturating_duration_since(clock::now()));
    }
}

fn come(address: SocketAddr, who: usize, channel: &str) -> Result<TcpStream> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(4 << 10)?;
    socket.connect(&address.into())?;
    let mut out = format!(
        "GET /ws?user=attacker{who} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        frame::KEY
    )
    .into_bytes();
    frame::text(&format!(r#"{{"type":"subscribe","channel":"{channel}"}}"#), &mut out);
    let mut stream = TcpStream::from(socket);
    stream.write_all(&out)?;
    Ok(stream)
}
