//! Appwrite's Realtime: a dialect of a connection's task.

use std::sync::Arc;
use std::task::{Context, Poll};

use herenow_protocol::{CloseCode, ErrorCode, Refusal, ServerFrame};
use serde_json::{Map, Value};

use super::fault::Fault;
use super::frames::{
    Account, Asked, BAD_FORMAT, Event, POLICY, Removed, Response, Subscription, TOO_MANY, Told,
    parse, subscribe, write, write_pong,
};
use super::input::Fields;
use super::presences::{By, Presences};
use super::sessions::Signed;
use super::times::Shown;
use super::who::Who;
use crate::auth::{Credential, Right};
use crate::connection::{Client, Dialect, Violation};
use crate::delivery::Sending;
use crate::hub::{Follower, What};
use crate::now::Now;
use crate::presence::News;
use crate::vendors::credential::user_of;

/// One socket's side of it.
#[derive(Debug)]
pub struct Socket {
    presences: Arc<Presences>,
    /// Who it is by the handshake, for the first frame.
    user: Option<Account>,
    /// The credential that the handshake brought, until the connection is there to be noted by it.
    credential: Option<String>,
    signed: Option<Signed>,
    subscriptions: Vec<Subscription>,
    /// From the first subscription on.
    follower: Option<Box<Follower>>,
}

impl Socket {
    /// A socket whose handshake brought that credential, and was of that user by it.
    #[must_use]
    pub fn new(presences: Arc<Presences>, known: Option<(String, Account)>) -> Self {
        let (credential, user) = known.unzip();
        let (signed, subscriptions, follower) = (None, Vec::new(), None);
        Self { presences, user, credential, signed, subscriptions, follower }
    }

    fn answer(
        &mut self,
        client: &mut Client,
        sending: &mut Sending<'_>,
        asked: Asked,
        now: Now,
    ) -> Result<(), Failed> {
        match asked {
            Asked::Ping => sending.queue(write_pong),
            Asked::Authentication(session) => self.authenticate(client, sending, &session, now)?,
            Asked::Subscribe(rows) => self.subscribe(client, sending, rows)?,
            Asked::Unsubscribe(ids) => self.unsubscribe(sending, &ids),
            Asked::Presence(object) => self.write(client, sending, object, now)?,
        }
        Ok(())
    }

    fn authenticate(
        &mut self,
        client: &mut Client,
        sending: &mut Sending<'_>,
        session: &str,
        now: Now,
    ) -> Result<(), Failed> {
        let bad = |_| Failed::Closes(CloseCode::Unauthenticated, "the session is not good");
        let credential = user_of(client.desk().auth(), session, now).map_err(bad)?;
        let Credential::User(identity) = credential else { return Ok(()) };
        let info = identity.access.as_ref().map(|access| access.info());
        let user = Account::new(identity.user.clone(), info);
        client.identify(sending, identity.clone(), now).map_err(bad)?;
        self.signed = Some(self.presences.sessions().note(session, client.outlet()));
        respond(sending, Response::Authentication { success: true, user });
        Ok(())
    }

    fn subscribe(
        &mut self,
        client: &Client,
        sending: &mut Sending<'_>,
        rows: Vec<Subscription>,
    ) -> Result<(), Failed> {
        client.desk().rules().check_enabled()?;
        let concerns = |row: &Subscription| {
            row.channels.iter().any(|one| one == "presences" || one.starts_with("presences."))
        };
        if rows.iter().any(concerns)
            && let Some(who) = who(client, sending)
        {
            who.may_read(Right::Subscribe)?;
        }
        let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
        subscribe(&mut self.subscriptions, rows).map_err(Failed::BadFormat)?;
        if self.follower.is_none() && self.subscriptions.iter().any(concerns) {
            self.follower = Some(Box::new(client.desk().follow_records()));
        }
        let all = self.subscriptions.iter().filter(|one| ids.contains(&one.id));
        let subscriptions = all.map(Into::into).collect();
        respond(sending, Response::Subscribe { success: true, subscriptions });
        Ok(())
    }

    fn unsubscribe(&mut self, sending: &mut Sending<'_>, ids: &[String]) {
        let subscriptions = ids.iter().map(|id| Removed {
            subscription_id: id,
            removed: self.subscriptions.extract_if(.., |one| one.id == *id).count() > 0,
        });
        let subscriptions = subscriptions.collect();
        respond(sending, Response::Unsubscribe { success: true, subscriptions });
        if self.subscriptions.is_empty() {
            self.follower = None;
        }
    }

    fn write(
        &self,
        client: &mut Client,
        sending: &mut Sending<'_>,
        mut object: Map<String, Value>,
        now: Now,
    ) -> Result<(), Failed> {
        let desk = Arc::clone(client.desk());
        desk.rules().check_enabled()?;
        let who = who(client, sending).filter(|who| !matches!(who, Who::Guest));
        let who = who.ok_or_else(|| Fault::scope("User must be authorized"))?;
        let Some(Value::String(id)) = object.remove("presenceId") else {
            return Err(Fault::argument("Invalid `presenceId` param: must be a string.").into());
        };
        // It lives with the socket.
        object.remove("expiresAt");
        let fields = Fields::read(object, now.unix_ms, desk.hub().attribute_bytes())?;
        let by = By::Socket(client.outlet().id());
        let (presence, channel) = self.presences.upsert(&desk, &who, &id, fields, by, now)?;
        client.keeps_record(&channel);
        respond(sending, Response::Presence { presence });
        Ok(())
    }
}

/// Who is at the other end; `None`: somebody without a credential where one is needed.
fn who(client: &Client, sending: &Sending<'_>) -> Option<Who> {
    match client.identity(sending) {
        Some(identity) => Some(Who::User(identity)),
        None => client.desk().auth().is_open().then_some(Who::Guest),
    }
}

/// Why a message was not done.
enum Failed {
    /// It came too soon.
    Limited(Refusal),
    /// It is none.
    BadFormat(String),
    /// It was refused.
    Refused(Fault),
    /// The line is closed.
    Closes(CloseCode, &'static str),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

fn respond(sending: &mut Sending<'_>, response: Response<'_>) {
    sending.queue(|out| write(&Told::Response(response), out));
}

fn refuse(sending: &mut Sending<'_>, code: u16, message: &str) {
    sending.queue(|out| write(&Told::Error { code, message }, out));
}

impl Dialect for Socket {
    const TELLS: bool = true;

    fn act(
        &mut self,
        client: &mut Client,
        sending: &mut Sending<'_>,
        text: &str,
        limited: Option<Refusal>,
        now: Now,
    ) -> Result<(), Violation> {
        client.heard(now);
        if let Some(credential) = self.credential.take() {
            self.signed = Some(self.presences.sessions().note(&credential, client.outlet()));
        }
        let failed = match (parse(text), limited) {
            (_, Some(refusal)) => Some(Failed::Limited(refusal)),
            (Ok(asked), None) => self.answer(client, sending, asked, now).err(),
            (Err(rule), None) => Some(Failed::BadFormat(rule.into_owned())),
        };
        let refusals = &client.desk().hub().metrics().websocket_refusals;
        match failed {
            None => {}
            Some(Failed::Limited(refusal)) => {
                refusals.inc(refusal.code);
                refuse(sending, TOO_MANY, &refusal.message);
            }
            Some(Failed::BadFormat(rule)) => {
                refusals.inc(ErrorCode::BadJson);
                refuse(sending, BAD_FORMAT, &rule);
            }
            Some(Failed::Refused(fault)) => {
                refusals.inc(fault.code);
                refuse(sending, fault.status.as_u16(), &fault.message);
            }
            Some(Failed::Closes(code, reason)) => {
                refusals.inc(ErrorCode::Unauthenticated);
                return Err(Violation { code, reason });
            }
        }
        Ok(())
    }

    fn encode(&mut self, frame: &ServerFrame, out: &mut Vec<u8>) {
        // Whatever else the task says, these libraries do not know.
        if let ServerFrame::Welcome { .. } = frame {
            let user = self.user.take();
            write(&Told::Connected { channels: [], subscriptions: [], user }, out);
        }
    }

    fn tell(
        &mut self,
        cx: &Context<'_>,
        client: &Client,
        sending: &mut Sending<'_>,
        now: Now,
    ) -> Result<bool, Violation> {
        let Some(follower) = &mut self.follower else { return Ok(false) };
        let Poll::Ready(told) = follower.poll_next(cx, now) else { return Ok(false) };
        let step = match told.what {
            What::News { news: News::Step(step), .. } => step,
            // What it lacks is gone, and with it perhaps deletes: the library comes back, and its app
            // lists anew.
            What::News { news: News::Snapshot(_), .. } => {
                let reason = "the connection reads too slowly";
                return Err(Violation { code: CloseCode::SlowConsumer, reason });
            }
            What::News { .. } | What::Ended(_) => return Ok(true),
        };
        let Some(who) = who(client, sending).filter(|who| who.may_read(Right::Subscribe).is_ok())
        else {
            return Ok(true);
        };
        for change in self.presences.latest().of(&step).iter() {
            for event in change.events(&who) {
                let subscriptions = event.matching(&self.subscriptions);
                if subscriptions.is_empty() {
                    continue;
                }
                let event = Event {
                    events: &event.events,
                    channels: &event.channels,
                    timestamp: Shown(now.unix_ms).to_string(),
                    payload: event.payload(),
                    subscriptions,
                };
                sending.queue(|out| write(&Told::Event(event), out));
            }
        }
        Ok(true)
    }

    fn farewell(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) -> u16 {
        match code {
            // Coming back as it is would be in vain, and its library knows that by both.
            CloseCode::Unauthenticated
            | CloseCode::TokenExpired
            | CloseCode::Kicked
            | CloseCode::Abuse => {
                write(&Told::Error { code: POLICY, message: reason }, out);
                POLICY
            }
            CloseCode::SlowConsumer => TOO_MANY,
            _ => code.number(),
        }
    }
}
