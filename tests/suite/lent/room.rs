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
    pub(super) kept: Vec<Kept>,
    pub(super) attributes: Value,
    /// `None`: everyone.
    visible_to: Option<Vec<String>>,
}

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
}

impl Says {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let attributes = rng.bool().then(|| json!({"a": rng.u8(..3)}));
        let visible_to = (rng.u8(..3) > 0).then(|| *rng.choice(&AUDIENCES).unwrap());
        Self { attributes, visible_to }
    }

    pub(super) fn put_into(&self, body: &mut Value) {
        if let Some(attributes) = &self.attributes {
            body["attributes"] = attributes.clone();
        }
        if let Some(visible_to) = self.visible_to {
            body["visibleTo"] = json!(visible_to);
        }
    }
}

impl Room {
    /// A join or a lease, which `keeps` the user present. Whether it was absent before.
    pub(super) fn come(&mut self, user: &'static str, keeps: Kept, says: &Says) -> bool {
        let was_absent = !self.members.contains_key(user);
        let member = self
            .members
            .entry(user)
            .or_insert_with(|| Member { attributes: json!({}), ..Member::default() });
        // "If the user joins again in that time, the new source replaces the old."
        member.kept.retain(|kept| !matches!(kept, Kept::Grace(_)));
        let only_grace = member.kept.is_empty();
        member.kept.retain(|kept| match (kept, keeps) {
            (Kept::Connection(held, _), Kept::Connection(joins, _)) => *held != joins,
            (Kept::Lease(_), Kept::Lease(_)) => false,
            _ => true,
        });
        member.kept.push(keeps);
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
        member.kept.retain(|kept| !ends(kept));
        if member.kept.len() < before && member.kept.is_empty() {
            self.members.remove(user);
            self.gone.entry(user).or_default().push(why);
        }
    }

    pub(super) fn lose(&mut self, user: &'static str, number: usize, now: u64) {
        let Some(member) = self.members.get_mut(user) else { return };
        for kept in &mut member.kept {
            if let Kept::Connection(held, grace_ms @ 1..) = *kept
                && held == number
            {
                *kept = Kept::Grace(now + grace_ms);
            }
        }
        self.end(user, "connection", |kept| matches!(kept, Kept::Connection(n, _) if *n == number));
    }

    pub(super) fn pass(&mut self, now: u64) {
        for user in USERS {
            let over = |kept: &Kept| match *kept {
                Kept::Grace(until) | Kept::Lease(until) => until <= now,
                Kept::Connection(..) => false,
            };
            let Some(member) = self.members.get(user) else { continue };
            if member.kept.iter().all(over) {
                // Which of two that ended within one step was the last is nobody's business here.
                let why = |kept: &Kept| {
                    if matches!(kept, Kept::Lease(_)) { "lease" } else { "connection" }
                };
                self.gone.insert(user, member.kept.iter().map(why).collect());
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
    pub(super) fn seen_by(&self, viewer: &str, roles: &[&str]) -> BTreeMap<String, Value> {
        let own = format!("user:{viewer}");
        let sees = |user: &str, member: &Member| {
            let has = |role: &String| *role == own || roles.contains(&role.as_str());
            user == viewer || member.visible_to.as_ref().is_none_or(|to| to.iter().any(has))
        };
        let seen = self.members.iter().filter(|(user, member)| sees(user, member));
        seen.map(|(user, member)| ((*user).to_owned(), member.attributes.clone())).collect()
    }
}
