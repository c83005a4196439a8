//! One channel's part, step by step: what comes from elsewhere comes as a test wants it. Whether all
//! nodes come to show the same is what the simulator asks.

use herenow_protocol::{Attributes, Audience, Epoch, LeaveReason, LossReason, UserId};
use serde_json::{Value, json};

use super::channel::{Heard, Replica};
use super::summing::Counted;
use crate::cluster::peers::Peers;
use crate::cluster::record::{LeaseMark, Mark, Place, Record, Stamp, Stamped, Written, example};
use crate::cluster::say::{Base, LeaseSay, MarkSay, Say, Told, UserTold};
use crate::cluster::summary::{SUMMARY_MS, Summary};
use crate::limits::{LOSS_SLACK_MS, REPLICA_BATCH, SAY_USERS, SUMMARY_AGAIN_MS, SUMMARY_HELD_MS};
use crate::now::Now;
use crate::presence::pending::Cause;
use crate::presence::{Bounds, ChannelState, Command, Keeper, Lasts, NodeId, Source, Viewer};

const ME: u64 = 7;
const OTHER: u64 = 8;
const THIRD: u64 = 9;
const ERA: u64 = 1;
/// What the store's clock shows, by which moments of its own are told.
const STORE_MS: u64 = 50_000;
const BOUNDS: Bounds =
    Bounds { members: 1_000, attribute_bytes: 50_000, attribute_keys: 10, roster: 1_000 };

fn user(name: &str) -> UserId {
    UserId::parse(name, "user").unwrap()
}

fn attributes(of: &Value) -> Attributes {
    Attributes::from_map(of.as_object().unwrap())
}

/// What the store has of a user with connections at these nodes.
fn live(at: &[u64]) -> Record {
    let mark = Mark::Live { connections: 1, away: false };
    Record {
        marks: at.iter().map(|&node| (NodeId::new(node), mark)).collect(),
        ..example(&[], &[])
    }
}

fn lost(at: u64, until: u64) -> Record {
    let mark = Mark::Lost { until, away: false, reason: LossReason::Connection, last_seen: 3 };
    Record { marks: [(NodeId::new(at), mark)].into(), ..example(&[], &[]) }
}

fn leased(owner: u64) -> Record {
    let lease = LeaseMark { owner: NodeId::new(owner), ends: STORE_MS + 9_000, away: false };
    Record { leases: [(Keeper::Herenow, lease)].into(), ..example(&[], &[]) }
}

/// What became of users, by that version.
fn told<const N: usize>(version: u64, users: [(&str, Option<Record>); N]) -> Told {
    let one = |(name, record): (&str, Option<Record>)| UserTold {
        user: user(name),
        record: record.map(|record| Record { version, ..record }),
        why: None,
    };
    Told {
        era: ERA,
        version,
        changed: true,
        counted: false,
        owes_ms: None,
        now: STORE_MS,
        users: users.into_iter().map(one).collect(),
    }
}

fn peers(said_all: &[u64], owing: &[u64], dead: &[u64]) -> Peers {
    let of = |nodes: &[u64]| std::sync::Arc::new(nodes.iter().copied().map(NodeId::new).collect());
    Peers { dead: of(dead), said_all: of(said_all), owing: of(owing) }
}

/// A channel of node [`ME`].
struct One {
    state: ChannelState,
    replica: Replica,
    peers: Peers,
    now: Now,
}

impl One {
    fn new() -> Self {
        let mut state = ChannelState::new(Epoch::from_random(1));
        state.share();
        let now = Now { mono_ms: 1_000, unix_ms: 1_000_000 };
        Self { state, replica: Replica::new(NodeId::new(ME), 0), peers: Peers::default(), now }
    }

    /// One that knows all: of these, by version 10.
    fn whole<const N: usize>(users: [(&str, Record); N]) -> Self {
        let mut one = Self::new();
        one.replica.follow();
        assert!(!one.load(10, users));
        one
    }

    fn apply(&mut self, command: Command) {
        self.state.apply(command, self.now, &BOUNDS, |_| {}).unwrap();
        self.replica.note(&mut self.state);
    }

    fn join(&mut self, name: &str, source: Source) {
        let lasts = match source {
            Source::Lease(_) => Lasts::Lease { ttl_ms: 9_000 },
            _ => Lasts::Connection { grace_ms: 5_000 },
        };
        self.apply(Command::Join {
            user: user(name),
            source,
            attributes: None,
            merge: true,
            info: None,
            visible_to: None,
            away: None,
            lasts,
        });
    }

    fn leave(&mut self, name: &str, source: Source) {
        self.apply(Command::Leave { user: user(name), source, reason: LeaveReason::Left });
    }

    fn write(&mut self, name: &str, what: &Value) {
        self.apply(Command::SetAttributes {
            user: user(name),
            source: Source::connection(1),
            attributes: what.as_object().unwrap().clone(),
            merge: true,
            ttl_ms: None,
        });
    }

    fn say(&mut self) -> Option<Say> {
        self.replica.say(&self.state, self.now)
    }

    fn take(&mut self, heard: Heard) -> bool {
        heard.commands.into_iter().for_each(|command| self.apply(command));
        heard.load_again
    }

    /// Published. Whether something was missed.
    fn hear(&mut self, told: &Told) -> bool {
        let heard = self.replica.told(told, &self.state, &self.peers, self.now);
        self.take(heard)
    }

    fn hear_apart(&mut self, told: &Told) -> bool {
        let heard = self.replica.told_apart(told, &self.state, &self.peers, self.now);
        self.take(heard)
    }

    fn answered(&mut self, told: &Told) -> bool {
        let heard = self.replica.answered(told, &self.state, &self.peers, self.now);
        self.take(heard)
    }

    fn begin(&mut self, version: u64) -> u32 {
        let load = self.replica.load_asked().unwrap();
        self.replica.load_begins(load, (ERA, version, STORE_MS), &self.peers, self.now);
        load
    }

    fn part<const N: usize>(&mut self, load: u32, users: [(&str, Record); N]) {
        let records = users.map(|(name, record)| (user(name), record));
        let commands = self.replica.load_part(load, &records, &self.state, &self.peers, self.now);
        commands.into_iter().for_each(|command| self.apply(command));
    }

    /// Whether something was missed.
    fn end(&mut self, load: u32) -> bool {
        loop {
            let loaded = self.replica.load_ends(load, &self.state, &self.peers, self.now);
            loaded.commands.into_iter().for_each(|command| self.apply(command));
            if loaded.done {
                return loaded.load_again;
            }
        }
    }

    /// All of it at once. Whether something was missed.
    fn load<const N: usize>(&mut self, version: u64, users: [(&str, Record); N]) -> bool {
        let load = self.begin(version);
        self.part(load, users);
        self.end(load)
    }

    /// Who is shown.
    fn shown(&self) -> Vec<String> {
        let page = self.state.members(1_000, None, Viewer::All);
        let mut names: Vec<_> = page.members.iter().map(|it| it.user.to_string()).collect();
        names.sort();
        names
    }

    /// Of whom anything is known.
    fn known(&self) -> Vec<&str> {
        self.replica.users.keys().map(UserId::as_str).collect()
    }
}

#[test]
fn a_channel_may_go_when_all_was_said_and_nobody_follows_it() {
    let mut one = One::new();
    let stands = |one: &One| {
        (one.replica.has_to_say(), one.replica.has_said_all(), one.replica.is_settled())
    };
    let (busy, to_say, done) = ((false, false, false), (true, false, false), (false, true, true));
    assert_eq!(stands(&one), done);
    one.join("ada", Source::connection(1));
    assert_eq!(stands(&one), to_say);
    let said = one.say().unwrap();
    assert_eq!((said.users.len(), said.keep_ms), (1, 0));
    assert_eq!(stands(&one), busy);
    one.leave("ada", Source::connection(1));
    assert_eq!(stands(&one), busy);
    assert_eq!(one.say(), None, "one at a time");
    one.answered(&told(10, [("ada", Some(live(&[ME])))]));
    assert_eq!(stands(&one), to_say);
    assert!(one.say().is_some_and(|said| said.users[0].mark.is_none()));
    one.answered(&told(11, [("ada", None)]));
    assert_eq!(stands(&one), done);
    assert_eq!(one.known(), [""; 0]);
    // Whoever follows it, or its summary, wants it kept.
    one.replica.follow();
    assert_eq!(stands(&one), (false, true, false));
    let _ = one.replica.unfollow(None, &one.state, one.now);
    assert_eq!(stands(&one), done);
    one.replica.follow_summary();
    assert_eq!(stands(&one), (false, true, false));
    one.replica.unfollow_summary();
    assert_eq!(stands(&one), done);
    // Nobody is there, so there is nothing to say again.
    one.replica.say_all();
    assert_eq!(stands(&one), done);
}

#[test]
fn all_is_said_again_part_by_part() {
    let mut one = One::new();
    let names: Vec<_> = (0..SAY_USERS + 2).map(|number| format!("user-{number:03}")).collect();
    for (number, name) in names.iter().enumerate() {
        one.join(name, Source::connection(number as u64));
    }
    let mut said = Vec::new();
    let mut parts = Vec::new();
    let mut version = 10;
    let mut say_all = |one: &mut One, said: &mut Vec<String>| {
        parts.clear();
        while let Some(say) = one.say() {
            parts.push(say.users.len());
            said.extend(say.users.iter().map(|it| it.user.to_string()));
            version += 1;
            let users = say.users.iter().map(|it| UserTold {
                user: it.user.clone(),
                record: Some(live(&[ME])),
                why: None,
            });
            one.answered(&Told { users: users.collect(), ..told(version, []) });
        }
        parts.clone()
    };
    assert_eq!(say_all(&mut one, &mut said), [SAY_USERS, 2]);
    assert_eq!(said, names, "in the order in which it was done");
    assert_eq!(say_all(&mut one, &mut said), [0; 0]);
    said.clear();
    one.replica.say_all();
    assert_eq!(say_all(&mut one, &mut said), [SAY_USERS, 2]);
    assert_eq!(said, names);
}

#[test]
fn what_is_said_at_once_is_bounded_in_bytes() {
    let mut one = One::new();
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        one.join(name, Source::connection(number as u64));
        one.apply(Command::SetAttributes {
            user: user(name),
            source: Source::connection(number as u64),
            attributes: json!({"pad": "x".repeat(30_000)}).as_object().unwrap().clone(),
            merge: false,
            ttl_ms: None,
        });
        let info = attributes(&json!({"pad": "x".repeat(3_000)}));
        one.apply(Command::Inform { user: user(name), info });
    }
    assert_eq!(one.say().map(|say| say.users.len()), Some(2));
}

#[test]
fn what_was_not_answered_is_said_again() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    let first = one.say().unwrap();
    one.write("ada", &json!({"m": 2}));
    one.replica.unanswered();
    assert!(one.replica.has_to_say());
    let again = one.say().unwrap();
    let value = |say: &Say| say.users[0].attributes.as_ref().map(|it| it.value.attributes.clone());
    assert_eq!(value(&first), Some(attributes(&json!({"n": 1}))));
    assert_eq!(value(&again), Some(attributes(&json!({"n": 1, "m": 2}))));
    // Whoever went meanwhile may be there by what was said.
    one.replica.unanswered();
    one.leave("ada", Source::connection(1));
    let gone = one.say().unwrap();
    assert_eq!((gone.users.len(), gone.users[0].mark), (1, None));
    one.answered(&told(11, [("ada", None)]));
    assert!(one.replica.is_settled() && one.known().is_empty());
}

/// Nobody was told that it was there.
#[test]
fn whoever_came_and_went_before_anything_was_said_is_not_said() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.leave("ada", Source::connection(1));
    assert_eq!(one.say(), None);
    assert!(one.replica.is_settled() && one.known().is_empty());
}

#[test]
fn a_lease_that_is_ended_here_is_ended_whoever_times_it() {
    let mut one = One::new();
    for keeper in [Keeper::Vendor(1), Keeper::Herenow, Keeper::Herenow] {
        one.replica.ended_lease(&user("ada"), keeper);
    }
    assert!(one.replica.has_to_say());
    let said = one.say().unwrap();
    let ended = [(Keeper::Vendor(1), LeaseSay::End), (Keeper::Herenow, LeaseSay::End)];
    assert_eq!((said.users.len(), &said.users[0].leases[..]), (1, &ended[..]));
}

/// A lease that is said again must not end sooner than one that others renewed meanwhile; a new one
/// ends when it says.
#[test]
fn only_what_was_taken_before_a_loss_is_said_to_be_said_again() {
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    one.join("ada", Source::LEASE);
    let taken = |one: &mut One| {
        let said = one.say().unwrap();
        let again = said.users.iter().map(|it| match it.leases[..] {
            [(Keeper::Herenow, LeaseSay::Take { again, for_ms: 9_000, away: false })] => again,
            ref other => panic!("{other:?}"),
        });
        again.collect::<Vec<_>>()
    };
    assert_eq!(taken(&mut one), [false]);
    one.answered(&told(11, [("ada", Some(leased(ME)))]));
    one.replica.lost_data();
    assert_eq!(taken(&mut one), [true]);
    one.answered(&told(12, [("ada", Some(leased(ME)))]));
    one.hear(&told(13, [("carol", Some(live(&[OTHER])))]));
    one.join("dave", Source::LEASE);
    one.join("carol", Source::LEASE);
    assert_eq!(taken(&mut one), [false, false]);
}

#[test]
fn a_node_that_shuts_down_says_its_connections_lost_but_of_who_is_elsewhere() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.join("bob", Source::connection(2));
    one.say().unwrap();
    one.answered(&told(10, [("ada", Some(live(&[ME]))), ("bob", Some(live(&[ME, OTHER])))]));
    one.replica.drain(one.now.mono_ms + 5_000, one.now);
    let marks: Vec<_> = one.say().unwrap().users.iter().map(|it| it.mark).collect();
    let (reason, last_seen) = (LossReason::Connection, one.now.unix_ms);
    let gone = MarkSay::Lost { for_ms: 5_000, away: false, reason, last_seen };
    assert_eq!(marks, [Some(gone), None]);
}

#[test]
fn a_channel_is_whole_when_it_was_loaded_without_a_gap() {
    let mut one = One::new();
    let stands = |one: &One| {
        let replica = &one.replica;
        (replica.is_whole(), replica.is_behind(), replica.wants_load(&one.peers))
    };
    assert_eq!((stands(&one), one.replica.is_followed()), ((false, false, false), false));
    one.replica.follow();
    assert_eq!((stands(&one), one.replica.is_followed()), ((false, true, true), true));
    let given_up = one.begin(9);
    assert_eq!(stands(&one), (false, false, false));
    one.replica.load_fails(given_up);
    assert_eq!(stands(&one), (false, true, true));
    let load = one.begin(10);
    // What an earlier one still brings counts for nothing.
    one.part(given_up, [("eve", live(&[OTHER]))]);
    one.replica.load_fails(given_up);
    assert!(!one.end(given_up) && !one.replica.is_whole());
    one.part(load, [("bob", live(&[OTHER]))]);
    assert!(!one.end(load));
    assert_eq!(stands(&one), (true, false, false));
    assert_eq!(one.shown(), ["bob"]);
    // Behind a gap what is known stays until another load.
    one.replica.follow();
    assert_eq!(stands(&one), (true, true, true));
    assert_eq!(one.shown(), ["bob"]);
    // An old copy of the store has older versions.
    assert!(!one.load(3, [("carol", live(&[OTHER]))]));
    assert_eq!((stands(&one), one.shown()), ((true, false, false), vec!["carol".to_owned()]));
    let part = one.replica.unfollow(None, &one.state, one.now);
    part.commands.into_iter().for_each(|command| one.apply(command));
    assert_eq!((stands(&one), part.next), ((false, false, false), None));
    assert!(one.shown().is_empty() && one.known().is_empty());
}

/// Nothing is asked of the store for each of them.
#[test]
fn what_walks_over_all_users_goes_in_parts() {
    let mut one = One::new();
    one.replica.follow();
    let load = one.begin(10);
    for number in 0..=REPLICA_BATCH {
        one.part(load, [(&format!("user-{number:04}"), live(&[OTHER]))]);
    }
    let loaded = one.replica.load_ends(load, &one.state, &one.peers, one.now);
    assert!(!loaded.done && !one.replica.is_whole());
    assert!(!one.end(load));
    assert_eq!(one.shown().len(), REPLICA_BATCH + 1);
    one.peers = peers(&[], &[], &[OTHER]);
    let cause = Cause::Lost(LossReason::Node, 5);
    let mut from = None;
    let mut parts = Vec::new();
    loop {
        let (state, peers) = (&one.state, &one.peers);
        let part =
            one.replica.bury(NodeId::new(OTHER), cause, from.as_ref(), state, peers, one.now);
        assert!(part.found);
        parts.push(part.commands.len());
        part.commands.into_iter().for_each(|command| one.apply(command));
        from = part.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(parts, [REPLICA_BATCH, 1]);
    assert!(one.shown().is_empty());
    let (state, peers) = (&one.state, &one.peers);
    let part = one.replica.bury(NodeId::new(THIRD), cause, None, state, peers, one.now);
    assert!(!part.found && part.commands.is_empty());
}

#[test]
fn a_version_that_is_missing_is_noticed_while_anybody_is_there() {
    let bob = || [("bob", Some(live(&[OTHER])))];
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    assert!(!one.hear(&told(11, bob())) && !one.hear(&told(12, bob())));
    // Once more, or late.
    assert!(!one.hear(&told(12, bob())) && !one.hear(&told(11, bob())));
    assert!(!one.hear(&told(13, bob())) && !one.replica.is_behind());
    assert!(one.hear(&told(15, bob())), "one is missing");
    assert!(one.replica.is_behind() && one.replica.is_whole());
    // A load that began before it does not heal that, and one behind it does.
    let load = one.begin(13);
    one.part(load, [("bob", live(&[OTHER]))]);
    assert!(one.end(load));
    assert!(!one.load(15, [("bob", live(&[OTHER]))]) && !one.replica.is_behind());
    assert!(!one.hear(&told(16, bob())));
    // In a channel without a member versions begin anew.
    assert!(!one.hear(&told(17, [("bob", None)])));
    assert!(!one.hear(&told(70, bob())) && !one.replica.is_behind());
    assert!(!one.hear(&told(71, bob())));
    assert!(one.hear(&told(73, bob())));
}

#[test]
fn what_is_told_while_a_load_goes_on_joins_up_with_it() {
    let bob = || [("bob", Some(live(&[OTHER])))];
    let begun = |first: Option<u64>| {
        let mut one = One::new();
        one.replica.follow();
        let load = one.begin(10);
        if let Some(version) = first {
            assert!(!one.hear(&told(version, bob())), "the load is not over");
        }
        (one, load)
    };
    for (first, missed) in
        [(None, false), (Some(9), false), (Some(10), false), (Some(11), false), (Some(12), true)]
    {
        let (mut one, load) = begun(first);
        one.part(load, [("bob", live(&[OTHER]))]);
        assert_eq!(one.end(load), missed, "{first:?}");
        assert_eq!(one.replica.is_behind(), missed, "{first:?}");
        if !missed {
            let next = first.map_or(11, |first| first.max(10) + 1);
            assert!(!one.hear(&told(next, bob())) && one.hear(&told(next + 2, bob())));
        }
    }
    // Whatever was missed, nobody is there any more.
    let (mut one, load) = begun(None);
    one.hear(&told(12, [("bob", None)]));
    assert!(!one.end(load));
    assert!(one.shown().is_empty());
    // A gap while it goes on.
    let (mut one, load) = begun(Some(11));
    assert!(!one.hear(&told(13, bob())));
    assert!(one.end(load) && one.replica.wants_load(&one.peers));
}

/// By another way it may come late, and would bring back who went.
#[test]
fn whoever_went_is_forgotten_and_not_brought_back_by_what_is_older() {
    let mut one = One::whole([("bob", live(&[OTHER])), ("carol", live(&[OTHER]))]);
    one.hear(&told(11, [("bob", None)]));
    assert_eq!((one.known(), one.shown().len()), (vec!["carol"], 1));
    one.hear_apart(&told(10, [("bob", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["carol"]);
    // What is newer than all that was told counts, and is not forgotten before that was told, too.
    one.hear_apart(&told(13, [("bob", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["bob", "carol"]);
    one.hear_apart(&told(14, [("bob", None)]));
    assert_eq!((one.known(), one.shown().len()), (vec!["bob", "carol"], 1));
    one.hear_apart(&told(13, [("bob", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["carol"]);
    for version in 12..=14 {
        assert!(!one.hear(&told(version, [])));
    }
    assert_eq!(one.known(), ["carol"]);
    // While a load goes on what was told before it may be in it.
    let load = one.begin(14);
    one.hear(&told(15, [("carol", None)]));
    assert_eq!((one.known(), one.shown().len()), (vec!["carol"], 0));
    one.part(load, [("carol", live(&[OTHER]))]);
    assert!(one.shown().is_empty());
    assert!(!one.end(load));
    assert!(one.known().is_empty());
}

#[test]
fn whom_a_load_does_not_name_has_gone() {
    let mut one = One::whole([("bob", live(&[OTHER])), ("carol", live(&[OTHER]))]);
    let load = one.begin(20);
    one.hear(&told(21, [("dave", Some(live(&[OTHER])))]));
    one.part(load, [("carol", live(&[OTHER]))]);
    one.end(load);
    assert_eq!(one.shown(), ["carol", "dave"], "who came behind its beginning stays");
}

#[test]
fn after_a_loss_what_is_missing_stays_until_whose_it_is_has_said_all() {
    let all = || [("bob", live(&[OTHER])), ("carol", live(&[THIRD])), ("dave", leased(THIRD))];
    let mut one = One::whole(all());
    one.peers = peers(&[], &[OTHER, THIRD], &[]);
    one.replica.lost_data();
    assert!(one.replica.has_lost() && one.replica.is_behind());
    assert!(one.replica.wants_load(&one.peers));
    assert!(!one.load(100, []));
    assert_eq!(one.shown(), ["bob", "carol", "dave"]);
    assert!(one.replica.has_lost() && !one.replica.wants_load(&one.peers));
    // One has said all, and another not yet: no load would tell more.
    one.peers = peers(&[OTHER], &[THIRD], &[]);
    assert!(!one.replica.wants_load(&one.peers));
    one.hear(&told(101, [("carol", Some(live(&[THIRD])))]));
    one.peers = peers(&[OTHER, THIRD], &[], &[]);
    assert!(one.replica.wants_load(&one.peers));
    assert!(!one.load(102, [("carol", live(&[THIRD]))]));
    assert_eq!(one.shown(), ["carol"]);
    assert!(!one.replica.has_lost() && !one.replica.is_behind());
    // Of the dead nobody says anything.
    let mut one = One::whole(all());
    one.peers = peers(&[], &[THIRD], &[OTHER]);
    one.replica.lost_data();
    one.load(100, []);
    assert_eq!(one.shown(), ["carol", "dave"]);
}

#[test]
fn what_merely_grace_keeps_elsewhere_ends_with_it() {
    let until = STORE_MS + 2_000;
    let mut one = One::whole([("bob", lost(OTHER, until))]);
    assert_eq!(one.shown(), ["bob"]);
    // By then the node that has it has told, if it could.
    one.now.mono_ms += 2_000 + LOSS_SLACK_MS - 1;
    one.apply(Command::Expire);
    assert_eq!(one.shown(), ["bob"]);
    one.now.mono_ms += 1;
    one.apply(Command::Expire);
    assert!(one.shown().is_empty());
}

#[test]
fn a_lease_of_a_dead_node_is_timed_by_whoever_buried_it_and_goes_to_whoever_renews_it() {
    let mut one = One::whole([("bob", leased(OTHER))]);
    one.hear_apart(&told(11, [("bob", Some(leased(ME)))]));
    assert!(one.state.held_by(&user("bob")).any(|source| source == Source::LEASE));
    one.hear(&told(11, [("bob", Some(leased(ME)))]));
    one.hear(&told(12, [("bob", Some(leased(THIRD)))]));
    assert_eq!(one.shown(), ["bob"]);
    one.now.mono_ms += 60_000;
    one.apply(Command::Expire);
    assert_eq!(one.shown(), ["bob"], "it is timed elsewhere");
    assert_eq!(one.say(), None);
}

#[test]
fn where_nobody_follows_only_what_is_this_nodes_own_concerns_it() {
    let mut one = One::new();
    let carols = with_attributes(leased(ME), stamp(2, OTHER), &json!({"n": 1}), &[]);
    let all = [("bob", Some(live(&[OTHER]))), ("carol", Some(carols))];
    one.hear_apart(&told(11, all));
    let own = one.state.own(&user("carol")).unwrap();
    assert_eq!(own.member.attributes, attributes(&json!({"n": 1})));
    assert_eq!((one.known(), one.shown()), (vec!["carol"], vec!["carol".to_owned()]));
    // The lease that was inherited is this node's to say, also to a store that lost it.
    assert_eq!(one.say(), None);
    one.replica.lost_data();
    let said = one.say().unwrap();
    let again = LeaseSay::Take { for_ms: 9_000, away: false, again: true };
    assert_eq!(said.users[0].leases, [(Keeper::Herenow, again)]);
}

#[test]
fn what_is_written_over_a_record_stands_by_the_stamps_that_are_known() {
    let mut one = One::whole([]);
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    let said = |one: &mut One| {
        let user = one.say().unwrap().users.remove(0);
        (user.attributes.map(|it| it.base), user.place.base)
    };
    assert_eq!(said(&mut one), (Some(Base::IfNone), Base::IfNone));
    // The answer tells what another wrote meanwhile: over that, it is said again.
    let record = |counter, node, value: &Value| {
        with_attributes(live(&[ME]), stamp(counter, node), value, &[])
    };
    one.answered(&told(11, [("ada", Some(record(4, OTHER, &json!({"m": 2}))))]));
    let place = Base::At(example(&[], &[]).place.stamp);
    assert_eq!(said(&mut one), (Some(Base::At(stamp(5, ME))), place));
    let both = json!({"m": 2, "n": 1});
    assert_eq!(one.state.own(&user("ada")).unwrap().member.attributes, attributes(&both));
    one.answered(&told(12, [("ada", Some(record(5, ME, &both)))]));
    assert!(one.replica.has_said_all());
    // Said again, it is as it was.
    one.replica.say_all();
    assert_eq!(said(&mut one), (Some(Base::At(stamp(5, ME))), place));
}

#[test]
fn whether_members_are_counted_is_as_the_newest_version_says() {
    let mut one = One::new();
    assert_eq!(one.replica.counts(), None);
    one.replica.stands(10, true);
    one.replica.stands(9, false);
    assert_eq!(one.replica.counts(), Some(true));
    one.replica.stands(10, false);
    assert_eq!(one.replica.counts(), Some(false));
    one.hear_apart(&Told { counted: true, ..told(11, []) });
    assert_eq!(one.replica.counts(), Some(true));
    // Of other data whatever comes is newer.
    one.replica.lost_data();
    one.replica.stands(1, false);
    assert_eq!(one.replica.counts(), Some(false));
}

#[test]
fn a_summary_counts_if_it_is_newer_and_holds_while_data_are_lost() {
    let summary = |version, count| Summary {
        era: ERA,
        version,
        now: STORE_MS,
        counted: true,
        count,
        newest: Vec::new(),
    };
    let mut one = One::new();
    one.peers = peers(&[OTHER], &[], &[]);
    let tell = |one: &mut One, summary: &Summary, asked| {
        one.replica.summary_told(summary, asked, &one.peers, one.now)
    };
    let count = |one: &One| one.replica.summary().map(|summary| summary.count);
    assert_eq!(tell(&mut one, &summary(10, 300), None), Counted::AsBefore, "not followed");
    assert!(!one.replica.wants_summary(one.now) && one.replica.is_summary_partial());
    one.replica.follow_summary();
    assert!(one.replica.wants_summary(one.now));
    let asked = one.replica.ask_summary(one.now);
    assert_eq!(asked.version, 0);
    assert!(!one.replica.wants_summary(one.now));
    one.now.mono_ms += SUMMARY_AGAIN_MS;
    assert!(one.replica.wants_summary(one.now));
    assert_eq!(tell(&mut one, &summary(10, 300), Some(asked)), Counted::Anew);
    assert_eq!((count(&one), one.replica.is_summary_partial()), (Some(300), false));
    assert_eq!(tell(&mut one, &summary(10, 301), None), Counted::AsBefore);
    assert_eq!(tell(&mut one, &summary(9, 301), None), Counted::AsBefore);
    assert_eq!(tell(&mut one, &summary(11, 302), None), Counted::Anew);
    assert_eq!(one.replica.ask_summary(one.now).version, 11);
    one.replica.summary_fails();
    assert!(one.replica.wants_summary(one.now));
    // Behind a gap the answer to what is asked since counts, whatever its version.
    let late = one.replica.ask_summary(one.now);
    one.replica.follow_summary();
    assert_eq!(tell(&mut one, &summary(5, 310), Some(late)), Counted::AsBefore);
    let asked = one.replica.ask_summary(one.now);
    assert_eq!(asked.version, 0);
    assert_eq!(tell(&mut one, &summary(5, 310), Some(asked)), Counted::Anew);
    // Data are lost: the last one holds, for a while, until all have said theirs again.
    one.peers = peers(&[], &[OTHER], &[]);
    one.replica.lost_data();
    assert!(one.replica.is_summary_partial() && one.replica.wants_summary(one.now));
    let asked = one.replica.ask_summary(one.now);
    assert_eq!(tell(&mut one, &summary(100, 1), Some(asked)), Counted::AsBefore);
    assert_eq!(count(&one), Some(310));
    one.now.mono_ms += SUMMARY_MS;
    assert!(one.replica.wants_summary(one.now), "sooner than otherwise");
    one.now.mono_ms += SUMMARY_HELD_MS - SUMMARY_MS - 1;
    assert_eq!(tell(&mut one, &summary(101, 2), Some(asked)), Counted::AsBefore);
    one.now.mono_ms += 1;
    assert_eq!(tell(&mut one, &summary(101, 2), Some(asked)), Counted::Anew);
    assert_eq!((count(&one), one.replica.is_summary_partial()), (Some(2), false));
    // And at once when they have.
    one.replica.lost_data();
    one.peers = peers(&[OTHER], &[], &[]);
    assert_eq!(tell(&mut one, &summary(3, 320), None), Counted::Anew);
    let last = Summary { counted: false, ..summary(4, 0) };
    assert_eq!(tell(&mut one, &last, None), Counted::NoLonger);
    assert_eq!(one.replica.counts(), Some(false));
}

/// What never came cannot be lost.
#[test]
fn a_summary_that_never_came_is_awaited_and_not_held_back_after_a_loss() {
    let mut one = One::new();
    one.peers = peers(&[], &[OTHER], &[]);
    one.replica.follow_summary();
    one.replica.lost_data();
    let first = Summary {
        era: ERA,
        version: 3,
        now: STORE_MS,
        counted: true,
        count: 400,
        newest: Vec::new(),
    };
    assert_eq!(one.replica.summary_told(&first, None, &one.peers, one.now), Counted::Anew);
}

#[test]
fn what_changes_nothing_makes_no_command() {
    let second = |mut record: Record| {
        record.place.value.number += 64;
        record
    };
    let mut one = One::whole([("bob", live(&[OTHER])), ("carol", second(leased(OTHER)))]);
    let commands = |one: &mut One, version, bob, carol| {
        let told = told(version, [("bob", Some(bob)), ("carol", Some(second(carol)))]);
        let heard = one.replica.told(&told, &one.state, &one.peers, one.now);
        heard.commands.len()
    };
    assert_eq!(commands(&mut one, 11, live(&[OTHER]), leased(OTHER)), 0);
    assert_eq!(commands(&mut one, 12, live(&[OTHER, THIRD]), leased(OTHER)), 1);
    assert_eq!(commands(&mut one, 13, live(&[OTHER, THIRD]), leased(THIRD)), 1);
}

/// A lease that ends later is no news: others learn its end when it comes.
#[test]
fn what_is_news_to_others_is_said_sooner() {
    let mut one = One::new();
    let stands = |one: &One| {
        (one.replica.is_pressing(&one.state), one.replica.has_told(&user("ada"), &one.state))
    };
    let (nothing, news, in_flight) = ((false, true), (true, false), (false, false));
    assert_eq!(stands(&one), nothing);
    let version = std::cell::Cell::new(10);
    let next = || version.replace(version.get() + 1);
    let settles = |one: &mut One, record: Record| {
        assert_eq!(stands(one), news);
        one.say().unwrap();
        assert_eq!(stands(one), in_flight);
        one.answered(&told(next(), [("ada", Some(record))]));
        assert_eq!((stands(one), one.replica.has_to_say()), (nothing, false));
    };
    one.join("ada", Source::connection(1));
    settles(&mut one, live(&[ME]));
    let connections = |connections| Record {
        marks: [(NodeId::new(ME), Mark::Live { connections, away: false })].into(),
        ..live(&[])
    };
    one.join("ada", Source::connection(2));
    settles(&mut one, connections(2));
    one.join("ada", Source::LEASE);
    let both = |away| {
        let mut record = Record { leases: leased(ME).leases, ..connections(2) };
        record.leases.values_mut().for_each(|lease| lease.away = away);
        record
    };
    settles(&mut one, both(false));
    one.write("ada", &json!({"n": 1}));
    let both =
        |away| with_attributes(both(away), example(&[], &[]).place.stamp, &json!({"n": 1}), &[]);
    settles(&mut one, both(false));
    // Renewed: no news, until nobody knows whether the store has it.
    one.now.mono_ms += 100;
    one.join("ada", Source::LEASE);
    assert_eq!((stands(&one), one.replica.has_to_say()), (nothing, true));
    one.say().unwrap();
    one.replica.unanswered();
    settles(&mut one, both(false));
    one.apply(Command::SetAway { user: user("ada"), source: Source::LEASE, away: true });
    settles(&mut one, both(true));
    // The store has something else: it is said again.
    one.hear_apart(&told(next(), [("ada", Some(both(false)))]));
    settles(&mut one, both(true));
    // What is lost is said, and then it is no news.
    for source in [1, 2].map(Source::connection) {
        one.apply(Command::Lose {
            user: user("ada"),
            source,
            reason: LossReason::Connection,
            last_seen: 3,
            graced: true,
        });
    }
    let gone = |last_seen| {
        let mut record = both(true);
        let lost = lost(ME, STORE_MS + 5_000).marks;
        record.marks = lost;
        record.marks.values_mut().for_each(|mark| {
            if let Mark::Lost { last_seen: seen, .. } = mark {
                *seen = last_seen;
            }
        });
        record
    };
    settles(&mut one, gone(3));
    one.leave("ada", Source::LEASE);
    settles(&mut one, lost(ME, STORE_MS + 5_000));
    // All again is, whatever it says.
    one.replica.say_all();
    assert_eq!(stands(&one), (true, true));
}

#[test]
fn many_renewed_leases_are_pressing_all_the_same() {
    let mut one = One::new();
    let names: Vec<_> = (0..=SAY_USERS).map(|number| format!("user-{number:03}")).collect();
    names.iter().for_each(|name| one.join(name, Source::LEASE));
    let mut version = 10;
    while let Some(say) = one.say() {
        version += 1;
        let record = Some(Record { version, ..leased(ME) });
        let users = say.users.iter().map(|it| UserTold {
            user: it.user.clone(),
            record: record.clone(),
            why: None,
        });
        one.answered(&Told { users: users.collect(), ..told(version, []) });
    }
    one.now.mono_ms += 100;
    names[..SAY_USERS].iter().for_each(|name| one.join(name, Source::LEASE));
    assert!(one.replica.has_to_say() && !one.replica.is_pressing(&one.state));
    one.join(&names[SAY_USERS], Source::LEASE);
    assert!(one.replica.is_pressing(&one.state));
}

#[test]
fn what_another_wrote_meanwhile_is_written_over_once_more() {
    let named = |name: &str| attributes(&json!({"name": name}));
    let staff = || Audience::parse(["staff"]).unwrap();
    let theirs = |counter| Record {
        info: Some(Stamped { stamp: stamp(counter, OTHER), value: named("Bea") }),
        audience: Some(Stamped { stamp: stamp(counter, OTHER), value: Audience::EVERYONE }),
        ..live(&[ME])
    };
    let join = |one: &mut One| {
        one.apply(Command::Join {
            user: user("ada"),
            source: Source::connection(1),
            attributes: None,
            merge: true,
            info: Some(named("Ada")),
            visible_to: Some(staff()),
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
    };
    let said = |one: &mut One| {
        let user = one.say().unwrap().users.remove(0);
        let info = user.info.map(|it| (it.base, it.value));
        let audience = user.audience.map(|it| (it.base, it.value));
        (info, audience)
    };
    let mut one = One::new();
    join(&mut one);
    let first = (Some((Base::Over, named("Ada"))), Some((Base::IfNone, staff())));
    assert_eq!(said(&mut one), first);
    one.answered(&told(11, [("ada", Some(theirs(3)))]));
    let over = Base::At(stamp(4, ME));
    let again = (Some((over, named("Ada"))), Some((over, staff())));
    assert_eq!(said(&mut one), again);
    let ours = Record {
        info: Some(Stamped { stamp: stamp(4, ME), value: named("Ada") }),
        audience: Some(Stamped { stamp: stamp(4, ME), value: staff() }),
        ..live(&[ME])
    };
    one.answered(&told(12, [("ada", Some(ours))]));
    assert!(one.replica.has_said_all());
    // What was tried before may have been done then: others wrote behind it.
    let mut one = One::new();
    join(&mut one);
    assert_eq!(said(&mut one), first);
    one.replica.unanswered();
    assert_eq!(said(&mut one), first);
    one.answered(&told(11, [("ada", Some(theirs(3)))]));
    assert!(one.replica.has_said_all());
    let own = one.state.own(&user("ada")).unwrap();
    assert_eq!((own.member.info(), own.member.is_restricted()), (&named("Bea"), false));
}

#[test]
fn only_what_is_new_is_said() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    one.join("ada", Source::LEASE);
    let said = one.say().unwrap().users.remove(0);
    assert!(said.attributes.is_some() && said.why.is_none());
    let stamp = example(&[], &[]).place.stamp;
    let value = Written { attributes: attributes(&json!({"n": 1})), ends: Vec::new() };
    let record = |leases| Record {
        attributes: Some(Stamped { stamp, value: value.clone() }),
        leases,
        ..live(&[ME])
    };
    one.answered(&told(11, [("ada", Some(record(leased(ME).leases)))]));
    one.leave("ada", Source::LEASE);
    let said = one.say().unwrap().users.remove(0);
    assert_eq!(said.leases, [(Keeper::Herenow, LeaseSay::End)]);
    assert!(said.attributes.is_none() && said.info.is_none() && said.audience.is_none());
    one.answered(&told(12, [("ada", Some(record(leased(THIRD).leases)))]));
    // Ended and taken anew before that was said: it is taken.
    one.join("ada", Source::LEASE);
    one.leave("ada", Source::LEASE);
    one.join("ada", Source::LEASE);
    let said = one.say().unwrap().users.remove(0);
    let take = LeaseSay::Take { for_ms: 9_000, away: false, again: false };
    assert_eq!(said.leases, [(Keeper::Herenow, take)]);
    one.answered(&told(13, [("ada", Some(record(leased(ME).leases)))]));
    // Why it went is told when nothing is left of it here.
    one.leave("ada", Source::connection(1));
    assert_eq!(one.say().unwrap().users[0].why, None);
    one.answered(&told(14, [("ada", Some(leased(ME)))]));
    one.leave("ada", Source::LEASE);
    assert_eq!(one.say().unwrap().users[0].why, Some(Cause::Left(LeaveReason::Left)));
}

/// It tells nothing of how long the member was there unseen.
#[test]
fn whom_more_may_see_takes_a_new_place() {
    let mut one = One::whole([]);
    let join = |one: &mut One, roles: Option<&[&str]>| {
        one.apply(Command::Join {
            user: user("ada"),
            source: Source::connection(1),
            attributes: None,
            merge: true,
            info: None,
            visible_to: roles.map(|roles| Audience::parse(roles.iter().copied()).unwrap()),
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
    };
    let stamp = |counter| Stamp { counter, node: NodeId::new(ME) };
    let record = |counter, roles: &[&str]| Record {
        audience: Some(Stamped {
            stamp: stamp(counter),
            value: Audience::parse(roles.iter().copied()).unwrap(),
        }),
        place: Stamped { stamp: stamp(3), value: Place { joined_at: 5, number: 64 } },
        ..live(&[ME])
    };
    join(&mut one, Some(&["staff"]));
    let place = |one: &mut One, version, answer: Record| {
        let said = one.say().unwrap().users.remove(0);
        one.answered(&told(version, [("ada", Some(answer))]));
        (said.place.base, said.place.value.number, said.audience.map(|it| it.value))
    };
    let only = |roles: &[&str]| Some(Audience::parse(roles.iter().copied()).unwrap());
    let staff = record(1, &["staff"]);
    assert_eq!(place(&mut one, 11, staff), (Base::IfNone, 0, only(&["staff"])));
    // Fewer see it: it stays where it is.
    join(&mut one, Some(&[]));
    let none = (Base::At(stamp(3)), 0, only(&[]));
    assert_eq!(place(&mut one, 12, record(2, &[])), none);
    join(&mut one, Some(&["staff"]));
    let anew = (Base::At(stamp(4)), 0, only(&["staff"]));
    assert_eq!(place(&mut one, 13, record(3, &["staff"])), anew);
    // Said again after a loss, it keeps its number.
    one.replica.lost_data();
    let kept = (Base::At(stamp(3)), 64, only(&["staff"]));
    assert_eq!(place(&mut one, 14, record(3, &["staff"])), kept);
}

/// It was ended here while the store stood still, say, and an old copy has it.
#[test]
fn a_lease_that_this_node_has_not_is_ended_after_a_loss_and_else_inherited() {
    let mut one = One::whole([]);
    one.replica.lost_data();
    one.hear(&told(11, [("carol", Some(leased(ME)))]));
    let said = one.say().unwrap();
    assert_eq!(said.users[0].leases, [(Keeper::Herenow, LeaseSay::End)]);
    let mut one = One::whole([]);
    one.hear(&told(11, [("carol", Some(leased(ME)))]));
    assert_eq!(one.say(), None);
    assert!(one.state.held_by(&user("carol")).any(|source| source == Source::LEASE));
}

#[test]
fn what_was_said_again_after_a_loss_counts_and_not_what_was_before() {
    let mut one = One::whole([("bob", live(&[THIRD])), ("carol", leased(THIRD))]);
    one.peers = peers(&[], &[THIRD], &[]);
    one.replica.lost_data();
    one.load(100, []);
    assert_eq!(one.shown(), ["bob", "carol"]);
    one.hear(&told(101, [("bob", Some(live(&[THIRD]))), ("carol", Some(leased(THIRD)))]));
    one.hear(&told(102, [("bob", None), ("carol", None)]));
    assert!(one.shown().is_empty());
}

fn stamp(counter: u64, node: u64) -> Stamp {
    Stamp { counter, node: NodeId::new(node) }
}

fn with_attributes(mut record: Record, stamp: Stamp, of: &Value, ends: &[(&str, u64)]) -> Record {
    let ends = ends.iter().map(|&(key, end)| (key.into(), end)).collect();
    let value = Written { attributes: attributes(of), ends };
    record.attributes = Some(Stamped { stamp, value });
    record
}

/// Two ends of one key that were told twice took a while each time.
#[test]
fn ends_that_hardly_differ_are_the_same() {
    let both = || json!({"a": 1, "b": 2});
    let with =
        |ends: &[(&str, u64)]| with_attributes(live(&[OTHER]), stamp(2, OTHER), &both(), ends);
    let end = STORE_MS + 5_000;
    let mut one = One::whole([("bob", with(&[("a", end)]))]);
    let mut version = 10;
    let mut commands = |ends: &[(&str, u64)]| {
        version += 1;
        let told = told(version, [("bob", Some(with(ends)))]);
        let heard = one.replica.told(&told, &one.state, &one.peers, one.now);
        let count = heard.commands.len();
        heard.commands.into_iter().for_each(|command| one.apply(command));
        count
    };
    assert_eq!(commands(&[("a", end)]), 0);
    assert_eq!(commands(&[("a", end + LOSS_SLACK_MS - 1)]), 0);
    assert_eq!(commands(&[("a", end + LOSS_SLACK_MS)]), 1);
    assert_eq!(commands(&[("b", end + LOSS_SLACK_MS)]), 1);
    assert_eq!(commands(&[("a", end), ("b", end + LOSS_SLACK_MS)]), 1);
    assert_eq!(commands(&[]), 1);
    assert_eq!(commands(&[]), 0);
}

/// An old copy of the store, say, buried this node there.
#[test]
fn what_the_store_has_no_more_is_said_again_with_all_that_it_was() {
    let join = |one: &mut One, name: &str, is_more: bool| {
        one.apply(Command::Join {
            user: user(name),
            source: Source::connection(1),
            attributes: is_more.then(|| json!({"n": 1}).as_object().unwrap().clone()),
            merge: true,
            info: is_more.then(|| attributes(&json!({"name": "Ada"}))),
            visible_to: is_more.then(|| Audience::parse(["staff"]).unwrap()),
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
    };
    for is_more in [true, false] {
        let mut one = One::new();
        join(&mut one, "ada", is_more);
        let first = one.say().unwrap().users.remove(0);
        let mut record = live(&[ME]);
        record.info = first.info.map(|it| Stamped { stamp: stamp(1, ME), value: it.value });
        record.audience = first.audience.map(|it| Stamped { stamp: stamp(1, ME), value: it.value });
        let of = if is_more { json!({"n": 1}) } else { json!({}) };
        let record = with_attributes(record, stamp(1, ME), &of, &[]);
        one.answered(&told(11, [("ada", Some(record))]));
        assert!(one.replica.has_said_all());
        one.hear_apart(&told(12, [("ada", None)]));
        let again = one.say().unwrap().users.remove(0);
        let said = [again.attributes.is_some(), again.info.is_some(), again.audience.is_some()];
        assert_eq!(said, [is_more; 3]);
        assert_eq!(again.mark, Some(MarkSay::Live { connections: 1, away: false }));
    }
}

#[test]
fn what_was_written_here_stays_until_it_was_answered() {
    let named = |name: &str| attributes(&json!({"name": name}));
    let mut one = One::whole([]);
    one.apply(Command::Join {
        user: user("ada"),
        source: Source::connection(1),
        attributes: Some(json!({"n": 1}).as_object().unwrap().clone()),
        merge: true,
        info: Some(named("Ada")),
        visible_to: Some(Audience::parse(["staff"]).unwrap()),
        away: None,
        lasts: Lasts::Connection { grace_ms: 0 },
    });
    let theirs = |at: &[u64]| Record {
        info: Some(Stamped { stamp: stamp(5, OTHER), value: named("Bea") }),
        audience: Some(Stamped { stamp: stamp(5, OTHER), value: Audience::EVERYONE }),
        ..with_attributes(live(at), stamp(5, OTHER), &json!({"m": 2}), &[])
    };
    let is = |one: &One| {
        let member = one.state.own(&user("ada")).unwrap().member;
        (member.attributes.clone(), member.info().clone(), member.is_restricted())
    };
    // Patched onto what the other wrote, which nobody here knew.
    one.hear(&told(11, [("ada", Some(theirs(&[OTHER])))]));
    let both = attributes(&json!({"m": 2, "n": 1}));
    assert_eq!(is(&one), (both.clone(), named("Ada"), true));
    one.say().unwrap();
    one.hear(&told(12, [("ada", Some(theirs(&[OTHER])))]));
    assert_eq!(is(&one), (both.clone(), named("Ada"), true));
    let ours = Record {
        info: Some(Stamped { stamp: stamp(6, ME), value: named("Ada") }),
        audience: Some(Stamped { stamp: stamp(6, ME), value: Audience::parse(["staff"]).unwrap() }),
        ..with_attributes(live(&[OTHER, ME]), stamp(6, ME), &json!({"m": 2, "n": 1}), &[])
    };
    one.answered(&told(13, [("ada", Some(ours))]));
    assert_eq!(is(&one), (both, named("Ada"), true));
    assert!(one.replica.has_said_all());
    // And then what another writes counts.
    let later = Record {
        info: Some(Stamped { stamp: stamp(7, OTHER), value: named("Bea") }),
        audience: Some(Stamped { stamp: stamp(7, OTHER), value: Audience::EVERYONE }),
        ..with_attributes(live(&[OTHER, ME]), stamp(7, OTHER), &json!({"k": 3}), &[])
    };
    one.hear(&told(14, [("ada", Some(later))]));
    assert_eq!(is(&one), (attributes(&json!({"k": 3})), named("Bea"), false));
}

#[test]
fn a_loss_whose_time_is_over_keeps_nobody() {
    for (until, stays) in [(STORE_MS - LOSS_SLACK_MS, false), (STORE_MS - LOSS_SLACK_MS + 1, true)]
    {
        let mut one = One::whole([]);
        one.hear(&told(11, [("bob", Some(lost(OTHER, until)))]));
        assert_eq!(one.shown().len(), usize::from(stays), "{until}");
    }
}

/// Numbers begin anew with each life of a channel: of two that have one the later has it.
#[test]
fn a_number_that_is_anothers_by_now_is_not_taken() {
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    let numbered = |one: &One, name| {
        let page = one.state.members(10, None, Viewer::All);
        let member = page.members.iter().find(|it| it.user.as_str() == name);
        member.map(|it| it.number)
    };
    let number = live(&[OTHER]).place.value.number;
    assert_eq!(numbered(&one, "bob"), Some(number));
    // Came late, while a load goes on, so that it may be so: by now the number is bob's.
    one.begin(20);
    one.hear_apart(&told(9, [("carol", Some(live(&[OTHER])))]));
    assert_eq!(one.shown(), ["bob", "carol"]);
    assert_eq!(numbered(&one, "bob"), Some(number));
    // Came later than bob: it is carol's.
    one.hear_apart(&told(11, [("carol", Some(live(&[OTHER])))]));
    assert_eq!(numbered(&one, "carol"), Some(number));
}

#[test]
fn an_inherited_lease_is_not_held_elsewhere_too() {
    let one = &mut One::whole([]);
    let told = told(11, [("carol", Some(leased(ME)))]);
    let heard = one.replica.told(&told, &one.state, &one.peers, one.now);
    let [Command::Elsewhere(elsewhere)] = &heard.commands[..] else { panic!("{heard:?}") };
    assert_eq!((elsewhere.held.len(), elsewhere.took.len()), (0, 1));
}

#[test]
fn a_lease_that_the_store_has_is_not_said_for_another() {
    let vendor = Source::Lease(Keeper::Vendor(1));
    let both = || {
        let mut record = leased(ME);
        record.leases.insert(Keeper::Vendor(1), record.leases[&Keeper::Herenow]);
        record
    };
    let only_the_vendors = || {
        let mut record = both();
        record.leases.remove(&Keeper::Herenow);
        record
    };
    let said = |one: &mut One| -> Vec<_> {
        let leases = one.say().unwrap().users.remove(0).leases;
        leases.into_iter().map(|(keeper, _)| keeper).collect()
    };
    let mut one = One::new();
    one.join("ada", vendor);
    assert_eq!(said(&mut one), [Keeper::Vendor(1)]);
    one.answered(&told(11, [("ada", Some(only_the_vendors()))]));
    // Another is inherited.
    one.hear_apart(&told(12, [("ada", Some(both()))]));
    one.join("ada", Source::connection(1));
    assert_eq!(said(&mut one), []);
    let with_mark = || Record { marks: live(&[ME]).marks, ..both() };
    one.answered(&told(13, [("ada", Some(with_mark()))]));
    // Another is renewed.
    one.now.mono_ms += 100;
    one.join("ada", Source::LEASE);
    assert_eq!(said(&mut one), [Keeper::Herenow]);
    one.answered(&told(14, [("ada", Some(with_mark()))]));
    one.leave("ada", Source::connection(1));
    assert_eq!(said(&mut one), []);
    one.answered(&told(15, [("ada", Some(both()))]));
    // It was ended and is taken again: nobody else has said so.
    one.leave("ada", vendor);
    assert_eq!(said(&mut one), [Keeper::Vendor(1)]);
    one.answered(&told(16, [("ada", Some(leased(ME)))]));
    one.join("ada", vendor);
    assert_eq!(said(&mut one), [Keeper::Vendor(1)]);
}

#[test]
fn what_is_written_onto_a_record_that_has_none_is_its_first() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    one.say().unwrap();
    one.answered(&told(11, [("ada", Some(live(&[ME])))]));
    one.write("ada", &json!({"n": 1}));
    let said = one.say().unwrap().users.remove(0);
    assert_eq!(said.attributes.map(|it| it.base), Some(Base::At(stamp(1, ME))));
}

/// Of a status somebody may have said something long before.
#[test]
fn where_records_are_kept_what_is_remembered_is_said_if_nobody_knows_better() {
    for (keep_ms, value, base) in [
        (60_000, json!({"n": 1}), Some(Base::IfNone)),
        (60_000, json!({}), None),
        (0, json!({"n": 1}), None),
    ] {
        let mut one = One::new();
        one.replica = Replica::new(NodeId::new(ME), keep_ms);
        one.apply(Command::Join {
            user: user("ada"),
            source: Source::connection(1),
            attributes: Some(value.as_object().unwrap().clone()),
            merge: true,
            info: None,
            visible_to: None,
            away: None,
            lasts: Lasts::Connection { grace_ms: 0 },
        });
        // Nothing was written just now.
        one.replica.users.get_mut(&user("ada")).unwrap().todo = None;
        let said = one.say().unwrap();
        assert_eq!(said.keep_ms, keep_ms);
        assert_eq!(said.users[0].attributes.as_ref().map(|it| it.base), base, "{value}");
    }
}

#[test]
fn what_is_kept_of_whoever_is_gone_is_told_where_records_are_kept() {
    for (keep_ms, tells) in [(60_000, 1), (0, 0)] {
        let mut one = One::new();
        one.replica = Replica::new(NodeId::new(ME), keep_ms);
        one.replica.follow();
        let load = one.begin(10);
        let kept = with_attributes(example(&[], &[]), stamp(2, OTHER), &json!({"n": 1}), &[]);
        let (state, peers) = (&one.state, &one.peers);
        let records = [(user("ada"), kept)];
        let commands = one.replica.load_part(load, &records, state, peers, one.now);
        assert_eq!(commands.len(), tells);
    }
}

#[test]
fn keys_that_another_wrote_keep_their_ends_where_others_are_patched() {
    let theirs = |counter, value: &Value| {
        let ends = [("a", STORE_MS + 5_000)];
        with_attributes(live(&[OTHER]), stamp(counter, OTHER), value, &ends)
    };
    let mut one = One::whole([("ada", theirs(2, &json!({"a": 1})))]);
    one.join("ada", Source::connection(1));
    one.write("ada", &json!({"n": 1}));
    one.hear(&told(11, [("ada", Some(theirs(3, &json!({"a": 2}))))]));
    let own = one.state.own(&user("ada")).unwrap();
    assert_eq!(own.member.attributes, attributes(&json!({"a": 2, "n": 1})));
    assert_eq!(own.ends, [("a".into(), one.now.mono_ms + 5_000)]);
}

/// Whoever knows all knows it better, as long as data are missing.
#[test]
fn a_first_summary_does_not_count_while_all_is_known_and_data_are_lost() {
    let first = Summary {
        era: ERA,
        version: 30,
        now: STORE_MS,
        counted: true,
        count: 1,
        newest: Vec::new(),
    };
    let mut one = One::whole([("bob", live(&[OTHER]))]);
    one.replica.lost_data();
    one.replica.follow_summary();
    let tell = |one: &mut One| one.replica.summary_told(&first, None, &one.peers, one.now);
    one.peers = peers(&[], &[OTHER], &[]);
    assert_eq!(tell(&mut one), Counted::AsBefore);
    one.peers = peers(&[OTHER], &[], &[]);
    one.say();
    assert_eq!(tell(&mut one), Counted::Anew);
}

#[test]
fn of_what_nobody_wrote_nothing_is_said_also_when_all_is_said_again() {
    let mut one = One::new();
    one.join("ada", Source::connection(1));
    let first = one.say().unwrap().users.remove(0);
    one.answered(&told(11, [("ada", Some(live(&[ME])))]));
    one.replica.say_all();
    let again = one.say().unwrap().users.remove(0);
    for said in [first, again] {
        assert!(said.attributes.is_none() && said.info.is_none() && said.audience.is_none());
        assert!(said.mark.is_some());
    }
}
