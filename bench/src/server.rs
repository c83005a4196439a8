//! The process under test: started here and ended with the run, or found running.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::Deadline;
use crate::failure::{Context, Failure, Result, fail};
use crate::procfs::Memory;
use crate::talk::Talk;

const START_TIME: Duration = Duration::from_secs(20);
const DEATH_TIME: Duration = Duration::from_millis(500);
const LAST_WORDS_TIME: Duration = Duration::from_millis(100);
const LINES_KEPT: usize = 8;

type LastLines = Arc<Mutex<VecDeque<String>>>;

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    child: Option<Child>,
    said: LastLines,
}

impl Server {
    /// Starts `command`, which must listen on `address` soon. `name` is for errors.
    pub(crate) fn start(name: &str, mut command: Command, address: SocketAddr) -> Result<Self> {
        command.stdin(Stdio::null());
        let mut child = spawn(name, command)?;
        let said = LastLines::default();
        keep_last_lines(child.stdout.take(), &said);
        Self::listening(name, child, said, address)
    }

    /// The same for a program that is talked with.
    pub(crate) fn start_talking(
        name: &str,
        mut command: Command,
        address: SocketAddr,
    ) -> Result<(Self, Talk)> {
        command.stdin(Stdio::piped());
        let mut child = spawn(name, command)?;
        let talk = Talk::with(&mut child)?;
        Ok((Self::listening(name, child, LastLines::default(), address)?, talk))
    }

    fn listening(
        name: &str,
        mut child: Child,
        said: LastLines,
        address: SocketAddr,
    ) -> Result<Self> {
        keep_last_lines(child.stderr.take(), &said);
        let mut server = Self { address, pid: child.id(), child: Some(child), said };
        let deadline = Deadline::after(START_TIME);
        while TcpStream::connect(address).is_err() {
            if let Some(death) = server.death() {
                return Err(Failure::new(format!("{name} did not start: {death}")));
            }
            if deadline.passed() {
                fail!("{name} does not listen on {address} after {START_TIME:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// A server that somebody else started.
    pub(crate) fn attach(address: SocketAddr, pid: u32) -> Result<Self> {
        Memory::of(pid).context(|| format!("--pid {pid}"))?;
        TcpStream::connect(address).context(|| format!("nothing listens on {address}"))?;
        Ok(Self { address, pid, child: None, said: LastLines::default() })
    }

    /// Passes a result on; a failure that the server's death explains becomes that death.
    pub(crate) fn explain<T>(&mut self, result: Result<T>) -> Result<T> {
        let Err(failure) = result else { return result };
        // Sockets learn of a death before the parent does.
        let deadline = Deadline::after(DEATH_TIME);
        while !deadline.passed() {
            if let Some(death) = self.death() {
                fail!("the server died in mid-run ({death}); first noticed: {failure}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(failure)
    }

    /// How the server ended, if it has.
    fn death(&mut self) -> Option<String> {
        let Some(child) = &mut self.child else {
            return Memory::of(self.pid).is_err().then(|| "its process is gone".to_owned());
        };
        let status = child.try_wait().ok()??;
        // What it said last may still be on its way through the pipe.
        thread::sleep(LAST_WORDS_TIME);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let last = said.iter().rev().find(|line| !line.trim().is_empty());
        Some(last.map_or(status.to_string(), |line| format!("{status}, last words: {line}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It is ours, it holds nothing worth keeping, and it may hang.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Below the ports that the system gives to connections (from 32768 on unless told otherwise):
/// those rest for a minute when their connection is gone, and not every server may listen on one.
const SERVER_PORTS: Range<u32> = 10_000..30_000;

/// A loopback port that is free now, another one each time.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let count = SERVER_PORTS.end - SERVER_PORTS.start;
    for _ in 0..count {
        let taken = TAKEN
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(std::process::id().wrapping_mul(101));
        let port = (SERVER_PORTS.start + taken % count) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok((Ipv4Addr::LOCALHOST, port).into());
        }
    }
    fail!("no port from {} to {} is free", SERVER_PORTS.start, SERVER_PORTS.end - 1)
}

/// A program beside this one, as cargo lays them.
pub(crate) fn sibling(name: impl AsRef<OsStr>) -> Result<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.with_file_name(name.as_ref()))
}

fn spawn(name: &str, mut command: Command) -> Result<Child> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context(|| format!("cannot start {name}"))
}

fn keep_last_lines(stream: Option<impl Read + Send + 'static>, said: &LastLines) {
    let Some(stream) = stream else { return };
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_back(line);
            if said.len() > LINES_KEPT {
                said.pop_front();
            }
        }
    });
}
