//! What a channel of the core tells as values, and what it keeps of those it told: no socket, no
//! clock.

use herenow::limits::{COUNT_INTERVAL_MS, LOG_FRAMES, MAX_UNLOGGED_ROLES};
use herenow::now::Now;
use herenow::presence::follow::Mark;
use herenow::presence::{
    Bounds, Changes, ChannelState, Command, Follow, Last, Lasts, News, Next, Ring, Source, Viewer,
};
use herenow_protocol::reply::{InForce, SnapshotReason};
use herenow_protocol::{
    Audience, ChannelName, Epoch, LeaveReason, Level, LossReason, ServerFrame, Since, UserId,
    UserStatus,
};
use serde_json::{Value, json};

use crate::commands;
use crate::followed::keep;

const NOW: Now = Now { mono_ms: 10_000, unix_ms: 5_000_000 };
const CONNECTION: Lasts = Lasts::Connection { grace_ms: 0 };

fn user(n: u64) -> UserId {
    UserId::parse(&format!("user-{n}"), "user").unwrap()
}

fn hidden() -> Audience {
    Audience::parse([]).unwrap()
}

struct Room {
    core: ChannelState,
    name: ChannelName,
}

impl Room {
    fn new() -> Self {
        let name = ChannelName::parse("room", "channel").unwrap();
        Self { core: ChannelState::new(Epoch::from_random(7)), name }
    }

    fn apply(&mut self, command: Command, now: Now) {
        let bounds =
            Bounds { members: 2_000, attribute_bytes: 99, attribute_keys: 9, roster: 2_000 };
        self.core.apply(command, now, &bounds, |_| {}).unwrap();
    }

    fn come(&mut self, n: u64, visible_to: Audience) {
        let source = Source::connection(n);
        self.apply(commands::join(user(n), source, None, Some(visible_to), CONNECTION), NOW);
    }

    fn go(&mut self, n: u64) {
        let (user, source) = (user(n), Source::connection(n));
        self.apply(Command::Leave { user, source, reason: LeaveReason::Left }, NOW);
    }

    fn tick(&mut self) -> Changes {
        let bounds =
            Bounds { members: 2_000, attribute_bytes: 99, attribute_keys: 9, roster: 2_000 };
        self.core.tick(&self.name, NOW, &bounds).changes
    }

    /// The last seq that was told.
    fn seq(&self) -> u64 {
        self.core.next_seq() - 1
    }
}

#[test]
fn a_tick_says_who_was_there_and_who_is() {
    let mut room = Room::new();
    (1..=3).for_each(|n| room.come(n, Audience::EVERYONE));
    let came = room.tick();
    assert_eq!((came.changed().len(), came.count()), (3, 3));
    for changed in came.changed() {
        assert!(changed.before().is_none());
        assert_eq!(changed.now().map(|member| &member.user), Some(changed.user()));
    }
    room.go(2);
    let went = room.tick();
    let [gone] = went.changed() else { panic!("{went:?}") };
    assert_eq!((gone.user(), went.count()), (&user(2), 2));
    assert!(gone.now().is_none());
    assert_eq!(gone.before().map(|member| &member.user), Some(&user(2)));
    assert!(!went.is_empty() && room.tick().is_empty());
}

#[test]
fn a_status_is_told_as_a_frame_with_a_seq() {
    let mut room = Room::new();
    for (seq, busy) in [(1, false), (2, true)] {
        let status = UserStatus { busy, ..UserStatus::unknown(user(1)) };
        room.apply(Command::SetStatus(Box::new(status.clone())), NOW);
        let changes = room.tick();
        assert_eq!((changes.first_seq(), changes.next_seq()), (seq, seq + 1));
        assert_eq!(changes.status(), Some(&status));
        assert!(!changes.is_empty());
        let frames = changes.frames(&room.name, Viewer::Public);
        assert_eq!(frames, [ServerFrame::Status { status }]);
    }
}

/// Whoever sees more is told it within the frames that everyone gets, or with the seq of the last
/// one: nobody finds a gap.
#[test]
fn who_sees_more_gets_no_seq_that_others_do_not() {
    let mut room = Room::new();
    let mut seqs = |come: &[(u64, Audience)]| {
        come.iter().for_each(|(n, visible_to)| room.come(*n, visible_to.clone()));
        let changes = room.tick();
        [Viewer::Public, Viewer::All].map(|viewer| {
            let frames = changes.frames(&room.name, viewer);
            let seqs = frames.iter().map(|frame| match frame {
                ServerFrame::Presence { seq, .. } => *seq,
                other => panic!("{other:?}"),
            });
            seqs.collect::<Vec<_>>()
        })
    };
    let everyone = || Audience::EVERYONE;
    assert_eq!(seqs(&[(1, everyone()), (2, hidden())]), [[1], [1]]);
    assert_eq!(seqs(&[(3, hidden())]), [vec![], vec![1]]);
    assert_eq!(seqs(&[(4, everyone())]), [[2], [2]]);
}

#[test]
fn a_follower_has_had_what_it_was_told() {
    let (mut room, mut ring) = (Room::new(), Ring::new(40));
    let mut follow = Follow::new(Level::Events);
    for n in 1..=4 {
        let told = follow.next(&room.core, &ring, Viewer::All, NOW.mono_ms);
        assert!(matches!(told, Next::News(_)), "{told:?}");
        let here = Mark { epoch: room.core.epoch(), seq: room.seq(), stamp: ring.latest() };
        assert_eq!(follow.mark(), Some(here), "{n}");
        // A tick of which only some are told takes no seq.
        room.come(n, if n == 2 { hidden() } else { Audience::EVERYONE });
        keep(&mut ring, room.tick(), NOW);
    }
}

#[test]
fn a_follower_is_told_a_count_as_soon_as_the_last_is_old_enough() {
    let (mut room, mut ring) = (Room::new(), Ring::new(0));
    let mut follow = Follow::new(Level::Count);
    let mut after = |room: &Room, ring: &Ring, ms: u64| match follow.next(
        &room.core,
        ring,
        Viewer::Public,
        NOW.mono_ms + ms,
    ) {
        Next::News(News::Count(tally)) => Ok(tally.count),
        Next::Later(ms) => Err(ms),
        other => panic!("{other:?}"),
    };
    assert_eq!(after(&room, &ring, 0), Ok(0));
    room.come(1, Audience::EVERYONE);
    keep(&mut ring, room.tick(), NOW);
    for (passed, left) in [(0, 1_000), (1, 999), (999, 1)] {
        assert_eq!(COUNT_INTERVAL_MS, passed + left);
        assert_eq!(after(&room, &ring, passed), Err(left));
    }
    assert_eq!(after(&room, &ring, COUNT_INTERVAL_MS), Ok(1));
}

/// Nothing is left of it, in the frame of the level that the follower is at.
#[test]
fn a_channel_that_is_gone_is_told_as_an_empty_one() {
    let (channel, epoch, seq) = (Room::new().name, Epoch::from_random(7), 9);
    let told = |level, asked| Last { epoch, seq, level }.emptied(&channel, asked);
    let (count, channel) = (0, channel.clone());
    for asked in [Level::Events, Level::Auto] {
        let (members, more, reason) = (Vec::new(), false, SnapshotReason::Resync);
        let channel = channel.clone();
        let partial = false;
        let empty =
            ServerFrame::Snapshot { channel, epoch, seq, count, members, more, reason, partial };
        assert_eq!(told(InForce::Events, asked), empty);
    }
    // Only those who asked for `auto` are told who came last.
    for (asked, recent) in [(Level::Auto, Some(Vec::new())), (Level::Count, None)] {
        let channel = channel.clone();
        let empty = ServerFrame::Count { channel, seq, count, recent, partial: false };
        assert_eq!(told(InForce::Count, asked), empty);
    }
}

#[test]
fn a_channel_hides_nobody_once_the_last_hidden_member_is_told_gone() {
    let mut room = Room::new();
    room.come(1, Audience::EVERYONE);
    assert!(!room.core.hides());
    for n in [2, 3] {
        room.come(n, hidden());
        room.tick();
        assert!(room.core.hides());
        room.go(n);
        assert!(room.core.hides(), "it is still shown to those who saw it");
        room.tick();
        assert!(!room.core.hides());
    }
}

/// Also where the last of a page is the hidden viewer itself.
#[test]
fn pages_name_each_member_once() {
    let mut room = Room::new();
    for n in 1..=5 {
        room.come(n, if n == 3 { hidden() } else { Audience::EVERYONE });
    }
    let viewer = Viewer::User { user: &user(3), roles: &[] };
    for limit in 1..=5 {
        let (mut named, mut after) = (Vec::new(), None);
        for _ in 0..5 {
            let page = room.core.members(limit, after, viewer);
            named.extend(page.members.iter().map(|member| member.user.clone()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(named, [5, 4, 3, 2, 1].map(user), "{limit} a page");
    }
}

/// Where a page goes on would tell somebody how many had been there, unseen or in a history that is
/// over.
#[test]
fn places_in_a_new_history_tell_nothing_of_the_old_one() {
    let place = |room: &mut Room| {
        room.come(9, Audience::EVERYONE);
        let newest = &room.core.members(1, None, Viewer::Public).members[0];
        newest.number - room.core.first_number()
    };
    let mut old = Room::new();
    old.core.observe();
    old.come(1, Audience::EVERYONE);
    old.come(2, hidden());
    old.tick();
    old.go(1);
    old.tick();
    assert!(old.core.is_over());
    old.core.begin_anew(Epoch::from_random(8));
    old.come(3, hidden());
    assert_eq!(place(&mut old), place(&mut Room::new()));
}

/// A lease that is renewed to an earlier or a later end has one end.
#[test]
fn a_member_is_looked_at_for_its_earliest_end_and_no_other() {
    let mut room = Room::new();
    let at = |ms: u64| Now { mono_ms: NOW.mono_ms + ms, ..NOW };
    for ttl_ms in [10_000, 5_000, 20_000] {
        let lease = Lasts::Lease { ttl_ms };
        room.apply(commands::join(user(1), Source::LEASE, None, None, lease), NOW);
    }
    assert_eq!(room.core.deadline(), Some(at(5_000).mono_ms));
    room.apply(Command::Expire, at(5_000));
    assert_eq!(room.core.deadline(), Some(at(20_000).mono_ms));
    let (user, source, reason) = (user(1), Source::LEASE, LeaveReason::Left);
    room.apply(Command::Leave { user, source, reason }, at(5_000));
    assert_eq!(room.core.deadline(), None);
}

/// Beyond so many nobody resumes who was there before; but only roles count from whose changes on
/// somebody may still resume.
#[test]
fn roles_are_told_apart_up_to_their_limit() {
    // A member that one role may see makes two: it sees itself.
    const MOST: u64 = MAX_UNLOGGED_ROLES as u64 / 2;
    let stranger = user(0);
    let resumes = |room: &Room| {
        let since = Since { epoch: room.core.epoch(), seq: room.seq(), sight: None };
        room.core.resume(since, Viewer::User { user: &stranger, roles: &[] }).is_some()
    };
    let hide = |room: &mut Room, members: std::ops::RangeInclusive<u64>| {
        for n in members {
            room.come(n, Audience::parse([format!("team:{n}").as_str()]).unwrap());
        }
        room.tick();
    };
    let mut room = Room::new();
    hide(&mut room, 1..=MOST);
    assert!(resumes(&room), "none is beyond the limit");
    hide(&mut room, MOST + 1..=MOST + 1);
    assert!(!resumes(&room));

    let mut room = Room::new();
    hide(&mut room, 1..=MOST);
    for n in 0..=LOG_FRAMES as u64 {
        room.come(MOST + 9 + n, Audience::EVERYONE);
        room.tick();
    }
    hide(&mut room, MOST + 1..=MOST + 1);
    assert!(resumes(&room), "the others are of no account any more");
}

/// Graces of one member are one, and it is away in it if it was in all of them.
#[test]
fn a_user_lost_everywhere_is_away_if_it_was_everywhere() {
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut room = Room::new();
        for (n, away) in [(1, first), (2, second)] {
            room.apply(graced_join(n), NOW);
            room.apply(
                Command::SetAway { user: user(1), source: Source::connection(n), away },
                NOW,
            );
        }
        for n in [1, 2] {
            room.apply(lost(n), NOW);
        }
        let member = room.core.member(&user(1), Viewer::Public).expect("it is in grace");
        assert_eq!(member.away, first && second, "{first}, {second}");
    }
}

/// A grace is not touched by the loss of what keeps nobody present.
#[test]
fn what_was_not_there_cannot_be_lost() {
    let mut room = Room::new();
    (1..=2).for_each(|n| room.apply(graced_join(n), NOW));
    room.apply(lost(1), NOW);
    room.apply(lost(3), NOW);
    let (user, source, reason) = (user(1), Source::connection(2), LeaveReason::Left);
    room.apply(Command::Leave { user, source, reason }, NOW);
    assert_eq!(room.core.count(), 1, "the first one's grace is over");
}

/// User 1 joins by connection `n`, with a grace.
fn graced_join(n: u64) -> Command {
    let lasts = Lasts::Connection { grace_ms: 1_000 };
    commands::join(user(1), Source::connection(n), None, None, lasts)
}

/// Connection `n` of user 1 is lost, and has its grace.
fn lost(n: u64) -> Command {
    let (source, reason) = (Source::connection(n), LossReason::Connection);
    Command::Lose { user: user(1), source, reason, last_seen: NOW.unix_ms, graced: true }
}

/// A key that ends goes on to its end, unless a join writes it or replaces all.
#[test]
fn keys_end_though_another_window_joins() {
    let map = |attributes: Value| attributes.as_object().unwrap().clone();
    let at = |ms: u64| Now { mono_ms: NOW.mono_ms + ms, ..NOW };
    let write = |room: &mut Room, key: &str, ttl_ms: u64| {
        let (attributes, source) = (map(json!({ key: 1 })), Source::connection(1));
        let (user, merge, ttl_ms) = (user(1), true, Some(ttl_ms));
        room.apply(Command::SetAttributes { user, source, attributes, merge, ttl_ms }, NOW);
    };
    let end = Some(at(20_000).mono_ms);
    for (brought, merge, left, deadline) in [
        (None, false, json!({"late": 1}), end),
        (Some(json!({"new": 2})), true, json!({"late": 1, "new": 2}), end),
        (Some(json!({"soon": 2})), true, json!({"late": 1, "soon": 2}), end),
        (Some(json!({"soon": 2})), false, json!({"soon": 2}), None),
    ] {
        let mut room = Room::new();
        let join = |n: u64, brought: Option<Value>| {
            commands::join(user(1), Source::connection(n), brought.map(map), None, CONNECTION)
        };
        room.apply(join(1, None), NOW);
        write(&mut room, "soon", 5_000);
        write(&mut room, "late", 20_000);
        let told = format!("{brought:?}, merge: {merge}");
        let mut second = join(2, brought);
        if let Command::Join { merge: merges, .. } = &mut second {
            *merges = merge;
        }
        room.apply(second, NOW);
        room.apply(Command::Expire, at(5_000));
        let member = room.core.member(&user(1), Viewer::Public).unwrap();
        assert_eq!(json!(member.attributes), left, "{told}");
        assert_eq!(room.core.deadline(), deadline, "{told}");
    }
}
