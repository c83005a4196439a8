//! What passes because time does.

use std::cell::RefCell;

use divan::Bencher;
use herenow::hub::timers::Agenda;
use herenow::limits::{TIMER_BATCH, TIMER_TURN_MS};
use herenow::now::NEVER;
use herenow::presence::Command;

use crate::scene::{BOUNDS, Scene, now, set};

const TIMERS: u64 = 10_000;
const TIMEOUT_MS: u64 = 60_000;

/// A turn of the timers: some 40 of 10,000 are due, and are armed again.
#[divan::bench]
fn turn(bencher: Bencher<'_, '_>) {
    let mut agenda = Agenda::new();
    for number in 0..TIMERS {
        agenda.rearm(number, NEVER, number * TIMEOUT_MS / TIMERS);
    }
    let mut now_ms = 0;
    bencher.bench_local(|| {
        now_ms += TIMER_TURN_MS;
        let due = agenda.take_due(now_ms, TIMER_BATCH);
        for &(due_ms, number) in &due {
            agenda.rearm(number, NEVER, due_ms + TIMEOUT_MS);
        }
        due
    });
}

/// The members of a channel whose attributes end some day.
const MEMBERS: usize = 10_000;
/// Of these, as many have a key that ends now.
const DUE: [usize; 2] = [0, 8];
const BATCH: u32 = 8;

#[divan::bench(args = DUE, sample_size = BATCH)]
fn expire_keys(bencher: Bencher<'_, '_>, due: usize) {
    let mut scene = Scene::new(MEMBERS);
    for number in 0..MEMBERS {
        scene.apply(set(number, number, Some(3_600_000)));
    }
    scene.tell();
    let scene = RefCell::new(scene);
    let mut round = 0;
    bencher
        .with_inputs(|| {
            // Each of a batch has members of its own, which end a millisecond after the last.
            round += 1;
            let mut scene = scene.borrow_mut();
            scene.now_ms += 1;
            for number in 0..due {
                let number = (round * due + number) % MEMBERS;
                scene.apply(set(number, MEMBERS + round, Some(1)));
            }
            scene.tell();
            now(scene.now_ms + 1)
        })
        .bench_local_values(|now| {
            let mut scene = scene.borrow_mut();
            scene.channel.apply(Command::Expire, now, &BOUNDS, |_| {})
        });
}
