//! What an operator sets: flags, each with its `HERENOW_…` twin in the environment, and the same by
//! name in a configuration file, which has sections for some channels besides.
//!
//! - [`channels`]: such a section.
//! - [`file`](mod@file): the file, read and judged.
//! - [`shown`]: what is in force, and where it came from.

pub mod channels;
pub mod file;
pub mod shown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches, ValueEnum};

use crate::auth::flags::{API_KEYS_VARIABLE, SECRET_VARIABLE};
use crate::auth::{IdentityFlags, Secret};
use crate::duration;
use crate::limits::{
    HEADER_BYTES, Limits, MAX_NODE_NAME, MAX_REDIS_PREFIX, NODE_TIMEOUT, VENDORS_HEADER_BYTES,
};
use crate::proxy::ProxyFlags;
use crate::tls::TlsFlags;

pub use channels::{ChannelFlags, ChannelSection};
pub use file::ConfigFile;

/// Variables of the environment that hold what has no flag, and is never shown.
pub const SECRET_VARIABLES: [&str; 3] =
    [SECRET_VARIABLE, API_KEYS_VARIABLE, REDIS_PASSWORD_VARIABLE];

/// The environment's name for the password of Redis, as messages tell it.
const REDIS_PASSWORD_VARIABLE: &str = "HERENOW_REDIS_PASSWORD";

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Whether what is sent is compressed, where clients take it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// Large messages to WebSockets that negotiated it, and large HTTP answers.
    On,
    /// Nothing is, and WebSockets negotiate nothing.
    Off,
}

/// Somebody whose client libraries can be pointed here, unmodified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vendor {
    /// Presences and Realtime of Appwrite.
    Appwrite,
    /// Presence of LiveLike, which stands on that of PubNub.
    #[value(name = "livelike")]
    LiveLike,
    /// Room presence of social.plus (Amity).
    SocialPlus,
    /// The status API of Saathii.
    Saathii,
}

/// The vendors whose clients are served, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vendors(Vec<Vendor>);

impl Vendors {
    /// Whether that one's clients are served.
    #[must_use]
    pub fn serve(&self, vendor: Vendor) -> bool {
        self.0.contains(&vendor)
    }

    /// Those that `list` names, with commas between them; `all` stands for all.
    ///
    /// # Errors
    /// A name that is none of theirs: the rule.
    pub fn parse(list: &str) -> Result<Self, String> {
        let names = || {
            let names = Vendor::value_variants().iter().filter_map(Vendor::to_possible_value);
            names.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let mut vendors = Self::default();
        for name in list.split(',').map(str::trim) {
            if name == "all" {
                vendors.0.extend(Vendor::value_variants());
            } else if !name.is_empty() {
                let vendor = Vendor::from_str(name, false).map_err(|_| {
                    format!("{name:?} is none of those that are served: all, {}", names())
                })?;
                vendors.0.push(vendor);
            }
        }
        Ok(vendors)
    }
}

/// One presence on many nodes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Many nodes")]
pub struct ClusterFlags {
    /// The Redis (7.0 or later, or Valkey) on which all nodes show one presence, as
    /// `redis://host:6379`, or `rediss://` for TLS, with `user@` if need be; `?cluster=true`, or
    /// several with commas between them, for Redis Cluster
    #[arg(long, env = "HERENOW_REDIS_URL", hide_env = true, value_name = "URL",
          value_parser = |url: &str| Ok::<_, String>(Secret::new(url.as_bytes())))]
    pub redis_url: Option<Secret>,

    /// File with the password of Redis; or the password itself in the environment, as
    /// HERENOW_REDIS_PASSWORD
    #[arg(long, env = "HERENOW_REDIS_PASSWORD_FILE", hide_env = true, value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,

    /// The password itself, which has no flag.
    #[arg(skip)]
    pub redis_password: Option<Secret>,

    /// What all names in Redis begin with: nodes with the same prefix show one presence
    #[arg(long, env = "HERENOW_REDIS_PREFIX", hide_env = true, value_name = "TEXT", default_value = "herenow",
          value_parser = prefix)]
    pub redis_prefix: String,

    /// A node that Redis did not hear for so long is dead, and its members are gone
    #[arg(long, env = "HERENOW_NODE_TIMEOUT", hide_env = true, value_name = "TIME", default_value = "6s",
          value_parser = duration::positive)]
    pub node_timeout: Duration,

    /// How long members of a node that shuts down are kept for them to come back to another
    #[arg(long, env = "HERENOW_DRAIN_HOLD", hide_env = true, value_name = "TIME", default_value = "15s",
          value_parser = duration::any)]
    pub drain_hold: Duration,

    /// What people call this node [default: the name of the machine, and the port]
    #[arg(long, env = "HERENOW_NODE_NAME", hide_env = true, value_name = "TEXT", value_parser = node_name)]
    pub node_name: Option<String>,
}

impl Default for ClusterFlags {
    fn default() -> Self {
        Self {
            redis_url: None,
            redis_password_file: None,
            redis_password: None,
            redis_prefix: "herenow".to_owned(),
            node_timeout: Duration::from_secs(6),
            drain_hold: Duration::from_secs(15),
            node_name: None,
        }
    }
}

impl ClusterFlags {
    /// Takes what has no flag from the environment, as
    /// [`IdentityFlags::take_secrets`](crate::auth::IdentityFlags::take_secrets) does. A password
    /// without a Redis is nobody's.
    pub fn take_secrets(&mut self, find: impl Fn(&str) -> Option<Secret>) {
        self.redis_password = find(REDIS_PASSWORD_VARIABLE);
    }

    /// Checks what no flag alone can be checked for.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn check(&self) -> Result<(), String> {
        if self.redis_url.is_none() && self.redis_password_file.is_some() {
            return Err("--redis-password-file: there is no --redis-url that it is for".to_owned());
        }
        if self.redis_password.is_some() && self.redis_password_file.is_some() {
            return Err(format!(
                "--redis-password-file and {REDIS_PASSWORD_VARIABLE}: both tell the password; say \
                 one of them"
            ));
        }
        if !NODE_TIMEOUT.contains(&self.node_timeout) {
            return Err(format!(
                "--node-timeout {}: must be from {} to {}",
                humantime::format_duration(self.node_timeout),
                humantime::format_duration(*NODE_TIMEOUT.start()),
                humantime::format_duration(*NODE_TIMEOUT.end())
            ));
        }
        Ok(())
    }
}

/// A prefix of names in Redis. Braces would choose the part of a Redis Cluster.
fn prefix(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    if (1..=MAX_REDIS_PREFIX).contains(&text.len()) && text.chars().all(good) {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {MAX_REDIS_PREFIX} of the characters a-z, A-Z, 0-9 and ._-:"))
}

fn node_name(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.len() <= MAX_NODE_NAME;
    if good && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {MAX_NODE_NAME} bytes, without control characters"))
}

/// Back ends that are told by HTTP requests.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Webhooks")]
pub struct WebhookFlags {
    /// File with those who are told what happens in channels, in TOML: `[[hook]]` with name, url, secret,
    /// and channels and events if not all
    #[arg(long, env = "HERENOW_WEBHOOKS_FILE", hide_env = true, value_name = "FILE")]
    pub webhooks_file: Option<PathBuf>,

    /// Send webhooks to loopback and private addresses, too, and there without TLS as well
    #[arg(long, env = "HERENOW_WEBHOOKS_ALLOW_PRIVATE", hide_env = true,
          value_parser = clap::builder::FalseyValueParser::new())]
    pub webhooks_allow_private: bool,
}

/// Where more is set.
#[derive(Args, Clone, Debug, Default)]
pub struct FileFlag {
    /// File in TOML with flags by their names, as in `max-members = 500`, and `[[channel]]` sections
    /// for some channels; flags and the environment beat it
    #[arg(long = "config", env = "HERENOW_CONFIG", hide_env = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Everything that an operator sets. [`Config::default`] is what `herenow` without flags does.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where more is set. Read by the binary alone: what it holds is in the other fields then.
    #[command(flatten)]
    pub file: FileFlag,

    /// What holds in some channels apart. No flag: sections of the file.
    #[arg(skip)]
    pub channels: Vec<ChannelSection>,

    /// `/echo` is served too, a WebSocket that answers each text with itself. No flag: a hidden subcommand,
    /// for development.
    #[arg(skip)]
    pub echo: bool,

    /// Address and port to listen on; port 0 picks a free one
    #[arg(
        long,
        env = "HERENOW_LISTEN",
        hide_env = true,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,

    /// Address and port for whoever operates the broker: with it /metrics and /readyz are answered there,
    /// and not at --listen; /healthz at both
    #[arg(long, env = "HERENOW_ADMIN_LISTEN", hide_env = true, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,

    /// Listen beyond loopback without tokens although anyone can be anyone there: a client is
    /// whoever its `?user=` says
    #[arg(long, env = "HERENOW_INSECURE_OPEN", hide_env = true,
          value_parser = clap::builder::FalseyValueParser::new())]
    pub insecure_open: bool,

    /// Switch presence off: every request for it is refused, and says so
    #[arg(long, env = "HERENOW_DISABLE_PRESENCE", hide_env = true,
          value_parser = clap::builder::FalseyValueParser::new())]
    pub disable_presence: bool,

    /// Silence after which a member is gone
    #[arg(long, env = "HERENOW_PRESENCE_TIMEOUT", hide_env = true, value_name = "TIME", default_value = "60s",
          value_parser = duration::positive)]
    pub presence_timeout: Duration,

    /// How often clients are told to send a heartbeat [default: half of the presence timeout]
    #[arg(long, env = "HERENOW_HEARTBEAT_INTERVAL", hide_env = true, value_name = "TIME",
          value_parser = duration::positive)]
    pub heartbeat_interval: Option<Duration>,

    /// How often the broker pings each WebSocket
    #[arg(long, env = "HERENOW_PING_INTERVAL", hide_env = true, value_name = "TIME", default_value = "25s",
          value_parser = duration::positive)]
    pub ping_interval: Duration,

    /// How long it waits for a sign of life after a ping
    #[arg(long, env = "HERENOW_PONG_TIMEOUT", hide_env = true, value_name = "TIME", default_value = "10s",
          value_parser = duration::positive)]
    pub pong_timeout: Duration,

    /// How long a shutdown goes on serving newcomers before clients are sent away: time for balancers to
    /// see that /readyz says 503
    #[arg(long, env = "HERENOW_DRAIN_DELAY", hide_env = true, value_name = "TIME", default_value = "0s",
          value_parser = duration::any)]
    pub drain_delay: Duration,

    /// How long it then takes to send them away and waits for them to go
    #[arg(long, env = "HERENOW_DRAIN_TIMEOUT", hide_env = true, value_name = "TIME", default_value = "5s",
          value_parser = duration::any)]
    pub drain_timeout: Duration,

    /// Whether large WebSocket messages and HTTP answers are compressed for clients that offer it
    #[arg(
        long,
        env = "HERENOW_COMPRESSION",
        hide_env = true,
        value_name = "on|off",
        default_value = "on",
        hide_possible_values = true
    )]
    pub compression: Compression,

    /// What to log: error, warn, info, debug, trace, or by module as in herenow::hub=debug
    #[arg(
        long,
        env = "HERENOW_LOG",
        hide_env = true,
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,

    /// How logs look
    #[arg(
        long,
        env = "HERENOW_LOG_FORMAT",
        hide_env = true,
        value_name = "text|json",
        default_value = "text",
        hide_possible_values = true
    )]
    pub log_format: LogFormat,

    /// Whose client libraries are served beside our own: appwrite, livelike, social-plus, saathii,
    /// with commas between them, or all
    #[arg(long, env = "HERENOW_VENDORS", hide_env = true, value_name = "LIST", default_value = "",
          hide_default_value = true, value_parser = Vendors::parse)]
    pub vendors: Vendors,

    /// Who may use the broker.
    #[command(flatten)]
    pub identity: IdentityFlags,

    /// The certificate of the port.
    #[command(flatten)]
    pub tls: TlsFlags,

    /// The proxies before it.
    #[command(flatten)]
    pub proxy: ProxyFlags,

    /// One presence on many nodes.
    #[command(flatten)]
    pub cluster: ClusterFlags,

    /// Back ends that are told by HTTP requests.
    #[command(flatten)]
    pub webhooks: WebhookFlags,

    /// The bounds.
    #[command(flatten)]
    pub limits: Limits,
}

impl Default for Config {
    /// The defaults, which are stated once: on the flags. The environment counts for the binary
    /// alone.
    fn default() -> Self {
        let flags = Self::augment_args(Command::new("herenow").no_binary_name(true));
        let matches = flags.mut_args(|flag| flag.env(None)).try_get_matches_from([""; 0]);
        matches
            .and_then(|matches| Self::from_arg_matches(&matches))
            .unwrap_or_else(|bug| panic!("a flag refuses its own default: {bug}"))
    }
}

impl Config {
    /// How often clients are told to send a heartbeat.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Duration {
        self.heartbeat_interval.unwrap_or(self.presence_timeout / 2)
    }

    /// Bytes of an HTTP request's head.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        if self.vendors.0.is_empty() { HEADER_BYTES } else { VENDORS_HEADER_BYTES }
    }

    /// Longest grace that is given anywhere.
    #[must_use]
    pub fn longest_grace(&self) -> Duration {
        let apart = self.channels.iter().filter_map(|section| section.sets.max_grace);
        apart.fold(self.limits.max_grace, Duration::max)
    }

    fn check_channels(&self) -> Result<(), String> {
        for (place, section) in self.channels.iter().enumerate() {
            let most = section.sets.max_grace.unwrap_or(self.limits.max_grace);
            if let Some(default) = section.sets.default_grace.filter(|&default| default > most) {
                return Err(format!(
                    "[[channel]] {}: default-grace {}: must be at most the longest, {}",
                    place + 1,
                    humantime::format_duration(default),
                    humantime::format_duration(most)
                ));
            }
        }
        Ok(())
    }

    /// Checks what no flag alone can be checked for.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn check(&self) -> Result<(), String> {
        let open = !self.identity.tokens.any_key();
        if open && !self.insecure_open && !self.listen.ip().is_loopback() {
            return Err(format!(
                "--listen {}: without tokens anyone who can reach this address could be anyone; \
                 see --jwt-secret-file, listen on 127.0.0.1, or say --insecure-open if that is \
                 what you want",
                self.listen
            ));
        }
        self.cluster.check()?;
        self.check_channels()?;
        self.tls.files()?;
        self.proxy.check()?;
        let interval = self.heartbeat_interval();
        if interval >= self.presence_timeout {
            return Err(format!(
                "--heartbeat-interval {}: must be shorter than --presence-timeout {}",
                humantime::format_duration(interval),
                humantime::format_duration(self.presence_timeout)
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_flags_hold_is_not_printed() {
        let mut config = Config::default();
        config.identity.tokens.jwt_secret = Some(Secret::new(b"hunter2"));
        config.identity.api_keys = Some(Secret::new(b"hunter2"));
        config.cluster.redis_password = Some(Secret::new(b"hunter2"));
        config.cluster.redis_url = Some(Secret::new(b"redis://ada:hunter2@localhost"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn flags_of_many_nodes_that_contradict_each_other_are_one_clear_line() {
        let refused = |change: fn(&mut ClusterFlags)| {
            let mut flags = ClusterFlags { redis_url: Some(Secret::new(b"x")), ..<_>::default() };
            change(&mut flags);
            flags.check().unwrap_err()
        };
        let error = refused(|flags| {
            flags.redis_password_file = Some("x".into());
            flags.redis_password = Some(Secret::new(b"x"));
        });
        assert!(error.contains("--redis-password-file") && error.contains("HERENOW_REDIS_PASS"));
        let error = refused(|flags| {
            flags.redis_password_file = Some("x".into());
            flags.redis_url = None;
        });
        assert!(error.contains("--redis-password-file") && error.contains("--redis-url"));
        let error = refused(|flags| flags.node_timeout = Duration::from_millis(10));
        assert!(error.contains("--node-timeout 10ms") && error.contains("1s"), "{error}");
        assert_eq!(prefix("team:a-1"), Ok("team:a-1".to_owned()));
        assert!(prefix("{a}").is_err() && prefix("a/b").is_err() && prefix("").is_err());
        assert!(node_name("a\nb").is_err() && node_name("rack 3").is_ok());
    }

    #[test]
    fn vendors_are_named_one_by_one_or_all_at_once() {
        let two = Vendors::parse("saathii, appwrite").unwrap();
        assert!(two.serve(Vendor::Saathii) && two.serve(Vendor::Appwrite));
        assert!(!two.serve(Vendor::LiveLike));
        assert_eq!(Vendors::parse(""), Ok(Vendors::default()));
        let all = Vendors::parse("all").unwrap();
        assert!(Vendor::value_variants().iter().all(|&vendor| all.serve(vendor)));
        let error = Vendors::parse("ably").unwrap_err();
        assert!(error.contains("ably") && error.contains("social-plus"), "{error}");
    }

    #[test]
    fn beyond_loopback_only_with_tokens_or_on_demand() {
        let mut config = Config { listen: ([0, 0, 0, 0], 0).into(), ..Config::default() };
        let error = config.check().unwrap_err();
        for flag in ["--listen", "--jwt-secret-file", "--insecure-open"] {
            assert!(error.contains(flag), "{error}");
        }
        // Pages and back ends say nothing about clients.
        config.identity.api_keys_file = Some("keys".into());
        assert!(config.check().is_err());
        let beyond = |change: fn(&mut Config)| {
            let mut config = config.clone();
            change(&mut config);
            config.check()
        };
        assert_eq!(beyond(|config| config.insecure_open = true), Ok(()));
        assert_eq!(
            beyond(|config| config.identity.tokens.jwt_secret_file = Some("x".into())),
            Ok(())
        );
        assert_eq!(beyond(|config| config.identity.tokens.jwks_file = Some("x".into())), Ok(()));
        assert_eq!(
            beyond(|config| config.identity.tokens.jwt_public_key_file = Some("x".into())),
            Ok(())
        );
        assert_eq!(
            beyond(|config| config.identity.tokens.jwt_secret = Some(Secret::new(b"x"))),
            Ok(())
        );
    }
}
