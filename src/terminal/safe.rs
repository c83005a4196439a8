//! Texts that others wrote, printed so that they stay texts: a terminal takes orders from control
//! characters, and a line can be made to read as another by characters that nobody sees.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

use crate::limits::TERMINAL_NAME;

/// What stands for the part of a text for which there was no room.
const CUT: char = '…';

/// Characters that take no column may stand in a text, but not pile up in it: so many for a column.
const CHARS_PER_COLUMN: usize = 4;

/// Whether a character is shown by its number: it steers, turns the direction of what follows, or is
/// not seen. Joiners are left alone, since names in some scripts need them.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Columns that a text takes which is [`shown`].
#[must_use]
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text as one line of at most `most` columns, with numbers in place of what would steer a terminal.
#[must_use]
pub fn shown(text: &str, most: usize) -> String {
    let mut line = String::new();
    let (mut taken, mut chars) = (0, 0);
    // Where to cut, if there is more than fits: the last place with a column to spare.
    let mut cut = 0;
    for c in text.chars() {
        let part: Cow<'_, str> =
            if steers(c) { c.escape_unicode().to_string().into() } else { c.to_string().into() };
        taken += columns(&part);
        chars += 1;
        if taken > most || chars > CHARS_PER_COLUMN * most {
            line.truncate(cut);
            if most > 0 {
                line.push(CUT);
            }
            return line;
        }
        line.push_str(&part);
        if taken < most {
            cut = line.len();
        }
    }
    line
}

/// The same, filled up with blanks to `width`.
#[must_use]
pub fn padded(text: &str, width: usize) -> String {
    let mut line = shown(text, width);
    let blanks = width.saturating_sub(columns(&line));
    line.extend(std::iter::repeat_n(' ', blanks));
    line
}

/// Columns of the widest of these names, as far as they are shown.
pub fn widest<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| columns(&shown(name, TERMINAL_NAME))).max().unwrap_or(0)
}

/// JSON with every character that would steer a terminal spelled by its number: the same JSON. Nothing
/// of the kind stands outside of strings.
#[must_use]
pub fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_to_a_terminal_are_shown_and_not_given() {
        assert_eq!(shown("a\u{1b}[2Jb", 40), "a\\u{1b}[2Jb");
        assert_eq!(shown("a\u{9b}2Jb\r\n\t", 60), "a\\u{9b}2Jb\\u{d}\\u{a}\\u{9}");
        assert_eq!(shown("x\u{202e}gpj.exe", 40), "x\\u{202e}gpj.exe");
        assert_eq!(shown("\u{e0041}", 40), "\\u{e0041}");
        assert_eq!(shown("Ada Łovelace 愛 👩‍🚀", 40), "Ada Łovelace 愛 👩‍🚀");
    }

    #[test]
    fn what_is_too_wide_is_cut_and_says_so() {
        assert_eq!(shown("abcdef", 6), "abcdef");
        assert_eq!(shown("abcdef", 5), "abcd…");
        assert_eq!(shown("愛愛愛", 5), "愛愛…");
        assert_eq!(shown("愛愛愛", 4), "愛…");
        assert_eq!(shown("a", 0), "");
        let pile = format!("a{}", "\u{301}".repeat(5_000));
        assert!(shown(&pile, 10).chars().count() <= 41);
        assert_eq!(padded("愛", 4), "愛  ");
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({"a\u{9b}": "\u{7f}\u{202e}\u{e0041}\u{1b} ü"});
        let text = json(&value.to_string());
        assert!(!text.chars().any(steers), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_keeps_to_its_place(text in any::<String>(), most in 0usize..60) {
            let line = shown(&text, most);
            prop_assert!(columns(&line) <= most && !line.chars().any(steers), "{line:?}");
            prop_assert_eq!(columns(&padded(&text, most)), most);
        }
    }
}
