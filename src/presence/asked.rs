//! What a subscriber asked to be told.

use herenow_protocol::Level;
use herenow_protocol::request::MAX_RECENT;

/// What comes of the newest members with a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recent {
    /// At most so many members; 0: nothing comes of them.
    pub limit: u8,
    /// With what they set, as far as a frame has room.
    pub attributes: bool,
}

/// What a subscriber asked for. It never changes: whoever asks for something else is another
/// subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The level.
    pub level: Level,
    /// What is to come with a count, where one is told.
    pub recent: Recent,
}

impl Asked {
    /// Somebody who asked for `level`, and for so many of the newest members; without a number for
    /// what is usual at that level.
    #[must_use]
    pub fn new(level: Level, limit: Option<u8>, attributes: bool) -> Self {
        let limit = match level {
            Level::Events => 0,
            Level::Auto => limit.unwrap_or(MAX_RECENT as u8),
            Level::Count => limit.unwrap_or(0),
        };
        Self { level, recent: Recent { limit, attributes: attributes && limit > 0 } }
    }
}

/// With what is usual at that level.
impl From<Level> for Asked {
    fn from(level: Level) -> Self {
        Self::new(level, None, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_as_usual_and_nothing_comes_without_a_count() {
        let asked = |level, limit, attributes| {
            let Recent { limit, attributes } = Asked::new(level, limit, attributes).recent;
            (limit, attributes)
        };
        assert_eq!(asked(Level::Auto, None, false), (200, false));
        assert_eq!(asked(Level::Auto, None, true), (200, true));
        assert_eq!(asked(Level::Auto, Some(0), true), (0, false));
        assert_eq!(asked(Level::Count, None, true), (0, false));
        assert_eq!(asked(Level::Count, Some(20), true), (20, true));
        assert_eq!(asked(Level::Count, Some(20), false), (20, false));
        assert_eq!(asked(Level::Events, Some(20), true), (0, false));
        assert_eq!(Asked::from(Level::Auto), Asked::new(Level::Auto, None, false));
    }
}
