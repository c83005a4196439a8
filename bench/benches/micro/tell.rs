//! What a channel says: a tick's frame and its snapshot.

use std::cell::RefCell;

use divan::Bencher;
use herenow::limits::PART_BYTES;
use herenow::presence::Viewer;
use herenow_protocol::encode;
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

/// What a snapshot's first part needs of the channel's lock.
#[divan::bench(args = [1_000])]
fn part_of(bencher: Bencher<'_, '_>, members: usize) {
    let scene = Scene::new(members);
    let place = scene.channel.begin_snapshot(SnapshotReason::Subscribed);
    bencher.bench_local(|| scene.channel.snapshot_part(place, Viewer::Public, PART_BYTES));
}

/// The rest of it.
#[divan::bench(args = [1_000])]
fn encode_a_part_of(bencher: Bencher<'_, '_>, members: usize) {
    let (scene, name) = (Scene::new(members), name());
    let place = scene.channel.begin_snapshot(SnapshotReason::Subscribed);
    let (part, _) = scene.channel.snapshot_part(place, Viewer::Public, PART_BYTES);
    bencher.bench_local(|| {
        let mut out = Vec::new();
        encode::text_message(&part.frame(&name, scene.channel.epoch()), &mut out);
        out
    });
}
