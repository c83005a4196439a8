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
}

/// The one source that is set, if any.
pub(super) fn source(flags: &TokenFlags) -> Result<Option<KeySource<'_>>, String> {
    let file = flags.jwt_secret_file.as_deref();
    let sources = [
        (file.is_some(), "--jwt-secret-file"),
        (flags.jwt_secret.is_some(), SECRET_VARIABLE),
        (flags.jwt_public_key_file.is_some(), "--jwt-public-key-file"),
        (flags.jwks_file.is_some(), "--jwks-file"),
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
    } else {
        flags.jwks_file.as_deref().map(KeySource::Jwks)
    })
}

/// Says whose mistake it is.
pub(super) fn named<T>(name: &str, result: Result<T, String>) -> Result<T, String> {
    result.map_err(|why| format!("{name}: {why}"))
}

/// A file that `flag` names: its bytes, and flag and path for what else is wrong with it.
pub(super) fn read(flag: &str, path: &Path) -> Result<(Vec<u8>, String), String> {
    let name = format!("{flag} {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    // Not more, or a device without end would never be read.
    file.take(MAX_KEY_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(format!("{name}: is larger than {MAX_KEY_FILE_BYTES} bytes: not a key"));
    }
    Ok((bytes, name))
}

#[cfg(test)]
mod tests {
    use super::*;

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
