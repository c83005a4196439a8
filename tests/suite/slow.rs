//! Readers that stop, crawl and come back: what they miss, what they get, and that nobody else
//! notices.

use std::net::SocketAddr;
use std::time::Duration;

use herenow::limits::OWN_PART_BYTES;
use herenow_protocol::ServerFrame;
use herenow_protocol::reply::{MemberView, SnapshotReason};
use serde_json::json;
use tokio::time::timeout;

use crate::broker::{Broker, Process, until};
use crate::client::{Client, Replica};
use crate::seed::seed;
use crate::wire::{Got, TEXT, Wire, frame, small_socket};

/// A broker that counts no frames and is patient with slow readers.
fn broker() -> Broker {
    Broker::with(|config| {
        config.limits.max_frames_burst = 1_000_000;
        config.limits.max_frames_per_second = 1_000_000;
        config.limits.max_write_time = Duration::from_secs(60);
        config.limits.max_message_bytes = 1 << 20;
        config.limits.max_attribute_bytes = 1 << 19;
    })
}

/// Writes `text` of so many bytes, marked by a number.
async fn write(client: &mut Client, channel: &str, n: usize, bytes: usize) {
    let attributes = json!({"n": n, "text": "x".repeat(bytes)});
    client.ok(json!({"type": "setAttributes", "channel": channel, "attributes": attributes})).await;
}

/// A reader that sleeps through thousands of changes gets what was on its way, and then a snapshot
/// instead of what it missed. Its neighbour gets every frame.
#[tokio::test]
async fn a_reader_that_slept_is_resynced() {
    let broker = broker();
    let mut slow = Client::over(small_socket(broker.address()).await, "slow").await;
    let mut asleep = slow.observe("room").await;
    let mut fast = broker.connect("fast").await;
    let mut awake = fast.observe("room").await;
    let fast = tokio::spawn(async move {
        let mut frames = 0;
        while !awake.users().contains(&"bob") {
            let frame = fast.next().await;
            assert!(matches!(frame, ServerFrame::Presence { .. }), "disturbed: {frame:?}");
            awake.apply(&frame);
            frames += 1;
        }
        (fast, awake, frames)
    });
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    for n in 0..3_000 {
        write(&mut ada, "room", n, 500).await;
        // Others come and go meanwhile.
        if n % 500 == 0 {
            let mut guest = broker.connect(&format!("guest-{n}")).await;
            guest.ok("join room").await;
            if n % 1_000 == 0 {
                guest.close(1000).await;
            } else {
                guest.kill();
            }
        }
    }
    let mut bob = broker.connect("bob").await;
    bob.ok("join room last=1").await;
    let (mut fast, mut awake, frames) = fast.await.unwrap();
    assert!(frames > 1_000, "only {frames} frames");
    awake.assert_equals(&fast.members("room").await);

    let mut resyncs = 0;
    let mut heard = 0;
    while asleep.since() != awake.since() || !asleep.is_whole() {
        let frame = slow.next().await;
        if let ServerFrame::Snapshot { reason, .. } = &frame {
            assert_eq!(*reason, SnapshotReason::Resync);
            resyncs += 1;
        }
        asleep.apply(&frame);
        heard += 1;
    }
    assert!(resyncs >= 1 && heard < frames, "{heard} of {frames} frames, {resyncs} resyncs");
    assert_eq!(asleep.members(), awake.members());
    // Both go on as if nothing had been.
    ada.ok("set room awake=1").await;
    asleep.apply(&slow.next().await);
    awake.apply(&fast.next().await);
    assert_eq!((asleep.since(), asleep.members()), (awake.since(), awake.members()));
    slow.expect_quiet().await;
}

/// Someone who takes a few bytes at a time, of two channels, replies and pongs.
pub(crate) struct Crawler {
    wire: Wire,
    random: fastrand::Rng,
    replicas: [Replica; 2],
    resyncs: [usize; 2],
    asked: u64,
    answered: u64,
    pinged: u64,
    ponged: u64,
}

const CRAWLED: [&str; 2] = ["east", "west"];

impl Crawler {
    /// Asks something now and then.
    async fn ask(&mut self) {
        if self.random.u8(..) < 64 {
            let id = self.asked;
            let query = json!({"type": "getCount", "channel": CRAWLED[0], "id": id});
            self.wire.say(&query.to_string()).await;
            self.asked += 1;
        }
        if self.random.u8(..) < 64 {
            self.wire.ping(&self.pinged.to_be_bytes()).await;
            self.pinged += 1;
        }
    }

    /// Takes a frame, whatever it is.
    async fn take(&mut self) {
        let frame: ServerFrame = match self.wire.next().await {
            Got::Text(text) => serde_json::from_str(&text).unwrap(),
            Got::Pong(payload) => {
                assert_eq!(payload, self.ponged.to_be_bytes());
                self.ponged += 1;
                return;
            }
            Got::Ping(_) => return,
            other => panic!("{other:?}"),
        };
        if let ServerFrame::Result { .. } = frame {
            assert_eq!(json!(frame)["id"], self.answered);
            self.answered += 1;
        }
        for (n, its) in CRAWLED.iter().enumerate() {
            self.replicas[n].apply(&frame);
            let ServerFrame::Snapshot { channel, reason, .. } = &frame else { continue };
            let resync = channel.as_str() == *its && *reason == SnapshotReason::Resync;
            self.resyncs[n] += usize::from(resync);
        }
    }

    /// Whether it has its answers, and knows of the last change of each channel.
    fn has_all(&self, last: usize) -> bool {
        let knows = |replica: &Replica| {
            let written = |member: &MemberView| member.attributes.to_map()["n"] == json!(last);
            replica.is_whole() && replica.members().values().any(written)
        };
        self.replicas.iter().all(knows) && (self.answered, self.ponged) == (self.asked, self.pinged)
    }
}

/// No frame is ever cut by another, and each channel stays in order.
#[tokio::test]
async fn frames_never_interleave_on_a_crawling_connection() {
    let crawler = crawl(broker().address(), 60).await;
    assert!(crawler.resyncs.iter().all(|&n| n > 0), "it never lagged: {:?}", crawler.resyncs);
}

/// The same where catching up and passes run on several threads, with readers about as fast as the
/// writers, so that their sockets are full and free again all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_never_interleave_with_threads_either() {
    let broker = Process::start(&["--max-frames-burst=1000000", "--max-attribute-bytes=16384"]);
    for most in [3_000, 10_000, 30_000] {
        crawl(broker.address(), most).await;
    }
}

/// Reads what comes, less than `most` bytes at a time, while both channels are busy.
pub(crate) async fn crawl(address: SocketAddr, most: usize) -> Crawler {
    const CHANGES: usize = 400;
    let mut random = fastrand::Rng::with_seed(seed("frames_never_interleave"));
    let wire = Wire::connect_small(address, "crawler").await;
    let replicas = CRAWLED.map(Replica::lagging);
    let (resyncs, asked, answered, pinged, ponged) = ([0, 0], 0, 0, 0, 0);
    let forked = random.fork();
    let mut crawler =
        Crawler { wire, random: forked, replicas, resyncs, asked, answered, pinged, ponged };
    let mut writers = Vec::new();
    for channel in CRAWLED {
        let mut writer = Client::connect(address, &format!("{channel}-writer")).await;
        writer.ok(format!("join {channel} n=none")).await;
        let bytes: Vec<usize> = (0..CHANGES).map(|_| random.usize(0..12_000)).collect();
        writers.push(tokio::spawn(async move {
            for (n, bytes) in bytes.into_iter().enumerate() {
                write(&mut writer, channel, n, bytes).await;
            }
            writer
        }));
        crawler.wire.say(&format!("sub {channel}")).await;
    }
    while !crawler.has_all(CHANGES - 1) {
        if writers.iter().any(|writer| !writer.is_finished()) {
            crawler.wire.sip(random.usize(1..most));
            crawler.ask().await;
        } else {
            crawler.wire.sip(5_000);
        }
        crawler.take().await;
    }
    assert!(crawler.asked > 0 && crawler.pinged > 0);
    for ((writer, replica), channel) in writers.into_iter().zip(&crawler.replicas).zip(CRAWLED) {
        let mut writer = writer.await.unwrap();
        replica.assert_equals(&writer.members(channel).await);
        writer.ok(format!("leave {channel}")).await;
    }
    crawler
}

/// Whoever reads again, and resumes at just that moment, has caught up and is slow no more. A reader
/// is never too slow for good because its socket drained while its own request was looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_resumes_while_catching_up_is_not_let_go() {
    const READERS: usize = 24;
    let write_time = Duration::from_secs(1);
    let broker = Process::start(&[
        "--max-frames-burst=1000000",
        "--max-attribute-bytes=16384",
        "--max-write-time=1s",
    ]);
    let mut ada = broker.connect("ada").await;
    ada.ok("join room").await;
    let mut readers = Vec::new();
    for n in 0..READERS {
        let mut reader = Wire::connect_small(broker.address(), &format!("reader-{n}")).await;
        reader.say("sub room").await;
        let epoch = reader.json().await["epoch"].clone();
        readers.push((reader, epoch));
    }
    // More than the sockets of all these hold, as they do not read.
    for n in 0..40 {
        write(&mut ada, "room", n, 8_000).await;
    }
    let readers = readers.into_iter().map(|(mut reader, epoch)| {
        tokio::spawn(async move {
            // Many frames to look at, with a resume at their end; meanwhile the socket drains.
            let since = json!({"epoch": epoch, "seq": 40});
            let resume = json!({"type": "subscribe", "channel": "room", "since": since});
            let mut bytes = frame(TEXT, b"hb").repeat(7_000);
            bytes.extend(frame(TEXT, resume.to_string().as_bytes()));
            reader.write_on(bytes);
            // What comes comes within the write timeout, and then nothing does.
            loop {
                match timeout(2 * write_time, reader.next()).await {
                    Ok(Got::Text(_)) => {}
                    Ok(end) => panic!("{end:?}"),
                    Err(_) => return,
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
}

/// However many readers stop in the midst of a large snapshot, and at however many different moments:
/// none of them is closed for another's sake, little is kept for them, and each has the truth once it
/// reads.
#[tokio::test]
async fn however_many_stop_each_has_the_truth_in_the_end() {
    const READERS: usize = 40;
    let broker = broker();
    let mut giants = Vec::new();
    for n in 0..40 {
        let mut giant = broker.connect(&format!("giant-{n}")).await;
        giant.ok("join room").await;
        write(&mut giant, "room", n, 15_000).await;
        giants.push(giant);
    }
    let mut stopped = Vec::new();
    let mut dwarfs = Vec::new();
    for n in 0..READERS {
        let mut reader = Wire::connect_small(broker.address(), &format!("reader-{n}")).await;
        reader.say("sub room").await;
        // Its snapshot begins to come, and nobody reads it.
        reader.readable().await;
        stopped.push(reader);
        // The next one gets another.
        let mut dwarf = broker.connect(&format!("dwarf-{n}")).await;
        dwarf.ok("join room").await;
        dwarfs.push(dwarf);
    }
    let kept = broker.hub().backlog().bytes();
    assert!((1..=READERS * OWN_PART_BYTES).contains(&kept), "{kept} bytes are kept");
    let truth = giants[0].all_members("room").await;
    for (n, reader) in stopped.iter_mut().enumerate() {
        let mut replica = Replica::lagging("room");
        while !replica.is_whole() || replica.users().len() < giants.len() + dwarfs.len() {
            match reader.next().await {
                Got::Text(text) => replica.apply(&serde_json::from_str(&text).unwrap()),
                Got::Ping(_) => {}
                end => panic!("reader {n}: {end:?}"),
            }
        }
        replica.assert_equals(&truth);
    }
    until("nothing is kept", || broker.hub().backlog().bytes() == 0).await;
    // They are served as ever.
    giants[0].ok("set room small=1").await;
    for reader in &mut stopped {
        let Some(ServerFrame::Presence { events, .. }) = reader.frame().await else {
            panic!("no frame")
        };
        assert_eq!(events[0].user().as_str(), "giant-0");
    }
}
