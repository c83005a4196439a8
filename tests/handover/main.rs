//! The hand-over between a channel's flusher, a connection's task and `subscribe`: every
//! interleaving of a reduced model of them, up to a few preemptions.
//!
//! The model has the functions of the real code by their names, so that the two can be laid side
//! by side: [`outlet`] is `src/delivery/{cursor,writer,outlet,subscription}.rs`, [`hub`] is
//! `src/hub/{state,door,channel,round}.rs`, [`task`] is the task and the requests of
//! `src/connection`. [`socket`], in the place of `src/delivery/transport.rs`, has room for one
//! message and a half, so that frames are cut; [`replica`] is the client. Whoever changes the
//! hand-over changes the model first. `copied.txt` lists the functions with a fingerprint of each
//! real one, and `tests/suite/drift.rs` fails when one of these has changed.
//!
//! Checked, once everything has come to rest:
//!
//! - a subscriber has seen each seq once and in order from its snapshot on, and knows the truth;
//! - no frame was cut by another;
//! - nothing came after the `ok` of an unsubscribe, nothing before that of a subscribe;
//! - every subscriber is at the head: no wake-up was lost;
//! - no request that was read waits;
//! - no flusher ended while something was owed;
//! - a channel was removed if and only if it was empty.
//!
//! Rest is reached by following only what the model itself recorded: tasks that were woken,
//! flushers that were spawned, clients that read. So a wake-up that was lost stays lost.
//!
//! An aside is told to every subscriber here: each sees more than everyone.
//!
//! Left out: errors, closing and panics; timers and pings; the two reasons for a snapshot (each
//! is served by itself, after one more look at the cursors); shared frames, the backlog (its own
//! tests are with it) and that snapshots begin anew in a quiet channel; letters, which become replies under the connection's lock; ticks of several frames,
//! and those that come to nothing; folding; the index of users.
//! A write, a read and the runtime's knowledge of whether a socket is ready are one step; the
//! executor's flag and its queue are not explored.
//!
//! The mutants show that the check can fail: each breaks one rule, and some scenario must find it.

#![expect(clippy::unwrap_used, reason = "helpers fail a test as its own lines do: by panicking")]

mod hub;
mod outlet;
mod replica;
mod socket;
mod task;

use std::sync::Arc;

use hub::{Command, Hub};
use outlet::Cursor;
use replica::{Replica, Since, replicas};
use task::{Request, Task};

/// One rule broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// The real thing.
    None,
    /// A pass looks at flow and cursor, and takes the lock again to write.
    VisitLooksBeforeLocking,
    /// A sweep lets go of the connection's lock before the connection flows.
    LetsGoBeforeFlowing,
    /// A choked connection asks for its snapshot at once, and not after its sweep.
    WantsWhileChoked,
    /// A pass that fills the socket does not wake the task.
    ChokesWithoutWaking,
    /// Replies are written although the rest of a cut frame waits.
    RepliesOvertakeATail,
    /// The flusher sees that nothing is owed, ends in another hold of the lock, and nobody looks
    /// again behind it. (With that look, which is there for reaping, the second hold alone would do
    /// no harm.)
    EndsInAnotherHold,
    /// A change starts a flusher although one runs.
    StartsTwice,
    /// The snapshot is of one hold of the lock, the subscription and its cursor of the next.
    SnapshotApart,
    /// An unsubscribe frees the slot, and leaves the cursor as it is.
    LeavesTheCursorAlive,
    /// A channel that was empty a moment ago is removed.
    ReapsWithoutLookingAgain,
    /// A channel that was removed meanwhile is entered.
    EntersTheDead,
    /// Whoever can't take an aside at once is not given a snapshot instead.
    ForgetsWhoMissedAnAside,
    /// Whoever is in the midst of a snapshot when an aside is told takes it for whole.
    ForgetsAsidesWithinASnapshot,
    /// A task does not go on with a snapshot in the midst of which its socket was full.
    ForgetsThePlace,
    /// Behind a snapshot come the frames after its last part, not those after its beginning.
    SkipsWhatCameMeanwhile,
    /// Snapshots, which have what the round's aside tells, go out before it.
    AsidesBehindSnapshots,
    /// Whoever comes back is resumed by the log alone, which keeps no asides.
    ResumesPastAnAside,
    /// Those in the midst of a snapshot whose socket is free are not told the next part in the next
    /// round.
    ForgetsTheConvoy,
    /// Whoever missed an aside between two parts that it was told together with others takes the
    /// snapshot for whole.
    ArrivesWithoutWhatItMissed,
    /// Whoever had the last part together with others is not told what the ticks between the parts
    /// told.
    ArrivesAtAnOldTick,
    /// Once all is known that other nodes have, nobody looks whether somebody waited for that.
    OpensWithoutSettling,
    /// Those who were told less before are not told the rest.
    ForgetsWhoWasToldLess,
    /// A task that let others have their turn does not come back to what it has read.
    ForgetsWhatIsKept,
}

/// Room for one message and a half: every other message is cut.
const TIGHT: usize = 3;
/// Room for all that a scenario says.
const AMPLE: usize = 64;

/// Runs `scenario` in every interleaving with at most `preemptions` switches that nothing forces, and
/// `HERENOW_PREEMPTIONS` more: for whoever has minutes.
fn explore(preemptions: usize, mutant: Mutant, scenario: fn(Mutant)) {
    let more = std::env::var("HERENOW_PREEMPTIONS").map_or(0, |more| more.parse().unwrap());
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions + more);
    model.max_branches = 10_000;
    model.check(move || scenario(mutant));
}

/// A connection whose socket has its first event.
fn connect(hub: &Arc<Hub>, room: usize) -> Task {
    let mut task = Task::new(hub, room);
    task.outlet.transport().read(0);
    task.poll();
    task
}

/// A connection that only changes the channel that it joined.
fn writer(hub: &Arc<Hub>, channel: usize) -> Task {
    let mut writer = connect(hub, AMPLE);
    writer.read(&[Request::Apply(channel, Command::Join)]);
    writer
}

fn change(writer: &mut Task, channel: usize) {
    writer.read(&[Request::Apply(channel, Command::SetAttributes)]);
}

/// Follows what is recorded until nothing is: the end of a scenario, and of its preparations.
fn rest(hub: &Arc<Hub>, tasks: &mut [&mut Task]) {
    loop {
        let mut busy = hub.run_flusher();
        for task in tasks.iter_mut() {
            if !task.outlet.transport().is_idle() {
                busy = true;
                task.outlet.transport().read(usize::MAX);
            }
            if task.outlet.take_woken() {
                busy = true;
                task.poll();
            }
        }
        if !busy {
            return;
        }
    }
}

/// Comes to rest and holds what the clients know against the truth.
fn judge(hub: &Arc<Hub>, tasks: &mut [&mut Task]) {
    rest(hub, tasks);
    for name in [0, 1] {
        if let Some(channel) = hub.find(name) {
            channel.lock().assert_at_rest();
        }
    }
    for task in tasks {
        assert!(!task.has_kept_requests(), "a request was read and forgotten");
        let known = replicas(&task.outlet.transport().take_read());
        let mut subscribed = [false; 2];
        for place in &task.places {
            let Some((subscription, _)) = &place.subscribed else { continue };
            let name = place.channel.name;
            subscribed[name] = true;
            let found = hub.find(name).expect("a channel was removed with a subscriber in it");
            assert!(Arc::ptr_eq(&found, &place.channel), "a subscriber of a channel that is gone");
            let room = place.channel.lock();
            let (next_seq, values) = (room.presence.next_seq(), room.presence.values());
            let whispers = room.presence.whispers();
            drop(room);
            let cursor = task.outlet.lock().cursor(subscription);
            assert_eq!(cursor, Cursor::Next(next_seq), "a subscriber was left behind");
            let Replica::Synced(known) = known[name] else {
                panic!("a subscriber was left without a snapshot")
            };
            let told = (known.seq + 1, known.values, known.whispers);
            assert_eq!(told, (next_seq, values, whispers), "a replica differs from the truth");
        }
        for name in [0, 1] {
            let knows = known[name] != Replica::Unsubscribed;
            assert_eq!(knows, subscribed[name], "an answer was lost");
        }
    }
}

/// A subscriber of channel 0 whose socket is full, with half a frame in it and `frames` in all not
/// read.
fn choked_reader(hub: &Arc<Hub>, writer: &mut Task, frames: usize) -> Task {
    let mut reader = connect(hub, TIGHT);
    reader.read(&[Request::Subscribe(0, None)]);
    rest(hub, &mut [writer, &mut reader]);
    for _ in 0..frames {
        change(writer, 0);
        while hub.run_flusher() {}
    }
    reader
}

/// A subscriber is choked with a cut frame. Its client reads, so its task sweeps; meanwhile a
/// change is applied and passed.
fn a_sweep_and_a_pass(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let mut writer = writer(&hub, 0);
    let mut reader = choked_reader(&hub, &mut writer, 2);
    hub.allow_flushers(2);
    let sweep = loom::thread::spawn(move || {
        reader.poll();
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    change(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = sweep.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// As before, but the log keeps one frame and two come: the reader needs a snapshot, and asks for
/// it while the flusher is at work.
fn a_sweep_that_fell_off_the_log(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let mut writer = writer(&hub, 0);
    let mut reader = choked_reader(&hub, &mut writer, 4);
    hub.allow_flushers(2);
    let sweep = loom::thread::spawn(move || {
        reader.poll();
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    change(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = sweep.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Someone subscribes while a change is applied, ticked and passed.
fn a_subscribe_and_a_tick(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, TIGHT));
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let subscribe = loom::thread::spawn(move || {
        reader.read(&[Request::Subscribe(0, None)]);
        reader.outlet.transport().read(2);
        reader.poll();
        reader
    });
    change(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = subscribe.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// The same for someone whose socket has room for everything.
fn a_roomy_subscribe_and_a_tick(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, AMPLE));
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let subscribe = loom::thread::spawn(move || {
        reader.read(&[Request::Subscribe(0, None)]);
        reader
    });
    change(&mut writer, 0);
    whisper(&mut writer, 0);
    let mut reader = subscribe.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Someone who was away for a moment resumes while a change is applied, ticked and passed.
fn a_resume_and_a_tick(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, TIGHT));
    rest(&hub, &mut [&mut writer, &mut reader]);
    change(&mut writer, 0);
    rest(&hub, &mut [&mut writer]);
    hub.allow_flushers(2);
    let resume = loom::thread::spawn(move || {
        let since = Since { epoch: 0, seq: 1, values: [0, 1], whispers: 0 };
        reader.read(&[Request::Subscribe(0, Some(since))]);
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    change(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = resume.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Someone subscribes in the same write behind a command after which others have their turn, while a
/// change is applied, ticked and passed.
fn a_subscribe_behind_a_turn_of_others(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, TIGHT));
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let subscribe = loom::thread::spawn(move || {
        reader.read(&[Request::Renew, Request::Subscribe(0, None)]);
        reader.run();
        reader.outlet.transport().read(2);
        reader.run();
        reader
    });
    change(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = subscribe.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// A choked connection subscribes a second channel, catches up and gets its snapshot, while that
/// channel changes.
fn a_choked_subscribe_and_a_tick(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut first, mut second) = (writer(&hub, 0), writer(&hub, 1));
    rest(&hub, &mut [&mut second]);
    let mut reader = choked_reader(&hub, &mut first, 2);
    hub.allow_flushers(2);
    let subscribe = loom::thread::spawn(move || {
        // Room for half of the ok, which may not have it.
        reader.outlet.transport().read(1);
        reader.read(&[Request::Subscribe(1, None)]);
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    change(&mut second, 1);
    let mut reader = subscribe.join().unwrap();
    judge(&hub, &mut [&mut first, &mut second, &mut reader]);
}

/// Someone unsubscribes while a change is passed.
fn an_unsubscribe_and_a_pass(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, TIGHT));
    reader.read(&[Request::Subscribe(0, None)]);
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let unsubscribe = loom::thread::spawn(move || {
        reader.read(&[Request::Unsubscribe(0)]);
        reader.outlet.transport().read(2);
        reader.poll();
        reader
    });
    change(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = unsubscribe.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Someone unsubscribes and thinks better of it while a change is passed.
fn an_unsubscribe_a_subscribe_and_a_pass(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, TIGHT));
    reader.read(&[Request::Subscribe(0, None)]);
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let unsubscribe = loom::thread::spawn(move || {
        reader.read(&[Request::Unsubscribe(0), Request::Subscribe(0, None)]);
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    change(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = unsubscribe.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Two members change a channel at once: the one's flusher may be about to end when the other
/// looks whether one runs.
fn two_changes(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut one, mut other) = (writer(&hub, 0), writer(&hub, 0));
    let mut reader = connect(&hub, AMPLE);
    reader.read(&[Request::Subscribe(0, None)]);
    rest(&hub, &mut [&mut one, &mut other, &mut reader]);
    hub.allow_flushers(2);
    let second = loom::thread::spawn(move || {
        change(&mut other, 0);
        other
    });
    change(&mut one, 0);
    let mut other = second.join().unwrap();
    judge(&hub, &mut [&mut one, &mut other, &mut reader]);
}

/// One connection, two channels, both change; its client reads in between.
fn two_channels(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut first, mut second) = (writer(&hub, 0), writer(&hub, 1));
    let mut reader = connect(&hub, TIGHT);
    reader.read(&[Request::Subscribe(0, None), Request::Subscribe(1, None)]);
    rest(&hub, &mut [&mut first, &mut second, &mut reader]);
    // The flushers of two channels, and the reader's task; the changes are there when they begin.
    hub.allow_flushers(2);
    change(&mut first, 0);
    change(&mut second, 1);
    let sweep = loom::thread::spawn(move || {
        reader.outlet.transport().read(3);
        reader.poll();
        reader.poll();
        reader
    });
    let mut reader = sweep.join().unwrap();
    judge(&hub, &mut [&mut first, &mut second, &mut reader]);
}

/// The last subscriber of an empty channel goes while another comes.
fn the_last_goes_and_another_comes(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut last, mut next) = (connect(&hub, AMPLE), connect(&hub, AMPLE));
    last.read(&[Request::Subscribe(0, None)]);
    rest(&hub, &mut [&mut last, &mut next]);
    hub.allow_flushers(2);
    let goes = loom::thread::spawn(move || {
        last.read(&[Request::Unsubscribe(0)]);
        last
    });
    next.read(&[Request::Subscribe(0, None)]);
    let mut last = goes.join().unwrap();
    judge(&hub, &mut [&mut last, &mut next]);
}

/// The last member leaves a channel that nobody observes, and that goes without a flusher, while
/// another joins and observes.
fn the_last_leaves_and_another_joins(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut last, mut next) = (writer(&hub, 0), connect(&hub, AMPLE));
    rest(&hub, &mut [&mut last, &mut next]);
    hub.allow_flushers(2);
    let leaves = loom::thread::spawn(move || {
        last.read(&[Request::Apply(0, Command::Leave)]);
        last
    });
    next.read(&[Request::Apply(0, Command::Join), Request::Subscribe(0, None)]);
    let mut last = leaves.join().unwrap();
    let mut observer = connect(&hub, AMPLE);
    observer.read(&[Request::Subscribe(0, None)]);
    judge(&hub, &mut [&mut last, &mut next, &mut observer]);
}

/// What only those are told who see more than everyone.
fn whisper(writer: &mut Task, channel: usize) {
    writer.read(&[Request::Apply(channel, Command::Whisper)]);
}

/// A choked subscriber sweeps while somebody whom not everyone sees changes, and then somebody else.
fn a_sweep_and_an_aside(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let mut writer = writer(&hub, 0);
    let mut reader = choked_reader(&hub, &mut writer, 2);
    hub.allow_flushers(2);
    let sweep = loom::thread::spawn(move || {
        reader.poll();
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    whisper(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = sweep.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Someone subscribes while an aside is told.
fn a_subscribe_and_an_aside(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, TIGHT));
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let subscribe = loom::thread::spawn(move || {
        reader.read(&[Request::Subscribe(0, None)]);
        reader.outlet.transport().read(2);
        reader.poll();
        reader
    });
    whisper(&mut writer, 0);
    whisper(&mut writer, 0);
    let mut reader = subscribe.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Someone who was away for a moment comes back while an aside is told.
fn a_resume_and_an_aside(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, TIGHT));
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let resume = loom::thread::spawn(move || {
        let since = Since { epoch: 0, seq: 1, values: [0, 1], whispers: 0 };
        reader.read(&[Request::Subscribe(0, Some(since))]);
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    whisper(&mut writer, 0);
    change(&mut writer, 0);
    let mut reader = resume.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Somebody is told a snapshot part by part, and between the parts the channel ticks.
fn a_ride_and_ticks(mutant: Mutant) {
    a_ride(mutant, AMPLE, [change, change]);
}

/// The same over a socket with room for a part and a half.
fn a_tight_ride_and_ticks(mutant: Mutant) {
    a_ride(mutant, TIGHT, [change, change]);
}

/// Between the parts somebody changes whom not everyone sees.
fn a_ride_and_an_aside(mutant: Mutant) {
    a_ride(mutant, AMPLE, [whisper, change]);
}

fn a_ride(mutant: Mutant, room: usize, acts: [fn(&mut Task, usize); 2]) {
    let subscribe = |mut reader: Task| {
        reader.read(&[Request::Subscribe(0, None)]);
        reader.outlet.transport().read(2);
        reader.poll();
        reader
    };
    by_parts(mutant, room, subscribe, |writer| acts.into_iter().for_each(|act| act(writer, 0)));
}

/// Somebody who is told a snapshot part by part thinks better of it, and better again.
fn a_ride_an_unsubscribe_and_a_subscribe(mutant: Mutant) {
    let waver = |mut reader: Task| {
        reader.read(&[Request::Subscribe(0, None)]);
        reader.read(&[Request::Unsubscribe(0), Request::Subscribe(0, None)]);
        reader
    };
    by_parts(mutant, AMPLE, waver, |writer| change(writer, 0));
}

/// A reader acts while a member of the channel does, which ticks between the parts of a snapshot.
fn by_parts(
    mutant: Mutant,
    room: usize,
    reads: impl FnOnce(Task) -> Task + 'static,
    writes: impl FnOnce(&mut Task),
) {
    let hub = Hub::new(mutant);
    hub.tell_by_parts();
    let (mut writer, mut reader) = (writer(&hub, 0), connect(&hub, room));
    rest(&hub, &mut [&mut writer, &mut reader]);
    hub.allow_flushers(2);
    let reading = loom::thread::spawn(move || reads(reader));
    writes(&mut writer);
    let mut reader = reading.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// Two come to a snapshot one after the other: the second waits until the first has it whole.
fn two_rides(mutant: Mutant) {
    let subscribe = |mut other: Task| {
        other.read(&[Request::Subscribe(0, None)]);
        other
    };
    by_parts(mutant, AMPLE, subscribe, |one| {
        one.read(&[Request::Subscribe(0, None)]);
        change(one, 0);
    });
}

/// What other nodes have comes to be known. Meanwhile somebody subscribes, and a member changes.
fn a_subscribe_and_what_others_have(mutant: Mutant) {
    let hub = Hub::new(mutant);
    learn_of_others(&hub, |hub| hub.hold_back(0), |_, writer| change(writer, 0));
}

/// The same for somebody who was told before what was known then, over a socket with room for a message
/// and a half.
fn a_sweep_and_what_others_have(mutant: Mutant) {
    let hub = Hub::new(mutant);
    let mut writer = writer(&hub, 0);
    let mut reader = choked_reader(&hub, &mut writer, 1);
    hub.allow_flushers(2);
    let sweep = loom::thread::spawn(move || {
        reader.poll();
        reader.outlet.transport().read(3);
        reader.poll();
        reader
    });
    change(&mut writer, 0);
    hub.complete(0);
    let mut reader = sweep.join().unwrap();
    judge(&hub, &mut [&mut writer, &mut reader]);
}

/// It comes to be known between the parts of a snapshot.
fn a_ride_and_what_others_have(mutant: Mutant) {
    let hub = Hub::new(mutant);
    hub.tell_by_parts();
    learn_of_others(&hub, |_| {}, |_, _| {});
}

/// And while somebody is told all parts in one go.
fn a_whole_ride_and_what_others_have(mutant: Mutant) {
    learn_of_others(&Hub::new(mutant), |_| {}, |_, _| {});
}

/// First how many they are comes to be known, which no frame tells, then who.
fn a_sum_and_what_others_have(mutant: Mutant) {
    let sum_up = |hub: &Arc<Hub>, writer: &mut Task| {
        hub.sum_up(0);
        change(writer, 0);
    };
    learn_of_others(&Hub::new(mutant), |_| {}, sum_up);
}

/// Somebody subscribes while what other nodes have comes to be known, and before that something else.
fn learn_of_others(
    hub: &Arc<Hub>,
    at_rest: impl FnOnce(&Arc<Hub>),
    before: impl FnOnce(&Arc<Hub>, &mut Task),
) {
    let (mut writer, mut reader) = (writer(hub, 0), connect(hub, AMPLE));
    rest(hub, &mut [&mut writer, &mut reader]);
    at_rest(hub);
    hub.allow_flushers(2);
    let reading = loom::thread::spawn(move || {
        reader.read(&[Request::Subscribe(0, None)]);
        reader
    });
    before(hub, &mut writer);
    hub.complete(0);
    let mut reader = reading.join().unwrap();
    judge(hub, &mut [&mut writer, &mut reader]);
}

/// Every scenario, with as many preemptions as a few seconds allow.
macro_rules! holds {
    ($($scenario:ident: $preemptions:literal,)*) => {
        mod holds {
            $(#[test]
            fn $scenario() {
                super::explore($preemptions, super::Mutant::None, super::$scenario);
            })*
        }
    };
}

holds! {
    a_sweep_and_a_pass: 4,
    a_sweep_that_fell_off_the_log: 4,
    a_subscribe_and_a_tick: 4,
    a_roomy_subscribe_and_a_tick: 4,
    a_resume_and_a_tick: 4,
    a_subscribe_behind_a_turn_of_others: 4,
    a_choked_subscribe_and_a_tick: 4,
    an_unsubscribe_and_a_pass: 5,
    an_unsubscribe_a_subscribe_and_a_pass: 4,
    two_changes: 6,
    two_channels: 4,
    the_last_goes_and_another_comes: 6,
    the_last_leaves_and_another_joins: 3,
    a_sweep_and_an_aside: 4,
    a_subscribe_and_an_aside: 4,
    a_resume_and_an_aside: 4,
    a_ride_and_ticks: 4,
    a_tight_ride_and_ticks: 4,
    a_ride_and_an_aside: 4,
    a_ride_an_unsubscribe_and_a_subscribe: 4,
    two_rides: 4,
    a_subscribe_and_what_others_have: 4,
    a_sweep_and_what_others_have: 4,
    a_ride_and_what_others_have: 4,
    a_whole_ride_and_what_others_have: 4,
    a_sum_and_what_others_have: 4,
}

/// Every mutant, with a scenario that finds it and what it finds.
macro_rules! is_found {
    ($($test:ident: $mutant:ident in $scenario:ident, $finding:literal;)*) => {
        mod is_found {
            $(#[test]
            #[should_panic(expected = $finding)]
            fn $test() {
                super::explore(3, super::Mutant::$mutant, super::$scenario);
            })*
        }
    };
}

is_found! {
    a_visit_that_looks_before_locking: VisitLooksBeforeLocking in an_unsubscribe_and_a_pass,
        "a frame after the ok of unsubscribe";
    a_sweep_that_lets_go_before_flowing: LetsGoBeforeFlowing in a_sweep_and_a_pass,
        "a subscriber was left behind";
    a_want_while_choked: WantsWhileChoked in a_choked_subscribe_and_a_tick,
        "a subscriber was left behind";
    a_choke_without_a_wake: ChokesWithoutWaking in a_subscribe_and_a_tick,
        "a cut frame was left unfinished";
    a_reply_that_overtakes_a_tail: RepliesOvertakeATail in a_choked_subscribe_and_a_tick,
        "a frame was cut by another";
    a_flusher_that_ends_in_another_hold: EndsInAnotherHold in two_changes,
        "a flusher ended while something was owed";
    a_second_flusher: StartsTwice in two_changes,
        "a subscriber was left behind";
    a_snapshot_apart_from_its_subscription: SnapshotApart in a_roomy_subscribe_and_a_tick,
        "a subscriber was left behind";
    a_cursor_that_outlives_its_unsubscribe: LeavesTheCursorAlive in an_unsubscribe_and_a_pass,
        "a frame after the ok of unsubscribe";
    a_reaper_that_looks_once: ReapsWithoutLookingAgain in the_last_leaves_and_another_joins,
        "a subscriber of a channel that is gone";
    a_channel_entered_when_dead: EntersTheDead in the_last_goes_and_another_comes,
        "a channel was removed with a subscriber in it";
    an_aside_that_was_missed: ForgetsWhoMissedAnAside in a_sweep_and_an_aside,
        "a replica differs from the truth";
    an_aside_behind_its_snapshot: AsidesBehindSnapshots in a_roomy_subscribe_and_a_tick,
        "an aside of what was known";
    an_aside_within_a_snapshot: ForgetsAsidesWithinASnapshot in a_subscribe_and_an_aside,
        "a replica differs from the truth";
    a_place_that_is_forgotten: ForgetsThePlace in a_subscribe_and_a_tick,
        "a subscriber was left behind";
    what_came_within_a_snapshot: SkipsWhatCameMeanwhile in a_subscribe_and_a_tick,
        "a replica differs from the truth";
    a_resume_past_an_aside: ResumesPastAnAside in a_resume_and_an_aside,
        "a replica differs from the truth";
    a_convoy_that_is_forgotten: ForgetsTheConvoy in a_ride_and_ticks,
        "a subscriber was left behind";
    an_aside_between_two_parts: ArrivesWithoutWhatItMissed in a_ride_and_an_aside,
        "a replica differs from the truth";
    what_is_kept_while_others_have_their_turn: ForgetsWhatIsKept in a_subscribe_behind_a_turn_of_others,
        "a request was read and forgotten";
    ticks_between_two_parts: ArrivesAtAnOldTick in a_ride_and_ticks,
        "a subscriber was left behind";
    a_channel_that_opens_unseen: OpensWithoutSettling in a_subscribe_and_what_others_have,
        "a flusher ended while something was owed";
    who_was_told_less: ForgetsWhoWasToldLess in a_ride_and_what_others_have,
        "a subscriber was left behind";
}
