//! Connections that join, subscribe when they are told to, and read: some of them slowly.

use jsonwebtoken::EncodingKey;

use crate::clock::Deadline;
use crate::failure::{Result, fail};
use crate::frame;
use crate::mode::slow_lines::view::{View, attributes};
use crate::peer::token;
use crate::population::Population;
use crate::socket::Upgrade;
use crate::swarm::{Driver, Swarm};

/// Bytes of a slow reader's receive buffer, of which the kernel makes twice as many: what a line may
/// hold on its way.
pub(super) const RECEIVE_BUFFER: usize = 16 << 10;

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Guest {
    /// What it says at first.
    pub(super) says: Vec<String>,
    pub(super) roles: Vec<String>,
    /// It is behind a slow line.
    pub(super) slow: bool,
    /// What it knows of the room that it observes.
    pub(super) view: View,
    pub(super) closed: bool,
}

/// All of them; guest `n` is user `n`, on connection `n`.
pub(super) struct Guests {
    all: Vec<Guest>,
    key: Option<EncodingKey>,
    /// Requests with an `id` that were answered.
    answered: usize,
    pub(super) closes: usize,
    /// Memberships that the broker ended.
    pub(super) removed: usize,
}

impl Guests {
    /// Nobody yet. `secret`: what tokens are signed with, if the broker wants any.
    pub(super) fn new(secret: Option<&str>) -> Self {
        let key = secret.map(|secret| EncodingKey::from_secret(secret.as_bytes()));
        Self { all: Vec::new(), key, answered: 0, closes: 0, removed: 0 }
    }

    /// So many connections come; `guest` makes each by its number. They have been answered when this
    /// returns, and who is slow reads nothing more by itself.
    pub(super) fn come(
        &mut self,
        swarm: &mut Swarm,
        count: usize,
        deadline: Deadline,
        guest: impl Fn(usize) -> Guest,
    ) -> Result<()> {
        let first = self.all.len();
        self.all.extend((first..first + count).map(guest));
        let asked =
            |guest: &Guest| guest.says.iter().filter(|text| text.contains(r#""id":"#)).count();
        let goal = self.answered + self.all[first..].iter().map(asked).sum::<usize>();
        swarm.connect(count, deadline, self)?;
        if !swarm.turn_until(deadline, self, |all| all.answered >= goal)? {
            fail!("only {} of {goal} requests were answered in time", self.answered);
        }
        for who in first..first + count {
            if self.all[who].slow {
                swarm.pause(who, true, self)?;
            }
        }
        Ok(())
    }

    /// So many members of `channel` come, with attributes of so many bytes.
    pub(super) fn fill(
        &mut self,
        swarm: &mut Swarm,
        deadline: Deadline,
        channel: &str,
        (members, bytes): (usize, usize),
    ) -> Result<()> {
        let says = join(channel, &attributes(0, bytes));
        let guest = |_| Guest { says: vec![says.clone()], ..Guest::default() };
        self.come(swarm, members, deadline, guest)
    }

    pub(super) fn view(&self, who: usize) -> &View {
        &self.all[who].view
    }

    pub(super) fn view_mut(&mut self, who: usize) -> &mut View {
        &mut self.all[who].view
    }

    pub(super) fn say(&mut self, swarm: &mut Swarm, who: usize, text: &str) -> Result<()> {
        swarm.send(who, self, |out| frame::text(text, out))
    }

    pub(super) fn subscribe(&mut self, swarm: &mut Swarm, who: usize, channel: &str) -> Result<()> {
        let text = format!(r#"{{"type":"subscribe","channel":"{channel}","level":"events"}}"#);
        self.say(swarm, who, &text)
    }

    /// How many of `who` have had a whole snapshot.
    pub(super) fn whole(&self, who: impl IntoIterator<Item = usize>) -> usize {
        who.into_iter().filter(|&who| self.all[who].view.whole.is_some()).count()
    }
}

/// A join with attributes, whose answer is waited for.
pub(super) fn join(channel: &str, attributes: &str) -> String {
    format!(r#"{{"type":"join","id":1,"channel":"{channel}","attributes":{attributes}}}"#)
}

/// The same of new attributes, whose answer is not.
pub(super) fn write(channel: &str, attributes: &str) -> String {
    format!(r#"{{"type":"setAttributes","channel":"{channel}","attributes":{attributes}}}"#)
}

impl Driver for Guests {
    fn upgrade(&self, who: usize) -> Option<Upgrade> {
        let user = Population::user(who);
        let path = match &self.key {
            Some(key) => format!("/ws?token={}", token(&user, &self.all[who].roles, key)?),
            None => format!("/ws?user={user}"),
        };
        Some(Upgrade { path, protocol: None })
    }

    fn receive_buffer(&self, who: usize) -> Option<usize> {
        self.all[who].slow.then_some(RECEIVE_BUFFER)
    }

    fn opened(&mut self, who: usize, out: &mut Vec<u8>) -> Result<()> {
        self.all[who].says.iter().for_each(|text| frame::text(text, out));
        Ok(())
    }

    fn message(&mut self, who: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let is = |kind: &[u8]| payload[r#"{"type":""#.len().min(payload.len())..].starts_with(kind);
        if is(b"ok\"") {
            self.answered += 1;
        } else if is(b"heartbeatDue\"") {
            frame::text(r#"{"type":"heartbeat"}"#, out);
        } else if is(b"removed\"") {
            self.removed += 1;
        } else if is(b"error\"") {
            fail!("the broker says {} to user {who}", String::from_utf8_lossy(payload));
        } else {
            self.all[who].view.take(payload);
        }
        Ok(())
    }

    fn ended(&mut self, who: usize, _: &str) -> Result<()> {
        self.all[who].closed = true;
        self.closes += 1;
        Ok(())
    }
}
