//! What a session's token says. Where tokens are asked for it is the one that came with the login.
//! In open mode there is none, so the broker writes one that says what the login said, and keeps
//! nothing: a session outlives a restart.

use std::fmt::Write;
use std::sync::Arc;

use form_urlencoded::Serializer;
use herenow_protocol::{AttributeMap, Attributes, ErrorCode, Refusal, UserId};
use sha2::{Digest, Sha256};

use crate::auth::claims::parse_info;
use crate::auth::{Access, Auth, Credential, Identity};
use crate::now::Now;
use crate::vendors::credential::user_of;

/// Tokens of open mode begin with it.
const OPEN: &str = "open.";

/// What shows with a user who gave that name at login; a name that is empty is none.
///
/// # Errors
/// `invalid_field`: it is too long.
pub fn info_of(display_name: Option<&str>) -> Result<Attributes, Refusal> {
    let Some(name) = display_name.filter(|name| !name.is_empty()) else {
        return Ok(Attributes::EMPTY);
    };
    let info = AttributeMap::from_iter([("displayName".to_owned(), name.into())]);
    parse_info(&info).map_err(|rule| Refusal::invalid("displayName", rule))
}

/// The token of a session in open mode.
#[must_use]
pub fn open_token(user: &UserId, display_name: Option<&str>) -> String {
    let mut said = Serializer::new(String::new());
    said.append_pair("userId", user.as_str());
    if let Some(name) = display_name {
        said.append_pair("displayName", name);
    }
    let said = said.finish();
    format!("{OPEN}{said}.{}", sum(&said))
}

/// Whom a token stands for.
///
/// # Errors
/// `unauthenticated`, `token_expired`.
pub fn identify(auth: &Auth, token: &str, now: Now) -> Result<Credential, Refusal> {
    match token.strip_prefix(OPEN) {
        Some(open) if auth.is_open() => read(open).map(Credential::User),
        _ => user_of(auth, token, now),
    }
}

/// The user that asks.
///
/// # Errors
/// `unauthenticated`: it is none.
pub fn asker(credential: &Credential) -> Result<&UserId, Refusal> {
    let none = || Refusal::new(ErrorCode::Unauthenticated, "a user's token is required");
    credential.caller().user().ok_or_else(none)
}

fn read(open: &str) -> Result<Identity, Refusal> {
    let damaged = || Refusal::field(ErrorCode::Unauthenticated, "token", "is damaged");
    let (said, sum_given) = open.rsplit_once('.').ok_or_else(damaged)?;
    if sum(said) != sum_given {
        return Err(damaged());
    }
    let field = |name: &str| {
        let mut pairs = form_urlencoded::parse(said.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let user = UserId::parse(&field("userId").unwrap_or_default(), "userId");
    let info = info_of(field("displayName").as_deref()).map_err(|_| damaged())?;
    let access = (!info.is_empty()).then(|| Arc::new(Access::open(info)));
    Ok(Identity { user: user.map_err(|_| damaged())?, access })
}

/// Shows whether a token came whole. No secret: in open mode anybody is whoever it says.
fn sum(said: &str) -> String {
    let digest = Sha256::digest(said);
    digest.iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_the_login_said_whatever_characters_it_has() {
        for (name, shown) in [
            ("ada", Some("Ada L. & Söhne=😀.")),
            ("a.b&c=d+e%20 f", Some("+")),
            ("open.x", None),
            ("ü", Some("")),
        ] {
            let user = UserId::parse(name, "user").unwrap();
            let token = open_token(&user, shown);
            assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "{token}");
            let identity = read(token.strip_prefix(OPEN).unwrap()).unwrap();
            assert_eq!(identity.user, user);
            let info = identity.access.map(|access| access.info().clone()).unwrap_or_default();
            assert_eq!(info, info_of(shown).unwrap());
        }
    }

    #[test]
    fn a_damaged_token_is_none() {
        let user = UserId::parse("ada", "user").unwrap();
        let token = open_token(&user, Some("Ada"));
        let whole = token.strip_prefix(OPEN).unwrap();
        let longer = format!("{whole}0");
        let other = whole.replace("ada", "bob");
        let nobody = format!("userId=.{}", sum("userId="));
        let cut = &whole[..whole.len() - 1];
        for bad in [cut, &longer, &other, &nobody, "", ".", "userId=ada"] {
            assert_eq!(read(bad).unwrap_err().code, ErrorCode::Unauthenticated, "{bad}");
        }
    }
}
