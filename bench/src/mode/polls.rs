//! `polls N`: what a long poll costs that is held and has nothing to be told, as LiveLike's clients
//! send them.
//!
//! N connections ask for what becomes of one channel in which nothing happens. When the broker holds
//! all of them its resident memory is read, less what it had after one poll had come and gone, and
//! divided by N. Then all go at once, and it is seen that the broker notices.
//!
//! How it can mislead: resident memory is the process's alone; each socket costs the kernel some KiB
//! more. A poll is held for 50 seconds, so more of them than can be sent in that time are never held
//! together.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

use crate::failure::{Result, fail};
use crate::procfs::Memory;
use crate::server::Server;
use crate::subject::Subject;
use crate::table::{Cell, Table};

/// How long after the last poll the memory is read.
const SETTLE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);
const MIB: f64 = 1024.0 * 1024.0;

/// Everybody asks from one address here.
const FLAGS: [&str; 3] =
    ["--vendors=livelike", "--max-requests-per-second=1000000", "--max-requests-burst=1000000"];

const COLUMNS: &[&str] =
    &["polls", "baseline_mib", "resident_mib", "bytes_per_poll", "after_leaving_mib"];

/// Memory of long polls that are held
#[derive(Args, Debug)]
pub(crate) struct PollsArgs {
    /// How many polls
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) polls: u32,

    #[command(flatten)]
    pub(crate) subject: Subject,
}

/// Runs the mode.
pub(crate) fn run(args: &PollsArgs) -> Result<()> {
    let mut server = args.subject.with_flags(&FLAGS).launch()?;
    let result = measure(args, &server);
    let [baseline, resident, after] = server.explain(result)?;
    let mut table = Table::new(COLUMNS);
    table.row(vec![
        (args.polls as usize).into(),
        Cell::Number(baseline / MIB, 1),
        Cell::Number(resident / MIB, 1),
        Cell::Number((resident - baseline) / f64::from(args.polls), 0),
        Cell::Number(after / MIB, 1),
    ]);
    table.publish(args.subject.common.csv.as_deref())
}

/// The resident bytes: before, with all polls, and after.
fn measure(args: &PollsArgs, server: &Server) -> Result<[f64; 3]> {
    let began = ask(server.address, "/v2/subscribe/key/room-pnpres/0?uuid=first")?;
    let timetoken = began.split("\"t\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let Some(timetoken) = timetoken else { fail!("no timetoken in {began:?}") };
    let resident = || Memory::of(server.pid).map(|memory| memory.resident as f64);
    drop(held(server, timetoken, 1, args)?);
    wait_for(server, 0, args)?;
    std::thread::sleep(SETTLE);
    let baseline = resident()?;
    let polls = held(server, timetoken, args.polls, args)?;
    std::thread::sleep(SETTLE);
    let with_polls = resident()?;
    drop(polls);
    wait_for(server, 0, args)?;
    std::thread::sleep(SETTLE);
    Ok([baseline, with_polls, resident()?])
}

/// So many polls, all of which the broker holds.
fn held(server: &Server, timetoken: &str, polls: u32, args: &PollsArgs) -> Result<Vec<TcpStream>> {
    let sent = (0..polls).map(|number| {
        let path = format!(
            "/v2/subscribe/key/room-pnpres/0?heartbeat=300&tt={timetoken}&uuid=user-{number}\
             &pnsdk=PubNub-JS-Nodejs%2F7.6.3&auth=user-{number}"
        );
        send(server.address, &path)
    });
    let sent = sent.collect::<Result<Vec<_>>>()?;
    wait_for(server, polls, args)?;
    Ok(sent)
}

/// Waits until the broker holds so many.
fn wait_for(server: &Server, polls: u32, args: &PollsArgs) -> Result<()> {
    let expected = format!("\nherenow_polls {polls}\n");
    let deadline = args.subject.deadline();
    while !ask(server.address, "/metrics")?.contains(&expected) {
        if deadline.passed() {
            fail!("the broker did not come to hold {polls} polls in time");
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn send(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: node-superagent/8\r\n\
         accept-encoding: gzip, deflate\r\nx-forwarded-proto: https\r\n"
    );
    socket.write_all(format!("{head}\r\n").as_bytes())?;
    Ok(socket)
}

/// What is answered, head and all.
fn ask(address: SocketAddr, path: &str) -> Result<String> {
    let mut socket = TcpStream::connect(address)?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
