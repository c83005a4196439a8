//! What a batch is made of, and how it reads.

use std::time::{Duration, UNIX_EPOCH};

use herenow_protocol::{ChannelName, Epoch, Event, ServerFrame};
use humantime::format_rfc3339_millis;
use serde::Serialize;

use crate::presence::{Changes, Part, Viewer};

/// What the receiver of a webhook may want to be told of. A gap, and the broker's start, it is told in
/// any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user became a member.
    Join,
    /// A member left.
    Leave,
    /// A member was lost.
    Timeout,
    /// What a member says of itself changed.
    UpdateAttributes,
    /// The first member came.
    Occupied,
    /// The last member went.
    Vacated,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Join,
        Self::Leave,
        Self::Timeout,
        Self::UpdateAttributes,
        Self::Occupied,
        Self::Vacated,
    ];

    /// The kind as files and batches write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Timeout => "timeout",
            Self::UpdateAttributes => "updateAttributes",
            Self::Occupied => "occupied",
            Self::Vacated => "vacated",
        }
    }

    fn of(event: &Event) -> Self {
        match event {
            Event::Join { .. } => Self::Join,
            Event::Leave { .. } => Self::Leave,
            Event::Timeout { .. } => Self::Timeout,
            Event::UpdateAttributes { .. } => Self::UpdateAttributes,
        }
    }
}

/// Why something is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum GapReason {
    /// The webhook is new, and the channel is not.
    Began,
    /// There was no room left for what waited for the receiver.
    Overflow,
    /// The broker itself could not keep up.
    Behind,
    /// Another node of the cluster told of it until now.
    Moved,
}

/// One of the things in a batch, in the order in which they happened in their channel.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Item<'a> {
    /// What changed, as a frame over WebSocket tells it, and in which history.
    Presence {
        /// Where.
        channel: &'a ChannelName,
        /// The history that `seq` counts in.
        epoch: Epoch,
        /// The frame's number.
        seq: u64,
        /// Members that everyone may see, after it.
        count: u64,
        /// What changed, as far as it was asked for.
        events: &'a [Event],
    },
    /// The first member came.
    Occupied(Turn<'a>),
    /// The last member went.
    Vacated(Turn<'a>),
    /// What is not told.
    Gap(Gap<'a>),
    /// The broker began: it knows of nobody who is not told behind this, unless it is one node of several.
    Started {
        /// When, in milliseconds since 1970.
        at: u64,
    },
}

/// See [`Item::Occupied`].
#[derive(Debug, Serialize)]
pub struct Turn<'a> {
    channel: &'a ChannelName,
    epoch: Epoch,
    seq: u64,
    at: u64,
}

/// See [`Item::Gap`].
#[derive(Clone, Debug, Serialize)]
pub struct Gap<'a> {
    /// Where; absent: in any channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'a ChannelName>,
    /// Frames of this history, and perhaps earlier ones.
    #[serde(flatten)]
    pub span: Option<Span>,
    /// Why.
    pub reason: GapReason,
}

/// Frames of one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The history.
    pub epoch: Epoch,
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

impl Span {
    /// Adds what lies behind it. Of another history that alone counts: the earlier one is over.
    pub fn extend(&mut self, by: Self) {
        if self.epoch == by.epoch {
            self.from = self.from.min(by.from);
            self.to = self.to.max(by.to);
        } else {
            *self = by;
        }
    }
}

impl Item<'_> {
    /// The item as it stands in a batch.
    #[must_use]
    pub fn encode(&self) -> Box<str> {
        // A map with texts as its keys: it is always encoded.
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

/// The frames that a tick came to. Where it told only some viewers of something, the one before.
#[must_use]
pub fn span_of(epoch: Epoch, changes: &Changes) -> Span {
    let to = changes.next_seq() - 1;
    Span { epoch, from: changes.first_seq().min(to), to }
}

/// What one tick, which came to `span`, is to whoever asked for `kinds`.
#[must_use]
pub fn of_changes(
    kinds: &[Kind],
    channel: &ChannelName,
    span: Span,
    changes: &Changes,
) -> Vec<Box<str>> {
    let epoch = span.epoch;
    let wants = |kind| kinds.contains(&kind);
    let at = changes.changed().iter().map(|changed| changed.at()).max().unwrap_or_default();
    let turn = |seq| Turn { channel, epoch, seq, at };
    let mut items = Vec::new();
    let (before, after) = changes.members();
    if before == 0 && after > 0 && wants(Kind::Occupied) {
        items.push(Item::Occupied(turn(span.from)).encode());
    }
    for frame in changes.frames(channel, Viewer::All) {
        let ServerFrame::Presence { seq, count, mut events, .. } = frame else { continue };
        events.retain(|event| wants(Kind::of(event)));
        if !events.is_empty() {
            items.push(Item::Presence { channel, epoch, seq, count, events: &events }.encode());
        }
    }
    if before > 0 && after == 0 && wants(Kind::Vacated) {
        items.push(Item::Vacated(turn(span.to)).encode());
    }
    items
}

/// Those whom the broker found where it knew of nobody, after `seq`, as whoever asked for `kinds` is told
/// that they joined. `first`: nobody was told of before them.
#[must_use]
pub fn of_found(
    kinds: &[Kind],
    channel: &ChannelName,
    epoch: Epoch,
    part: &Part,
    first: bool,
) -> Vec<Box<str>> {
    let mut items = Vec::new();
    let Part { seq, count, members, .. } = part;
    let Some(newest) = members.iter().map(|member| member.joined_at).max() else { return items };
    if first && kinds.contains(&Kind::Occupied) {
        let turn = Turn { channel, epoch, seq: *seq, at: newest };
        items.push(Item::Occupied(turn).encode());
    }
    if kinds.contains(&Kind::Join) {
        let events: Vec<_> = members.iter().rev().map(|member| member.join()).collect();
        let (seq, count, events) = (*seq, *count, &*events);
        items.push(Item::Presence { channel, epoch, seq, count, events }.encode());
    }
    items
}

/// A batch of `items`, made at `unix_ms` by `node`, if it is one of several.
#[must_use]
pub fn batch(items: &[Box<str>], unix_ms: u64, node: Option<&str>) -> Vec<u8> {
    let made = format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(unix_ms));
    let node = node.map(|node| format!(r#""node":"{node}","#)).unwrap_or_default();
    let head = format!(r#"{{"type":"presence","timestamp":"{made}",{node}"events":["#);
    let bytes = items.iter().map(|item| item.len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(head.len() + bytes + 2);
    body.extend_from_slice(head.as_bytes());
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        body.extend_from_slice(item.as_bytes());
    }
    body.extend_from_slice(b"]}");
    body
}
