//! Who comes with a socket.

use std::sync::Arc;

use axum::http::HeaderMap;
use herenow_protocol::{Refusal, UserId};

use super::frames::Account;
use super::manner::credential;
use super::presences::Presences;
use super::socket::Socket;
use crate::auth::{Auth, Credential, Identity};
use crate::now::Now;
use crate::vendors::credential::user_of;

/// Who a handshake is of, and how it is spoken to. A JWT in the address must be good; what else it
/// brings may be stale, and its library signs in with another by a frame.
pub fn introduce(
    presences: Arc<Presences>,
    auth: &Auth,
    headers: &HeaderMap,
    query: &str,
    now: Now,
) -> (Result<Identity, Refusal>, Socket) {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let jwt = pairs.find(|(name, _)| name == "jwt").map(|(_, value)| value.into_owned());
    let must = jwt.is_some();
    let Some(text) = jwt.or_else(|| credential(headers)) else {
        return (Ok(guest()), Socket::new(presences, None));
    };
    match user_of(auth, &text, now) {
        Ok(Credential::User(identity)) => {
            let info = identity.access.as_ref().map(|access| access.info());
            let account = Account::new(identity.user.clone(), info);
            (Ok(identity), Socket::new(presences, Some((text, account))))
        }
        Err(refusal) if must => (Err(refusal), Socket::new(presences, None)),
        _ => (Ok(guest()), Socket::new(presences, None)),
    }
}

fn guest() -> Identity {
    Identity { user: UserId::nobody(), access: None }
}
