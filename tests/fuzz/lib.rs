//! Fuzz targets: everything that reads what strangers write, each as a function of bytes that panics
//! where a promise breaks.
//!
//! A promise is more than not to panic: what was read and is written again reads the same, however the
//! bytes were cut; what is refused is refused in a short text; what is inflated stays within its limit.

pub mod cluster;
pub mod frames;
pub mod handshake;
pub mod socket;
pub mod vendors;

/// A target and its name, which is that of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("frames", frames::requests),
    ("shorthand", frames::shorthand),
    ("told", frames::told),
    ("codec", socket::codec),
    ("inflate", socket::inflated),
    ("handshake", handshake::headers),
    ("preface", handshake::preface),
    ("tokens", handshake::tokens),
    ("cluster", cluster::texts),
    ("orders", cluster::orders),
    ("appwrite", vendors::appwrite),
    ("livelike", vendors::livelike),
    ("bodies", vendors::bodies),
];

/// The target of that name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no target {name:?}")).1
}

/// Bytes as text, if they are: most readers are handed text.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Refusals name a rule, and do not say back what they were told at length.
///
/// # Panics
/// It is longer than that.
fn is_short(message: &str) {
    const MOST: usize = 1_000;
    assert!(message.len() <= MOST, "a message of {} bytes: {message}", message.len());
}
