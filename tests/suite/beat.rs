//! Random subscribers of a count, in time that passes only when told to: each is told in time, not
//! too often, and nothing that it knows already.

use herenow::delivery::{Cursor, Owed};
use herenow::hub::count_pacer::CountPacer;
use herenow::limits::{COUNT_INTERVAL_MS, TIMER_TURN_MS};
use herenow::presence::{Roster, Standing};
use herenow_protocol::Level;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::seed::seed;

/// The longest that a subscriber may believe in a count that is not true any more.
const STALE_MS: u64 = 2_000;

#[derive(Clone, Debug)]
enum Op {
    /// Somebody comes or goes.
    Move,
    /// Somebody changes attributes.
    Update,
    Subscribe,
    Unsubscribe,
    Pass(u64),
}

struct Subscriber {
    cursor: Cursor,
    /// When it was told last, and of which seq.
    told: (u64, u64),
}

/// A channel's counts as a flusher and a timer drive them.
struct Room {
    now_ms: u64,
    seq: u64,
    moved_seq: u64,
    /// The moves of the last seconds: when, and the seq that tells of it.
    moves: Vec<(u64, u64)>,
    pacer: CountPacer,
    subscribers: Vec<Subscriber>,
}

impl Room {
    fn run(&mut self, op: &Op) {
        match op {
            Op::Move => {
                self.seq += 1;
                self.moved_seq = self.seq;
                self.moves.push((self.now_ms, self.seq));
                if !self.subscribers.is_empty() {
                    self.pacer.owe();
                }
                self.tick();
            }
            Op::Update => {
                self.seq += 1;
                self.tick();
            }
            Op::Subscribe => {
                let cursor = Cursor::Counted { seq: self.seq, at_ms: self.now_ms as u32 };
                self.subscribers.push(Subscriber { cursor, told: (self.now_ms, self.seq) });
            }
            Op::Unsubscribe => drop(self.subscribers.pop()),
            Op::Pass(ms) => (0..*ms).for_each(|_| self.pass()),
        }
    }

    /// A millisecond. Now and then the wheel turns.
    fn pass(&mut self) {
        self.now_ms += 1;
        let due = self.pacer.deadline().is_some_and(|due_ms| due_ms <= self.now_ms);
        if due && self.now_ms.is_multiple_of(TIMER_TURN_MS) {
            self.pacer.ring(self.now_ms);
            assert!(self.pacer.rings(), "the timer fired for nothing");
            self.tick();
        }
        for (moved_ms, seq) in &self.moves {
            for Subscriber { told: (_, told), .. } in &self.subscribers {
                assert!(told >= seq || self.now_ms - moved_ms < STALE_MS, "{seq} is not told");
            }
        }
        let now_ms = self.now_ms;
        self.moves.retain(|(moved_ms, _)| now_ms - moved_ms <= STALE_MS);
    }

    fn tick(&mut self) {
        if !self.pacer.begin(self.now_ms) {
            return;
        }
        let standing = Standing { roster: Roster::Listed, moved_seq: self.moved_seq, shown_seq: 0 };
        let mut passed_over: Option<u64> = None;
        for subscriber in &mut self.subscribers {
            match standing.owed(Level::Count.into(), subscriber.cursor, self.now_ms) {
                Owed::Count => {
                    let (at_ms, seq) = subscriber.told;
                    assert!(self.now_ms - at_ms >= COUNT_INTERVAL_MS, "told too soon");
                    assert!(self.moved_seq > seq, "told what it knows");
                    subscriber.told = (self.now_ms, self.seq);
                    subscriber.cursor =
                        Cursor::Counted { seq: self.seq, at_ms: self.now_ms as u32 };
                }
                Owed::CountLater { in_ms } => {
                    let due_ms = self.now_ms + in_ms;
                    passed_over = Some(passed_over.map_or(due_ms, |ms| ms.min(due_ms)));
                }
                Owed::Nothing => {}
                other => panic!("{other:?}"),
            }
        }
        if let Some(due_ms) = passed_over {
            self.pacer.passed_over(due_ms);
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Move),
        1 => Just(Op::Update),
        3 => Just(Op::Subscribe),
        1 => Just(Op::Unsubscribe),
        6 => prop::sample::select(vec![1, 7, 90, 249, 250, 400, 500, 600, 999, 1_000, 1_500])
            .prop_map(Op::Pass),
    ]
}

#[test]
fn everybody_is_told_in_time_and_not_too_often() {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed("everybody_is_told_in_time").to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let histories = (0..10_000u64, prop::collection::vec(op(), 1..40));
    runner
        .run(&histories, |(start_ms, ops)| {
            let (pacer, moves, subscribers) = (CountPacer::default(), Vec::new(), Vec::new());
            let mut room =
                Room { now_ms: start_ms, seq: 0, moved_seq: 0, moves, pacer, subscribers };
            ops.iter().for_each(|op| room.run(op));
            room.run(&Op::Pass(2 * STALE_MS));
            assert_eq!(room.pacer.deadline(), None, "it goes on although everybody knows");
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
