//! What a client makes of the bytes that it read, and what it must never see.

use crate::socket::{Byte, Message, Values};

/// Where a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) epoch: u8,
    pub(crate) seq: u8,
    pub(crate) values: [u8; 2],
    pub(crate) whispers: u8,
}

/// A client's knowledge of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replica {
    Unsubscribed,
    /// Waits for its snapshot.
    Waiting,
    /// Has the first part of one.
    Within(Since),
    Synced(Since),
}

fn apply(known: &mut [u8; 2], values: Values) {
    for (known, told) in known.iter_mut().zip(values) {
        *known = told.unwrap_or(*known);
    }
}

/// Puts the messages together: no message may begin before the one before it has ended.
fn messages(bytes: &[Byte]) -> Vec<Message> {
    bytes
        .chunks(Byte::ALL)
        .map(|chunk| {
            assert_eq!(chunk.len(), Byte::ALL, "a cut frame was left unfinished");
            let whole = chunk.iter().map(|byte| (byte.message, byte.number));
            let expected = (0..Byte::ALL).map(|number| (chunk[0].message, number));
            assert!(whole.eq(expected), "a frame was cut by another: {bytes:?}");
            chunk[0].message
        })
        .collect()
}

/// What a client knows of both channels after it has read `bytes`.
pub(crate) fn replicas(bytes: &[Byte]) -> [Replica; 2] {
    let mut replicas = [Replica::Unsubscribed; 2];
    for message in messages(bytes) {
        match message {
            Message::Subscribed { channel, resumed } => {
                replicas[channel] = resumed.map_or(Replica::Waiting, Replica::Synced);
            }
            Message::Unsubscribed { channel } => replicas[channel] = Replica::Unsubscribed,
            Message::Snapshot { channel, epoch, seq, half: 0, value, whispers } => {
                let told = replicas[channel] != Replica::Unsubscribed;
                assert!(told, "a snapshot before the ok of subscribe or after that of unsubscribe");
                let midst = matches!(replicas[channel], Replica::Within(_));
                assert!(!midst, "a snapshot that begins in the midst of another");
                if let Replica::Synced(known) = replicas[channel] {
                    // Whoever missed an aside can't tell whether it had any part in it.
                    let news = known.epoch < epoch || known.seq < seq || whispers > 0;
                    assert!(news, "a snapshot of what was known");
                }
                let begun = Since { epoch, seq, values: [value, 0], whispers };
                replicas[channel] = Replica::Within(begun);
            }
            Message::Snapshot { channel, epoch, seq, value, .. } => {
                let Replica::Within(begun) = replicas[channel] else {
                    panic!("a snapshot goes on that did not begin")
                };
                assert_eq!((begun.epoch, begun.seq), (epoch, seq), "parts of two snapshots");
                let values = [begun.values[0], value];
                replicas[channel] = Replica::Synced(Since { values, ..begun });
            }
            Message::Presence { channel, seq, values } => {
                let Replica::Synced(known) = &mut replicas[channel] else {
                    panic!("a frame after the ok of unsubscribe, or before any snapshot")
                };
                assert_eq!(seq, known.seq + 1, "a frame doubled, lost or out of order");
                known.seq = seq;
                apply(&mut known.values, values);
            }
            Message::Aside { channel, seq, values, whispers } => {
                let Replica::Synced(known) = &mut replicas[channel] else {
                    panic!("an aside after the ok of unsubscribe, or before any snapshot")
                };
                let expected = known.seq + u8::from(values != [None, None]);
                assert_eq!(seq, expected, "an aside that does not follow what was known");
                assert!(known.whispers < whispers, "an aside of what was known");
                (known.seq, known.whispers) = (seq, whispers);
                apply(&mut known.values, values);
            }
        }
    }
    replicas
}
