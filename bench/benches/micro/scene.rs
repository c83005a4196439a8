//! Channels with members in them.

use herenow::now::Now;
use herenow::presence::{Bounds, ChannelState, Command, Lasts, Source};
use herenow_protocol::{AttributeMap, ChannelName, Epoch, UserId};
use serde_json::json;

pub(crate) fn now(mono_ms: u64) -> Now {
    Now { mono_ms, unix_ms: 1_795_348_640_000 + mono_ms }
}

/// Of the length that ids have.
pub(crate) fn user(number: usize) -> UserId {
    UserId::parse(&format!("user-{number:06}"), "user").unwrap()
}

pub(crate) fn name() -> ChannelName {
    ChannelName::parse("room", "channel").unwrap()
}

/// A mood and a number that changes: some 30 bytes.
pub(crate) fn attributes(number: usize) -> AttributeMap {
    json!({"mood": "happy", "step": number}).as_object().unwrap().clone()
}

pub(crate) fn join(number: usize) -> Command {
    let attributes = Some(attributes(number));
    let (user, source) = (user(number), Source::connection(number as u64 + 1));
    let (info, visible_to, away, lasts) = (None, None, None, Lasts::Connection { grace_ms: 0 });
    Command::Join { user, source, attributes, merge: false, info, visible_to, away, lasts }
}

pub(crate) fn set(number: usize, step: usize, ttl_ms: Option<u64>) -> Command {
    let (user, source, attributes) =
        (user(number), Source::connection(number as u64 + 1), attributes(step));
    Command::SetAttributes { user, source, attributes, merge: false, ttl_ms }
}

/// Those of a broker without flags.
pub(crate) const BOUNDS: Bounds =
    Bounds { members: 100_000, roster: 1_000, attribute_bytes: 4_096, attribute_keys: 64 };

/// A channel and the time in it.
pub(crate) struct Scene {
    pub(crate) channel: ChannelState,
    pub(crate) now_ms: u64,
}

impl Scene {
    /// A channel whose members, so many, have been told.
    pub(crate) fn new(members: usize) -> Self {
        let mut scene = Self { channel: ChannelState::new(Epoch::from_random(7)), now_ms: 0 };
        for number in 0..members {
            scene.apply(join(number));
        }
        scene.tell();
        scene
    }

    pub(crate) fn apply(&mut self, command: Command) {
        self.channel.apply(command, now(self.now_ms), &BOUNDS, |_| {}).unwrap();
    }

    /// A tick, so that what is pending doesn't pile up.
    pub(crate) fn tell(&mut self) {
        self.channel.tick(&name(), now(self.now_ms), &BOUNDS);
    }
}
