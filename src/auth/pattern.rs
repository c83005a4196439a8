//! Patterns of names: `room-*`.

use serde::Serialize;

use crate::limits::{MAX_PATTERN_BYTES, MAX_PATTERNS};

/// Stands for any run of characters, also for none.
const WILD: char = '*';

/// A pattern of names: `*` matches any run of characters, also none; all else matches itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Checks a pattern.
    ///
    /// # Errors
    /// Empty or longer than [`MAX_PATTERN_BYTES`]: the rule, to continue a sentence that begins
    /// with a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATTERN_BYTES {
            return Err(format!("must be patterns of 1 to {MAX_PATTERN_BYTES} bytes"));
        }
        Ok(Self(text.into()))
    }

    /// Whether the whole of `name` matches.
    ///
    /// Greedy: what stands before the first `*` and after the last is fixed, and between them each
    /// piece may take its first place, since that leaves the most to those after it. So nothing is
    /// ever tried twice, and with std's two-way search (Crochemore and Perrin, 1991) the time is
    /// linear in both lengths, whatever the pattern.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((head, rest)) = self.0.split_once(WILD) else { return *self.0 == *name };
        let (middle, tail) = rest.rsplit_once(WILD).unwrap_or(("", rest));
        let inner = name.strip_prefix(head).and_then(|name| name.strip_suffix(tail));
        let Some(mut left) = inner else { return false };
        for piece in middle.split(WILD) {
            let Some(place) = left.find(piece) else { return false };
            left = &left[place + piece.len()..];
        }
        true
    }
}

/// Some patterns. No pattern matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Patterns(Box<[Pattern]>);

impl Patterns {
    /// Checks patterns.
    ///
    /// # Errors
    /// More than [`MAX_PATTERNS`], or a bad one: the rule, to continue a sentence that begins with
    /// a name.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for text in texts {
            if patterns.len() == MAX_PATTERNS {
                return Err(format!("must be at most {MAX_PATTERNS} patterns"));
            }
            patterns.push(Pattern::parse(text)?);
        }
        Ok(Self(patterns.into()))
    }

    /// Whether one of them matches `name`.
    #[must_use]
    pub fn match_any(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same rule as plainly as it can be said.
    fn model(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            ([WILD, rest @ ..], _) => {
                model(rest, name) || !name.is_empty() && model(pattern, &name[1..])
            }
            ([first, rest @ ..], [other, others @ ..]) => first == other && model(rest, others),
            (_, []) => false,
        }
    }

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(name)
    }

    proptest! {
        /// Few letters, so that pieces overlap and half of the names match.
        #[test]
        fn matches_as_the_model_does(pattern in "[abé*]{1,8}", name in "[abé]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), model(&chars(&pattern), &chars(&name)));
        }
    }

    #[test]
    fn matches_whole_names_only() {
        for (pattern, name) in [
            ("room", "room"),
            ("*", "anything"),
            ("room-*", "room-"),
            ("a*b*c", "axxbyybzc"),
            ("*ab*ab*", "abab"),
            ("**", ""),
            ("ч*т", "чат"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("room", "rooms"),
            ("room", "Room"),
            ("room-*", "room"),
            ("a*a", "a"),
            ("*ab*ab*", "aba"),
            ("r??m", "room"),
            ("[a-z]", "a"),
            ("r.*", "room"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    /// Where backtracking takes more steps than there are atoms.
    #[test]
    fn no_pattern_takes_long() {
        let pattern = format!("{}b", "a*".repeat(99));
        assert!(!matches(&pattern, &"a".repeat(100_000)));
    }

    #[test]
    fn patterns_have_bounds() {
        let long = "x".repeat(MAX_PATTERN_BYTES);
        assert!(Pattern::parse(&long).is_ok());
        assert!(Pattern::parse(&format!("{long}x")).unwrap_err().contains("200"));
        assert!(Pattern::parse("").is_err());
        assert!(Patterns::parse(vec!["x"; MAX_PATTERNS]).is_ok());
        assert!(Patterns::parse(vec!["x"; MAX_PATTERNS + 1]).unwrap_err().contains("64"));
        assert!(!Patterns::parse([]).unwrap().match_any("x"));
    }
}
