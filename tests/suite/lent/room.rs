//! One channel as the words of the documents say it is.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};

pub(super) const USERS: [&str; 3] = ["ada", "bob", "cy"];
const AUDIENCES: [&[&str]; 7] = [
    &["any"],
    &["staff", "users"],
    &[],
    &["team:blue"],
    &["staff", "user:ada"],
    &["user:bob"],
    &["team:red"],
];

/// What keeps a member present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    /// The user's connection of that number, and the grace that its last join asked for.
    Connection(usize, u64),
    /// A lost connection, until then.
    Grace(u64),
    /// A lease, until then.
    Lease(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    /// What keeps it present, and whether the user is away from that.
    pub(super) kept: Vec<(Kept, bool)>,
    pub(super) attributes: Value,
    /// `None`: everyone.
    visible_to: Option<Vec<String>>,
}

impl Member {
    /// "told of a member only when all that keeps it present says so"
    fn is_away(&self) -> bool {
        self.kept.iter().all(|(_, away)| *away)
    }
}

/// What is shown of a member: its attributes, and whether it is away.
pub(super) type Shown = (Value, bool);

/// A channel as the words say it is: users who are members.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    pub(super) members: BTreeMap<&'static str, Member>,
    /// Why those are gone who went in this round: each of the words that may be said.
    pub(super) gone: BTreeMap<&'static str, Vec<&'static str>>,
}

/// What a join or a lease says.
#[derive(Clone, Debug)]
pub(super) struct Says {
    attributes: Option<Value>,
    visible_to: Option<&'static [&'static str]>,
    away: Option<bool>,
}

impl Says {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let attributes = rng.bool().then(|| json!({"a": rng.u8(..3)}));
        let visible_to = (rng.u8(..3) > 0).then(|| *rng.choice(&AUDIENCES).unwrap());
        let away = rng.bool().then(|| rng.bool());
        Self { attributes, visible_to, away }
    }

    pub(super) fn put_into(&self, body: &mut Value) {
        if let Some(attributes) = &self.attributes {
            body["attributes"] = attributes.clone();
        }
        if let Some(visible_to) = self.visible_to {
            body["visibleTo"] = json!(visible_to);
        }
        if let Some(away) = self.away {
            body["away"] = json!(away);
        }
    }
}

impl Room {
    /// A join or a lease, which `keeps` the user present. Whether it was absent before. `word`: what
    /// the connection said last of being away, for all its channels.
    pub(super) fn come(
        &mut self,
        user: &'static str,
        keeps: Kept,
        says: &Says,
        word: bool,
    ) -> bool {
        let was_absent = !self.members.contains_key(user);
        let member = self
            .members
            .entry(user)
            .or_insert_with(|| Member { attributes: json!({}), ..Member::default() });
        // "If the user joins again in that time, the new source replaces the old."
        member.kept.retain(|(kept, _)| !matches!(kept, Kept::Grace(_)));
        let only_grace = member.kept.is_empty();
        let same = |kept: &Kept| match (kept, keeps) {
            (Kept::Connection(held, _), Kept::Connection(joins, _)) => *held == joins,
            (Kept::Lease(_), Kept::Lease(_)) => true,
            _ => false,
        };
        let as_it_was = member.kept.iter().find(|(kept, _)| same(kept)).map(|(_, away)| *away);
        member.kept.retain(|(kept, _)| !same(kept));
        member.kept.push((keeps, says.away.or(as_it_was).unwrap_or(word)));
        // "Such a join starts from what it brings."
        if only_grace {
            (member.attributes, member.visible_to) = (json!({}), None);
        }
        if let Some(attributes) = &says.attributes {
            member.attributes = attributes.clone();
        }
        if let Some(roles) = says.visible_to {
            let everyone = roles.iter().any(|role| ["any", "users"].contains(role));
            member.visible_to =
                (!everyone).then(|| roles.iter().map(|&role| role.to_owned()).collect());
        }
        was_absent
    }

    /// Ends what `ends` names: "the member is gone when the last source is".
    pub(super) fn end(
        &mut self,
        user: &'static str,
        why: &'static str,
        ends: impl Fn(&Kept) -> bool,
    ) {
        let Some(member) = self.members.get_mut(user) else { return };
        let before = member.kept.len();
        member.kept.retain(|(kept, _)| !ends(kept));
        if member.kept.len() < before && member.kept.is_empty() {
            self.members.remove(user);
            self.gone.entry(user).or_default().push(why);
        }
    }

    pub(super) fn lose(&mut self, user: &'static str, number: usize, now: u64) {
        let Some(member) = self.members.get_mut(user) else { return };
        let lost = |kept: &Kept| matches!(kept, Kept::Connection(n, 1..) if *n == number);
        // "Several sources in grace are one, which ends with the last of them", and the user is away
        // from it if it was from all of them.
        let in_grace = |kept: &Kept| lost(kept) || matches!(kept, Kept::Grace(_));
        if member.kept.iter().any(|(kept, _)| lost(kept)) {
            let ends = |kept: &Kept| match kept {
                Kept::Connection(_, grace_ms) => now + grace_ms,
                Kept::Grace(until) | Kept::Lease(until) => *until,
            };
            let those = member.kept.iter().filter(|(kept, _)| in_grace(kept));
            let until = those.clone().map(|(kept, _)| ends(kept)).max().unwrap();
            let away = those.into_iter().all(|(_, away)| *away);
            member.kept.retain(|(kept, _)| !in_grace(kept));
            member.kept.push((Kept::Grace(until), away));
        }
        self.end(user, "connection", |kept| matches!(kept, Kept::Connection(n, _) if *n == number));
    }

    /// A connection's join is one that the user is away from, or not.
    pub(super) fn turn(&mut self, user: &'static str, number: usize, away: bool) {
        for (kept, word) in self.members.get_mut(user).into_iter().flat_map(|m| &mut m.kept) {
            if matches!(kept, Kept::Connection(n, _) if *n == number) {
                *word = away;
            }
        }
    }

    pub(super) fn pass(&mut self, now: u64) {
        for user in USERS {
            let over = |kept: &Kept| match *kept {
                Kept::Grace(until) | Kept::Lease(until) => until <= now,
                Kept::Connection(..) => false,
            };
            let Some(member) = self.members.get(user) else { continue };
            if member.kept.iter().all(|(kept, _)| over(kept)) {
                // Which of two that ended within one step was the last is nobody's business here.
                let why = |kept: &Kept| {
                    if matches!(kept, Kept::Lease(_)) { "lease" } else { "connection" }
                };
                self.gone.insert(user, member.kept.iter().map(|(kept, _)| why(kept)).collect());
                self.members.remove(user);
            } else {
                self.end(user, "", over);
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.members.values().filter(|member| member.visible_to.is_none()).count() as u64
    }

    /// What a viewer may see.
    pub(super) fn seen_by(&self, viewer: &str, roles: &[&str]) -> BTreeMap<String, Shown> {
        let own = format!("user:{viewer}");
        let sees = |user: &str, member: &Member| {
            let has = |role: &String| *role == own || roles.contains(&role.as_str());
            user == viewer || member.visible_to.as_ref().is_none_or(|to| to.iter().any(has))
        };
        let seen = self.members.iter().filter(|(user, member)| sees(user, member));
        let shown = |member: &Member| (member.attributes.clone(), member.is_away());
        seen.map(|(user, member)| ((*user).to_owned(), shown(member))).collect()
    }
}
