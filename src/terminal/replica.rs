//! A channel as an observer knows it: a fold over the broker's frames by the rules of
//! `protocol/README.md`, *Keeping a replica*. No socket and no clock.

use std::cmp::Reverse;
use std::collections::HashMap;

use herenow_protocol::{Attributes, Epoch, Sight, Since};

use super::heard::{Event, Heard, Listed};

/// Somebody who is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the token says of it.
    pub info: Attributes,
    /// What it set.
    pub attributes: Attributes,
    /// Whether it is away.
    pub away: bool,
    /// Since when; `None`: not told.
    pub joined_at: Option<u64>,
    /// The larger the newer, among those of one moment.
    order: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All members are known anew. `began`: the broker began another history, and who is not there yet
    /// may be on the way; what came between is not told.
    List {
        /// See above.
        began: bool,
    },
    /// Something became of one member.
    Event(Event),
    /// The number may be another, and the list is not known.
    Count,
}

/// A frame is missing: only a snapshot that is asked for heals it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap;

#[derive(Debug)]
struct Parts {
    epoch: Epoch,
    seq: u64,
    sight: Option<Sight>,
    members: Vec<Listed>,
}

/// What is known of a channel.
#[derive(Debug, Default)]
pub struct Replica {
    /// Where it stands; `None`: only a snapshot will do.
    since: Option<Since>,
    members: HashMap<String, Member>,
    /// As the broker told it.
    count: u64,
    /// Presence frames may be applied.
    synced: bool,
    /// Only the number is told, and the newest.
    counted: bool,
    partial: bool,
    parts: Option<Parts>,
    newest: u64,
}

impl Replica {
    /// What a subscription is to go on from.
    #[must_use]
    pub fn since(&self) -> Option<Since> {
        self.since
    }

    /// How many there are, as far as everyone may see them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether the number alone is told, and the newest members.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Whether somebody may be missing whom another node knows.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// How many are known by name.
    #[must_use]
    pub fn known(&self) -> usize {
        self.members.len()
    }

    /// The newest members, newest first, `most` of them.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<(&str, &Member)> {
        let mut all: Vec<_> =
            self.members.iter().map(|(user, member)| (user.as_str(), member)).collect();
        let age = |(_, member): &(&str, &Member)| Reverse((member.joined_at, member.order));
        if most < all.len() && most > 0 {
            all.select_nth_unstable_by_key(most - 1, age);
        }
        all.truncate(most);
        all.sort_unstable_by_key(age);
        all
    }

    /// The connection is lost. What is known goes on being shown.
    pub fn interrupt(&mut self) {
        self.synced = false;
        self.parts = None;
    }

    /// The broker goes on where we were: the missed frames follow.
    pub fn resume(&mut self) {
        self.synced = true;
    }

    /// Nothing is told any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Takes in a frame of the channel, with the sight of the connection that it came by.
    ///
    /// # Errors
    /// A frame is missing.
    pub fn apply(&mut self, frame: Heard, sight: Option<Sight>) -> Result<Vec<News>, Gap> {
        match frame {
            Heard::Snapshot { epoch, seq, count, members, more, partial } => {
                Ok(self.snapshot((epoch, seq), count, members, more, partial, sight))
            }
            Heard::Presence { seq, count, events } => self.presence(seq, count, events),
            Heard::Count { count, recent } => Ok(self.counted(count, recent.unwrap_or_default())),
            _ => Ok(Vec::new()),
        }
    }

    fn snapshot(
        &mut self,
        (epoch, seq): (Epoch, u64),
        count: u64,
        members: Vec<Listed>,
        more: bool,
        partial: bool,
        sight: Option<Sight>,
    ) -> Vec<News> {
        let fits = |parts: &Parts| parts.epoch == epoch && parts.seq == seq;
        let begun = self.parts.take().filter(fits);
        let mut parts = begun.unwrap_or(Parts { epoch, seq, sight, members: Vec::new() });
        parts.members.extend(members);
        if more {
            self.parts = Some(parts);
            return Vec::new();
        }
        let before = std::mem::take(&mut self.members);
        let was_partial = std::mem::replace(&mut self.partial, partial);
        self.take_in(parts.members);
        let known = self.since.map(|since| since.epoch);
        let began = known.is_some_and(|known| known != epoch);
        let mut news = vec![News::List { began }];
        // What was known at the level of counts was never the whole.
        if !self.counted && known == Some(epoch) {
            news.extend(self.differences(&before, was_partial));
        }
        if partial {
            for (user, member) in before {
                self.members.entry(user).or_insert(member);
            }
        }
        self.since = Some(Since { epoch, seq, sight: parts.sight });
        (self.count, self.synced, self.counted) = (count, true, false);
        news
    }

    /// Lists come newest first. Of one who stands in it twice the later counts.
    fn take_in(&mut self, members: Vec<Listed>) {
        self.newest += members.len() as u64;
        for (place, listed) in members.into_iter().enumerate() {
            let order = self.newest - place as u64;
            let Listed { user, info, attributes, away, joined_at } = listed;
            self.members.insert(user, Member { info, attributes, away, joined_at, order });
        }
    }

    /// What became of members while nobody told us. Nobody has gone whom a node may not know yet, nor
    /// come who may have been there all the while.
    fn differences(&self, before: &HashMap<String, Member>, was_partial: bool) -> Vec<News> {
        let mut events = Vec::new();
        for (user, member) in before {
            match self.members.get(user) {
                None if !self.partial => events.push(event("leave", user, None)),
                Some(now) if now.looks() != member.looks() => {
                    events.push(event("updateAttributes", user, Some(now)));
                }
                None | Some(_) => {}
            }
        }
        if !was_partial {
            let came = self.members.iter().filter(|(user, _)| !before.contains_key(*user));
            events.extend(came.map(|(user, now)| event("join", user, Some(now))));
        }
        events.sort_by(|a, b| (a.at, &a.user).cmp(&(b.at, &b.user)));
        events.into_iter().map(News::Event).collect()
    }

    fn presence(&mut self, seq: u64, count: u64, events: Vec<Event>) -> Result<Vec<News>, Gap> {
        let Some(since) = self.since.as_mut().filter(|_| self.synced) else {
            return Ok(Vec::new());
        };
        if seq > since.seq + 1 {
            self.synced = false;
            return Err(Gap);
        }
        since.seq = seq;
        self.count = count;
        Ok(events.into_iter().filter(|event| self.happens(event)).map(News::Event).collect())
    }

    /// Whether the event is one for us. Frames behind a snapshot may tell again what is in it.
    fn happens(&mut self, event: &Event) -> bool {
        let Event { attributes, info, away, joined_at, at, .. } = event.clone();
        match event.event.as_str() {
            "join" => {
                self.newest += 1;
                let member = Member {
                    info: info.unwrap_or_default(),
                    attributes: attributes.unwrap_or_default(),
                    away: away.unwrap_or_default(),
                    joined_at: at,
                    order: self.newest,
                };
                let before = self.members.insert(event.user.clone(), member.clone());
                before.is_none_or(|before| before.looks() != member.looks())
            }
            "updateAttributes" => {
                let Some(member) = self.members.get_mut(&event.user) else { return false };
                member.attributes = attributes.unwrap_or_else(|| member.attributes.clone());
                member.info = info.unwrap_or_else(|| member.info.clone());
                member.away = away.unwrap_or(member.away);
                if joined_at.is_some() {
                    self.newest += 1;
                    (member.joined_at, member.order) = (joined_at, self.newest);
                }
                true
            }
            "leave" | "timeout" => self.members.remove(&event.user).is_some(),
            _ => false,
        }
    }

    /// The list is not known at this level, and there is nothing to go on from.
    fn counted(&mut self, count: u64, recent: Vec<Listed>) -> Vec<News> {
        self.forget();
        self.take_in(recent);
        (self.count, self.counted) = (count, true);
        vec![News::Count]
    }
}

impl Member {
    fn looks(&self) -> (&Attributes, &Attributes, bool) {
        (&self.attributes, &self.info, self.away)
    }
}

/// What nobody told, as it would have been told.
fn event(kind: &str, user: &str, now: Option<&Member>) -> Event {
    Event {
        event: kind.to_owned(),
        user: user.to_owned(),
        attributes: now.map(|now| now.attributes.clone()),
        info: None,
        away: now.map(|now| now.away).filter(|away| *away || kind != "join"),
        joined_at: None,
        reason: None,
        at: now.and_then(|now| now.joined_at).filter(|_| kind == "join"),
    }
}

#[cfg(test)]
mod tests;
