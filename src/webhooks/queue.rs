//! What waits for one receiver, within a bound in bytes, and what it must be told that it lacks: pure.
//!
//! Items are kept as long as there is room. Where there is none a channel is *cut*: what happens in it
//! from there on is not kept, and in the place of all of it stands one gap, which grows until it is
//! sent. Some room is kept for gaps alone; where even a gap has none, all that waits is given up for
//! one gap that is about every channel. So whatever happens, what is told of a channel is in the order
//! in which it happened, and nothing is lacking that is not said.

use std::collections::{BTreeSet, HashMap, VecDeque};

use herenow_protocol::ChannelName;

use super::item::{Gap, GapReason, Item, Span};
use crate::limits::{WEBHOOK_BATCH_BYTES, WEBHOOK_BATCH_ITEMS, WEBHOOK_GAPS_PART};

/// What waits for one receiver.
#[derive(Debug)]
pub struct Queue {
    entries: VecDeque<Entry>,
    /// What was not kept, by channel. Each has its place among the entries.
    cuts: HashMap<ChannelName, Cut>,
    /// Whether one entry, the only one, stands for everything that was not kept.
    cut_all: bool,
    /// Memory of all that waits, what is being sent included. At most `bound`.
    bytes: usize,
    bound: usize,
    /// What is being sent.
    sending: Option<Sending>,
}

#[derive(Debug)]
struct Entry {
    what: Waiting,
    /// Since when it waits, in milliseconds since 1970.
    at: u64,
}

#[derive(Debug)]
enum Waiting {
    /// Of a channel, if it is any one's.
    Item(Option<ChannelName>, Box<str>),
    Cut(ChannelName),
    CutAll,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    /// `None`: which frames it lacks is not known.
    span: Option<Span>,
    reason: GapReason,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    bytes: usize,
    since: u64,
}

/// What could not be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Items.
    pub items: usize,
    /// Gaps that are to be told for it.
    pub gaps: usize,
}

/// Memory that an item takes beside its text.
const ENTRY_BYTES: usize = size_of::<Entry>() + 16;

/// Memory that a gap takes beside the channel's name, which stands in it twice.
const CUT_BYTES: usize = ENTRY_BYTES + 2 * size_of::<(ChannelName, Cut)>() + 32;

fn bytes_of_cut(channel: &ChannelName) -> usize {
    CUT_BYTES + 2 * channel.as_str().len()
}

fn bytes_of_item(channel: Option<&ChannelName>, text: &str) -> usize {
    ENTRY_BYTES + channel.map_or(0, |channel| channel.as_str().len()) + text.len()
}

impl Waiting {
    fn bytes(&self) -> usize {
        match self {
            Self::Item(channel, text) => bytes_of_item(channel.as_ref(), text),
            Self::Cut(channel) => bytes_of_cut(channel),
            Self::CutAll => ENTRY_BYTES,
        }
    }
}

impl Queue {
    /// An empty one that takes `bound` bytes at most.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        let (entries, cuts) = (VecDeque::new(), HashMap::new());
        Self { entries, cuts, cut_all: false, bytes: 0, bound, sending: None }
    }

    /// From here on it takes `bound` bytes at most. What is being sent may be more, and is the last of it.
    pub fn set_bound(&mut self, bound: usize, at: u64) -> Lost {
        self.bound = bound;
        if self.bytes > bound { self.cut_all(at) } else { Lost::default() }
    }

    /// Memory of all that waits, what is being sent included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the oldest waits, in milliseconds since 1970.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        let first = self.entries.front().map(|entry| entry.at);
        self.sending.map(|sending| sending.since).or(first)
    }

    /// Whether nothing waits, and nothing is being sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.sending.is_none()
    }

    /// Whether what happens in the channel is not kept, until a gap that says so is sent.
    #[must_use]
    pub fn is_cut(&self, channel: &ChannelName) -> bool {
        self.cut_all || self.cuts.contains_key(channel)
    }

    /// Adds what is no channel's, behind all that waits.
    pub fn push_item(&mut self, item: &Item<'_>, at: u64) {
        let what = Waiting::Item(None, item.encode());
        if self.has_room(what.bytes()) {
            self.add(what, at);
        } else {
            self.cut_all(at);
        }
    }

    /// Adds what became of a channel: `items`, which tell of `span`.
    pub fn push(
        &mut self,
        channel: &ChannelName,
        span: Span,
        items: Vec<Box<str>>,
        at: u64,
    ) -> Lost {
        if items.is_empty() {
            return Lost::default();
        }
        let bytes: usize = items.iter().map(|item| bytes_of_item(Some(channel), item)).sum();
        let for_items = self.bound - self.bound / WEBHOOK_GAPS_PART;
        if self.is_cut(channel) || self.bytes + bytes > for_items {
            let lost = self.lack(channel, span, GapReason::Overflow, at);
            return Lost { items: items.len() + lost.items, ..lost };
        }
        for item in items {
            self.add(Waiting::Item(Some(channel.clone()), item), at);
        }
        Lost::default()
    }

    /// `span` of a channel is not told.
    pub fn lack(&mut self, channel: &ChannelName, span: Span, reason: GapReason, at: u64) -> Lost {
        self.cut(channel, Some(span), reason, at)
    }

    /// Of the channels that are not `kept` another node tells from here on, who has the receiver look at
    /// them: what waits would be told behind that. Behind all that was told a gap stands for it.
    pub fn give_up(&mut self, kept: impl Fn(&ChannelName) -> bool, at: u64) -> Lost {
        let (mut moved, mut items) = (BTreeSet::new(), 0);
        self.entries.retain(|entry| match &entry.what {
            Waiting::Item(Some(channel), _) if !kept(channel) => {
                self.bytes -= entry.what.bytes();
                moved.insert(channel.clone());
                items += 1;
                false
            }
            _ => true,
        });
        let mut lost = Lost { items, gaps: 0 };
        for channel in &moved {
            let Lost { items, gaps } = self.cut(channel, None, GapReason::Moved, at);
            lost = Lost { items: lost.items + items, gaps: lost.gaps + gaps };
        }
        lost
    }

    fn cut(
        &mut self,
        channel: &ChannelName,
        span: Option<Span>,
        reason: GapReason,
        at: u64,
    ) -> Lost {
        if self.cut_all {
            return Lost::default();
        }
        if let Some(cut) = self.cuts.get_mut(channel) {
            match (&mut cut.span, span) {
                (Some(known), Some(span)) => known.extend(span),
                (known, span) => *known = known.or(span),
            }
            return Lost::default();
        }
        let what = Waiting::Cut(channel.clone());
        if !self.has_room(what.bytes()) {
            return self.cut_all(at);
        }
        self.cuts.insert(channel.clone(), Cut { span, reason });
        self.add(what, at);
        Lost { items: 0, gaps: 1 }
    }

    /// Whether there is room for so many bytes, and beside them for the gap that is about everything.
    fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes + ENTRY_BYTES <= self.bound
    }

    fn add(&mut self, what: Waiting, at: u64) {
        self.bytes += what.bytes();
        self.entries.push_back(Entry { what, at });
    }

    /// Gives up all that waits, but for what is being sent.
    fn cut_all(&mut self, at: u64) -> Lost {
        if self.cut_all {
            return Lost::default();
        }
        let is_item = |entry: &&Entry| matches!(entry.what, Waiting::Item(..));
        let items = self.entries.iter().filter(is_item).count();
        (self.entries, self.cuts) = (VecDeque::new(), HashMap::new());
        self.bytes = self.sending.map_or(0, |sending| sending.bytes);
        self.cut_all = true;
        self.add(Waiting::CutAll, at);
        Lost { items, gaps: 1 }
    }

    /// Takes out what is to be sent next, in order; `None`: nothing waits. Until
    /// [`Queue::taken`] it counts as what waits, and nothing else can be taken.
    pub fn take(&mut self) -> Option<Vec<Box<str>>> {
        if self.sending.is_some() {
            return None;
        }
        let since = self.entries.front()?.at;
        let (mut items, mut texts, mut bytes) = (Vec::new(), 0, 0);
        while let Some(entry) = self.entries.pop_front() {
            bytes += entry.what.bytes();
            let text = self.text_of(entry.what);
            texts += text.len();
            items.push(text);
            let next = self.entries.front().map_or(0, |next| next.what.bytes());
            if items.len() == WEBHOOK_BATCH_ITEMS || texts + next > WEBHOOK_BATCH_BYTES {
                break;
            }
        }
        self.give_back_room();
        self.sending = Some(Sending { bytes, since });
        Some(items)
    }

    fn text_of(&mut self, what: Waiting) -> Box<str> {
        match what {
            Waiting::Item(_, text) => text,
            Waiting::Cut(channel) => {
                let cut = self.cuts.remove(&channel);
                let reason = cut.map_or(GapReason::Overflow, |cut| cut.reason);
                let (channel, span) = (Some(&channel), cut.and_then(|cut| cut.span));
                Item::Gap(Gap { channel, span, reason }).encode()
            }
            Waiting::CutAll => {
                self.cut_all = false;
                let reason = GapReason::Overflow;
                Item::Gap(Gap { channel: None, span: None, reason }).encode()
            }
        }
    }

    fn give_back_room(&mut self) {
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        if self.cuts.is_empty() {
            self.cuts = HashMap::new();
        }
    }

    /// What was taken out last has arrived.
    pub fn taken(&mut self) {
        if let Some(sending) = self.sending.take() {
            self.bytes -= sending.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use herenow_protocol::Epoch;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What a test does to a queue.
    #[derive(Clone, Debug)]
    enum Act {
        /// So many frames of a channel at once, in items of so many bytes.
        Tell { channel: u8, frames: u64, bytes: usize },
        /// The channel's history is over, and another begins.
        Anew { channel: u8 },
        /// So many frames that the broker itself lost.
        Lose { channel: u8, frames: u64 },
        /// From here on another node tells of the channel, and has the receiver look at it.
        Move { channel: u8 },
        /// The receiver is asked.
        Send,
        /// It takes what it was asked to take.
        Take,
    }

    fn act() -> impl Strategy<Value = Act> {
        let channel = 0..4u8;
        prop_oneof![
            6 => (channel.clone(), 1..4u64, 1..200usize)
                .prop_map(|(channel, frames, bytes)| Act::Tell { channel, frames, bytes }),
            1 => channel.clone().prop_map(|channel| Act::Anew { channel }),
            1 => (channel.clone(), 1..4u64)
                .prop_map(|(channel, frames)| Act::Lose { channel, frames }),
            1 => channel.prop_map(|channel| Act::Move { channel }),
            2 => Just(Act::Send),
            2 => Just(Act::Take),
        ]
    }

    fn name(channel: u8) -> ChannelName {
        ChannelName::parse(&format!("room-{channel}"), "channel").unwrap()
    }

    /// A channel of the broker's, and what a receiver knows of it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Place {
        history: u64,
        seq: u64,
    }

    #[derive(Default)]
    struct World {
        there: BTreeMap<String, Place>,
        known: BTreeMap<String, Place>,
        sending: Option<Vec<Box<str>>>,
    }

    impl World {
        fn advance(&mut self, channel: u8, frames: u64) -> Span {
            let place = self.there.entry(name(channel).as_str().to_owned()).or_default();
            let from = place.seq + 1;
            place.seq += frames;
            Span { epoch: Epoch::from_random(place.history), from, to: place.seq }
        }

        /// The receiver reads a batch: what it is told of a channel is what it lacks next, and a gap has
        /// it look at what there is.
        fn receive(&mut self, items: &[Box<str>]) {
            for item in items {
                let item: Value = serde_json::from_str(item).unwrap();
                let Some(channel) = item["channel"].as_str() else {
                    self.known = self.there.clone();
                    continue;
                };
                let there = self.there[channel];
                let known = self.known.entry(channel.to_owned()).or_default();
                let history = item["history"].as_u64();
                if item["type"] == "gap" {
                    *known = there;
                } else if *known != there && history >= Some(known.history) {
                    let from = item["from"].as_u64().unwrap();
                    let anew = history > Some(known.history);
                    let next = if anew { 1 } else { known.seq + 1 };
                    // What a list had already is told again.
                    assert!(from <= next, "{from} after {known:?}");
                    let to = item["to"].as_u64().unwrap();
                    let seq = if anew { to } else { to.max(known.seq) };
                    *known = Place { history: history.unwrap(), seq };
                }
            }
        }
    }

    proptest! {
        /// Whatever happens: it stays within its bound, and a receiver that reads what it is told to read
        /// knows everything in the end.
        #[test]
        fn nothing_is_lacking_that_is_not_said(
            acts in proptest::collection::vec(act(), 1..200),
            bound in 1_000..4_000usize,
        ) {
            let (mut queue, mut world) = (Queue::new(bound), World::default());
            for act in acts {
                match act {
                    Act::Tell { channel, frames, bytes } => {
                        let span = world.advance(channel, frames);
                        let history = world.there[name(channel).as_str()].history;
                        let item = json!({
                            "channel": name(channel), "history": history, "from": span.from,
                            "to": span.to, "pad": "x".repeat(bytes),
                        });
                        queue.push(&name(channel), span, vec![item.to_string().into()], 0);
                    }
                    Act::Anew { channel } => {
                        let place = world.there.entry(name(channel).as_str().to_owned());
                        let place = place.or_default();
                        *place = Place { history: place.history + 1, seq: 0 };
                    }
                    Act::Lose { channel, frames } => {
                        let span = world.advance(channel, frames);
                        queue.lack(&name(channel), span, GapReason::Behind, 0);
                    }
                    Act::Move { channel } => {
                        queue.give_up(|other| *other != name(channel), 0);
                        let waits = queue.entries.iter().any(|entry| {
                            matches!(&entry.what, Waiting::Item(Some(of), _) if *of == name(channel))
                        });
                        prop_assert!(!waits);
                    }
                    Act::Send => world.sending = queue.take().or(world.sending.take()),
                    Act::Take => if let Some(items) = world.sending.take() {
                        world.receive(&items);
                        queue.taken();
                    }
                }
                prop_assert!(queue.bytes() <= bound, "{} of {bound}", queue.bytes());
            }
            loop {
                if let Some(items) = world.sending.take() {
                    world.receive(&items);
                    queue.taken();
                }
                world.sending = queue.take();
                if world.sending.is_none() {
                    break;
                }
            }
            prop_assert_eq!(queue.bytes(), 0);
            prop_assert!(queue.is_empty());
            for (channel, there) in &world.there {
                if there.seq > 0 {
                    prop_assert_eq!(world.known.get(channel), Some(there), "{}", channel);
                }
            }
        }
    }

    fn span(from: u64, to: u64) -> Span {
        Span { epoch: Epoch::from_random(7), from, to }
    }

    fn texts(items: &[Box<str>]) -> Vec<Value> {
        items.iter().map(|item| serde_json::from_str(item).unwrap()).collect()
    }

    #[test]
    fn where_there_is_no_room_one_gap_grows_until_it_is_sent() {
        let mut queue = Queue::new(1_800);
        let item = || vec![json!("x".repeat(500)).to_string().into()];
        let push = |queue: &mut Queue, seq| queue.push(&name(1), span(seq, seq), item(), seq);
        assert_eq!(push(&mut queue, 1), Lost::default());
        assert_eq!(push(&mut queue, 2), Lost::default());
        assert_eq!(push(&mut queue, 3), Lost { items: 1, gaps: 1 });
        assert_eq!(push(&mut queue, 4), Lost { items: 1, gaps: 0 });
        assert_eq!(queue.oldest(), Some(1));
        let sent = texts(&queue.take().unwrap());
        let epoch = Epoch::from_random(7);
        let gap = json!({
            "type": "gap", "channel": "room-1", "epoch": epoch, "from": 3, "to": 4,
            "reason": "overflow",
        });
        assert_eq!((sent.len(), &sent[2]), (3, &gap));
        // What is being sent counts, and nothing else is sent meanwhile.
        assert!(queue.take().is_none() && queue.bytes() > 1_000);
        assert_eq!(queue.oldest(), Some(1));
        assert_eq!(push(&mut queue, 5), Lost { items: 1, gaps: 1 });
        queue.taken();
        assert_eq!(queue.oldest(), Some(5));
        let sent = texts(&queue.take().unwrap());
        assert_eq!((sent.len(), &sent[0]["from"]), (1, &json!(5)));
        queue.taken();
        assert_eq!((queue.bytes(), queue.oldest()), (0, None));
    }

    #[test]
    fn where_there_is_no_room_for_gaps_one_is_about_everything() {
        let mut queue = Queue::new(1_500);
        let mut lost = Lost::default();
        for channel in 0..20 {
            let one = queue.lack(&name(channel), span(1, 2), GapReason::Behind, 0);
            lost = Lost { items: lost.items + one.items, gaps: lost.gaps + one.gaps };
        }
        assert!(lost.gaps < 20 && queue.bytes() <= 1_500, "{lost:?}");
        let sent = texts(&queue.take().unwrap());
        assert_eq!(sent, [json!({"type": "gap", "reason": "overflow"})]);
        // From there on it goes on as ever.
        queue.taken();
        assert_eq!(queue.push(&name(1), span(3, 3), vec!["{}".into()], 0), Lost::default());
    }

    #[test]
    fn what_waits_of_a_channel_that_another_node_tells_of_is_a_gap_behind_the_rest() {
        let mut queue = Queue::new(64 << 10);
        let push = |queue: &mut Queue, channel, seq| {
            let item = json!({"channel": name(channel), "seq": seq}).to_string();
            queue.push(&name(channel), span(seq, seq), vec![item.into()], 0);
        };
        push(&mut queue, 1, 1);
        let under_way = queue.take().unwrap();
        for (channel, seq) in [(1, 2), (2, 1), (1, 3), (3, 1)] {
            push(&mut queue, channel, seq);
        }
        let lost = queue.give_up(|channel| *channel == name(2), 0);
        assert_eq!((lost, under_way.len()), (Lost { items: 3, gaps: 2 }, 1));
        queue.taken();
        let gap = |channel| json!({"type": "gap", "channel": channel, "reason": "moved"});
        let kept = json!({"channel": "room-2", "seq": 1});
        assert_eq!(texts(&queue.take().unwrap()), [kept, gap("room-1"), gap("room-3")]);
        queue.taken();
        assert_eq!((queue.bytes(), queue.give_up(|_| false, 0)), (0, Lost::default()));
    }

    #[test]
    fn batches_end_in_time() {
        let mut queue = Queue::new(64 << 20);
        let push = |queue: &mut Queue, bytes: usize, times: usize| {
            let items = (0..times).map(|_| "x".repeat(bytes).into()).collect();
            assert_eq!(queue.push(&name(1), span(1, 1), items, 0), Lost::default());
        };
        let next = |queue: &mut Queue| {
            let items = queue.take().unwrap();
            queue.taken();
            items.len()
        };
        push(&mut queue, 1, WEBHOOK_BATCH_ITEMS + 1);
        assert_eq!((next(&mut queue), next(&mut queue)), (WEBHOOK_BATCH_ITEMS, 1));
        push(&mut queue, 2 * WEBHOOK_BATCH_BYTES, 2);
        assert_eq!((next(&mut queue), next(&mut queue)), (1, 1));
        push(&mut queue, WEBHOOK_BATCH_BYTES / 4, 5);
        assert_eq!((next(&mut queue), next(&mut queue)), (3, 2));
        assert!(queue.take().is_none());
    }
}
