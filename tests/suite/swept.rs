//! What a slow subscriber knows, whose snapshot comes a member at a time while the channel changes.

use std::collections::BTreeMap;

use herenow::now::Now;
use herenow::presence::{Bounds, ChannelState, Command, Lasts, SnapshotPlace, Source, Viewer};
use herenow_protocol::reply::{MemberView, SnapshotReason};
use herenow_protocol::{Audience, ChannelName, Epoch, Event, LeaveReason, ServerFrame, UserId};

use crate::commands;

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

/// What a tick has still to tell is shown as it was, also where a part has room for just as many
/// members as are touched.
#[test]
fn a_snapshot_is_whole_however_many_members_are_changing() {
    let (name, now) =
        (ChannelName::parse("room", "channel").unwrap(), Now { mono_ms: 1, unix_ms: 1 });
    let bounds = Bounds { members: 99, attribute_bytes: 99, attribute_keys: 9, roster: 99 };
    let id = |n: u64| UserId::parse(&format!("user-{n}"), "user").unwrap();
    let come = |core: &mut ChannelState, n: u64, visible_to: Audience| {
        let join = commands::join(
            id(n),
            Source::connection(n),
            None,
            Some(visible_to),
            Lasts::Connection { grace_ms: 0 },
        );
        core.apply(join, now, &bounds, |_| {}).unwrap();
    };
    for changing in 0..=5 {
        let mut core = ChannelState::new(Epoch::from_random(7));
        (1..=5).for_each(|n| come(&mut core, n, Audience::EVERYONE));
        come(&mut core, 6, Audience::parse([]).unwrap());
        core.tick(&name, now, &bounds);
        // Those who go are still shown, who comes is not yet, and the hidden one never.
        for n in 1..=changing {
            let (user, source) = (id(n), Source::connection(n));
            let leave = Command::Leave { user, source, reason: LeaveReason::Left };
            core.apply(leave, now, &bounds, |_| {}).unwrap();
        }
        come(&mut core, 7, Audience::EVERYONE);
        let leave = Command::Leave {
            user: id(6),
            source: Source::connection(6),
            reason: LeaveReason::Left,
        };
        core.apply(leave, now, &bounds, |_| {}).unwrap();
        // Each takes 104 bytes: 96, its name and `{}`.
        for bytes in [0, 100, 208, 288, 312, 10_000] {
            let (mut shown, mut below) = (Vec::new(), Some(u64::MAX));
            while let Some(from) = below {
                let (part, next) = core.told_part(from, Viewer::Public, bytes);
                let left = 5 - shown.len();
                assert_eq!(part.len(), (bytes / 104).clamp(1, 5).min(left), "{bytes} bytes");
                shown.extend(part.iter().map(|member| member.user.clone()));
                below = next;
            }
            let all: Vec<_> = (1..=5).rev().map(id).collect();
            assert_eq!(shown, all, "{changing} are changing, {bytes} bytes");
        }
        let tally = core.told_tally();
        assert_eq!((tally.count, tally.seq), (5, core.next_seq() - 1), "{changing} are changing");
    }
}
