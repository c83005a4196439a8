//! A Redis of a test's own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::free::free_address;

/// A redis-server on a free port, which ends with the test.
pub(crate) struct Redis {
    child: Option<Child>,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Redis {
    /// One without a password.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One with further arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let port = free_address().port();
        let folder = std::env::temp_dir().join(format!("herenow-redis-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut redis = Self { child: None, port, folder, arguments };
        redis.revive();
        redis
    }

    /// Starts it again after [`Redis::kill`], empty.
    pub(crate) fn revive(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir", self.folder.to_str().unwrap()])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, version 7.0 or later, must be installed");
        self.child = Some(child);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Has it stand still, or go on.
    pub(crate) fn stand_still(&self, still: bool) {
        let signal = if still { "-STOP" } else { "-CONT" };
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What it answers to a command of plain words.
    pub(crate) fn ask(&self, command: &str) -> String {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(count) = socket.read(&mut piece) {
            answer.extend_from_slice(&piece[..count]);
            if count == 0 || answer.ends_with(b"\r\n") && count < piece.len() {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
