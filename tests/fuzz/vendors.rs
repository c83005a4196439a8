//! What the libraries of vendors send.

use herenow::vendors::appwrite::{frames, input as appwrite_input, list::Listing, times};
use herenow::vendors::livelike::input as livelike_input;
use herenow::vendors::saathii::input as saathii;
use herenow::vendors::social_plus::input as social_plus;
use herenow::web::input::Query;
use http::Uri;

use crate::text;

/// Queries of a list, one on each line; a message on its socket; a moment.
pub fn appwrite(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = Listing::parse(text.lines());
    let _ = frames::parse(text);
    let _ = times::parse(text);
}

/// Channels, and behind a question mark what else is asked.
pub fn livelike(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let (names, query) = text.split_once('?').unwrap_or((text, ""));
    let Ok(uri) = Uri::try_from(format!("/?{query}")) else { return };
    let query = Query::of(&uri);
    let _ = livelike_input::Names::parse(names, &query);
    let _ = livelike_input::since(&query);
    let _ = livelike_input::state(&query);
    let _ = livelike_input::states(&query);
    let _ = saathii::ids(&query);
    let _ = social_plus::user_ids(&query);
}

/// Bodies and paths of the others.
pub fn bodies(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = social_plus::Login::parse(text);
    let _ = social_plus::enabled(text);
    let _ = social_plus::room(text);
    let _ = saathii::change(text);
    if let Ok(object) = appwrite_input::object(text) {
        let _ = appwrite_input::Fields::read(object, 1_800_000_000_000, 4_096);
    }
}
