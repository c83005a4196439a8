//! What is said of this node's own users, and what becomes of it.

use herenow_protocol::{Attributes, Audience, UserId};

use super::channel::{Heard, Here, Leaving, Replica};
use super::known::{Known, Sent, Todo};
use super::settling::{has_sources, moves, shown_mark};
use crate::cluster::peers::Peers;
use crate::cluster::record::{Place, Record, Stamp, Written};
use crate::cluster::say::{Base, LeaseSay, MarkSay, Said, Say, Told, UserSay};
use crate::limits::{SAY_BYTES, SAY_USERS};
use crate::now::Now;
use crate::presence::{ChannelState, Keeper, NodeId, Own, OwnMark, Touch};

/// Who says something, when, and in which round.
#[derive(Clone, Copy, Debug)]
struct Saying {
    me: NodeId,
    now: Now,
    round: u32,
    /// All leases are said again, since data were lost.
    loss_round: u32,
    /// Records are kept: of whoever is not there something may be to be said, too.
    keeps: bool,
    leaving: Option<Leaving>,
}

impl Replica {
    /// What is to be said now, at most [`SAY_USERS`] users and about [`SAY_BYTES`]; the rest once this
    /// was answered. Until then it is in flight: [`Replica::answered`] or [`Replica::unanswered`] ends
    /// that.
    pub fn say(&mut self, state: &ChannelState, now: Now) -> Option<Say> {
        if self.in_flight.is_some() {
            return None;
        }
        let (round, loss_round) = (self.round, self.loss_round);
        let saying = Saying {
            me: self.me,
            now,
            round,
            loss_round,
            keeps: self.keep_ms > 0,
            leaving: self.leaving,
        };
        let (mut users, mut bytes) = (Vec::new(), 0);
        while users.len() < SAY_USERS && bytes < SAY_BYTES {
            let Some(user) = self.next_to_say() else { break };
            let Some(known) = self.users.get_mut(&user) else { continue };
            let own = state.own(&user);
            let said = say_user(&user, known, own.as_ref(), saying);
            let said = said.map(|(said, sent)| {
                known.sent = Some(Box::new(sent));
                said
            });
            let Some(said) = said else {
                known.round = round;
                self.tidy(&user, own.as_ref().is_some_and(has_sources));
                continue;
            };
            bytes += bytes_of(&said);
            users.push(said);
        }
        if users.is_empty() {
            return None;
        }
        self.in_flight = Some(users.iter().map(|said| said.user.clone()).collect());
        Some(Say { node: self.me, users, keep_ms: self.keep_ms })
    }

    /// The next user of whom something may be to be said: what was done first, then all again.
    fn next_to_say(&mut self) -> Option<UserId> {
        use std::ops::Bound::{Excluded, Unbounded};
        if let Some(user) = self.dirty.shift_remove_index(0) {
            return Some(user);
        }
        let round = self.round;
        let from = match (&self.again, self.again_from_start) {
            (_, true) => Unbounded,
            (Some(user), false) => Excluded(user.clone()),
            (None, false) => return None,
        };
        let mut behind = self.users.range::<UserId, _>((from, Unbounded));
        let next = behind
            .find(|(_, known)| known.own && known.round != round && known.sent.is_none())
            .map(|(user, _)| user.clone());
        (self.again, self.again_from_start) = (next.clone(), false);
        next
    }

    /// The store has done what is in flight, and answered this.
    pub fn answered(
        &mut self,
        told: &Told,
        state: &ChannelState,
        peers: &Peers,
        now: Now,
    ) -> Heard {
        self.knows_data(told.era, told.now, now);
        let here = Here { state, peers, now };
        self.in_flight = None;
        for user in &told.users {
            let Some(known) = self.users.get_mut(&user.user) else { continue };
            let Some(sent) = known.sent.take() else { continue };
            known.round = sent.round;
            let own = state.own(&user.user);
            if take_answer(known, *sent, user.record.as_ref(), own.as_ref()) {
                self.dirty.insert(user.user.clone());
            }
        }
        self.hear_all(told, (true, false), here)
    }

    /// It is not known whether the store has done what is in flight: it is said again.
    pub fn unanswered(&mut self) {
        for user in self.in_flight.take().unwrap_or_default() {
            let Some(known) = self.users.get_mut(&user) else { continue };
            let Some(sent) = known.sent.take() else { continue };
            let earlier = Todo { tried: true, ..sent.todo };
            known.todo = Some(Box::new(match known.todo.take() {
                Some(later) => later.behind(earlier, false),
                None => earlier,
            }));
            self.dirty.insert(user);
        }
    }
}

/// What is said of the user, and what is kept until it is answered; `None`: there is nothing.
fn say_user(
    user: &UserId,
    known: &mut Known,
    own: Option<&Own>,
    saying: Saying,
) -> Option<(UserSay, Sent)> {
    let Saying { me, now, round, loss_round, keeps, leaving } = saying;
    let todo = known.todo.take().map(|todo| *todo).unwrap_or_default();
    let has_own = own.is_some_and(has_sources);
    let again = has_own && known.round != round;
    let touch = &todo.touch;
    let says = keeps && *touch != Touch::default();
    // Of whoever is there without us, too: what was heard of it while this was unsaid was not all taken
    // over, and is when it is answered.
    let may_be_there = has_own || known.is_there() || todo.tried || says;
    if !may_be_there && touch.ended.is_empty() && !touch.ended_grace {
        return None;
    }
    let takes_leases = known.round < loss_round;
    let leases = own.map(|own| &*own.leases).unwrap_or_default();
    let takes = |&&(keeper, end, _): &&(Keeper, u64, bool)| {
        takes_leases || !known.leases.contains(&(keeper, end))
    };
    let is_held = |keeper| leases.iter().any(|&(held, ..)| held == keeper);
    let ended = touch.ended.iter().filter(|&&(keeper, _)| !is_held(keeper));
    let ended = ended
        .map(|&(keeper, ran_out)| (keeper, if ran_out { LeaseSay::RanOut } else { LeaseSay::End }));
    let taken = leases.iter().filter(takes).map(|&(keeper, end, away)| {
        (keeper, LeaseSay::Take { for_ms: left(end, now).max(1), away, again: takes_leases })
    });
    let attributes = own.and_then(|own| say_attributes(known, own, touch, again, saying));
    let info = own.and_then(|own| {
        let (stamp, value) = (known.info().map(|it| it.stamp), own.member.info());
        let base = match touch.informed || again {
            true => base(stamp, known, touch.informed, Base::Over, me),
            false => None,
        };
        let base = base.or(seed(stamp, value, saying))?;
        Some(Said { base, value: value.clone() })
    });
    let audience = own.filter(|_| touch.shown || again).and_then(|own| {
        // What others said of it must not be passed over: who may see it is asked first.
        let base = base(known.audience().map(|it| it.stamp), known, touch.shown, Base::IfNone, me)?;
        Some(Said { base, value: audience_of(own) })
    });
    let said = UserSay {
        user: user.clone(),
        mark: shown_mark(own, known.record.as_ref(), me, leaving).map(|mark| say_mark(mark, now)),
        leases: ended.chain(taken).collect(),
        place: say_place(known, own, touch, again, me),
        fresh: touch.fresh,
        ends_grace: touch.ended_grace,
        why: touch.why.filter(|_| !has_own),
        attributes,
        info,
        audience,
    };
    let sent = Sent {
        attributes: said.attributes.as_ref().map(|it| it.value.attributes.clone()),
        info: said.info.as_ref().map(|it| it.value.clone()),
        audience: said.audience.as_ref().map(|it| it.value.clone()),
        leases: leases.iter().filter(takes).map(|&(keeper, end, _)| (keeper, end)).collect(),
        todo,
        round,
    };
    Some((said, sent))
}

/// How a field that was written stands to what the store has; `None`: there is nothing to say of it.
fn base(
    known: Option<Stamp>,
    of: &Known,
    written: bool,
    unknown: Base,
    me: NodeId,
) -> Option<Base> {
    match known {
        Some(stamp) if written => Some(Base::At(Stamp { counter: stamp.counter + 1, node: me })),
        Some(stamp) => Some(Base::At(stamp)),
        None if !written => None,
        None if of.is_there() => Some(Base::At(Stamp { counter: 1, node: me })),
        None => Some(unknown),
    }
}

/// Where records are kept, what is remembered here of an earlier time is better than nothing.
fn seed(known: Option<Stamp>, value: &Attributes, saying: Saying) -> Option<Base> {
    (saying.keeps && known.is_none() && !value.is_empty()).then_some(Base::IfNone)
}

fn say_attributes(
    known: &Known,
    own: &Own,
    touch: &Touch,
    again: bool,
    saying: Saying,
) -> Option<Said<Written>> {
    let written = touch.wrote || touch.patched;
    let unknown = if touch.wrote { Base::Over } else { Base::IfNone };
    let stamp = known.attributes().map(|it| it.stamp);
    let base = match written || again {
        true => base(stamp, known, written, unknown, saying.me),
        false => None,
    };
    let base = base.or(seed(stamp, &own.member.attributes, saying))?;
    let ends = own.ends.iter().map(|(key, end)| (key.clone(), left(*end, saying.now)));
    let value = Written { attributes: own.member.attributes.clone(), ends: ends.collect() };
    Some(Said { base, value })
}

fn say_place(
    known: &Known,
    own: Option<&Own>,
    touch: &Touch,
    again: bool,
    me: NodeId,
) -> Said<Place> {
    let joined_at = own.map_or(0, |own| own.member.joined_at);
    let anew = Place { joined_at, number: 0 };
    match known.place() {
        Some(place) if touch.shown && own.is_some_and(|own| moves(known, &own.member)) => {
            let stamp = Stamp { counter: place.stamp.counter + 1, node: me };
            Said { base: Base::At(stamp), value: anew }
        }
        Some(place) => {
            // If the user went meanwhile, so may the whole channel, and then its numbers began anew and
            // the old one is another's. After a loss they are kept, so that lists stay in their order.
            let lost = again || known.record.is_none();
            let number = if lost { place.value.number } else { 0 };
            Said { base: Base::At(place.stamp), value: Place { number, ..place.value } }
        }
        None => Said { base: Base::IfNone, value: anew },
    }
}

fn say_mark(mark: OwnMark, now: Now) -> MarkSay {
    match mark {
        OwnMark::Live { connections, away } => MarkSay::Live { connections, away },
        OwnMark::Lost { ends_ms, away, reason, last_seen } => {
            MarkSay::Lost { for_ms: left(ends_ms, now), away, reason, last_seen }
        }
    }
}

fn audience_of(own: &Own) -> Audience {
    own.member.profile.as_ref().map_or(Audience::EVERYONE, |profile| profile.visible_to.clone())
}

fn left(end: u64, now: Now) -> u64 {
    end.saturating_sub(now.mono_ms)
}

fn bytes_of(said: &UserSay) -> usize {
    let attributes = said.attributes.as_ref().map_or(0, |it| it.value.attributes.bytes());
    let info = said.info.as_ref().map_or(0, |it| it.value.bytes());
    size_of::<UserSay>() + said.user.as_str().len() + attributes + info
}

/// What was said is done; what the store refused, since others had written meanwhile, is to be said
/// again. Whether there is such.
fn take_answer(known: &mut Known, sent: Sent, record: Option<&Record>, own: Option<&Own>) -> bool {
    let Sent { todo, attributes, info, audience, leases, .. } = sent;
    known.leases.retain(|(keeper, _)| {
        let is_held = |own: &Own| own.leases.iter().any(|(held, ..)| held == keeper);
        own.is_some_and(is_held) && leases.iter().all(|(taken, _)| taken != keeper)
    });
    known.leases.extend(leases);
    let (Some(record), Some(_)) = (record, own) else { return false };
    // Not by its stamp: somebody who comes back may have brought what this node wrote by that same one in
    // a life of the record before.
    let told = record.attributes.as_ref();
    let accepted = |value| told.is_some_and(|told| told.value.attributes == value);
    let written = todo.touch.wrote || todo.touch.patched;
    let refused = attributes.is_some_and(|value| written && !accepted(value));
    // Tried before, it may have been done then, and others wrote behind it.
    let again = Touch {
        wrote: refused && todo.touch.wrote && !todo.tried,
        patched: refused && todo.touch.patched,
        informed: todo.touch.informed
            && !todo.tried
            && record.info.as_ref().map(|it| &it.value) != info.as_ref(),
        shown: todo.touch.shown
            && !todo.tried
            && record.audience.as_ref().map(|it| &it.value) != audience.as_ref(),
        ..Touch::default()
    };
    if again == Touch::default() {
        if let Some(later) = known.todo.as_mut().filter(|_| written) {
            later.base.stamp = told.map(|told| told.stamp);
            later.base.attributes =
                told.map(|told| told.value.attributes.clone()).unwrap_or_default();
        }
        return false;
    }
    let earlier = Todo { touch: again, base: todo.base, tried: false };
    known.todo = Some(Box::new(match known.todo.take() {
        Some(later) => later.behind(earlier, false),
        None => earlier,
    }));
    true
}
