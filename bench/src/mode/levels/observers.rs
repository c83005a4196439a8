//! The members of one large channel and what each, as a subscriber, was told of its size; and the
//! visitors, which subscribe nothing. Connections `0..members` are members, the rest visitors.
//!
//! Frames are read loosely: only what bears on levels and counts.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::failure::{Context, Result, fail};
use crate::frame;
use crate::population::Population;
use crate::socket::Upgrade;
use crate::swarm::{Driver, Swarm};

const CHANNEL: &str = "levels-0";
/// Members that a count frame may name.
const RECENT_MAX: usize = 200;
/// Lists that a subscriber may get above the limit: the change that crosses it may be told, or a
/// snapshot of that moment, in parts.
const LATE_LISTS: u32 = 8;
/// Bytes of a strange frame that an error shows.
const SHOWN: usize = 200;

/// What a frame says, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Welcome,
    /// A snapshot or a change: the subscriber has the list.
    List {
        count: usize,
    },
    Count {
        seq: u64,
        count: usize,
    },
    Level {
        counting: bool,
    },
}

#[derive(Deserialize)]
struct LooseFrame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    seq: Option<u64>,
    count: Option<usize>,
    #[serde(borrow)]
    level: Option<Cow<'a, str>>,
    recent: Option<Vec<IgnoredAny>>,
}

/// Reads a frame.
///
/// # Errors
/// If the broker refused something or broke its protocol.
fn read(payload: &[u8]) -> Result<Said> {
    let shown = || String::from_utf8_lossy(&payload[..payload.len().min(SHOWN)]).into_owned();
    let wire: LooseFrame<'_> =
        serde_json::from_slice(payload).context(|| format!("not a frame ({})", shown()))?;
    Ok(match (&*wire.kind, wire.seq, wire.count) {
        ("welcome", ..) => Said::Welcome,
        ("ok" | "result" | "heartbeatDue", ..) => Said::Nothing,
        ("snapshot" | "presence", Some(_), Some(count)) => Said::List { count },
        ("count", Some(seq), Some(count)) => {
            let recent = wire.recent.map_or(0, |recent| recent.len());
            if recent > RECENT_MAX {
                fail!("a count frame names {recent} recent members, more than {RECENT_MAX}");
            }
            Said::Count { seq, count }
        }
        ("level", ..) => match wire.level.as_deref() {
            Some("count") => Said::Level { counting: true },
            Some("events") => Said::Level { counting: false },
            _ => fail!("a level of unknown kind: {}", shown()),
        },
        ("error" | "removed" | "goaway", ..) => fail!("the broker says {}", shown()),
        _ => fail!("a frame of unknown type, or without seq or count: {}", shown()),
    })
}

/// What one subscriber knows.
#[derive(Clone, Copy, Debug, Default)]
struct Observer {
    counting: bool,
    seq: u64,
    count: Option<usize>,
    /// Count frames since [`Observers::start_counting`].
    frames: u32,
    /// Lists and changes above the roster limit.
    late_lists: u32,
}

#[derive(Debug)]
pub(super) struct Observers {
    observers: Vec<Observer>,
    roster_limit: usize,
    /// What count frames may say; none before everybody is there.
    possible: Option<std::ops::RangeInclusive<usize>>,
    pub(super) welcomed: usize,
    pub(super) any_counted: bool,
    exact: usize,
    /// The last frame, and what it says: most subscribers get the same.
    last: (Vec<u8>, Said),
}

impl Observers {
    pub(super) fn new(members: usize, roster_limit: usize) -> Self {
        Self {
            observers: vec![Observer::default(); members],
            roster_limit,
            possible: None,
            welcomed: 0,
            any_counted: false,
            exact: 0,
            last: (Vec::new(), Said::Nothing),
        }
    }

    pub(super) fn members(&self) -> usize {
        self.observers.len()
    }

    /// Forgets what was counted so far. From now on up to `visitors` more may be there.
    pub(super) fn start_counting(&mut self, visitors: usize) {
        for observer in &mut self.observers {
            (observer.count, observer.frames) = (None, 0);
        }
        self.exact = 0;
        self.possible = Some(self.members()..=self.members() + visitors);
    }

    /// Whether every subscriber counts, and the members alone.
    pub(super) fn all_exact(&self) -> bool {
        self.exact == self.members()
    }

    /// How many subscribers do not know the exact count, and what one of them knows instead.
    pub(super) fn inexact(&self) -> String {
        let members = self.members();
        let inexact = members - self.exact;
        let wrong = |one: &Observer| !one.counting || one.count != Some(members);
        let example = match self.observers.iter().find(|one| wrong(one)).map(|one| one.count) {
            Some(Some(count)) => format!("one was told of {count} last"),
            _ => "one was told no count".to_owned(),
        };
        format!("{inexact} of {members} subscribers lack it, {example}")
    }

    /// The most count frames that a subscriber got.
    pub(super) fn most_frames(&self) -> u32 {
        self.observers.iter().map(|observer| observer.frames).max().unwrap_or(0)
    }

    /// Visitor number `visit` joins.
    pub(super) fn visit(&mut self, visit: usize, swarm: &mut Swarm) -> Result<()> {
        self.say(self.visitor(visit, swarm), "join", swarm)
    }

    /// Visitor number `visit` leaves.
    pub(super) fn leave(&mut self, visit: usize, swarm: &mut Swarm) -> Result<()> {
        self.say(self.visitor(visit, swarm), "leave", swarm)
    }

    fn visitor(&self, visit: usize, swarm: &Swarm) -> usize {
        self.members() + visit % (swarm.len() - self.members())
    }

    pub(super) fn heartbeat(&mut self, who: usize, swarm: &mut Swarm) -> Result<()> {
        swarm.send(who, self, |out| frame::text(r#"{"type":"heartbeat"}"#, out))
    }

    fn say(&mut self, who: usize, what: &str, swarm: &mut Swarm) -> Result<()> {
        let text = format!(r#"{{"type":"{what}","channel":"{CHANNEL}"}}"#);
        swarm.send(who, self, |out| frame::text(&text, out))
    }

    /// Subscriber `who` was told something.
    fn take(&mut self, who: usize, said: Said) -> Result<()> {
        let members = self.observers.len();
        let observer = &mut self.observers[who];
        let before = observer.counting && observer.count == Some(members);
        match said {
            Said::Nothing | Said::Welcome => {}
            Said::Level { counting } => {
                if self.possible.is_some() && !counting {
                    fail!("subscriber {who} went back to events in a channel of {members}");
                }
                observer.counting = counting;
            }
            Said::List { count } => {
                if observer.counting {
                    fail!("subscriber {who} got a list or a change after it was told to count");
                }
                observer.late_lists += u32::from(count > self.roster_limit);
                if observer.late_lists > LATE_LISTS {
                    fail!(
                        "an auto subscriber is still told every change at {count} members: the \
                         broker knows no levels, or its --roster-limit is above this one's"
                    );
                }
            }
            Said::Count { seq, count } => {
                if seq < observer.seq {
                    fail!("subscriber {who} got count {seq} after {}", observer.seq);
                }
                if self.possible.as_ref().is_some_and(|possible| !possible.contains(&count)) {
                    fail!("subscriber {who} was told of {count} members, which was never true");
                }
                (observer.seq, observer.count, observer.counting) = (seq, Some(count), true);
                observer.frames += 1;
                self.any_counted = true;
            }
        }
        let after = observer.counting && observer.count == Some(members);
        self.exact = self.exact + usize::from(after) - usize::from(before);
        Ok(())
    }
}

impl Driver for Observers {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        Some(Upgrade { path: format!("/ws?user={}", Population::user(who)), protocol: None })
    }

    fn opened(&mut self, _: usize, _: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        if self.last.0 != payload {
            self.last = (payload.to_vec(), read(payload)?);
        }
        let said = self.last.1;
        if said == Said::Welcome {
            self.welcomed += 1;
            if who < self.members() {
                frame::text(&format!(r#"{{"type":"join","channel":"{CHANNEL}"}}"#), out);
                let subscribe =
                    format!(r#"{{"type":"subscribe","channel":"{CHANNEL}","level":"auto"}}"#);
                frame::text(&subscribe, out);
            }
        }
        if who < self.members() { self.take(who, said) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(observers: &mut Observers, who: usize, text: &str) -> Result<()> {
        observers.message(who, text.as_bytes(), &mut Vec::new())
    }

    fn count(seq: u64, count: usize) -> String {
        format!(
            r#"{{"type":"count","channel":"{CHANNEL}","seq":{seq},"count":{count},"recent":[{{"user":"a"}}]}}"#
        )
    }

    /// Two subscribers, roster limit 1, both counting exactly.
    fn counting() -> Observers {
        let mut observers = Observers::new(2, 1);
        let snapshot = r#"{"type":"snapshot","channel":"levels-0","epoch":"e","seq":1,"count":1,"members":[{"user":"a"}],"reason":"subscribed"}"#;
        let level = r#"{"type":"level","channel":"levels-0","level":"count","reason":"size"}"#;
        say(&mut observers, 0, snapshot).unwrap();
        say(&mut observers, 0, level).unwrap();
        say(&mut observers, 0, &count(2, 2)).unwrap();
        assert!(!observers.all_exact());
        // A subscriber that comes later may be told to count without a word about the level.
        say(&mut observers, 1, &count(2, 2)).unwrap();
        assert!(observers.all_exact() && observers.any_counted);
        observers
    }

    #[test]
    fn counts_are_followed_and_numbered() {
        let mut observers = counting();
        observers.start_counting(3);
        // A count from before is no news.
        assert_eq!(observers.inexact(), "2 of 2 subscribers lack it, one was told no count");
        for (seq, members) in [(3, 5), (4, 2)] {
            say(&mut observers, 0, &count(seq, members)).unwrap();
        }
        say(&mut observers, 1, &count(4, 2)).unwrap();
        assert!(observers.all_exact());
        assert_eq!(observers.most_frames(), 2);
        say(&mut observers, 1, &count(5, 4)).unwrap();
        assert_eq!(observers.inexact(), "1 of 2 subscribers lack it, one was told of 4 last");
    }

    #[test]
    fn broken_promises_are_told() {
        let presence = |count| {
            format!(
                r#"{{"type":"presence","channel":"{CHANNEL}","seq":3,"count":{count},"events":[]}}"#
            )
        };
        let back = r#"{"type":"level","channel":"levels-0","level":"events","reason":"size"}"#;
        for (text, why) in [
            (count(1, 2), "after 2"),
            (count(3, 6), "never true"),
            (count(3, 1), "never true"),
            (presence(2), "told to count"),
            (back.to_owned(), "back to events"),
            (r#"{"type":"level","level":"x"}"#.to_owned(), "unknown kind"),
            (r#"{"type":"count","count":2}"#.to_owned(), "without seq"),
            (r#"{"type":"error","code":"internal"}"#.to_owned(), "internal"),
        ] {
            let mut observers = counting();
            observers.start_counting(3);
            let error = say(&mut observers, 0, &text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_broker_without_levels_is_found_out_early() {
        let mut observers = Observers::new(100, 10);
        let presence = |count| {
            format!(r#"{{"type":"presence","channel":"{CHANNEL}","seq":3,"count":{count}}}"#)
        };
        for count in 0..=10 + LATE_LISTS {
            say(&mut observers, 0, &presence(count)).unwrap();
        }
        let error = say(&mut observers, 0, &presence(30)).unwrap_err().to_string();
        assert!(error.contains("no levels"), "{error}");
    }
}
