//! What a vendor's credential stands for. Where tokens are asked for, it *is* one of our tokens; in
//! open mode it is the user's name.

use herenow_protocol::{ErrorCode, Refusal, UserId};

use crate::auth::{Auth, Credential, Identity};
use crate::now::Now;

/// The user that `credential` stands for.
///
/// # Errors
/// `unauthenticated`, `token_expired`.
pub fn user_of(auth: &Auth, credential: &str, now: Now) -> Result<Credential, Refusal> {
    if !auth.is_open() {
        return auth.verify_token(credential, now).map(Credential::User);
    }
    let named = UserId::parse(credential, "credential");
    let user = named.map_err(|refusal| Refusal { code: ErrorCode::Unauthenticated, ..refusal })?;
    Ok(Credential::User(Identity { user, access: None }))
}
