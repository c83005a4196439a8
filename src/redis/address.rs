//! Where Redis is, as `--redis-url` says.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::auth::Secret;
use crate::config::ClusterFlags;

/// Where Redis is, and who we are there.
#[derive(Clone)]
pub struct Address {
    pub(super) servers: Vec<ConnectionInfo>,
    pub(super) cluster: bool,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The servers, without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, server) in self.servers.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}", server.addr())?;
        }
        Ok(())
    }
}

impl Address {
    /// What the flags say; `None`: there is no Redis. Reads the file with the password.
    ///
    /// # Errors
    /// One line that names the flag, and shows no password.
    pub fn of(flags: &ClusterFlags) -> Result<Option<Self>, String> {
        let Some(url) = &flags.redis_url else { return Ok(None) };
        let url = std::str::from_utf8(url.expose())
            .map_err(|_| "--redis-url: must be text in UTF-8".to_owned())?;
        let mut address = Self::parse(url).map_err(|why| format!("--redis-url: {why}"))?;
        if let Some(password) = password(flags)? {
            if address.servers.iter().any(|server| server.redis_settings().password().is_some()) {
                return Err("--redis-url: tells a password, and so does --redis-password-file or \
                            HERENOW_REDIS_PASSWORD; say one of them"
                    .to_owned());
            }
            let with = |server: ConnectionInfo| {
                let settings = server.redis_settings().clone().set_password(&password);
                server.set_redis_settings(settings)
            };
            address.servers = address.servers.into_iter().map(with).collect();
        }
        Ok(Some(address))
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.servers.iter().any(|server| matches!(server.addr(), ConnectionAddr::TcpTls { .. }))
    }

    /// What stands in a url. Further servers may leave out what the first says.
    fn parse(text: &str) -> Result<Self, String> {
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        let mut cluster = text.contains(',');
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*key, &*value) {
                ("cluster", "true") => cluster = true,
                ("cluster", "false") if !cluster => {}
                ("cluster", "false") => return Err("several servers are a cluster".to_owned()),
                ("cluster", _) => return Err("\"cluster\" must be true or false".to_owned()),
                (other, _) => return Err(format!("knows no {other:?} behind \"?\", only cluster")),
            }
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| no_url(text))?;
        if !matches!(scheme, "redis" | "rediss" | "valkey" | "valkeys") {
            return Err(no_url(text));
        }
        let login = rest.split(',').next().and_then(|first| first.rsplit_once('@'));
        let login = login.map(|(login, _)| format!("{login}@")).unwrap_or_default();
        let servers = rest.split(',').map(|server| {
            let server = server.rsplit_once("://").map_or(server, |(_, server)| server);
            let login = if server.contains('@') { "" } else { &login };
            parse_server(&format!("{scheme}://{login}{server}"))
        });
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        if cluster && servers.iter().any(|server| server.redis_settings().db() != 0) {
            return Err("Redis Cluster has no databases but 0".to_owned());
        }
        Ok(Self { servers, cluster })
    }
}

fn parse_server(text: &str) -> Result<ConnectionInfo, String> {
    if text.contains('#') {
        return Err("nothing may stand behind \"#\"; in a password it is %23".to_owned());
    }
    let info = redis::parse_redis_url(text).ok_or_else(|| no_url(text))?;
    if info.host_str().is_none_or(str::is_empty) {
        return Err(no_url(text));
    }
    let info = info.into_connection_info().map_err(|error| {
        let why = error.to_string();
        format!("{}: {}", shown(text), why.split(" - ").next().unwrap_or_default().to_lowercase())
    })?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

fn no_url(text: &str) -> String {
    format!("{:?} is no address of Redis, which looks like redis://host:6379", shown(text))
}

/// The text without who logs in, and how.
fn shown(text: &str) -> String {
    match text.rsplit_once('@') {
        None => text.to_owned(),
        Some((before, server)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://…@{server}")
        }
    }
}

/// The password that is no part of the url.
fn password(flags: &ClusterFlags) -> Result<Option<String>, String> {
    let (source, secret) = match (&flags.redis_password_file, &flags.redis_password) {
        (None, None) => return Ok(None),
        (None, Some(secret)) => ("HERENOW_REDIS_PASSWORD", secret.clone()),
        (Some(path), _) => {
            let bytes = std::fs::read(path)
                .map_err(|error| format!("--redis-password-file {}: {error}", path.display()))?;
            ("--redis-password-file", Secret::of_file(&bytes))
        }
    };
    match std::str::from_utf8(secret.expose()) {
        Ok("") => Err(format!("{source}: the password is empty")),
        Ok(password) => Ok(Some(password.to_owned())),
        Err(_) => Err(format!("{source}: must be text in UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Option<Address>, String> {
        Address::of(&ClusterFlags {
            redis_url: Some(Secret::new(url.as_bytes())),
            ..<_>::default()
        })
    }

    #[test]
    fn an_address_is_one_server_or_a_cluster() {
        let one = address("redis://ada:pw@one:7000/3").unwrap().unwrap();
        assert!(!one.cluster && one.servers.len() == 1);
        let settings = one.servers[0].redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("ada"), Some("pw")));
        assert_eq!(settings.db(), 3);
        assert_eq!(one.to_string(), "one:7000");
        assert!(address("redis://one?cluster=true").unwrap().unwrap().cluster);
        for url in ["rediss://ada:pw@a:1,b:2,c:3", "rediss://ada:pw@a:1,rediss://ada:pw@b:2,c:3"] {
            let three = address(url).unwrap().unwrap();
            assert!(three.cluster && three.to_string() == "a:1,b:2,c:3", "{three}");
            let password = |server: &ConnectionInfo| {
                server.redis_settings().password() == Some("pw")
                    && matches!(server.addr(), ConnectionAddr::TcpTls { .. })
            };
            assert!(three.servers.iter().all(password));
        }
        assert!(Address::of(&ClusterFlags::default()).unwrap().is_none());
    }

    #[test]
    fn a_wrong_address_is_one_line_that_shows_no_password() {
        for (url, hint) in [
            ("localhost:6379", "redis://host:6379"),
            ("http://x:hunter2@localhost", "redis://host:6379"),
            ("redis://", "redis://host:6379"),
            ("redis://x:hunter2@host:99999", "redis://host:6379"),
            ("redis://x:hunter2@0.0.0.0", "wildcard"),
            ("redis://x:hunter2@host/zwei", "database"),
            ("redis://x:hunter2@host?tls=1", "tls"),
            ("redis://x:hunter2@host?cluster=1", "true or false"),
            ("redis://x:hunter2@host,b?cluster=false", "several"),
            ("redis://x:hunter2@host/1?cluster=true", "databases"),
            ("redis://x:hun#ter2@host", "%23"),
        ] {
            let error = address(url).unwrap_err();
            assert!(error.starts_with("--redis-url: ") && error.contains(hint), "{url}: {error}");
            assert!(!error.contains("hun") && !error.contains('\n'), "{error}");
        }
        let mut flags =
            ClusterFlags { redis_url: Some(Secret::new(b"redis://a:b@c")), ..<_>::default() };
        flags.redis_password = Some(Secret::new(b"hunter2"));
        let error = Address::of(&flags).unwrap_err();
        assert!(error.contains("say one of them") && !error.contains("hunter2"), "{error}");
        flags.redis_password_file = Some("/does/not/exist".into());
        let error = Address::of(&flags).unwrap_err();
        assert!(error.contains("--redis-password-file /does/not/exist"), "{error}");
    }
}
