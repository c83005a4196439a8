//! `herenow token`, and what is wrong with the flags of identity: always one line, and no secret.

use std::fs;
use std::process::{Command, Output};

use herenow::auth::{Auth, Identity, IdentityFlags, Right, Secret};
use herenow::clock::Clock;
use herenow_protocol::{ChannelName, UserId};

use crate::broker::{Process, binary};
use crate::http::ask;
use crate::lifecycle::refused;
use crate::place::{ROOT, TextFile};

const SECRET: &str = "a secret of at least thirty-two bytes";

fn key_file(name: &str) -> String {
    format!("{ROOT}/tests/keys/{name}")
}

/// `herenow token` with the secret, and these flags.
fn token(flags: &[&str]) -> Command {
    let mut command = binary();
    command.env("HERENOW_JWT_SECRET", SECRET).arg("token").args(flags);
    command
}

fn minted(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    let line = String::from_utf8(stdout).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line.trim_end().to_owned()
}

/// What a broker with the same secret takes the token for.
fn verified(token: &str, change: impl FnOnce(&mut IdentityFlags)) -> Identity {
    let mut identity = IdentityFlags::default();
    identity.tokens.jwt_secret = Some(Secret::new(SECRET.as_bytes()));
    change(&mut identity);
    let auth = Auth::new(&identity).unwrap();
    auth.verify_token(token, Clock::start().now()).unwrap()
}

#[test]
fn a_minted_token_is_what_a_broker_accepts() {
    let before = Clock::start().now().unix_ms;
    let token = minted(&mut token(&[
        "--user=ada",
        "--role=team:blue",
        "--role=moderator",
        "--channel=room-*=join,subscribe",
        "--channel=a=b=count",
        "--watch=team-*",
        "--info={\"name\": \"Ada\"}",
        "--ttl=1h",
    ]));
    let Identity { user, access } = verified(&token, |_| {});
    let access = access.unwrap();
    assert_eq!(user.as_str(), "ada");
    let roles: Vec<_> = access.roles().iter().map(ToString::to_string).collect();
    assert_eq!(roles, ["team:blue", "moderator"]);
    assert_eq!(access.info().as_str(), r#"{"name":"Ada"}"#);
    let rights = |name| {
        let channel = ChannelName::parse(name, "channel").unwrap();
        Right::ALL.map(|right| access.check(right, &channel).is_ok())
    };
    assert_eq!(rights("room-1"), [true; 4]);
    assert_eq!(rights("a=b"), [false, false, false, true]);
    assert_eq!(rights("other"), [false; 4]);
    let [team, bob] = ["team-1", "bob"].map(|name| UserId::parse(name, "user").unwrap());
    assert!(
        access.check_watch(&user, &team, "users").is_ok()
            && access.check_watch(&user, &bob, "users").is_err()
    );
    let lasts_ms = access.expires_unix_ms() - before;
    assert!((3_600_000..3_660_000).contains(&lasts_ms), "{lasts_ms}");
}

#[test]
fn a_minted_token_grants_all_unless_told() {
    let access = verified(&minted(&mut token(&["--user", "ada"])), |_| {}).access.unwrap();
    let room = ChannelName::parse("room", "channel").unwrap();
    assert!(Right::ALL.iter().all(|&right| access.check(right, &room).is_ok()));
    let [ada, bob] = ["ada", "bob"].map(|name| UserId::parse(name, "user").unwrap());
    assert!(access.check_watch(&ada, &bob, "users").is_ok());
}

/// Templates and compose files set what nobody filled in to nothing.
#[tokio::test]
async fn an_empty_variable_counts_as_not_set() {
    for subcommand in [None, Some("serve")] {
        let mut command = binary();
        command.args(subcommand).args(["--listen", "127.0.0.1:0"]);
        for variable in ["MAX_MEMBERS", "PRESENCE_TIMEOUT", "ALLOW_ORIGIN", "JWT_AUDIENCE"] {
            command.env(format!("HERENOW_{variable}"), "");
        }
        let process = Process::spawn(command);
        assert_eq!(ask(process.address(), "GET", "/healthz", &[], "").await.status, 200);
    }
    let mut command = binary();
    assert!(refused(command.env("HERENOW_MAX_MEMBERS", " ")).contains("--max-members"));
}

#[test]
fn a_minted_token_is_for_whom_the_broker_asks() {
    let mut command = token(&["--user", "ada", "--jwt-issuer", "me"]);
    let token = minted(command.env("HERENOW_JWT_AUDIENCE", "here"));
    verified(&token, |identity| {
        identity.tokens.jwt_audience = Some("here".into());
        identity.tokens.jwt_issuer = Some("me".into());
    });
}

/// With the line end that editors leave, and without.
#[test]
fn the_secret_of_a_file_is_the_one_of_the_environment() {
    for (number, end) in ["", "\n", "\r\n"].iter().enumerate() {
        let file = TextFile::new(&format!("secret-{number}"), &format!("{SECRET}{end}"));
        let flags = ["token", "--user", "ada", "--jwt-secret-file", file.path()];
        verified(&minted(binary().args(flags)), |_| {});
        let mut command = binary();
        command.env("HERENOW_JWT_SECRET_FILE", file.path()).args(["token", "--user", "ada"]);
        verified(&minted(&mut command), |_| {});
    }
}

#[test]
fn a_token_that_can_t_be_is_one_line_that_names_the_flag() {
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1024));
    for [flag, value] in [
        ["--user", ""],
        ["--user", "$ada"],
        ["--role", "any"],
        ["--role", "user:bob"],
        ["--channel", "room"],
        ["--channel", "=join"],
        ["--channel", "room=fly"],
        ["--channel", "room="],
        ["--watch", ""],
        ["--info", "Ada"],
        ["--info", "[]"],
        ["--info", &long],
        ["--ttl", "soon"],
        ["--ttl", "0s"],
    ] {
        let mut command = token(&[&format!("{flag}={value}")]);
        if flag != "--user" {
            command.arg("--user=ada");
        }
        let said = refused(&mut command);
        assert!(said.contains(flag), "{flag} {value}: {said}");
        assert!(!said.contains(SECRET), "{said}");
    }
    assert!(refused(&mut token(&[])).contains("--user"));
    let many: Vec<_> = (0..64).map(|n| format!("--watch={n}{}", "x".repeat(198))).collect();
    let mut command = token(&["--user=ada"]);
    let said = refused(command.args(&many));
    assert!(said.contains("--watch") && said.contains("8192"), "{said}");
    let said = refused(command.arg("--watch=x"));
    assert!(said.contains("--watch") && said.contains("64"), "{said}");
}

#[test]
fn only_a_secret_signs() {
    let said = refused(binary().args(["token", "--user", "ada"]));
    assert!(said.contains("--jwt-secret-file") && said.contains("HERENOW_JWT_SECRET"), "{said}");
    for (flag, file) in [("--jwt-public-key-file", "rsa.pub.pem"), ("--jwks-file", "none.json")] {
        let said = refused(binary().args(["token", "--user", "ada", flag, &key_file(file)]));
        assert!(said.contains(flag) && said.contains("sign"), "{said}");
    }
    let said = refused(binary().env("HERENOW_JWT_SECRET", "short").args(["token", "--user=ada"]));
    assert!(said.contains("HERENOW_JWT_SECRET") && said.contains("32"), "{said}");
    // Nor does a flag of the broker get lost in front of it.
    let said = refused(binary().args(["--listen", "127.0.0.1:0", "token", "--user", "ada"]));
    assert!(said.contains("--listen"), "{said}");
}

/// What is wrong in any case comes before what may be wrong only now.
#[test]
fn a_bad_file_is_told_before_a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let said = refused(binary().args([&listen, "--jwt-secret-file=/no/such/file"]));
    assert!(said.contains("--jwt-secret-file"), "{said}");
    assert!(refused(binary().arg(&listen)).contains("--listen"), "it is taken");
}

/// The broker, with this flag, on a port of its own.
fn broker(flag: &str, value: &str) -> Command {
    let mut command = binary();
    command.args(["--listen=127.0.0.1:0", &format!("{flag}={value}")]);
    command
}

#[test]
fn a_bad_key_is_one_line_that_names_the_flag() {
    let short = TextFile::new("short", "tell nobody");
    let huge = TextFile::new("huge", &"x".repeat(1024 * 1024 + 1));
    let keys = TextFile::new("keys.toml", "[[key]]\nname='a'\nsecret='tell nobody'\nrights=[]");
    let [public, private, p384] = ["rsa.pub.pem", "rsa.pem", "ec384.pub.pem"].map(key_file);
    let missing = key_file("missing");
    for (flag, path, says) in [
        ("--jwt-secret-file", missing.as_str(), "No such file"),
        ("--jwt-secret-file", short.path(), "32 bytes"),
        ("--jwt-secret-file", huge.path(), "larger than"),
        ("--jwt-secret-file", &public, "--jwt-public-key-file"),
        ("--jwt-public-key-file", &missing, "No such file"),
        ("--jwt-public-key-file", &private, "private key"),
        ("--jwt-public-key-file", &p384, "P-256"),
        ("--jwt-public-key-file", short.path(), "public key in PEM"),
        ("--jwks-file", &missing, "No such file"),
        ("--jwks-file", short.path(), "keys"),
        ("--jwks-file", &public, "keys"),
        ("--api-keys-file", &missing, "No such file"),
        ("--api-keys-file", short.path(), "line 1 is not TOML"),
        ("--api-keys-file", keys.path(), "[[key]] 1: secret must"),
    ] {
        let said = refused(&mut broker(flag, path));
        assert!(said.contains(flag) && said.contains(path) && said.contains(says), "{said}");
        assert!(!said.contains("tell nobody"), "{said}");
        let twin = format!("HERENOW_{}", flag[2..].to_uppercase().replace('-', "_"));
        assert_eq!(said, refused(broker("--log", "info").env(twin, path)));
    }
    for (variable, value) in
        [("HERENOW_JWT_SECRET", ""), ("HERENOW_API_KEYS", ""), ("HERENOW_API_KEYS", "tell = 1")]
    {
        let said = refused(broker("--log", "info").env(variable, value));
        assert!(said.contains(variable), "{variable}={value}: {said}");
    }
}

#[test]
fn flags_that_contradict_each_other_are_one_line_that_names_both() {
    let (public, secret) = (key_file("rsa.pub.pem"), TextFile::new("both", SECRET));
    let both = |said: String, names: [&str; 2]| {
        assert!(names.iter().all(|name| said.contains(name)), "{said}");
    };
    let mut command = broker("--jwt-secret-file", secret.path());
    both(
        refused(command.args(["--jwt-public-key-file", &public])),
        ["--jwt-secret-file", "--jwt-public-key-file"],
    );
    let mut command = broker("--jwks-file", &public);
    both(refused(command.env("HERENOW_JWT_SECRET", SECRET)), ["--jwks-file", "HERENOW_JWT_SECRET"]);
    let mut command = broker("--api-keys-file", &public);
    both(refused(command.env("HERENOW_API_KEYS", "x")), ["--api-keys-file", "HERENOW_API_KEYS"]);
    // Checks of tokens, and no tokens: whoever sets them thinks that somebody checks.
    for flag in ["--jwt-audience", "--jwt-issuer"] {
        both(refused(&mut broker(flag, "me")), [flag, "--jwt-secret-file"]);
    }
}

#[test]
fn a_bad_origin_is_one_line_that_names_the_flag() {
    for bad in ["*", "example.com", "https://example.com/", "https://a.example,x", ""] {
        assert!(refused(&mut broker("--allow-origin", bad)).contains("--allow-origin"), "{bad}");
        if bad.is_empty() {
            continue; // An empty variable counts as not set.
        }
        let said = refused(broker("--log", "info").env("HERENOW_ALLOW_ORIGIN", bad));
        assert!(said.contains("--allow-origin"), "{bad}: {said}");
    }
    let mut command = broker("--allow-origin", "https://a.example");
    command.args(["--allow-origin", "http://localhost:5173", "--allow-origin", "file://"]);
    command.args(["--allow-origin", "https://*.a.example", "--allow-origin", "http://[::1]:*"]);
    Process::spawn(command);
    let mut command = broker("--log", "info");
    command.env("HERENOW_ALLOW_ORIGIN", "https://a.example,null");
    Process::spawn(command);
}

#[test]
fn with_tokens_it_listens_beyond_loopback() {
    let mut command = binary();
    command.args(["--listen", "0.0.0.0:0"]).env("HERENOW_JWT_SECRET", SECRET);
    assert!(Process::spawn(command).address().ip().is_unspecified());
}

/// SIGHUP has the files read again: the new keys count, the old ones don't, and who is connected stays.
/// Files that can't be used change nothing, and the log says which and why.
#[tokio::test]
async fn keys_are_replaced_while_clients_are_connected() {
    const OTHER: &str = "another secret of at least 32 bytes, too";
    let key = |secret: &str| {
        format!("[[key]]\nname = \"a\"\nsecret = \"{secret}\"\nrights = [\"read\"]\n")
    };
    let secrets = TextFile::new("rotated-secret", SECRET);
    let keys = TextFile::new("rotated-keys", &key("first-first-first"));
    let mut broker =
        Process::start(&["--jwt-secret-file", secrets.path(), "--api-keys-file", keys.path()]);
    let at = broker.address();
    let of = |secret: &str| {
        let mut command = binary();
        command.env("HERENOW_JWT_SECRET", secret).args(["token", "--user", "ada"]);
        minted(&mut command)
    };
    let lets_in = async |credential: &str| {
        let header = format!("authorization: Bearer {credential}");
        ask(at, "GET", "/v1/channels/room/count", &[&header], "").await.status == 200
    };
    let (old, new) = (of(SECRET), of(OTHER));
    let path = format!("/ws?token={old}");
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut ada = crate::client::Client::open(stream, &path, None).await.unwrap().0;
    ada.next().await;
    assert!(lets_in(&old).await && !lets_in(&new).await && lets_in("first-first-first").await);
    let reload = async |secret: &str, text: &str, holds: &str| {
        fs::write(secrets.path(), secret).unwrap();
        fs::write(keys.path(), text).unwrap();
        broker.signal("HUP");
        let clock = Clock::start();
        while !lets_in(holds).await {
            assert!(clock.elapsed() < crate::client::PATIENCE, "{holds} is never good");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    reload(OTHER, &key("second-second-second"), "second-second-second").await;
    assert!(lets_in(&new).await && !lets_in(&old).await && !lets_in("first-first-first").await);
    // One file is broken, and the other counts.
    reload("short", &key("third-third-third"), "third-third-third").await;
    assert!(lets_in(&new).await && !lets_in("short").await);
    ada.ok("join room").await;
    broker.signal("TERM");
    let (_, log) = broker.exited(crate::client::PATIENCE);
    let told: Vec<_> = log.lines().filter(|line| line.contains("stay as they were")).collect();
    assert!(matches!(told[..], [line] if line.contains("--jwt-secret-file")), "{log}");
    assert!(!log.contains("third-third") && !log.contains(OTHER), "{log}");
}

/// Whose tokens they are may stand in another claim than "sub".
#[test]
fn a_user_is_read_from_the_claim_that_is_named() {
    let token = minted(&mut token(&["--user", "ada", "--jwt-user-claim", "uid"]));
    let named = |claim: &str| {
        let mut identity = IdentityFlags::default();
        identity.tokens.jwt_secret = Some(Secret::new(SECRET.as_bytes()));
        identity.tokens.jwt_user_claim = claim.to_owned();
        Auth::new(&identity).unwrap().verify_token(&token, Clock::start().now())
    };
    assert_eq!(named("uid").unwrap().user.as_str(), "ada");
    for claim in ["sub", "email"] {
        let why = named(claim).unwrap_err().message;
        assert!(why.contains(&format!("has no claim \"{claim}\"")), "{why}");
    }
    assert!(named("exp").unwrap_err().message.contains("token's exp must be a string"));
    let mut identity = IdentityFlags::default();
    identity.tokens.jwt_user_claim = "uid".to_owned();
    assert!(Auth::new(&identity).unwrap_err().contains("--jwt-user-claim"));
}
