//! `src/connection/task.rs`, `command.rs` and `catch_up.rs`, reduced.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::Mutant;
use crate::hub::{Channel, Command, Hub};
use crate::outlet::{Cursor, Flow, Outlet, Sending, Subscription, Sweep};
use crate::replica::Since;
use crate::socket::{Byte, Message};

/// So few that a sweep over two channels lets go between them.
const SWEEP_BYTES: usize = Byte::ALL;

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Apply(usize, Command),
    Subscribe(usize, Option<Since>),
    Unsubscribe(usize),
    /// Walks over all places, so that others have their turn before the next one: `auth`, `watch`.
    Renew,
}

pub(crate) struct Place {
    pub(crate) channel: Arc<Channel>,
    pub(crate) subscribed: Option<(Arc<Subscription>, usize)>,
}

/// One connection.
pub(crate) struct Task {
    hub: Arc<Hub>,
    pub(crate) outlet: Arc<Outlet>,
    pub(crate) places: Vec<Place>,
    resumed: bool,
    heavy: bool,
    turn: Cell<usize>,
    /// What was read and not looked at yet.
    kept: VecDeque<Request>,
    fresh: bool,
}

enum Step {
    Again,
    Yield,
    Wait,
}

#[derive(PartialEq, Eq)]
enum CaughtUp {
    ForNow,
    NotYet,
}

impl Task {
    pub(crate) fn new(hub: &Arc<Hub>, room: usize) -> Self {
        let outlet = Outlet::new(room, hub.mutant);
        Self {
            hub: Arc::clone(hub),
            outlet,
            places: Vec::new(),
            resumed: false,
            heavy: false,
            turn: Cell::new(0),
            kept: VecDeque::new(),
            fresh: false,
        }
    }

    /// What the executor does. A task may be polled without having been woken, too.
    pub(crate) fn poll(&mut self) {
        self.outlet.take_woken();
        loop {
            match self.step() {
                Step::Again => {}
                Step::Wait => return,
                Step::Yield => return self.outlet.wake_by_ref(),
            }
        }
    }

    fn step(&mut self) -> Step {
        if std::mem::take(&mut self.fresh) {
            self.receive(&[]);
        }
        let flow = self.outlet.register();
        if flow == Flow::Choked && self.outlet.transport().poll_write_ready() {
            return match self.catch_up() {
                CaughtUp::NotYet => Step::Yield,
                CaughtUp::ForNow => Step::Again,
            };
        }
        if self.fresh { self.let_others() } else { Step::Wait }
    }

    fn let_others(&self) -> Step {
        if self.hub.mutant == Mutant::ForgetsWhatIsKept { Step::Wait } else { Step::Yield }
    }

    /// One read and the look that follows it.
    pub(crate) fn read(&mut self, requests: &[Request]) {
        self.receive(requests);
        if !self.fresh {
            self.poll();
        } else if matches!(self.let_others(), Step::Yield) {
            self.outlet.wake_by_ref();
        }
    }

    /// What the executor does if the task was woken.
    pub(crate) fn run(&mut self) {
        if self.outlet.take_woken() {
            self.poll();
        }
    }

    /// All requests and their replies under one hold of the lock, up to one after which others have
    /// their turn.
    fn receive(&mut self, requests: &[Request]) {
        let outlet = Arc::clone(&self.outlet);
        let mut sending = outlet.lock();
        self.kept.extend(requests);
        while !self.fresh
            && let Some(request) = self.kept.pop_front()
        {
            self.act(&mut sending, request);
            self.fresh = std::mem::take(&mut self.heavy);
        }
        if std::mem::take(&mut self.resumed) {
            sending.hold_passes();
        } else {
            sending.flush_replies();
        }
    }

    pub(crate) fn has_kept_requests(&self) -> bool {
        !self.kept.is_empty()
    }

    fn act(&mut self, sending: &mut Sending<'_>, request: Request) {
        match request {
            Request::Apply(name, command) => {
                self.hub.enter(name, |_, guarded| guarded.presence.apply(command));
            }
            Request::Subscribe(channel, _) if self.hub.mutant == Mutant::SnapshotApart => {
                let snapshot = self.subscribe_apart(sending, channel);
                sending.reply(Message::Subscribed { channel, resumed: None });
                snapshot.into_iter().for_each(|part| sending.reply(part));
            }
            Request::Subscribe(channel, since) => {
                let resumed = self.subscribe(sending, channel, since);
                let resumed = since.filter(|_| resumed);
                sending.reply(Message::Subscribed { channel, resumed });
            }
            Request::Unsubscribe(channel) => {
                self.unsubscribe(sending, channel);
                sending.reply(Message::Unsubscribed { channel });
            }
            Request::Renew => self.heavy = true,
        }
    }

    fn subscribe(&mut self, sending: &mut Sending<'_>, name: usize, since: Option<Since>) -> bool {
        let Self { hub, places, outlet, .. } = self;
        let mutant = hub.mutant;
        let resumed = hub.enter(name, |channel, guarded| {
            let place = get_or_add(places, channel);
            let (subscription, _) = place.subscribed.get_or_insert_with(|| {
                let subscription = Subscription::new(Arc::clone(outlet));
                let slot = guarded.add_subscriber(Arc::clone(&subscription));
                (subscription, slot)
            });
            let next = since.and_then(|since| guarded.presence.resume(since, mutant));
            sending.set_cursor(subscription, next.map_or(Cursor::Want, Cursor::Next));
            let asks = sending.flow() == Flow::Flowing || mutant == Mutant::WantsWhileChoked;
            if next.is_none() && asks {
                guarded.want_snapshot(Arc::clone(subscription));
            }
            next.is_some()
        });
        self.resumed |= resumed;
        resumed
    }

    /// The mutant that some brokers are: the list is read, and then the frames are subscribed.
    fn subscribe_apart(&mut self, sending: &mut Sending<'_>, name: usize) -> [Message; 2] {
        let (next_seq, snapshot) = self.hub.enter(name, |_, guarded| {
            let presence = &guarded.presence;
            let begin = presence.begin_snapshot();
            let (first, next) = presence.snapshot_part(begin);
            let (second, _) = presence.snapshot_part(next.expect("a second part"));
            (presence.next_seq(), [first, second])
        });
        let Self { hub, places, outlet, .. } = self;
        hub.enter(name, |channel, guarded| {
            let subscription = Subscription::new(Arc::clone(outlet));
            let slot = guarded.add_subscriber(Arc::clone(&subscription));
            sending.set_cursor(&subscription, Cursor::Next(next_seq));
            get_or_add(places, channel).subscribed = Some((subscription, slot));
        });
        snapshot
    }

    fn unsubscribe(&mut self, sending: &mut Sending<'_>, name: usize) {
        let found = self.places.iter_mut().find(|place| place.channel.name == name);
        if let Some(place) = found
            && let Some((subscription, slot)) = place.subscribed.take()
        {
            if self.hub.mutant != Mutant::LeavesTheCursorAlive {
                sending.set_cursor(&subscription, Cursor::Dead);
            }
            self.hub.enter_kept(&place.channel, |guarded| guarded.remove_subscriber(slot));
            self.places.retain(|place| place.subscribed.is_some());
        }
    }

    fn catch_up(&self) -> CaughtUp {
        let mut sending = self.outlet.lock();
        if sending.resume() != Sweep::Done {
            return CaughtUp::ForNow;
        }
        let (mut bytes, mut idle, mut turn) = (0, 0, self.turn.get());
        while idle < self.places.len() {
            turn %= self.places.len();
            match self.send_next(&self.places[turn], &mut sending) {
                (Sweep::Done, 0) => idle += 1,
                (Sweep::Done, sent) => (bytes, idle) = (bytes + sent, 0),
                (Sweep::Full, _) => return CaughtUp::ForNow,
            }
            turn += 1;
            self.turn.set(turn);
            if bytes >= SWEEP_BYTES {
                return CaughtUp::NotYet;
            }
        }
        if self.hub.mutant == Mutant::LetsGoBeforeFlowing {
            drop(sending);
            sending = self.outlet.lock();
        }
        sending.flowing();
        self.ask_for_snapshots(&sending);
        CaughtUp::ForNow
    }

    fn send_next(&self, place: &Place, sending: &mut Sending<'_>) -> (Sweep, usize) {
        let Some((subscription, _)) = &place.subscribed else { return (Sweep::Done, 0) };
        let guarded = place.channel.lock();
        let presence = &guarded.presence;
        let (to, bytes) = match sending.cursor(subscription) {
            Cursor::Next(seq) => match presence.since(seq) {
                None => {
                    sending.set_cursor(subscription, Cursor::Want);
                    return (Sweep::Done, 0);
                }
                Some(frames) => (Cursor::Next(presence.next_seq()), frames),
            },
            Cursor::Within(_) if self.hub.mutant == Mutant::ForgetsThePlace => {
                return (Sweep::Done, 0);
            }
            Cursor::Within(place) => {
                let (part, next) = presence.snapshot_part(place);
                let to = match next {
                    Some(next) => Cursor::Within(next),
                    None if place.missed => Cursor::Want,
                    None if self.hub.mutant == Mutant::SkipsWhatCameMeanwhile => {
                        Cursor::Next(presence.next_seq())
                    }
                    None => Cursor::Next(place.seq + 1),
                };
                (to, part.bytes())
            }
            _ => return (Sweep::Done, 0),
        };
        drop(guarded);
        if bytes.is_empty() {
            return (Sweep::Done, 0);
        }
        (sending.catch_up(subscription, to, &bytes), bytes.len())
    }

    fn ask_for_snapshots(&self, sending: &Sending<'_>) {
        if self.hub.mutant == Mutant::WantsWhileChoked {
            return;
        }
        for place in &self.places {
            let Some((subscription, _)) = &place.subscribed else { continue };
            if sending.cursor(subscription) == Cursor::Want {
                let subscription = Arc::clone(subscription);
                self.hub.enter_kept(&place.channel, |guarded| guarded.want_snapshot(subscription));
            }
        }
    }
}

fn get_or_add<'a>(places: &'a mut Vec<Place>, channel: &Arc<Channel>) -> &'a mut Place {
    let found = places.iter().position(|place| Arc::ptr_eq(&place.channel, channel));
    let index = found.unwrap_or_else(|| {
        places.push(Place { channel: Arc::clone(channel), subscribed: None });
        places.len() - 1
    });
    &mut places[index]
}
