//! The echo for suites of WebSocket tests: there for whoever asks for it, and for nobody else.

use crate::broker::Broker;
use crate::wire::{CONTINUES, ENDS, Got, TEXT_BEGINS, Wire, frame};

#[tokio::test]
async fn what_is_said_comes_back_as_it_was() {
    let broker = Broker::with(|config| config.echo = true);
    let mut wire = Wire::dial(broker.address()).await;
    let head = wire.upgrade("/echo", "").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for text in ["", "join room", "{", &"é".repeat(5_000)] {
        wire.say(text).await;
        assert_eq!(wire.next().await, Got::Text(text.to_owned()));
    }
    for (first, part) in [(TEXT_BEGINS, "in "), (CONTINUES, ""), (ENDS, "parts")] {
        wire.write(&frame(first, part.as_bytes())).await;
    }
    assert_eq!(wire.next().await, Got::Text("in parts".to_owned()));
    wire.write(&frame(0x82, b"binary")).await;
    assert_eq!(wire.closed().await.0, 1003);
}

#[tokio::test]
async fn a_broker_for_people_has_none() {
    let broker = Broker::start();
    let mut wire = Wire::dial(broker.address()).await;
    let head = wire.upgrade("/echo", "").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}
