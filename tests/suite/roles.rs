//! Coming back with other roles: a replica is right at once, whatever came, went or stayed hidden
//! meanwhile, and however the client says where it stands.

use std::collections::BTreeMap;

use herenow_protocol::reply::MemberView;
use herenow_protocol::{ServerFrame, UserId};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::client::Client;
use crate::rights::{broker_with, connect, token};
use crate::source::tell;

const NONE: &[&str] = &[];
const BLUE: &[&str] = &["team:blue"];
const RED: &[&str] = &["team:red"];
const BOTH: &[&str] = &["team:blue", "team:red"];
const TURNED: &[&str] = &["team:red", "team:blue"];

async fn viewer(broker: &Broker, roles: &[&str]) -> Client {
    let roles: String = roles.iter().map(|role| format!(" --role {role}")).collect();
    connect(broker, &token(&format!("--user viewer{roles}"))).await
}

/// The sight that the connection was told.
fn sight(client: &Client) -> Value {
    let welcome: Value = serde_json::from_str(&client.heard()[0]).unwrap();
    welcome["sight"].clone()
}

/// What a client knows of the room that keeps a replica as the reference says.
#[derive(Default)]
struct Known {
    epoch: Value,
    seq: u64,
    whole: bool,
    members: BTreeMap<UserId, MemberView>,
}

impl Known {
    fn apply(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Snapshot { epoch, seq, members, more, .. } => {
                (self.epoch, self.seq, self.whole) = (json!(epoch), seq, !more);
                self.members.extend(members.into_iter().map(|one| (one.user.clone(), one)));
            }
            ServerFrame::Presence { seq, events, .. } => {
                assert!(seq == self.seq || seq == self.seq + 1);
                self.seq = seq;
                let members = &mut self.members;
                events.into_iter().for_each(|event| tell(members, event));
            }
            other => panic!("{other:?}"),
        }
    }

    fn since(&self) -> Value {
        json!({"epoch": self.epoch, "seq": self.seq})
    }
}

/// Subscribes with `since`; whether the broker went on from there. What is known is as it is then.
async fn come_back(client: &mut Client, since: Option<Value>, known: &mut Known) -> bool {
    let subscribe = json!({"type": "subscribe", "channel": "room", "since": since});
    let ServerFrame::Ok { resumed: Some(resumed), .. } = client.request(subscribe).await else {
        panic!("no ok")
    };
    if !resumed {
        *known = Known::default();
    }
    while !known.whole {
        known.apply(client.next().await);
    }
    // What was missed comes behind the answer, before that of another.
    client.count("room").await;
    while let Some(frame) = client.already() {
        known.apply(frame);
    }
    resumed
}

/// Who is there besides, in the order in which they come and go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Stays,
    Comes,
    Goes,
}

async fn is_right_at_once(before: &[&str], after: &[&str], meanwhile: Meanwhile, how: &str) {
    let broker = broker_with(|_| {});
    let mut hidden = Vec::new();
    for (name, role) in [("azure", "team:blue"), ("crimson", "team:red")] {
        hidden.push((connect(&broker, &token(&format!("--user {name}"))).await, role));
    }
    let mut open = connect(&broker, &token("--user open")).await;
    open.ok("join room").await;
    if meanwhile != Meanwhile::Comes {
        join_all(&mut hidden).await;
    }
    let mut away = viewer(&broker, before).await;
    let mut replica = Known::default();
    come_back(&mut away, None, &mut replica).await;
    let replica_sight = sight(&away);
    away.close(1000).await;
    match meanwhile {
        Meanwhile::Stays => open.ok("set room mood=sad").await,
        Meanwhile::Comes => join_all(&mut hidden).await,
        Meanwhile::Goes => {
            for (hidden, _) in &mut hidden {
                hidden.ok("leave room").await;
            }
        }
    }
    open.expect_quiet().await;

    let mut back = viewer(&broker, after).await;
    let mut since = replica.since();
    match how {
        "with" => since["sight"] = replica_sight.clone(),
        "foreign" => since["sight"] = json!("no broker wrote this"),
        _ => {}
    }
    let resumed = come_back(&mut back, (how != "never").then_some(since), &mut replica).await;
    let same_roles = after.iter().all(|role| before.contains(role)) && before.len() == after.len();
    assert_eq!(replica_sight == sight(&back), same_roles);
    assert!(!resumed || (how == "with" && same_roles));
    let what = format!("{before:?} to {after:?}, {meanwhile:?}, {how}");
    if how == "with" && same_roles && before.is_empty() {
        assert!(resumed, "nothing was missed: {what}");
    }
    let seen = back.all_members("room").await.into_iter();
    let seen: BTreeMap<_, _> = seen.map(|member| (member.user.clone(), member)).collect();
    assert_eq!(replica.members, seen, "{what}");
}

async fn join_all(hidden: &mut [(Client, &str)]) {
    for (client, role) in hidden {
        client.ok(json!({"type": "join", "channel": "room", "visibleTo": [role]})).await;
    }
}

#[tokio::test]
async fn whoever_comes_back_with_other_roles_is_right_at_once() {
    let changes = [
        (NONE, BLUE),
        (BLUE, NONE),
        (BLUE, RED),
        (BOTH, RED),
        (BLUE, BLUE),
        (NONE, NONE),
        (BOTH, TURNED),
    ];
    for (before, after) in changes {
        for meanwhile in [Meanwhile::Stays, Meanwhile::Comes, Meanwhile::Goes] {
            for how in ["with", "without", "foreign", "never"] {
                is_right_at_once(before, after, meanwhile, how).await;
            }
        }
    }
}

#[tokio::test]
async fn a_fresh_token_brings_its_sight() {
    let broker = broker_with(|_| {});
    let mut ada = viewer(&broker, NONE).await;
    let before = sight(&ada);
    let auth = |roles: &str| {
        let token = token(&format!("--user viewer{roles}"));
        json!({"type": "auth", "token": token})
    };
    let told = |frame: ServerFrame| match frame {
        ServerFrame::Ok { sight: Some(sight), .. } => json!(sight),
        other => panic!("no sight: {other:?}"),
    };
    let blue = told(ada.request(auth(" --role team:blue")).await);
    assert_ne!(blue, before);
    assert_eq!(told(ada.request(auth("")).await), before);
    let mut other = viewer(&broker, BLUE).await;
    assert_eq!(sight(&other), blue, "the same on another connection");
    other.ok("join room").await;
    let text = blue.as_str().unwrap();
    assert_eq!(text.len(), 16);
}

/// In open mode nobody has roles, so an old client that gives no sight resumes as ever.
#[tokio::test]
async fn without_tokens_a_client_that_knows_no_sight_resumes() {
    let broker = Broker::start();
    let mut ada = broker.connect("ada").await;
    let mut replica = Known::default();
    come_back(&mut ada, None, &mut replica).await;
    let mut bob = broker.connect("bob").await;
    bob.ok(json!({"type": "join", "channel": "room", "visibleTo": []})).await;
    let since = replica.since();
    let mut again = broker.connect("ada").await;
    assert!(come_back(&mut again, Some(since.clone()), &mut replica).await);
    // Another user's sight is another one.
    let mut since = since;
    since["sight"] = sight(&broker.connect("carol").await);
    assert!(!come_back(&mut again, Some(since), &mut replica).await);
}
