//! Commands to the presence core, as most tests want them.

use herenow::presence::{Command, Lasts, Source};
use herenow_protocol::{AttributeMap, Audience, UserId};

/// A join that names what it takes to be there, and is silent about the rest.
pub(crate) fn join(
    user: UserId,
    source: Source,
    attributes: Option<AttributeMap>,
    visible_to: Option<Audience>,
    lasts: Lasts,
) -> Command {
    let (merge, info, away) = (false, None, None);
    Command::Join { user, source, attributes, merge, info, visible_to, away, lasts }
}
