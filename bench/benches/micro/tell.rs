//! What a channel says: a tick's frame and its snapshot.

use std::cell::RefCell;

use divan::Bencher;
use herenow_protocol::reply::SnapshotReason;

use crate::scene::{BOUNDS, Scene, name, now, set};

/// Channels that are prepared before their ticks are timed together.
const BATCH: usize = 16;

/// Folding and encoding: `events` members have set their attributes.
#[divan::bench(args = [1, 32, 1_000], sample_size = BATCH as u32)]
fn tick_with_events(bencher: Bencher<'_, '_>, events: usize) {
    let scenes: Vec<_> = (0..BATCH).map(|_| RefCell::new(Scene::new(events))).collect();
    let (name, mut round) = (name(), 0);
    bencher
        .with_inputs(|| {
            round += 1;
            let scene = &scenes[round % BATCH];
            for number in 0..events {
                scene.borrow_mut().apply(set(number, round, None));
            }
            scene
        })
        .bench_local_values(|scene| {
            let tick = scene.borrow_mut().channel.tick(&name, now(0), &BOUNDS);
            assert!(tick.frames.is_some());
            tick
        });
}

/// What a snapshot needs of the channel's lock.
#[divan::bench(args = [1_000])]
fn view_of(bencher: Bencher<'_, '_>, members: usize) {
    let scene = Scene::new(members);
    bencher.bench_local(|| scene.channel.view());
}

/// The rest of it.
#[divan::bench(args = [1_000])]
fn encode_a_snapshot_of(bencher: Bencher<'_, '_>, members: usize) {
    let (view, name) = (Scene::new(members).channel.view(), name());
    bencher.bench_local(|| {
        let mut out = Vec::new();
        view.encode(&name, SnapshotReason::Subscribed, false, &mut out);
        out
    });
}
