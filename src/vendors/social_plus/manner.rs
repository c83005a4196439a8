//! Who asks: whoever logged in. A login itself says who it is in its body.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use herenow_protocol::Refusal;

use super::failure::Failure;
use super::session;
use crate::auth::Credential;
use crate::now::Now;
use crate::web::credential::bearer;
use crate::web::manner::{Manner, template};
use crate::web::state::Web;

/// Where clients log in.
pub const SESSIONS: &str = "/api/v5/sessions";

/// The settings of chats, which have nothing to do with presence: the library asks for them at login.
pub const NETWORK_SETTINGS: &str = "/api/v3/network-settings/chat";

/// Whether there is presence, and how often to say that one is there.
pub const PRESENCE_SETTINGS: &str = "/api/v1/presence/settings";

/// social.plus' clients.
#[derive(Clone, Copy, Debug)]
pub struct SocialPlus;

impl Manner for SocialPlus {
    const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";
    const HEADERS: &str = "x-api-key, content-type, authorization, set-access-token-cookie";

    fn identify(&self, web: &Web, request: &Request, now: Now) -> Result<Credential, Refusal> {
        if asks_for(request, SESSIONS) {
            return Ok(Credential::Anyone(None));
        }
        let token = bearer(request.headers()).unwrap_or_default();
        session::identify(web.desk.auth(), token, now)
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        Failure::from(refusal).into_response()
    }

    /// Logins are charged to the address, which may be a proxy's: then all users share it.
    fn waits(&self, request: &Request) -> bool {
        asks_for(request, SESSIONS)
    }

    fn works_without_presence(&self, request: &Request) -> bool {
        [SESSIONS, NETWORK_SETTINGS, PRESENCE_SETTINGS]
            .into_iter()
            .any(|path| asks_for(request, path))
    }
}

fn asks_for(request: &Request, path: &str) -> bool {
    template(request).ends_with(path)
}
