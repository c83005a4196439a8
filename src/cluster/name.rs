//! What things are called in the store.
//!
//! Channels are divided into [`GROUPS`] groups by a hash of their name. What belongs to the channels
//! of one group has a hash tag in its name, `{g00}` to `{g63}`, so that in a Redis Cluster it lies in
//! one slot, and one script can touch all of it. Names that people choose are percent-encoded: no
//! brace of theirs chooses a slot, and no colon of theirs ends a part.

use std::fmt;

use form_urlencoded::{byte_serialize, parse};
use herenow_protocol::{ChannelName, UserId};

use crate::presence::NodeId;

/// Groups of channels. Never to be changed: nodes of two versions must find each other's channels.
pub const GROUPS: u8 = 64;

/// One group of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(u8);

impl Group {
    /// The group in which a channel is.
    #[must_use]
    pub fn of(channel: &ChannelName) -> Self {
        // FNV-1a: the same everywhere and for ever. Whoever chooses names may choose the group, as
        // with any slot of a cluster.
        let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = channel.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, step);
        // The lowest bits of the hash depend on the lowest of the bytes alone.
        Self(((hash >> 32 ^ hash >> 7) % u64::from(GROUPS)) as u8)
    }

    /// Every group.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..GROUPS).map(Self)
    }

    /// Its number, below [`GROUPS`].
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Group {
    /// The hash tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{g{:02}}}", self.0)
    }
}

/// The names of all keys and topics, which begin alike.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: Box<str>,
}

impl Names {
    /// Names that begin with `prefix` and a colon.
    ///
    /// # Errors
    /// The rule that the prefix breaks: 1 to 64 letters, digits and `-`, `_`, `.`, `:`. A brace would
    /// choose the slot of everything.
    pub fn new(prefix: &str) -> Result<Self, &'static str> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if (1..=64).contains(&prefix.len()) && prefix.bytes().all(is_fine) {
            return Ok(Self { prefix: prefix.into() });
        }
        Err("must be 1 to 64 letters, digits, \"-\", \"_\", \".\" or \":\"")
    }

    fn of_channel(&self, kind: char, channel: &ChannelName) -> String {
        let (prefix, group) = (&self.prefix, Group::of(channel));
        format!("{prefix}:{group}:{kind}:{}", encoded(channel.as_str()))
    }

    /// Hash: a channel's users, each with its record.
    #[must_use]
    pub fn records(&self, channel: &ChannelName) -> String {
        self.of_channel('c', channel)
    }

    /// Hash: a channel's `version`, and its `last` number in lists.
    #[must_use]
    pub fn head(&self, channel: &ChannelName) -> String {
        self.of_channel('m', channel)
    }

    /// Sorted set: the members of a large channel by their numbers in lists, those whom not all may see
    /// below zero.
    #[must_use]
    pub fn shown(&self, channel: &ChannelName) -> String {
        self.of_channel('o', channel)
    }

    /// Topic: how many members a large channel has, and the newest of them.
    #[must_use]
    pub fn summary(&self, channel: &ChannelName) -> String {
        self.of_channel('s', channel)
    }

    /// The channel of whose summary this is the topic; `None`: it is none.
    #[must_use]
    pub fn channel_of_summary(&self, topic: &str) -> Option<ChannelName> {
        let channel = self.channel_of('s', topic)?;
        (self.summary(&channel) == topic).then_some(channel)
    }

    /// Topic: what becomes of a channel's members.
    #[must_use]
    pub fn topic(&self, channel: &ChannelName) -> String {
        self.of_channel('t', channel)
    }

    /// The channel whose topic this is; `None`: it is no topic of a channel.
    #[must_use]
    pub fn channel_of_topic(&self, topic: &str) -> Option<ChannelName> {
        let channel = self.channel_of('t', topic)?;
        (self.topic(&channel) == topic).then_some(channel)
    }

    /// The channel that a topic may be of.
    fn channel_of(&self, kind: char, topic: &str) -> Option<ChannelName> {
        let rest = topic.strip_prefix(&*self.prefix)?.strip_prefix(":{g")?;
        let (_, name) = rest.split_once("}:")?;
        channel_named(&decoded(name.strip_prefix(kind)?.strip_prefix(':')?)?)
    }

    /// Sorted set: the channels of a group that have a record, but for those of users' statuses. And the
    /// topic to which each is published that comes to be one.
    #[must_use]
    pub fn channels(&self, group: Group) -> String {
        format!("{}:{group}:channels", self.prefix)
    }

    /// Whether this is the topic of a group's new channels.
    #[must_use]
    pub fn is_of_channels(&self, topic: &str) -> bool {
        let rest = topic.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_prefix(":{g"));
        rest.and_then(|rest| rest.split_once("}:")).is_some_and(|(_, kind)| kind == "channels")
    }

    /// Text: the era of a group's data.
    #[must_use]
    pub fn era(&self, group: Group) -> String {
        format!("{}:{group}:era", self.prefix)
    }

    /// Topic: what a node is told by itself.
    #[must_use]
    pub fn inbox(&self, node: NodeId) -> String {
        format!("{}{node}", self.inboxes())
    }

    /// How the name of each node's inbox begins.
    #[must_use]
    pub fn inboxes(&self) -> String {
        format!("{}:node:", self.prefix)
    }

    /// Sorted set: the nodes, each with the end of its lease.
    #[must_use]
    pub fn leases(&self) -> String {
        format!("{}:{{nodes}}:leases", self.prefix)
    }

    /// Hash: the nodes, each with what it tells of itself.
    #[must_use]
    pub fn infos(&self) -> String {
        format!("{}:{{nodes}}:infos", self.prefix)
    }

    /// Hash: the nodes, each with how many members and channels it has.
    #[must_use]
    pub fn counts(&self) -> String {
        format!("{}:{{nodes}}:counts", self.prefix)
    }

    /// Hash: the era of what is known of nodes, and when one last renewed its lease.
    #[must_use]
    pub fn life(&self) -> String {
        format!("{}:{{nodes}}:life", self.prefix)
    }

    /// Set: the channels in which a node has a mark or a lease. A hint.
    #[must_use]
    pub fn channels_of(&self, node: NodeId) -> String {
        format!("{}:n:{node}", self.prefix)
    }

    /// Set: where a user is, each an [`entry`]. A hint.
    #[must_use]
    pub fn places_of(&self, user: &UserId) -> String {
        format!("{}:u:{}", self.prefix, encoded(user.as_str()))
    }
}

/// That a user is in a channel by what a node has: neither has a zero in its name.
#[must_use]
pub fn entry(channel: &ChannelName, node: NodeId) -> String {
    format!("{channel}\0{node}")
}

/// What [`entry`] made; `None`: it did not make this.
#[must_use]
pub fn read_entry(text: &str) -> Option<(ChannelName, NodeId)> {
    let (channel, node) = text.split_once('\0')?;
    Some((channel_named(channel)?, NodeId::parse(node)?))
}

/// The channel of that name, the broker's own included; `None`: no channel has that name.
#[must_use]
pub fn channel_named(text: &str) -> Option<ChannelName> {
    if let Ok(channel) = ChannelName::parse(text, "channel") {
        return Some(channel);
    }
    let user = UserId::parse(text.strip_prefix('$')?.split_once(':')?.1, "user").ok()?;
    let of_status = [ChannelName::of_shown_status(&user), ChannelName::of_own_status(&user)];
    of_status.into_iter().find(|channel| channel.as_str() == text)
}

fn encoded(name: &str) -> String {
    byte_serialize(name.as_bytes()).collect()
}

/// What [`encoded`] made. A text that it did not make may give any name.
fn decoded(text: &str) -> Option<String> {
    parse(text.as_bytes()).next().map(|(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn channel(name: &str) -> ChannelName {
        channel_named(name).unwrap()
    }

    #[test]
    fn a_channel_keeps_its_keys_for_ever() {
        let names = Names::new("herenow").unwrap();
        let room = channel("room {g00}:1");
        assert_eq!(names.records(&room), "herenow:{g05}:c:room+%7Bg00%7D%3A1");
        assert_eq!(names.head(&room), "herenow:{g05}:m:room+%7Bg00%7D%3A1");
        assert_eq!(names.topic(&room), "herenow:{g05}:t:room+%7Bg00%7D%3A1");
        assert_eq!(names.shown(&room), "herenow:{g05}:o:room+%7Bg00%7D%3A1");
        assert_eq!(names.summary(&room), "herenow:{g05}:s:room+%7Bg00%7D%3A1");
        assert_eq!(names.channels(Group::of(&room)), "herenow:{g05}:channels");
        assert_eq!(names.era(Group::of(&room)), "herenow:{g05}:era");
        let node = NodeId::new(0xab);
        assert_eq!(names.inbox(node), "herenow:node:0000000000ab");
        assert_eq!(names.leases(), "herenow:{nodes}:leases");
        assert_eq!(names.infos(), "herenow:{nodes}:infos");
        assert_eq!(names.counts(), "herenow:{nodes}:counts");
        assert_eq!(names.life(), "herenow:{nodes}:life");
        assert_eq!(Group::of(&room).number(), 5);
        assert_eq!(names.channels_of(node), "herenow:n:0000000000ab");
        let user = UserId::parse("{ada}", "user").unwrap();
        assert_eq!(names.places_of(&user), "herenow:u:%7Bada%7D");
    }

    #[test]
    fn groups_are_of_about_one_size() {
        let mut sizes = BTreeMap::<_, u32>::new();
        for number in 0..6_400 {
            *sizes.entry(Group::of(&channel(&format!("room-{number}")))).or_default() += 1;
        }
        assert_eq!(sizes.len(), 64);
        assert!(sizes.values().all(|size| (50..200).contains(size)), "{sizes:?}");
    }

    #[test]
    fn a_prefix_chooses_no_slot() {
        for bad in ["", "a{b", "a}b", "a b", "ä", &"x".repeat(65)] {
            assert!(Names::new(bad).is_err(), "{bad}");
        }
        for good in ["herenow", "app:herenow-2", "a.b_c"] {
            assert!(Names::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_topic_that_is_not_ours_is_no_channel() {
        let names = Names::new("herenow").unwrap();
        let topic = names.topic(&channel("room"));
        assert_eq!(names.channel_of_topic(&topic), Some(channel("room")));
        let index = names.channels(Group::of(&channel("room")));
        assert!(names.is_of_channels(&index) && !names.is_of_channels(&topic));
        assert_eq!(names.channel_of_topic(&index), None);
        let summary = names.summary(&channel("room"));
        assert_eq!(names.channel_of_summary(&summary), Some(channel("room")));
        assert_eq!(names.channel_of_topic(&summary), None);
        assert_eq!(names.channel_of_summary(&topic), None);
        for other in [
            topic.replace("}:t:", "}:c:"),
            topic.replace("herenow", "herenow2"),
            topic.replace("{g", "{h"),
            format!("{topic}%7"),
            format!("{topic}&b"),
            format!("{topic}%00"),
            topic.replace("room", ""),
            topic.replace("room", "%FF"),
            topic.replace("room", "other"),
            String::new(),
        ] {
            assert_eq!(names.channel_of_topic(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_channel_is_found_again_by_its_topic(name in "\\PC{1,50}", kind in 0..3) {
            let text = match kind {
                0 => name,
                1 => format!("$user:{name}"),
                _ => format!("$self:{name}"),
            };
            if let Some(channel) = channel_named(&text) {
                let names = Names::new("a:b").unwrap();
                let topic = names.topic(&channel);
                prop_assert_eq!(topic.matches(['{', '}']).count(), 2);
                prop_assert_eq!(names.channel_of_topic(&topic), Some(channel.clone()));
                let node = NodeId::new(77);
                prop_assert_eq!(read_entry(&entry(&channel, node)), Some((channel, node)));
            }
        }
    }
}
