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

#[cfg(test)]
mod tests {
    use herenow_protocol::{LossReason, UserId};

    use super::*;
    use crate::cluster::record::{Place, Stamp};
    use crate::cluster::say::{Base, Said};
    use crate::presence::{Keeper, NodeId};

    /// As the script reads it: what is not so, or 0, is left out.
    #[test]
    fn a_say_is_spelled_briefly() {
        let place = |base| Said { base, value: Place { joined_at: 5, number: 0 } };
        let user = |name: &str| UserSay {
            user: UserId::parse(name, "user").unwrap(),
            mark: None,
            leases: Vec::new(),
            attributes: None,
            info: None,
            audience: None,
            place: place(Base::IfNone),
            fresh: false,
            ends_grace: false,
            why: None,
        };
        let (reason, last_seen) = (LossReason::Heartbeat, 77);
        let lost = MarkSay::Lost { for_ms: u64::MAX, away: true, reason, last_seen };
        let stamp = Stamp { counter: 3, node: NodeId::new(0xab) };
        let users = vec![
            UserSay {
                mark: Some(lost),
                leases: vec![
                    (Keeper::Herenow, LeaseSay::Take { for_ms: 9_000, away: true, again: false }),
                    (Keeper::Vendor(1), LeaseSay::End),
                    (Keeper::Vendor(2), LeaseSay::RanOut),
                ],
                place: place(Base::At(stamp)),
                fresh: true,
                ends_grace: true,
                why: Some(Cause::Lost(LossReason::Connection, 66)),
                ..user("ada")
            },
            UserSay { mark: Some(MarkSay::Live { connections: 2, away: false }), ..user("bob") },
        ];
        let said = text(&Say { node: NodeId::new(0xab), users, keep_ms: 0 });
        let ada = concat!(
            r#"{"u":"ada","m":{"f":10000000000000,"w":"heartbeat 77","a":true},"#,
            r#""l":{"h":{"f":9000,"a":true},"v1":"e","v2":"r"},"#,
            r#""p":{"c":3,"n":"0000000000ab","j":5},"f":true,"g":true,"w":"connection 66"}"#
        );
        let bob = r#"{"u":"bob","m":"2","p":{"b":"i","j":5}}"#;
        assert_eq!(said, format!(r#"{{"n":"0000000000ab","u":[{ada},{bob}]}}"#));
        let kept =
            text(&Say { node: NodeId::new(0xab), users: vec![user("eve")], keep_ms: 60_000 });
        let eve = r#"{"u":"eve","p":{"b":"i","j":5}}"#;
        assert_eq!(kept, format!(r#"{{"n":"0000000000ab","k":60000,"u":[{eve}]}}"#));
        assert_eq!(cause(Cause::Lost(LossReason::Node, 12)), "node 12");
    }
}
