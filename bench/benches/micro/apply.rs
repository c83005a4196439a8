//! A command → a channel changed. What was noted for observers is told between the samples.

use std::cell::RefCell;

use divan::Bencher;
use herenow::presence::{Command, Source};
use herenow_protocol::LeaveReason;

use crate::scene::{Scene, join, set, user};

const MEMBERS: [usize; 2] = [10, 10_000];

/// Commands prepared before they are timed together. Few, so that a channel of 10 stays about one.
const BATCH: usize = 8;

fn leave(number: usize) -> Command {
    let (user, source) = (user(number), Source::connection(number as u64));
    Command::Leave { user, source, reason: LeaveReason::Left }
}

/// Times the command that `prepare` makes of a number below [`BATCH`] and the round.
fn measure(
    bencher: Bencher<'_, '_>,
    members: usize,
    prepare: impl Fn(&mut Scene, usize, usize) -> Command,
) {
    let scene = RefCell::new(Scene::new(members));
    let mut round = 0;
    bencher
        .with_inputs(|| {
            round += 1;
            let mut scene = scene.borrow_mut();
            let command = prepare(&mut scene, round % BATCH, round);
            scene.tell();
            command
        })
        .bench_local_values(|command| scene.borrow_mut().apply(command));
}

#[divan::bench(args = MEMBERS, sample_size = BATCH as u32, sample_count = 500)]
fn join_a_channel_of(bencher: Bencher<'_, '_>, members: usize) {
    measure(bencher, members, |scene, number, _| {
        scene.apply(leave(members + number));
        join(members + number)
    });
}

#[divan::bench(args = MEMBERS, sample_size = BATCH as u32, sample_count = 500)]
fn leave_a_channel_of(bencher: Bencher<'_, '_>, members: usize) {
    measure(bencher, members, |scene, number, _| {
        scene.apply(join(members + number));
        leave(members + number)
    });
}

#[divan::bench(args = MEMBERS, sample_size = BATCH as u32, sample_count = 500)]
fn set_attributes_in_a_channel_of(bencher: Bencher<'_, '_>, members: usize) {
    measure(bencher, members, |_, number, round| set(number, round, None));
}
