//! The list as it stands on a terminal: a frame of exactly so many rows and columns, drawn over the one
//! before.

use std::collections::VecDeque;
use std::fmt::Write as _;

use clap::builder::styling::Style;

use super::lines::{beside, style};
use super::moment::long;
use super::replica::Replica;
use super::safe::{padded, shown, widest};
use crate::limits::{TERMINAL_NAME, TERMINAL_NEWS};

/// Begins to draw in place: what was on the terminal comes back by [`LEAVE`]. No cursor.
pub const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// Ends it.
pub const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Fewest rows and columns that are drawn for.
const LEAST: (usize, usize) = (4, 20);

/// Of the rows beneath the head so large a part is for what happened.
const NEWS_PART: usize = 3;

/// What is shown beside the list.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Which channel.
    pub channel: &'a str,
    /// How the connection is.
    pub state: &'a str,
    /// The broker's clock, in milliseconds since 1970.
    pub now_ms: u64,
}

/// The last of what happened.
#[derive(Debug, Default)]
pub struct Told {
    lines: VecDeque<String>,
    fresh: bool,
}

impl Told {
    /// Takes in a line.
    pub fn push(&mut self, line: String) {
        if self.lines.len() == TERMINAL_NEWS {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        self.fresh = true;
    }

    /// Whether something came since the last drawing.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// All is drawn.
    pub fn draw(&mut self) {
        self.fresh = false;
    }
}

/// Draws it all, for a terminal of so many rows and columns.
#[must_use]
pub fn draw(
    head: Head<'_>,
    replica: &Replica,
    told: &Told,
    (rows, wide): (usize, usize),
    colors: bool,
) -> String {
    let (rows, wide) = (rows.max(LEAST.0), wide.max(LEAST.1));
    let room = rows - 2;
    let news = told.lines.len().min(room / NEWS_PART);
    let mut page = Page { text: String::from("\x1b[H"), wide, colors };
    page.line(&title(head, replica), Style::new().bold());
    let drawn = 1 + members(&mut page, head.now_ms, replica, room - news);
    for _ in drawn..rows - 1 - news {
        page.line("", Style::new());
    }
    page.line(&"─".repeat(wide), Style::new().dimmed());
    for line in told.lines.iter().rev().take(news).rev() {
        page.line(line, style(line));
    }
    // No line break behind the last row, which would move all of them.
    page.text.truncate(page.text.len() - 2);
    page.text
}

fn title(head: Head<'_>, replica: &Replica) -> String {
    let hidden = (replica.known() as u64).saturating_sub(replica.count());
    let hidden = if hidden > 0 && !replica.is_counted() {
        format!(" (and {hidden} whom not everyone may see)")
    } else {
        String::new()
    };
    let partial = if replica.is_partial() { " at least" } else { "" };
    let channel = shown(head.channel, TERMINAL_NAME);
    format!("{channel} · {}{partial} here{hidden} · {}", replica.count(), head.state)
}

/// As many members as there are rows; the last row says how many more there are.
fn members(page: &mut Page, now_ms: u64, replica: &Replica, room: usize) -> usize {
    let all = replica.known().max(usize::try_from(replica.count()).unwrap_or(usize::MAX));
    let fits = if all > room { room - 1 } else { room };
    let shown_here = replica.newest(fits);
    let width = widest(shown_here.iter().map(|(user, _)| *user)).min(page.wide / 2);
    for (user, member) in &shown_here {
        let age = member.joined_at.map(|at| long(now_ms.saturating_sub(at))).unwrap_or_default();
        let beside = beside(&member.attributes, &member.info, member.away);
        page.line(
            &format!("  {}  {}  {beside}", padded(user, width), padded(&age, 4)),
            if member.away { Style::new().dimmed() } else { Style::new() },
        );
    }
    let more = all - shown_here.len();
    if more > 0 {
        page.line(&format!("  and {more} more"), Style::new().dimmed());
    }
    shown_here.len() + usize::from(more > 0)
}

struct Page {
    text: String,
    wide: usize,
    colors: bool,
}

impl Page {
    /// A row, cut to the width, in place of what stood there.
    fn line(&mut self, text: &str, style: Style) {
        let row = shown(text.trim_end(), self.wide);
        let style = if self.colors { style } else { Style::new() };
        // Wiped first: behind the last column a terminal would wipe that.
        let _ = write!(self.text, "\x1b[2K{style}{row}{style:#}\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::terminal::heard::read;
    use crate::terminal::safe::columns;

    fn replica(users: &[&str], count: usize) -> Replica {
        let member = |(n, user): (usize, &&str)| json!({"user": user, "attributes": {"n": n}, "joinedAt": 1_000 * (users.len() - n)});
        let members: Vec<_> = users.iter().enumerate().map(member).collect();
        let frame = json!({"type": "snapshot", "channel": "r", "epoch": "k3v9x2m7", "seq": 1,
            "count": count, "members": members, "reason": "subscribed"});
        let mut replica = Replica::default();
        replica.apply(read(&frame.to_string()), None).unwrap();
        replica
    }

    fn drawn(replica: &Replica, told: &[&str], size: (usize, usize), colors: bool) -> String {
        let mut all = Told::default();
        told.iter().for_each(|line| all.push((*line).to_owned()));
        let head = Head { channel: "room", state: "live", now_ms: 60_000 };
        draw(head, replica, &all, size, colors)
    }

    /// What stands on the terminal then: rows without what steers.
    fn rows(page: &str) -> Vec<String> {
        let page = page.strip_prefix("\x1b[H").unwrap();
        page.split("\r\n").map(|row| row.strip_prefix("\x1b[2K").unwrap().to_owned()).collect()
    }

    #[test]
    fn a_list_with_what_happened_beneath() {
        let page = drawn(&replica(&["cy", "bob"], 2), &["00:00:58 + cy"], (7, 30), false);
        assert_eq!(
            rows(&page),
            [
                "room · 2 here · live",
                "  cy   58s   {\"n\":0}",
                "  bob  59s   {\"n\":1}",
                "",
                "",
                "──────────────────────────────",
                "00:00:58 + cy",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let page = drawn(&replica(&["a", "b", "c", "d", "e", "f"], 6), &[], (6, 40), false);
        let rows = rows(&page);
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[4], "  and 3 more", "{rows:?}");
        let page = drawn(&replica(&["a", "b"], 1), &[], (9, 60), false);
        assert!(page.contains("1 here (and 1 whom not everyone may see)"), "{page}");
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let plain = drawn(&replica(&["a"], 1), &["00:00:58 + a"], (8, 40), false);
        let colored = drawn(&replica(&["a"], 1), &["00:00:58 + a"], (8, 40), true);
        assert!(
            !plain.contains("\x1b[3") && !plain.contains("\x1b[1m") && !plain.contains("\x1b[0m")
        );
        assert!(colored.contains("\x1b[32m") && colored.contains("\x1b[1m"), "{colored:?}");
    }

    proptest! {
        /// Whatever the names are, the frame has its rows and columns, and steers by our own orders only.
        #[test]
        fn a_frame_keeps_to_the_terminal(
            names in prop::collection::vec("\\PC{0,40}|[\u{1b}\u{9b}\u{202e}\n愛a]{1,30}", 0..12),
            more in 0usize..3, rows_ in 0usize..14, wide in 0usize..50,
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let page = drawn(&replica(&names, names.len() + more), &[&names.join(" ")], (rows_, wide), false);
            let rows = rows(&page);
            prop_assert_eq!(rows.len(), rows_.max(LEAST.0), "{:?}", rows);
            for row in rows {
                prop_assert!(!row.contains(char::is_control) && !row.contains('\u{202e}'), "{row:?}");
                prop_assert!(columns(&row) <= wide.max(LEAST.1), "{row:?}");
            }
        }
    }
}
