//! Where the broker is, and as whom to ask it.

use std::path::PathBuf;

use clap::Args;
use herenow_protocol::ChannelName;

use super::address::Address;
use crate::auth::{Secret, named, read};
use crate::limits::MAX_TOKEN_BYTES;

/// The environment's name for the token, as messages tell it.
pub const TOKEN_VARIABLE: &str = "HERENOW_TOKEN";

/// Where the broker is.
#[derive(Args, Clone, Debug)]
pub struct UrlFlag {
    /// Where the broker is: http://, https://, ws:// or wss://
    #[arg(
        long,
        env = "HERENOW_URL",
        hide_env = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: String,
}

impl UrlFlag {
    /// The address.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn address(&self) -> Result<Address, String> {
        named("--url", Address::parse(&self.url))
    }
}

/// Reads a channel's name.
///
/// # Errors
/// One line with the rule.
pub fn channel(name: &str) -> Result<ChannelName, String> {
    ChannelName::parse(name, "CHANNEL").map_err(|refusal| refusal.message.into_owned())
}

/// As whom to ask.
#[derive(Args, Clone, Debug, Default)]
pub struct TokenFlags {
    /// File with the token (over HTTP an API key will do); or the token itself in the environment, as
    /// HERENOW_TOKEN. There is no flag for the token itself: everybody on a machine can read arguments
    #[arg(long, env = "HERENOW_TOKEN_FILE", hide_env = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The token itself, which has no flag.
    #[arg(skip)]
    pub token: Option<Secret>,

    /// Who you are, to a broker without tokens [default: a guest]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
}

impl TokenFlags {
    /// The token as it is now: a file is read anew each time.
    ///
    /// # Errors
    /// One line that names where it is from. It never says what is in there.
    pub fn token(&self) -> Result<Option<String>, String> {
        let (secret, name) = match (&self.token_file, &self.token) {
            (Some(_), Some(_)) => {
                return Err(format!("--token-file and {TOKEN_VARIABLE}: say one of them"));
            }
            (None, None) => return Ok(None),
            (Some(path), None) => {
                let (bytes, name) = read("--token-file", path)?;
                (Secret::of_file(&bytes), name)
            }
            (None, Some(secret)) => (secret.clone(), TOKEN_VARIABLE.to_owned()),
        };
        let fits = |text: &&str| {
            (1..=MAX_TOKEN_BYTES).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let text = std::str::from_utf8(secret.expose()).ok().filter(fits);
        let text = text.ok_or_else(|| {
            format!("{name}: must hold a token and nothing else, as herenow token prints it")
        })?;
        Ok(Some(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_one_place_and_is_not_told() {
        let mut flags = TokenFlags::default();
        assert_eq!(flags.token(), Ok(None));
        flags.token = Some(Secret::new(b"a.b.c"));
        assert_eq!(flags.token(), Ok(Some("a.b.c".to_owned())));
        for bad in [&b""[..], b"hunter2 hunter2", b"hunter2\n", b"hunter2\xff", &[b'h'; 9_000]] {
            flags.token = Some(Secret::new(bad));
            let why = flags.token().unwrap_err();
            assert!(why.contains(TOKEN_VARIABLE) && !why.contains("hunter"), "{why}");
        }
        flags.token_file = Some("/nowhere/at/all".into());
        assert!(flags.token().unwrap_err().contains("say one of them"));
        flags.token = None;
        assert!(flags.token().unwrap_err().contains("--token-file /nowhere/at/all"));
        assert!(!format!("{flags:?}").contains("hunter2"));
    }
}
