//! Members who see more than everyone subscribe to a large room, against members who do not.

use std::time::Duration;

use crate::clock;
use crate::failure::{Result, fail};
use crate::mode::slow_lines::figures::Figures;
use crate::mode::slow_lines::guests::{Guest, Guests, join};
use crate::procfs::{Memory, reset_peak};
use crate::server::Server;
use crate::subject::Subject;
use crate::swarm::Swarm;

const CASE: &str = "hidden";
const ROOM: &str = "room";
const MIB: f64 = 1024.0 * 1024.0;
/// With a name and what stands around it a member takes 3.9 KB.
const MEMBERS: usize = 1_000;
const BYTES: usize = 3_830;
const SUBSCRIBERS: usize = 1_000;
/// All of them subscribe within so long.
const WITHIN: Duration = Duration::from_secs(1);
/// What the hidden may cost more than the others.
const EXTRA_MIB: f64 = 50.0;
const SECRET: &str = "a secret that only this run knows";

/// Who may see the subscribers, who are members too.
#[derive(Clone, Copy)]
enum SeenBy {
    All,
    /// One role, which all of them have.
    OneRole,
    /// Each has a role of its own.
    Itself,
}

pub(super) fn measure(subject: &Subject, figures: &mut Figures) -> Result<()> {
    let mut grown = [0.0; 3];
    let kinds = [SeenBy::All, SeenBy::OneRole, SeenBy::Itself];
    for (seen, grown) in kinds.into_iter().zip(&mut grown) {
        let mut server = subject.launch_with(&[], Some(SECRET))?;
        let result = growth(subject, &server, seen);
        *grown = server.explain(result)?;
    }
    let [public, role, own] = grown;
    figures.tell(CASE, "1,000 public ones subscribe: MiB", public);
    figures.bound(CASE, "hidden, one role: MiB more", role - public, EXTRA_MIB);
    figures.bound(CASE, "hidden, a role each: MiB more", own - public, EXTRA_MIB);
    Ok(())
}

/// By how much the broker's memory grows, at its peak, while all subscribe.
fn growth(subject: &Subject, server: &Server, seen: SeenBy) -> Result<f64> {
    let mut swarm = Swarm::new(server.address)?;
    let mut guests = Guests::new(Some(SECRET));
    guests.fill(&mut swarm, subject.deadline(), ROOM, (MEMBERS, BYTES))?;
    guests.come(&mut swarm, SUBSCRIBERS, subject.deadline(), |who| {
        let role = match seen {
            SeenBy::All => return Guest { says: vec![join(ROOM, "{}")], ..Guest::default() },
            SeenBy::OneRole => "staff".to_owned(),
            SeenBy::Itself => format!("team:{who}"),
        };
        let says = format!(r#"{{"type":"join","id":1,"channel":"{ROOM}","visibleTo":["{role}"]}}"#);
        Guest { says: vec![says], roles: vec![role], ..Guest::default() }
    })?;
    swarm.settle(Duration::from_secs(2), &mut guests)?;
    let before = Memory::of(server.pid)?.resident;
    reset_peak(server.pid);
    let (began, deadline) = (clock::now(), subject.deadline());
    let (mut subscribed, mut all) = (0, MEMBERS..MEMBERS + SUBSCRIBERS);
    while guests.whole(all.clone()) < SUBSCRIBERS {
        let share = clock::now().duration_since(began).as_secs_f64() / WITHIN.as_secs_f64();
        while subscribed < SUBSCRIBERS.min((share * SUBSCRIBERS as f64) as usize) {
            guests.subscribe(&mut swarm, MEMBERS + subscribed, ROOM)?;
            subscribed += 1;
        }
        swarm.turn(Duration::from_millis(5), &mut guests)?;
        if deadline.passed() {
            fail!("only {} of {SUBSCRIBERS} had the room in time", guests.whole(all));
        }
    }
    let most = match seen {
        SeenBy::Itself => MEMBERS + 1,
        SeenBy::All | SeenBy::OneRole => MEMBERS + SUBSCRIBERS,
    };
    if let Some(who) = all.find(|&who| guests.view(who).present() != most) {
        fail!("user {who} sees {} members, not {most}", guests.view(who).present());
    }
    if guests.closes > 0 {
        fail!("the broker closed {} of them", guests.closes);
    }
    Ok((Memory::of(server.pid)?.peak as f64 - before as f64) / MIB)
}
