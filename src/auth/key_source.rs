//! Where the keys of tokens come from, and the files that flags name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::flags::{SECRET_VARIABLE, TokenFlags};
use super::secret::Secret;
use crate::limits::MAX_KEY_FILE_BYTES;

/// Where the keys of tokens come from.
pub(super) enum KeySource<'a> {
    Secret(Secret, String),
    PublicKey(&'a Path),
    Jwks(&'a Path),
    Fetched,
}

/// The one source that is set, if any.
pub(super) fn source(flags: &TokenFlags) -> Result<Option<KeySource<'_>>, String> {
    let file = flags.jwt_secret_file.as_deref();
    let sources = [
        (file.is_some(), "--jwt-secret-file"),
        (flags.jwt_secret.is_some(), SECRET_VARIABLE),
        (flags.jwt_public_key_file.is_some(), "--jwt-public-key-file"),
        (flags.jwks_file.is_some(), "--jwks-file"),
        (flags.jwks_url.is_some(), "--jwks-url"),
    ];
    let mut set = sources.iter().filter(|(set, _)| *set).map(|(_, name)| name);
    if let (Some(one), Some(other)) = (set.next(), set.next()) {
        return Err(format!("{one} and {other}: only one of them can say which tokens are good"));
    }
    Ok(if let Some(path) = file {
        let (bytes, name) = read("--jwt-secret-file", path)?;
        Some(KeySource::Secret(Secret::of_file(&bytes), name))
    } else if let Some(secret) = &flags.jwt_secret {
        Some(KeySource::Secret(secret.clone(), SECRET_VARIABLE.into()))
    } else if let Some(path) = &flags.jwt_public_key_file {
        Some(KeySource::PublicKey(path))
    } else if let Some(path) = &flags.jwks_file {
        Some(KeySource::Jwks(path))
    } else if let Some(url) = &flags.jwks_url {
        check_url(url)?;
        Some(KeySource::Fetched)
    } else {
        None
    })
}

/// Refuses an address from which nobody can be sure to get the right keys: whoever sits in between
/// could hand out its own.
fn check_url(url: &str) -> Result<(), String> {
    let rule = "must be https://HOST/PATH, or http:// on this machine, without user and fragment";
    let wrong = || format!("--jwks-url: {rule}");
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let here =
        name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let safe = uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && here);
    if plain && safe && !url.contains('#') { Ok(()) } else { Err(wrong()) }
}

/// Says whose mistake it is.
pub(crate) fn named<T>(name: &str, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|why| format!("{name}: {why}"))
}

/// A file that `flag` names: its bytes, and flag and path for what else is wrong with it.
pub(crate) fn read(flag: &str, path: &Path) -> Result<(Vec<u8>, String), String> {
    let name = format!("{flag} {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    // Not more, or a device without end would never be read.
    file.take(MAX_KEY_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(format!("{name}: is larger than {MAX_KEY_FILE_BYTES} bytes: some other file"));
    }
    Ok((bytes, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_from_where_nobody_else_can_put_them() {
        for good in [
            "https://example.com/jwks.json",
            "https://example.com:8443/.well-known/jwks.json?a=b",
            "http://127.0.0.1:9/k",
            "http://localhost/k",
            "http://[::1]:80/k",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "example.com/jwks",
            "/jwks",
            "http://example.com/jwks",
            "http://127.0.0.1.example.com/",
            "http://localhost@example.com/",
            "https://ada:secret@example.com/jwks",
            "ftp://127.0.0.1/jwks",
            "https://example.com/#keys",
        ] {
            let why = check_url(bad).unwrap_err();
            assert!(why.starts_with("--jwks-url: must be") && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_file_larger_than_any_key_is_refused() {
        let path = std::env::temp_dir().join(format!("herenow-key-{}", std::process::id()));
        let sized = |bytes: u64| {
            std::fs::write(&path, vec![b'x'; bytes as usize]).unwrap();
            read("--flag", &path).map(|(bytes, _)| bytes.len() as u64)
        };
        assert_eq!(sized(MAX_KEY_FILE_BYTES), Ok(MAX_KEY_FILE_BYTES));
        for more in [1, 2, 5_000] {
            let why = sized(MAX_KEY_FILE_BYTES + more).unwrap_err();
            assert!(why.starts_with("--flag") && why.contains("larger than"), "{why}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
