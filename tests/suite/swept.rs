//! What a slow subscriber knows, whose snapshot comes a member at a time while the channel changes.

use std::collections::BTreeMap;

use herenow::presence::{ChannelState, SnapshotPlace, Viewer};
use herenow_protocol::reply::{MemberView, SnapshotReason};
use herenow_protocol::{Event, ServerFrame, UserId};

/// A slow subscriber: where it stands, and what it knows.
pub(crate) struct Swept {
    at: At,
    parts: BTreeMap<UserId, MemberView>,
    members: BTreeMap<UserId, MemberView>,
    pub(crate) snapshots: usize,
}

enum At {
    Begin,
    Within(SnapshotPlace),
    Next(u64),
}

impl Swept {
    pub(crate) fn new() -> Self {
        let (parts, members) = (BTreeMap::new(), BTreeMap::new());
        Self { at: At::Begin, parts, members, snapshots: 0 }
    }

    /// The next that its socket takes. The result: all that it knows, if it has all that was told.
    pub(crate) fn read(
        &mut self,
        core: &ChannelState,
        viewer: Viewer<'_>,
    ) -> Option<&BTreeMap<UserId, MemberView>> {
        let place = match self.at {
            At::Begin => core.begin_snapshot(SnapshotReason::Resync),
            At::Within(place) => place,
            At::Next(seq) => {
                let Some((bytes, next)) = core.first_since(seq, 0) else {
                    self.at = At::Begin;
                    return None;
                };
                frames(bytes).into_iter().for_each(|frame| self.hear(frame));
                self.at = At::Next(next);
                return (next == core.next_seq()).then_some(&self.members);
            }
        };
        let (part, next) = core.snapshot_part(place, viewer, 0);
        assert!(part.members.len() <= 1 && part.more == next.is_some() && part.seq == place.seq);
        let views = part.members.iter().map(|member| (member.user.clone(), member.view()));
        self.parts.extend(views);
        self.at = match next {
            Some(next) => At::Within(next),
            None => {
                self.members = std::mem::take(&mut self.parts);
                self.snapshots += 1;
                if place.missed { At::Begin } else { At::Next(place.seq + 1) }
            }
        };
        None
    }

    /// A tick told it something that no log holds, and its socket did not take it.
    pub(crate) fn miss(&mut self) {
        match &mut self.at {
            At::Within(place) => place.missed = true,
            at => *at = At::Begin,
        }
    }

    fn hear(&mut self, frame: ServerFrame) {
        let ServerFrame::Presence { events, .. } = frame else { panic!("the log told {frame:?}") };
        for event in events {
            match event {
                Event::Join { user, info, attributes, away, at } => {
                    let member =
                        MemberView { user: user.clone(), info, attributes, away, joined_at: at };
                    self.members.insert(user, member);
                }
                Event::Leave { user, .. } | Event::Timeout { user, .. } => {
                    self.members.remove(&user);
                }
                Event::UpdateAttributes { user, attributes, info, away, joined_at, .. } => {
                    let Some(member) = self.members.get_mut(&user) else { continue };
                    member.attributes = attributes;
                    member.info = info.unwrap_or_else(|| member.info.clone());
                    member.away = away.unwrap_or(member.away);
                    member.joined_at = joined_at.unwrap_or(member.joined_at);
                }
            }
        }
    }
}

/// The frames of one or more unmasked WebSocket text messages.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<ServerFrame> {
    let mut frames = Vec::new();
    while let [0x81, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (usize::from(*short), rest),
        };
        frames.push(serde_json::from_slice(&rest[..length]).unwrap());
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "a message does not end where its header says");
    frames
}
