//! The text of a message → [`ClientFrame`], in either of the two ways to write it.

use crate::json;
use crate::request::ClientFrame;
use crate::shorthand;

pub use crate::json::{Rejected, heartbeat, lease, status};

/// Reads one message: JSON if it begins with `{`, else the typed shorthand.
///
/// # Errors
/// `bad_json`, `unknown_type`, `missing_field` or `invalid_field`; nothing else. Bounds that depend
/// on the broker's configuration are checked where the request is applied.
pub fn parse(text: &str) -> Result<ClientFrame, Rejected> {
    let text = text.trim();
    if text.starts_with('{') { json::parse(text) } else { Ok(shorthand::parse(text)?.into()) }
}
