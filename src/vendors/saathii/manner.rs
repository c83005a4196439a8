//! Who asks: a user whose name is a whole number.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use herenow_protocol::{ErrorCode, Refusal};

use super::failure::Failure;
use super::input::Id;
use crate::auth::{Credential, Identity};
use crate::now::Now;
use crate::vendors::credential::user_of;
use crate::web::credential::bearer;
use crate::web::manner::Manner;
use crate::web::state::Web;

/// Saathii's clients.
#[derive(Clone, Copy, Debug)]
pub struct Saathii;

impl Manner for Saathii {
    const METHODS: &str = "GET, HEAD, PUT, POST";
    const HEADERS: &str = "authorization, content-type";

    fn identify(&self, web: &Web, request: &Request, now: Now) -> Result<Credential, Refusal> {
        let auth = web.desk.auth();
        let credential = user_of(auth, bearer(request.headers()).unwrap_or_default(), now)?;
        let Credential::User(Identity { user, access }) = credential else {
            return Err(no_number());
        };
        let canonical = Id::parse(user.as_str()).ok_or_else(no_number)?.user()?;
        // A token speaks for the user that it names, and for no other with the same number.
        if canonical != user && !auth.is_open() {
            return Err(no_number());
        }
        Ok(Credential::User(Identity { user: canonical, access }))
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        Failure::from(refusal).into_response()
    }
}

fn no_number() -> Refusal {
    let rule = "must be for a user whose name is a whole number below 2^53";
    Refusal::field(ErrorCode::Unauthenticated, "token", rule)
}
