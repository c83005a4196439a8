//! A broker with followers inside, as a process of its own: this program in a hidden mode. It is
//! started as `herenow` is, and makes its followers before it says where it listens.
//!
//! It answers each line that it reads with one: how far channel and followers are. It ends with its
//! input.
//!
//! Followers that read have a task each, as the streams of server-sent events do, and encode each
//! step for themselves.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, ValueEnum};
use herenow::auth::Credential;
use herenow::hub::{At, Follower, Hub, What};
use herenow::presence::News;
use herenow_protocol::reply::SnapshotReason;
use herenow_protocol::{ChannelName, Level};
use tokio::runtime::Runtime;

use crate::failure::{Failure, Result, fail};

/// How much followers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reading {
    /// Everything, as soon as it is there.
    All,
    /// Nothing, ever.
    None,
}

/// A broker with followers inside
#[derive(Args, Debug)]
pub(crate) struct FollowedServerArgs {
    /// How many
    #[arg(long, default_value_t = 0)]
    followers: u32,

    /// How much they read
    #[arg(long, value_enum, default_value_t = Reading::All)]
    reading: Reading,

    /// What they follow
    #[arg(long, value_parser = channel_name)]
    channel: ChannelName,

    #[command(flatten)]
    broker: herenow::Config,
}

fn channel_name(text: &str) -> Result<ChannelName, String> {
    ChannelName::parse(text, "channel").map_err(|refusal| refusal.message.into_owned())
}

/// How far the channel and all its followers together are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Frames that the channel has told everyone. A tick of less than 64 KiB tells one.
    pub(crate) told: u64,
    /// Steps that followers read.
    pub(crate) steps: u64,
    /// Bytes of the frames that they made of them.
    pub(crate) bytes: u64,
    /// Snapshots that they read because they had fallen behind.
    pub(crate) resyncs: u64,
    /// Steps that did not begin where the last thing that was read had ended.
    pub(crate) out_of_turn: u64,
    /// Bytes that the channel's ring holds, about.
    pub(crate) ring_bytes: u64,
}

impl Account {
    fn line(&self) -> String {
        let Self { told, steps, bytes, resyncs, out_of_turn, ring_bytes } = self;
        format!("{told} {steps} {bytes} {resyncs} {out_of_turn} {ring_bytes}")
    }

    /// Reads what the process answers.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let numbers: Vec<u64> = line.split(' ').map_while(|text| text.parse().ok()).collect();
        let [told, steps, bytes, resyncs, out_of_turn, ring_bytes] = *numbers.as_slice() else {
            return None;
        };
        Some(Self { told, steps, bytes, resyncs, out_of_turn, ring_bytes })
    }

    /// What came after `earlier`, and what the ring holds now.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            told: self.told - earlier.told,
            steps: self.steps - earlier.steps,
            bytes: self.bytes - earlier.bytes,
            resyncs: self.resyncs - earlier.resyncs,
            out_of_turn: self.out_of_turn - earlier.out_of_turn,
            ring_bytes: self.ring_bytes,
        }
    }

    /// Steps that `followers` did not read although all read everything.
    ///
    /// # Errors
    /// If one was told something twice or out of turn, or lacks something without having been told
    /// that it fell behind.
    pub(crate) fn missed(&self, followers: u32) -> Result<u64> {
        let Self { told, steps, resyncs, out_of_turn, .. } = *self;
        if out_of_turn > 0 {
            fail!("{out_of_turn} steps came to followers out of turn");
        }
        let Some(missed) = (told * u64::from(followers)).checked_sub(steps) else {
            fail!("{followers} followers read {steps} steps, more than {told} each");
        };
        if missed > 0 && resyncs == 0 {
            fail!("followers lack {missed} of {told} steps each, and none of them was told so");
        }
        Ok(missed)
    }
}

/// What all followers together have read.
#[derive(Debug, Default)]
struct Totals {
    steps: AtomicU64,
    bytes: AtomicU64,
    resyncs: AtomicU64,
    out_of_turn: AtomicU64,
}

impl Totals {
    fn account(&self, hub: &Hub, channel: &ChannelName) -> Account {
        let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
        let next_seq = hub.look(channel, |guarded| guarded.presence().next_seq());
        Account {
            told: next_seq.unwrap_or(1) - 1,
            steps: of(&self.steps),
            bytes: of(&self.bytes),
            resyncs: of(&self.resyncs),
            out_of_turn: of(&self.out_of_turn),
            ring_bytes: hub.ring_bytes() as u64,
        }
    }
}

/// Serves until its input ends.
pub(crate) fn run(args: &FollowedServerArgs) -> Result<()> {
    let runtime = Runtime::new()?;
    let broker = {
        let _inside = runtime.enter();
        herenow::start(&args.broker).map_err(Failure::new)?
    };
    let (hub, totals) = (broker.hub(), Arc::new(Totals::default()));
    for _ in 0..args.followers {
        let follower = hub.follow(At::Named(&args.channel), nobody(), Level::Events, None);
        match args.reading {
            Reading::All => {
                runtime.spawn(read(follower, args.channel.clone(), Arc::clone(&totals)))
            }
            Reading::None => runtime.spawn(hold(follower)),
        };
    }
    writeln!(io::stdout(), "listening on http://{}", broker.address())?;
    while io::stdin().read_line(&mut String::new())? > 0 {
        writeln!(io::stdout(), "{}", totals.account(hub, &args.channel).line())?;
    }
    Ok(())
}

fn nobody() -> Credential {
    Credential::Anyone(None)
}

async fn read(mut follower: Follower, channel: ChannelName, totals: Arc<Totals>) {
    let credential = nobody();
    let mut turn = Turn::default();
    loop {
        let What::News { news, .. } = follower.next().await.what else { return };
        match &news {
            News::Step(step) => {
                if !turn.is_next(step.changes.first_seq()..step.changes.next_seq()) {
                    totals.out_of_turn.fetch_add(1, Ordering::Relaxed);
                }
                let frames = step.changes.encode(&channel, credential.caller().viewer());
                totals.bytes.fetch_add(frames.len() as u64, Ordering::Relaxed);
                totals.steps.fetch_add(1, Ordering::Relaxed);
            }
            News::Snapshot(part) => {
                turn.begin_after(part.seq);
                if part.reason == SnapshotReason::Resync && !part.more {
                    totals.resyncs.fetch_add(1, Ordering::Relaxed);
                }
            }
            // At another level a follower is told no steps.
            News::Count(_)
            | News::Level(_)
            | News::Status(_)
            | News::Found { .. }
            | News::Missed { .. } => {}
        }
    }
}

/// A follower that never reads.
async fn hold(follower: Follower) {
    std::future::pending::<()>().await;
    drop(follower);
}

/// Where one follower is, as its steps say.
#[derive(Debug, Default)]
struct Turn {
    /// Unknown before the first snapshot.
    next_seq: Option<u64>,
}

impl Turn {
    fn begin_after(&mut self, seq: u64) {
        self.next_seq = Some(seq + 1);
    }

    /// Whether a step with these seqs begins where the last thing that was read had ended.
    fn is_next(&mut self, seqs: Range<u64>) -> bool {
        self.next_seq.replace(seqs.end) == Some(seqs.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_back() {
        let account =
            Account { told: 6, steps: 5, bytes: 4, resyncs: 3, out_of_turn: 2, ring_bytes: 1 };
        assert_eq!(Account::parse(&account.line()), Some(account));
        for bad in ["", "listening", "1 2 3 4 5", "1 2 3 4 5 6 7", "1 2 3 4 5 x", "1 2 3 4 5 -6"] {
            assert_eq!(Account::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_came_between_two_accounts() {
        let earlier =
            Account { told: 1, steps: 2, bytes: 3, resyncs: 4, out_of_turn: 5, ring_bytes: 900 };
        let later = Account {
            told: 11,
            steps: 22,
            bytes: 33,
            resyncs: 44,
            out_of_turn: 5,
            ring_bytes: 700,
        };
        let between = Account {
            told: 10,
            steps: 20,
            bytes: 30,
            resyncs: 40,
            out_of_turn: 0,
            ring_bytes: 700,
        };
        assert_eq!(later.since(&earlier), between);
    }

    #[test]
    fn a_follower_lacks_nothing_unless_it_was_told_so() {
        let account = Account { told: 10, steps: 30, ..Account::default() };
        assert_eq!(account.missed(3).unwrap(), 0);
        assert!(account.missed(2).is_err(), "more than there was");
        assert!(account.missed(4).is_err(), "lacking, and not told");
        assert_eq!(Account { resyncs: 1, ..account }.missed(4).unwrap(), 10);
        assert!(Account { out_of_turn: 1, ..account }.missed(3).is_err());
    }

    #[test]
    fn steps_have_their_turn() {
        let mut turn = Turn::default();
        assert!(!turn.is_next(1..2), "before any snapshot");
        turn.begin_after(4);
        assert!(turn.is_next(5..6));
        // What only others may see takes no seq.
        assert!(turn.is_next(6..6) && turn.is_next(6..8));
        assert!(!turn.is_next(6..8), "twice");
        assert!(!turn.is_next(9..10), "one is missing");
    }
}
