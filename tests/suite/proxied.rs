//! Clients behind proxies: whose address counts, whose word, and how long a connection may rest. And the
//! proxies that `docs/operations.md` shows, typed, each as Debian has it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use herenow::Config;
use herenow::clock::Clock;
use herenow::proxy::flags::ProxySays;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::broker::{Broker, Process, took, until};
use crate::client::{Client, PATIENCE};
use crate::free::free_address;
use crate::place::ROOT;
use crate::secured::{Pair, secure};
use crate::wire::{Got, Wire};

/// Believes this machine, or somebody else.
fn trusting(network: &str, says: ProxySays) -> impl Fn(&mut Config) {
    let network = network.parse().unwrap();
    move |config| {
        config.proxy.trusted_proxy = vec![network];
        config.proxy.proxy_says = says;
    }
}

/// The status of the answer to a request with these header lines.
async fn status(wire: &mut Wire, headers: &str) -> u16 {
    let request =
        format!("GET /v1/channels/room/count HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    wire.write(request.as_bytes()).await;
    let head = wire.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    wire.body(length.parse().unwrap()).await;
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// How many of ten requests with these header lines are let in.
async fn let_in(broker: &Broker, headers: &str) -> usize {
    let mut wire = Wire::dial(broker.address()).await;
    let mut passed = 0;
    for _ in 0..10 {
        passed += usize::from(status(&mut wire, headers).await == 200);
    }
    passed
}

fn few_requests(config: &mut Config) {
    (config.limits.max_requests_per_second, config.limits.max_requests_burst) = (1, 4);
}

/// Each client has its own allowance, whatever it says of itself.
#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients() {
    for (says, header) in
        [(ProxySays::XForwardedFor, "X-Forwarded-For: "), (ProxySays::Forwarded, "Forwarded: for=")]
    {
        let broker = Broker::with(|config| {
            few_requests(config);
            trusting("127.0.0.0/8", says)(config);
        });
        let of = |address: &str| format!("{header}{address}\r\n");
        assert_eq!(let_in(&broker, &of("192.0.2.1")).await, 4);
        assert_eq!(let_in(&broker, &of("192.0.2.2")).await, 4);
        // Who forges an address is still the one that the proxy saw.
        let (before, near) = ("198.51.100.1", "192.0.2.1");
        let near = match says {
            ProxySays::Forwarded => format!("{near}, for=127.0.0.9"),
            _ => format!("{near}, 127.0.0.9"),
        };
        let forged = format!("{}{}", of(before), of(&near));
        assert_eq!(let_in(&broker, &forged).await, 0);
        // And the header that the proxy does not write is not read.
        let other =
            if says == ProxySays::Forwarded { "X-Forwarded-For: " } else { "Forwarded: for=" };
        let both = format!("{other}198.51.100.2\r\n{}", of("192.0.2.2"));
        assert_eq!(let_in(&broker, &both).await, 0);
    }
}

/// What anybody else says is ignored.
#[tokio::test]
async fn who_is_not_trusted_is_not_believed() {
    let plain = Broker::with(few_requests);
    let others = Broker::with(|config| {
        few_requests(config);
        trusting("10.0.0.0/8", ProxySays::XForwardedFor)(config);
    });
    for broker in [plain, others] {
        assert_eq!(let_in(&broker, "X-Forwarded-For: 192.0.2.1\r\n").await, 4);
        for header in ["X-Forwarded-For: 192.0.2.2\r\n", "Forwarded: for=192.0.2.2\r\n", ""] {
            assert_eq!(let_in(&broker, header).await, 0, "{header}");
        }
    }
}

/// A WebSocket for `address`, by a proxy; the answer to its handshake.
async fn socket_of(broker: &Broker, address: &str) -> (Wire, String) {
    let mut wire = Wire::dial(broker.address()).await;
    let head = wire.upgrade("/ws?user=ada", &format!("X-Forwarded-For: {address}\r\n")).await;
    (wire, head)
}

/// Connections are limited by the client's address, and the proxy's own are not.
#[tokio::test]
async fn connections_by_a_proxy_count_as_their_clients() {
    let broker = Broker::with(|config| {
        config.limits.max_connections_per_address = Some(2);
        trusting("127.0.0.1/32", ProxySays::XForwardedFor)(config);
    });
    let mut pool = Vec::new();
    for n in 0..5 {
        let mut wire = Wire::dial(broker.address()).await;
        assert_eq!(status(&mut wire, &format!("X-Forwarded-For: 192.0.2.{n}\r\n")).await, 200);
        pool.push(wire);
    }
    let (first, head) = socket_of(&broker, "192.0.2.1").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // A stream of events is one, too.
    let mut stream = Wire::dial(broker.address()).await;
    let request = "GET /v1/channels/room/events HTTP/1.1\r\nhost: localhost\r\n\
                   X-Forwarded-For: 192.0.2.1\r\n\r\n";
    stream.write(request.as_bytes()).await;
    assert!(stream.head().await.starts_with("HTTP/1.1 200 "));
    let (_refused, head) = socket_of(&broker, "192.0.2.1").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(status(&mut pool[1], "X-Forwarded-For: 192.0.2.1\r\n").await, 503);
    assert_eq!(status(&mut pool[1], "X-Forwarded-For: 192.0.2.2\r\n").await, 200);
    drop(first);
    until("the first is gone", || broker.hub().connection_count() == 0).await;
    let (_again, head) = socket_of(&broker, "192.0.2.1").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    drop(stream);
    until("the stream is gone", || broker.stream_count() == 0).await;
    assert_eq!(status(&mut pool[1], "X-Forwarded-For: 192.0.2.1\r\n").await, 200);
}

/// A header of the PROXY protocol, version 2, for a client at that address of IPv4.
fn preface(client: [u8; 4]) -> Vec<u8> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [&signature[..], &client, &[127, 0, 0, 1, 4, 5, 0, 80]].concat()
}

#[tokio::test]
async fn a_preface_says_whom_a_connection_is_from() {
    let broker = Broker::with(|config| {
        few_requests(config);
        config.limits.max_connections_per_address = Some(1);
        config.limits.max_handshake = Duration::from_secs(1);
        trusting("127.0.0.1/32", ProxySays::ProxyProtocol)(config);
    });
    let mut clients = Vec::new();
    for n in 1..4 {
        let mut wire = Wire::dial(broker.address()).await;
        // In two parts, the second of which has the beginning of the request.
        let bytes = preface([192, 0, 2, n]);
        wire.write(&bytes[..7]).await;
        sleep(Duration::from_millis(20)).await;
        wire.write(&bytes[7..]).await;
        let mut passed = 0;
        for _ in 0..6 {
            // Nobody is asked in another way.
            passed +=
                usize::from(status(&mut wire, "X-Forwarded-For: 198.51.100.1\r\n").await == 200);
        }
        assert_eq!(passed, 4);
        clients.push(wire);
    }
    let clock = Clock::start();
    let second =
        [&preface([192, 0, 2, 1])[..], b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat();
    for (bytes, why) in [
        (&b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"[..], "no preface"),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "the first version",
        ),
        (&second, "a second one from there"),
    ] {
        let mut wire = Wire::dial(broker.address()).await;
        wire.write(bytes).await;
        assert_eq!(wire.rest().await, "", "{why}");
        assert!(took(clock) < Duration::from_secs(1), "{why}");
    }
    let mut half = Wire::dial(broker.address()).await;
    half.write(&preface([192, 0, 2, 9])[..20]).await;
    assert_eq!(half.rest().await, "", "it never comes whole");
    // Who looks whether anybody is here, and says so.
    let mut health = Wire::dial(broker.address()).await;
    health.write(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await;
    assert_eq!(status(&mut health, "").await, 200);
}

/// It stands ahead of TLS, and only trusted proxies are asked for it.
#[tokio::test]
async fn a_preface_stands_ahead_of_tls() {
    let pair = Pair::new();
    let with = |network: &'static str| {
        Broker::with(|config| {
            pair.set(config);
            trusting(network, ProxySays::ProxyProtocol)(config);
        })
    };
    let broker = with("127.0.0.1/32");
    let mut stream = TcpStream::connect(broker.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &preface([192, 0, 2, 1])).await.unwrap();
    assert!(secure(stream).await.get_ref().1.negotiated_cipher_suite().is_some());
    let others = with("10.0.0.0/8");
    secure(TcpStream::connect(others.address()).await.unwrap()).await;
    let mut forged = Wire::dial(others.address()).await;
    forged.write(&preface([10, 0, 0, 1])).await;
    assert!(!forged.rest().await.contains("HTTP"));
}

/// Between two requests a connection rests for its own time; a request that was begun has less.
#[tokio::test]
async fn a_connection_may_rest_longer_than_a_request_may_take() {
    let (head, idle) = (Duration::from_millis(400), Duration::from_millis(1_500));
    let broker = Broker::with(|config| {
        (config.limits.max_handshake, config.limits.max_http_idle) = (head, idle);
    });
    let mut wire = Wire::dial(broker.address()).await;
    for _ in 0..3 {
        assert_eq!(status(&mut wire, "").await, 200);
        sleep(2 * head).await;
    }
    assert_eq!(status(&mut wire, "").await, 200);
    let clock = Clock::start();
    assert_eq!(wire.rest().await, "");
    let took_idle = took(clock);
    assert!(took_idle >= idle && took_idle < idle + Duration::from_secs(2), "{took_idle:?}");
    // A request that is begun after a rest, and one that is begun at once.
    for rest in [false, true] {
        let mut wire = Wire::dial(broker.address()).await;
        if rest {
            assert_eq!(status(&mut wire, "").await, 200);
            sleep(head).await;
        }
        let clock = Clock::start();
        wire.write(b"GET /v1/channels/room/count HT").await;
        assert_eq!(wire.rest().await, "");
        let took = took(clock);
        assert!(took >= head && took < head + Duration::from_secs(1), "rest: {rest}: {took:?}");
    }
}

/// A proxy before a broker, as docs/operations.md shows it or as it should not be, gone with this.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: PathBuf,
}

/// The example in that language, with the places of the test's instead of those that it shows.
fn shown(language: &str, mine: &[(&str, &str)]) -> String {
    let document = Path::new(ROOT).join("docs/operations.md");
    let text = fs::read_to_string(document).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    let mut typed = rest.split_once("```").unwrap().0.to_owned();
    for (theirs, ours) in mine {
        assert!(typed.contains(theirs), "{theirs} is not shown");
        typed = typed.replace(theirs, ours);
    }
    typed
}

impl Proxy {
    /// Starts `program` with a file of that configuration, made for an address and a folder.
    async fn start(
        program: &str,
        arguments: impl Fn(&Path) -> Vec<String>,
        configured: impl Fn(SocketAddr, &Path) -> String,
    ) -> Self {
        let address = free_address();
        let name = format!("herenow-{program}-{}-{}", std::process::id(), address.port());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("configuration");
        fs::write(&file, configured(address, &folder)).unwrap();
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap());
        let child = Command::new(program)
            .env("PATH", path)
            .env("HOME", &folder)
            .args(arguments(&file))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("errors")).unwrap())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("this test needs {program} (apt-get install {program}): {error}")
            });
        let proxy = Self { child, address, folder };
        let clock = Clock::start();
        while TcpStream::connect(address).await.is_err() {
            let errors = fs::read_to_string(proxy.folder.join("errors")).unwrap_or_default();
            assert!(clock.elapsed() < PATIENCE, "{program} does not listen: {errors}");
            sleep(Duration::from_millis(20)).await;
        }
        proxy
    }

    /// nginx with this server, which is told where to listen.
    pub(crate) async fn nginx_with(server: impl Fn(SocketAddr) -> String) -> Self {
        let arguments = |file: &Path| {
            let folder = file.parent().unwrap().display().to_string();
            ["-p", &folder, "-c", &file.display().to_string()].map(str::to_owned).to_vec()
        };
        Self::start("nginx", arguments, |address, folder| {
            let at = folder.display();
            let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {at}/{name};"))
                .join(" ");
            format!(
                "daemon off; master_process off; pid {at}/pid; error_log stderr; events {{}} \
                 http {{ access_log off; {paths} {} }}",
                server(address)
            )
        })
        .await
    }

    async fn nginx(broker: SocketAddr) -> Self {
        Self::nginx_with(|address| {
            let (listen, broker) = (format!("listen {address}"), broker.to_string());
            shown(
                "nginx",
                &[
                    ("listen 443 ssl", &listen),
                    ("127.0.0.1:8080", &broker),
                    ("  ssl_certificate /etc/ssl/presence.example.com.pem;\n", ""),
                    ("  ssl_certificate_key /etc/ssl/presence.example.com.key;\n", ""),
                ],
            )
        })
        .await
    }

    async fn caddy(broker: SocketAddr) -> Self {
        let arguments = |file: &Path| {
            let file = file.display().to_string();
            ["run", "--adapter", "caddyfile", "--config", &file].map(str::to_owned).to_vec()
        };
        Self::start("caddy", arguments, |address, _| {
            let site = format!("http://:{} {{\n  bind 127.0.0.1", address.port());
            let typed = shown(
                "caddy",
                &[("presence.example.com {", &site), ("127.0.0.1:8080", &broker.to_string())],
            );
            format!("{{\n  admin off\n}}\n{typed}")
        })
        .await
    }

    async fn haproxy(broker: SocketAddr) -> Self {
        let arguments =
            |file: &Path| vec!["-db".to_owned(), "-f".to_owned(), file.display().to_string()];
        Self::start("haproxy", arguments, |address, _| {
            shown(
                "haproxy",
                &[
                    ("bind :443", &format!("bind {address}")),
                    ("127.0.0.1:8080", &broker.to_string()),
                ],
            )
        })
        .await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A connection from another address of this machine: another client.
async fn from(client: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(client.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// What holds behind any proxy that speaks HTTP.
async fn serves_behind(proxy: &Proxy, log: impl FnOnce() -> String) {
    let ask = async |client: &str, request: String| {
        let mut wire = Wire::of(from(client, proxy.address).await);
        wire.write(format!("{request}connection: close\r\n\r\n").as_bytes()).await;
        wire.rest().await
    };
    let host = "host: presence.example.com\r\n";
    // Names with a slash in them, in paths and over a WebSocket.
    let put = format!(
        "PUT /v1/channels/a%2Fb%20c/members/bob%2F2 HTTP/1.1\r\n{host}content-length: 0\r\n"
    );
    let answer = ask("127.0.0.2", put).await;
    assert!(answer.contains(r#""channel":"a/b c","user":"bob/2""#), "{answer}");
    let mut wire = Wire::of(from("127.0.0.2", proxy.address).await);
    let origin = "Origin: http://presence.example.com\r\n";
    let head = wire.upgrade_at("presence.example.com", "/ws?user=ada%2F1", origin).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(wire.json().await["user"], "ada/1");
    wire.say(r#"{"type":"subscribe","channel":"a/b c"}"#).await;
    assert_eq!(wire.json().await["members"][0]["user"], "bob/2");
    // Another page is refused, with both names and the flag in one line of the log.
    let mut foreign = Wire::of(from("127.0.0.3", proxy.address).await);
    let origin = "Origin: http://evil.example\r\n";
    let head = foreign.upgrade_at("presence.example.com", "/ws?user=eve", origin).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    // Limits hold by client, whatever it says of itself.
    for (client, expected) in [("127.0.0.4", 20), ("127.0.0.5", 20), ("127.0.0.4", 0)] {
        let mut passed = 0;
        for n in 0..30 {
            let forged =
                format!("X-Forwarded-For: 198.51.100.{n}\r\nForwarded: for=192.0.2.{n}\r\n");
            let request = format!("GET /v1/channels/room/count HTTP/1.1\r\n{host}{forged}");
            passed += usize::from(ask(client, request).await.starts_with("HTTP/1.1 200 "));
        }
        // A token a second comes back meanwhile.
        assert!((expected..expected + 8).contains(&passed), "{client}: {passed}");
    }
    let inside = ask("127.0.0.6", format!("GET /metrics HTTP/1.1\r\n{host}")).await;
    assert!(inside.starts_with("HTTP/1.1 404 ") && !inside.contains("herenow_"), "{inside}");
    wire.ping(b"still there").await;
    assert_eq!(wire.next().await, Got::Pong(b"still there".to_vec()));
    let log = log();
    let line = log.lines().find(|line| line.contains("evil.example")).unwrap_or_default();
    for told in ["127.0.0.3", "presence.example.com", "--allow-origin"] {
        assert!(line.contains(told), "no {told} in {line:?} of {log}");
    }
}

const BEHIND: [&str; 4] = [
    "--trusted-proxy=127.0.0.1",
    "--public-url=http://presence.example.com",
    "--max-requests-per-second=1",
    "--max-requests-burst=20",
];

async fn behind<P: Future<Output = Proxy>>(proxy: impl FnOnce(SocketAddr) -> P) {
    let mut broker = Process::start(&BEHIND);
    let proxy = proxy(broker.address()).await;
    serves_behind(&proxy, move || {
        broker.signal("TERM");
        broker.exited(PATIENCE).1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_nginx_as_it_is_shown() {
    behind(Proxy::nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_caddy_as_it_is_shown() {
    behind(Proxy::caddy).await;
}

/// TCP is passed on, TLS and all; who it is from stands ahead of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_haproxy_as_it_is_shown() {
    let pair = Pair::new();
    let broker = pair.start(&[
        "--trusted-proxy=127.0.0.1",
        "--proxy-says=proxy-protocol",
        "--max-connections-per-address=1",
    ]);
    let proxy = Proxy::haproxy(broker.address()).await;
    let first = secure(from("127.0.0.2", proxy.address).await).await;
    let _other = secure(from("127.0.0.3", proxy.address).await).await;
    let second = crate::secured::try_secure(from("127.0.0.2", proxy.address).await).await;
    assert!(second.is_err(), "a second one from the same address");
    drop(first);
    let clock = Clock::start();
    while crate::secured::try_secure(from("127.0.0.2", proxy.address).await).await.is_err() {
        assert!(clock.elapsed() < PATIENCE, "its place is never free");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_client_of_a_trusted_network_is_a_client_without_a_word() {
    let broker = Broker::with(trusting("127.0.0.1/32", ProxySays::XForwardedFor));
    let mut ada = Client::connect(broker.address(), "ada").await;
    ada.ok("join room").await;
    let told: Value = serde_json::from_str(&ada.heard()[0]).unwrap();
    assert_eq!(told["type"], "welcome");
}
