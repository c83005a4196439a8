//! `herenow doctor`: each fault is planted, and found by its name.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use herenow::chance::Chance;
use herenow::clock::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::broker::{Broker, Process, binary};
use crate::free::free_address;
use crate::proxied::Proxy;
use crate::rights::{READER, SECRET, token, with_identity};
use crate::secured::Pair;
use crate::wire::TEXT;

/// What it finds at that address: its steps, and the fault that it names at the end.
async fn finds(command: Command, url: &str, words: &[&str]) -> (Vec<Value>, String) {
    let mut command = command;
    command.args(["doctor", url, "--json"]).args(words);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let steps: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_well = steps.iter().all(|step| step["ok"] == true);
    assert_eq!(output.status.code(), Some(if is_well { 0 } else { 1 }), "{out}{said}");
    assert_eq!(said.lines().count(), usize::from(!is_well), "{said}");
    (steps, said)
}

/// The only fault that is found there, in this step, and what to change about it.
async fn fault(command: Command, url: &str, words: &[&str], step: &str) -> (String, String) {
    let (steps, said) = finds(command, url, words).await;
    let mut faults = steps.iter().filter(|step| step["ok"] != true);
    let (Some(fault), None) = (faults.next(), faults.next()) else { panic!("{steps:#?}") };
    assert_eq!(fault["step"], step, "{fault}");
    let name = fault["fault"].as_str().unwrap().to_owned();
    assert!(said.contains(&name), "{said}");
    (name, fault["change"].as_str().unwrap().to_owned())
}

fn http(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn with_token(token: &str) -> Command {
    let mut command = binary();
    command.env("HERENOW_TOKEN", token);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_well_has_no_fault() {
    let broker = Process::start(&["--ping-interval=300ms", "--allow-origin=https://app.example"]);
    let origin = "--origin=https://app.example";
    let (steps, _) = finds(binary(), &http(broker.address()), &[origin]).await;
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let all = ["address", "WebSocket", "identity", "clock", "version", "presence", "idle"];
    assert_eq!(names, all);
    // For people it is a line each, and nothing is printed of a token.
    let mut command = with_token(&token("--user ada"));
    command.args(["doctor", &http(broker.address()), "--idle=0s"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.lines().all(|line| line.starts_with("ok ")) && !text.contains("eyJ"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_path_is_found_and_the_right_one_named() {
    let broker = Process::start(&[]);
    let at = http(broker.address());
    let (name, change) = fault(binary(), &format!("{at}/live"), &[], "WebSocket").await;
    assert!(name == "wrongPath" && change == format!("use {at}"), "{name}: {change}");
    // A proxy that has its own idea of paths.
    let proxy = Proxy::nginx_with(|listen| {
        format!(
            "server {{ listen {listen}; location /healthz {{ proxy_pass {at}; }}
               location / {{ return 404; }} }}"
        )
    })
    .await;
    let (name, change) = fault(binary(), &http(proxy.address), &[], "WebSocket").await;
    assert!(name == "wrongPath" && change.contains("send /ws to the broker"), "{name}: {change}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_drops_the_upgrade_is_found() {
    let broker = Process::start(&[]);
    let at = broker.address();
    let proxy = Proxy::nginx_with(|listen| {
        format!("server {{ listen {listen}; location / {{ proxy_pass http://{at}; }} }}")
    })
    .await;
    let (name, change) = fault(binary(), &http(proxy.address), &[], "WebSocket").await;
    assert!(name == "noUpgrade" && change.contains("Upgrade $http_upgrade"), "{name}: {change}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_timeout_shorter_than_the_pings_is_found() {
    let broker = Process::start(&[]);
    let at = broker.address();
    let proxy = Proxy::nginx_with(|listen| {
        format!(
            "server {{ listen {listen}; location / {{ proxy_pass http://{at};
               proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
               proxy_set_header Connection upgrade; proxy_read_timeout 1s; }} }}"
        )
    })
    .await;
    let (name, change) = fault(binary(), &http(proxy.address), &["--idle=10s"], "idle").await;
    assert!(name == "idleTimeout" && change.contains("--ping-interval"), "{name}: {change}");
    // Not long enough to know.
    let (steps, _) = finds(binary(), &http(at), &["--idle=200ms"]).await;
    assert!(steps.last().unwrap()["says"].as_str().unwrap().contains("--idle"), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_origin_is_found_with_the_flag_that_lets_it_in() {
    let broker = Process::start(&[]);
    let words = ["--origin=https://app.example"];
    let (name, change) = fault(binary(), &http(broker.address()), &words, "WebSocket").await;
    assert!(name == "originRefused" && change.contains("--allow-origin https://app.example"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_differ_are_found() {
    let (clock, shift) = Clock::shiftable();
    shift.pass(3_600_000);
    let broker = Broker::on(clock, Chance::from_entropy(), |_| {});
    let (name, change) = fault(binary(), &http(broker.address()), &["--idle=0s"], "clock").await;
    assert!(name == "clockOff" && change.contains("NTP"), "{name}: {change}");
    // A good token seems to have expired there: it is the clock all the same.
    let broker = Broker::on(clock, Chance::from_entropy(), with_identity);
    let command = with_token(&token("--user ada --ttl 10m"));
    let (name, _) = fault(command, &http(broker.address()), &[], "identity").await;
    assert_eq!(name, "clockOff");
}

/// A broker that wants tokens.
fn strict() -> Process {
    let mut command = binary();
    command.env("HERENOW_JWT_SECRET", SECRET).args(["--listen", "127.0.0.1:0"]);
    Process::spawn(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_expired_is_found() {
    let expired = token("--user ada --ttl 10ms");
    let broker = strict();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let found = fault(with_token(&expired), &http(broker.address()), &[], "identity").await;
    assert!(found.0 == "tokenExpired" && found.1.contains("--token-file"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_key_is_found() {
    let mut other = binary();
    other
        .env("HERENOW_JWT_SECRET", "another secret of thirty-two bytes")
        .args(["token", "--user=ada"]);
    let other = String::from_utf8(other.output().unwrap().stdout).unwrap();
    let broker = strict();
    let at = http(broker.address());
    let (name, change) = fault(with_token(other.trim()), &at, &[], "identity").await;
    assert!(name == "wrongKey" && change.contains("--jwt-secret-file"), "{name}: {change}");
    // Its cousins: none at all, and a key of back ends.
    assert_eq!(fault(binary(), &at, &[], "identity").await.0, "noToken");
    assert_eq!(fault(with_token(READER), &at, &[], "identity").await.0, "noJwt");
    let good = with_token(&token("--user ada --channel hall=join"));
    assert_eq!(finds(good, &at, &["--idle=0s"]).await.1, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_is_found() {
    let pair = Pair::new();
    let broker = Process::start(&[]);
    // The certificate is for localhost and 127.0.0.1.
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let (address, acceptor, inner) =
        (listener.local_addr().unwrap(), pair.acceptor(), broker.address());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(socket).await else { return };
                let mut inside = TcpStream::connect(inner).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    let trusting = || {
        let mut command = binary();
        command.env("SSL_CERT_FILE", pair.certificate());
        command
    };
    let (name, change) = fault(trusting(), &format!("https://{address}"), &[], "TLS").await;
    assert!(name == "tlsName" && change.contains("127.0.0.2"), "{name}: {change}");
    // By its name it is well, to who trusts it, and no broker without TLS.
    let secure = pair.start(&[]);
    let at = format!("https://localhost:{}", secure.address().port());
    assert_eq!(finds(trusting(), &at, &["--idle=0s"]).await.1, "");
    let other = Pair::new();
    let mut stranger = binary();
    stranger.env("SSL_CERT_FILE", other.certificate());
    assert_eq!(fault(stranger, &at, &[], "TLS").await.0, "tlsUnknown");
    let plain = format!("https://{}", broker.address());
    assert_eq!(fault(trusting(), &plain, &[], "TLS").await.0, "noTls");
    assert_eq!(fault(binary(), &http(secure.address()), &[], "WebSocket").await.0, "noHttp");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_too_old_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let welcome = json!({"type": "welcome", "protocol": 1, "connection": "c1", "user": "ada",
        "server": {"name": "herenow", "version": "0.0.9"}});
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && socket.read_buf(&mut head).await.unwrap_or(0) > 0
            {
            }
            let head = String::from_utf8(head).unwrap();
            let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "));
            let Some(key) = key else { continue };
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
            let said = welcome.to_string();
            let frame = [&[TEXT, 126][..], &(said.len() as u16).to_be_bytes(), said.as_bytes()];
            socket.write_all(&frame.concat()).await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let (name, change) = fault(binary(), &http(address), &[], "version").await;
    let ours = env!("CARGO_PKG_VERSION");
    assert!(
        name == "tooOld" && change.contains(&format!("to {ours} or later")),
        "{name}: {change}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_that_is_switched_off_is_found() {
    let broker = Process::start(&["--disable-presence"]);
    let (name, change) = fault(binary(), &http(broker.address()), &[], "presence").await;
    assert!(name == "presenceOff" && change.contains("--disable-presence"), "{name}: {change}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_leads_nowhere_is_found() {
    let nobody = free_address();
    assert_eq!(fault(binary(), &http(nobody), &[], "address").await.0, "nothingListens");
}
