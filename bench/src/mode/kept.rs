//! `kept N`: bytes for each user that came and went, and for each member that a lease keeps.
//!
//! They are made inside this process, by the door of a broker of its own, and its resident memory is
//! read: a million of them come by sockets only in minutes.
//!
//! How it can mislead: tables double, so a number just above a power of two costs more for each than
//! one just below. This program uses the system's allocator, the broker's binary another.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use herenow::Config;
use herenow::chance::Chance;
use herenow::clock::Clock;
use herenow::hub::{At, Hub};
use herenow::presence::{Command, Lasts, Source};
use herenow_protocol::{ChannelName, LeaveReason, UserId};

use crate::failure::{Result, fail};
use crate::procfs::Memory;
use crate::table::{Cell, Table};

const COLUMNS: &[&str] = &["users", "kind", "bytes_each"];

/// How long after the last change the memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Memory of users that are gone, and of members by lease
#[derive(Args, Debug)]
pub(crate) struct KeptArgs {
    /// How many users
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub(crate) users: u32,

    /// Each leaves again before the next comes
    #[arg(long)]
    pub(crate) gone: bool,
}

/// Runs the mode.
pub(crate) fn run(args: &KeptArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let each = runtime.block_on(measure(args))?;
    let mut table = Table::new(COLUMNS);
    let kind = if args.gone { "gone" } else { "lease" };
    table.row(vec![(args.users as usize).into(), kind.into(), Cell::Number(each, 0)]);
    table.publish(None)
}

async fn measure(args: &KeptArgs) -> Result<f64> {
    let users = args.users;
    let resident = || Memory::of(std::process::id()).map(|memory| memory.resident as f64);
    let mut config = Config::default();
    config.limits.max_members = users;
    config.limits.max_memberships = users;
    config.limits.max_statuses = users;
    let runtime = tokio::runtime::Handle::current();
    let clock = Clock::start();
    let hub = Hub::start(&config, clock, Chance::from_seed(1), Arc::default(), runtime);
    let Ok(room) = ChannelName::parse("room", "channel") else { fail!("no such name") };
    let user = |number: u32| UserId::parse(&format!("user-{number:08}"), "user").ok();
    let before = resident()?;
    let now = clock.now();
    for user in (0..args.users).filter_map(user) {
        let lasts = Lasts::Lease { ttl_ms: 3_600_000 };
        let (source, attributes, info, visible_to, away) = (Source::LEASE, None, None, None, None);
        let gone = user.clone();
        let join =
            Command::Join { user, source, attributes, merge: false, info, visible_to, away, lasts };
        if hub.enter(At::Named(&room), |door| door.apply(join, now)).is_err() {
            fail!("a lease was refused");
        }
        if args.gone {
            let leave = Command::Leave { user: gone, source, reason: LeaveReason::Left };
            // Nobody is refused to leave.
            let _ = hub.enter_existing(&room, |door| door.apply(leave, now));
        }
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(SETTLE).await;
    if hub.user_count() != args.users as usize {
        fail!("{} users are known", hub.user_count());
    }
    Ok((resident()? - before) / f64::from(args.users))
}
