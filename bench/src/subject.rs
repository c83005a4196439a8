//! Which server a run measures: started here, or found running.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::clock::{Deadline, parse_duration};
use crate::failure::{Context, Result, fail};
use crate::peer::{JWT_SECRET, Peer};
use crate::server::{Server, free_address, sibling};
use crate::talk::Talk;

/// What a mode measures.
#[derive(Args, Clone, Debug)]
pub(crate) struct Subject {
    /// The system to measure
    #[arg(long, value_enum, default_value_t = Peer::Herenow)]
    pub(crate) peer: Peer,

    /// A running server to measure instead of starting one, such as ws://127.0.0.1:8080
    #[arg(long, value_name = "URL", requires = "pid", conflicts_with_all = ["server", "server_arg"])]
    url: Option<String>,

    /// The running server's process
    #[arg(long, requires = "url")]
    pid: Option<u32>,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Flags that every mode has.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The broker's binary [default: `herenow` beside this program]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,

    /// A flag for the server, such as --server-arg=--max-members=20000 (repeatable)
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    server_arg: Vec<String>,

    /// The folder with the other systems' scripts [default: bench/peers near here]
    #[arg(long, value_name = "PATH")]
    peers_folder: Option<PathBuf>,

    /// How long any one step may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,

    /// Append the rows to this file, too
    #[arg(long, value_name = "FILE", value_parser = csv_file)]
    pub(crate) csv: Option<PathBuf>,
}

impl Subject {
    /// A system that is started here, with the broker's flags if it is the broker.
    pub(crate) fn new(peer: Peer, common: &Common) -> Self {
        let mut common = common.clone();
        if peer != Peer::Herenow {
            common.server_arg.clear();
            common.server = None;
        }
        Self { peer, url: None, pid: None, common }
    }

    /// The same, with further flags for the broker if it is started here.
    pub(crate) fn with_flags(&self, flags: &[&str]) -> Self {
        let mut subject = self.clone();
        subject.common.server_arg.extend(flags.iter().map(ToString::to_string));
        subject
    }

    /// Refuses flags that cannot start a server.
    pub(crate) fn check(&self) -> Result<()> {
        match self.peer {
            Peer::Herenow if self.url.is_none() => {
                let program = self.broker()?;
                if !program.is_file() {
                    let program = program.display();
                    fail!("there is no broker at {program}: build it, or say --server PATH");
                }
            }
            Peer::Herenow => {}
            peer => {
                if self.common.server.is_some() || !self.common.server_arg.is_empty() {
                    fail!("--server and --server-arg are for herenow, not for {}", peer.name());
                }
                if !matches!(peer, Peer::Floor | Peer::FloorBatched) {
                    peers_folder(self.common.peers_folder.as_deref())?;
                }
            }
        }
        Ok(())
    }

    fn broker(&self) -> Result<PathBuf> {
        match &self.common.server {
            Some(path) => Ok(path.clone()),
            None => sibling("herenow"),
        }
    }

    /// The server, ready for connections.
    pub(crate) fn launch(&self) -> Result<Server> {
        self.check()?;
        if let (Some(url), Some(pid)) = (&self.url, self.pid) {
            return Server::attach(address_of(url)?, pid);
        }
        let address = free_address()?;
        Server::start(self.peer.name(), self.command(address)?, address)
    }

    /// The broker, started with further flags, and with tokens signed with `secret` or without any,
    /// whatever the environment says.
    ///
    /// # Errors
    /// If another server was asked for, or it does not start.
    pub(crate) fn launch_with(&self, flags: &[&str], secret: Option<&str>) -> Result<Server> {
        if self.peer != Peer::Herenow {
            fail!("this is measured on herenow only, not on {}", self.peer.name());
        }
        if self.url.is_some() {
            fail!(
                "--url: this is measured on brokers that are started here, with flags of its own"
            );
        }
        self.check()?;
        let address = free_address()?;
        let mut command = self.command(address)?;
        command.args(flags);
        match secret {
            Some(secret) => command.env(JWT_SECRET, secret),
            None => command.env_remove(JWT_SECRET),
        };
        Server::start(self.peer.name(), command, address)
    }

    /// The broker that is built into this program, as the process of a hidden mode of ours, which is
    /// talked with. `mode`: its name and its flags, before those of the broker.
    ///
    /// # Errors
    /// If the flags ask for another server, or it does not start.
    pub(crate) fn launch_own(&self, mode: &[&str]) -> Result<(Server, Talk)> {
        if self.peer != Peer::Herenow {
            fail!("this is measured on herenow only, not on {}", self.peer.name());
        }
        if self.url.is_some() || self.common.server.is_some() {
            fail!("--url and --server: this is measured on the broker inside this program");
        }
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(mode).args(["--listen", &address.to_string()]);
        command.args(&self.common.server_arg);
        Server::start_talking(self.peer.name(), command, address)
    }

    fn command(&self, address: SocketAddr) -> Result<Command> {
        let listen = address.to_string();
        let mut command = match self.peer {
            Peer::Herenow => {
                let mut command = Command::new(self.broker()?);
                command.args(["--listen", &listen]);
                command
            }
            Peer::Floor | Peer::FloorBatched => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["floor-server", "--listen", &listen]);
                if self.peer == Peer::FloorBatched {
                    command.arg("--batched");
                }
                command
            }
            _ => {
                let mut command = self.script()?;
                command.arg(address.port().to_string());
                command
            }
        };
        command.args(&self.common.server_arg);
        Ok(command)
    }

    fn script(&self) -> Result<Command> {
        let folder = peers_folder(self.common.peers_folder.as_deref())?.join(self.peer.name());
        let mut command = Command::new("sh");
        command.arg(folder.join("start.sh"));
        Ok(command)
    }

    /// What the system says of its version, in one line.
    ///
    /// # Errors
    /// If it says nothing, or that it is not there.
    pub(crate) fn version(&self) -> Result<String> {
        let mut command = match self.peer {
            Peer::Herenow => Command::new(self.broker()?),
            Peer::Floor | Peer::FloorBatched => Command::new(std::env::current_exe()?),
            _ => self.script()?,
        };
        let output = command.arg("--version").output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.lines().next() {
            Some(line) if output.status.success() => Ok(line.trim().to_owned()),
            _ => fail!("{} says no version: {}", self.peer.name(), output.status),
        }
    }

    /// How long any one step may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.common.timeout
    }

    /// The moment when the step that begins now has taken too long.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.common.timeout)
    }

    /// The same for a step that takes `seconds` at best.
    pub(crate) fn deadline_after(&self, seconds: f64) -> Deadline {
        Deadline::after(self.common.timeout + Duration::from_secs_f64(seconds))
    }
}

/// Where rows go: looked at before the run, because after it the rows would be lost.
fn csv_file(path: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(path);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if file.is_dir() {
        return Err("that is a folder".to_owned());
    }
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err("its folder is not there".to_owned());
    }
    Ok(file)
}

/// Where the scripts are that start the other systems: as given, else in the source tree that this
/// program is run in or was built in.
fn peers_folder(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = given {
        if !folder.is_dir() {
            fail!("--peers-folder {}: no such folder", folder.display());
        }
        return Ok(folder.to_owned());
    }
    let own = std::env::current_exe()?;
    let near = [Path::new("."), Path::new("bench")].into_iter().map(Path::to_owned);
    let above = own.ancestors().map(|folder| folder.join("bench"));
    match near.chain(above).map(|folder| folder.join("peers")).find(|folder| folder.is_dir()) {
        Some(folder) => Ok(folder),
        None => fail!("the folder bench/peers is not near here: say --peers-folder PATH"),
    }
}

/// `ws://HOST:PORT/whatever` → the address. The path is the dialect's affair.
fn address_of(url: &str) -> Result<SocketAddr> {
    let host = url.strip_prefix("ws://").unwrap_or(url);
    let host = host.split('/').next().unwrap_or_default();
    let mut found = host.to_socket_addrs().context(|| format!("--url {url}"))?;
    match found.find(SocketAddr::is_ipv4) {
        Some(address) => Ok(address),
        None => fail!("--url {url}: no IPv4 address"),
    }
}
