//! The README's session by hand: what it shows is what the broker says.

use serde_json::Value;

use crate::broker::Broker;
use crate::wire::Wire;

/// A line of the session with what differs from run to run blanked out.
fn blanked(line: &str) -> Value {
    fn blank(value: &mut Value) {
        match value {
            Value::Object(map) => {
                // How many ticks told of what a list shows.
                let is_list = map.contains_key("members") && !map.contains_key("reason");
                for (key, value) in map {
                    if is_list && key == "seq" {
                        *value = Value::Null;
                        continue;
                    }
                    match key.as_str() {
                        "epoch" | "sight" | "at" | "joinedAt" | "now" | "connection" => {
                            *value = Value::Null;
                        }
                        _ => blank(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(blank),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    blank(&mut value);
    value
}

#[tokio::test]
async fn the_session_gives_the_output_that_it_shows() {
    let readme = include_str!("../../README.md");
    let (_, session) =
        readme.split_once("$ npx wscat -c 'ws://127.0.0.1:8080/ws?user=ada'\n").unwrap();
    let (session, _) = session.split_once("```").unwrap();
    let broker = Broker::start();
    let mut ada = Wire::dial(broker.address()).await;
    ada.upgrade("/ws?user=ada", "").await;
    let mut said = 0;
    for line in session.lines() {
        if let Some(typed) = line.strip_prefix("> ") {
            ada.say(typed).await;
            said += 1;
        } else if let Some(shown) = line.strip_prefix("< ") {
            let heard = ada.text().await;
            assert_eq!(blanked(&heard), blanked(shown), "after {said} lines were typed");
        } else {
            panic!("neither typed nor shown: {line}");
        }
    }
    assert!(said >= 6, "the session is not where it was");
}
