//! The bot of `examples/`, with a broker that it loses.

use std::net::SocketAddr;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::broker::{Broker, Process, binary};
use crate::client::PATIENCE;

#[expect(dead_code, reason = "a program has a main function, and nobody but the system calls it")]
#[path = "../../examples/bot.rs"]
mod bot;

/// The example at work, and what it prints.
struct Bot {
    lines: mpsc::Receiver<String>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), String>>,
}

impl Bot {
    fn start(broker: SocketAddr, token: Option<String>) -> Self {
        let (tell, lines) = mpsc::channel(1000);
        let (stop, stopped) = oneshot::channel::<()>();
        let url = format!("ws://{broker}/ws");
        let settings =
            bot::Settings { url, channel: "room".to_owned(), user: "greeter".to_owned(), token };
        let ended = tokio::spawn(async move {
            bot::run(&settings, stopped, |line| tell.try_send(line).unwrap()).await
        });
        Self { lines, stop, ended }
    }

    async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.recv()).await.expect("the bot is silent").expect("it ended")
    }
}

#[tokio::test]
async fn the_bot_tells_who_comes_and_goes_and_greets() {
    let broker = Broker::start();
    let mut room = broker.observer("room").await;
    let mut bot = Bot::start(broker.address(), None);
    assert_eq!(bot.line().await, "greeter is here");
    assert_eq!(room.told().await, r#"join greeter {"bot":true}"#);

    let mut ada = broker.connect("ada").await;
    ada.ok(json!({"type": "join", "channel": "room"})).await;
    assert_eq!(bot.line().await, "ada came");
    assert_eq!(room.told().await, "join ada {}");
    let greeting = r#"update greeter {"bot":true,"greeting":"Hello, ada!"}"#;
    assert_eq!(room.told().await, greeting);

    ada.close(1000).await;
    assert_eq!(bot.line().await, "ada left (Closed)");
    assert_eq!(room.told().await, "leave ada closed");
    bot.stop.send(()).unwrap();
    assert_eq!(bot.ended.await.unwrap(), Ok(()));
    assert_eq!(room.told().await, "leave greeter closed", "and is not lost");
}

/// A broker that dies and comes back knows nobody: what the bot knew is compared with that.
#[tokio::test]
async fn the_bot_comes_back_and_tells_what_is_different() {
    let mut broker = Process::start(&[]);
    let address = broker.address();
    let mut ada = broker.connect("ada").await;
    ada.ok(json!({"type": "join", "channel": "room"})).await;
    let mut bot = Bot::start(address, None);
    assert_eq!(bot.line().await, "ada is here");
    assert_eq!(bot.line().await, "greeter is here");
    broker.signal("KILL");
    broker.exited(PATIENCE);
    let lost = bot.line().await;
    assert!(lost.starts_with("connection lost"), "{lost}");

    let mut command = binary();
    command.args(["--listen", &address.to_string()]);
    let broker = Process::spawn(command);
    loop {
        let line = bot.line().await;
        if line == "ada is not here any more" {
            break;
        }
        assert!(line.starts_with("connection lost"), "{line}");
    }
    let mut bob = broker.connect("bob").await;
    bob.ok(json!({"type": "join", "channel": "room"})).await;
    assert_eq!(bot.line().await, "bob came");
    let names: Vec<_> = bob.members("room").await.iter().map(|m| m.user.to_string()).collect();
    assert_eq!(names, ["bob", "greeter"]);
}

/// Trying again would not help, so it does not.
#[tokio::test]
async fn the_bot_gives_up_where_it_is_refused() {
    let mut command = binary();
    command.args(["--listen", "127.0.0.1:0"]);
    command.env("HERENOW_JWT_SECRET", "0123456789abcdef0123456789abcdef");
    let broker = Process::spawn(command);
    for token in [None, Some("not.a.token".to_owned())] {
        let bot = Bot::start(broker.address(), token);
        let ended = timeout(PATIENCE, bot.ended).await.expect("it goes on trying").unwrap();
        assert!(ended.is_err(), "{ended:?}");
    }
}
