//! A say, as the script reads it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fields::Field;
use super::texts::{Live, MAX_TIME_MS, Text, is_false};
use crate::cluster::say::{LeaseSay, MarkSay, Say, UserSay};
use crate::presence::pending::Cause;
use crate::presence::{Keeper, NodeId};

#[derive(Serialize)]
struct SaidText<'a> {
    n: Text<NodeId>,
    #[serde(skip_serializing_if = "is_zero")]
    k: u64,
    u: Vec<UserText<'a>>,
}

#[derive(Serialize)]
struct UserText<'a> {
    u: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<MarkText>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    l: BTreeMap<Text<Keeper>, LeaseText>,
    /// Attributes, info, who may see the member, and its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<Field<'static>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i: Option<Field<'static>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<Field<'static>>,
    p: Field<'static>,
    #[serde(skip_serializing_if = "is_false")]
    f: bool,
    /// What merely grace keeps elsewhere ends.
    #[serde(skip_serializing_if = "is_false")]
    g: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<Text<Cause>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum MarkText {
    Live(Text<Live>),
    /// For how long, and how it was lost.
    Lost {
        f: u64,
        w: Text<Cause>,
        #[serde(skip_serializing_if = "is_false")]
        a: bool,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum LeaseText {
    Take {
        f: u64,
        #[serde(skip_serializing_if = "is_false")]
        a: bool,
        /// It is said once more.
        #[serde(skip_serializing_if = "is_false")]
        g: bool,
    },
    /// `r`: it ran out; `e`: it was ended.
    Ended(char),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde asks")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The text of a say. Times above 300 years are said as that.
#[must_use]
pub fn text(say: &Say) -> String {
    let said = SaidText {
        n: Text(say.node),
        k: say.keep_ms.min(MAX_TIME_MS),
        u: say.users.iter().map(user).collect(),
    };
    // Texts, numbers and maps of texts always serialize; a failure would be a bug of serde_json.
    serde_json::to_string(&said).unwrap_or_default()
}

/// The text of why somebody went.
#[must_use]
pub fn cause(why: Cause) -> String {
    super::texts::Word::text(&why)
}

fn user(user: &UserSay) -> UserText<'_> {
    let mark = |mark| match mark {
        MarkSay::Live { connections, away } => MarkText::Live(Text(Live(connections, away))),
        MarkSay::Lost { for_ms, away, reason, last_seen } => {
            let w = Text(Cause::Lost(reason, last_seen));
            MarkText::Lost { f: for_ms.min(MAX_TIME_MS), w, a: away }
        }
    };
    let lease = |&(keeper, lease): &_| {
        let said = match lease {
            LeaseSay::Take { for_ms, away, again } => {
                LeaseText::Take { f: for_ms.min(MAX_TIME_MS), a: away, g: again }
            }
            LeaseSay::RanOut => LeaseText::Ended('r'),
            LeaseSay::End => LeaseText::Ended('e'),
        };
        (Text(keeper), said)
    };
    UserText {
        u: user.user.as_str(),
        m: user.mark.map(mark),
        l: user.leases.iter().map(lease).collect(),
        a: user.attributes.as_ref().map(Field::of_said),
        i: user.info.as_ref().map(Field::of_said),
        s: user.audience.as_ref().map(Field::of_said),
        p: Field::of_said(&user.place),
        f: user.fresh,
        g: user.ends_grace,
        w: user.why.map(Text),
    }
}
