//! What an operator sets about TLS.

use std::path::{Path, PathBuf};

use clap::Args;

/// The certificate that clients are shown. Without it the port speaks plain HTTP.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct TlsFlags {
    /// File with the certificate of the port in PEM, and behind it those that it was signed with:
    /// from here on the port speaks TLS (1.2 or 1.3) and nothing else. Read again when it changes, and
    /// on SIGHUP; who is connected stays so
    #[arg(long, env = "HERENOW_TLS_CERT_FILE", hide_env = true, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// File with its private key, in PEM
    #[arg(long, env = "HERENOW_TLS_KEY_FILE", hide_env = true, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,
}

impl TlsFlags {
    /// The certificate's file and the key's, or neither.
    ///
    /// # Errors
    /// One without the other: one line that names both flags.
    pub fn files(&self) -> Result<Option<(&Path, &Path)>, String> {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err("--tls-cert-file: needs --tls-key-file, the key of that certificate".to_owned())
            }
            (None, Some(_)) => {
                Err("--tls-key-file: needs --tls-cert-file, the certificate of that key".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_refused_by_the_name_of_the_other_half() {
        let flags = |certificate: bool, key: bool| TlsFlags {
            tls_cert_file: certificate.then(|| "c".into()),
            tls_key_file: key.then(|| "k".into()),
        };
        assert_eq!(flags(false, false).files(), Ok(None));
        assert!(flags(true, true).files().unwrap().is_some());
        for (certificate, key) in [(true, false), (false, true)] {
            let why = flags(certificate, key).files().unwrap_err();
            assert!(why.contains("--tls-cert-file") && why.contains("--tls-key-file"), "{why}");
        }
    }
}
