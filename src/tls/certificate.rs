//! A certificate and its key, out of two files.

use std::fs::{File, Metadata, metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use crate::limits::MAX_KEY_FILE_BYTES;

/// The two files.
#[derive(Clone, Debug)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// How the two files looked at some moment: files that look the same hold the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looks([Option<Look>; 2]);

/// Which file it is, how many bytes it has, and when it and what is known of it changed last, each in
/// seconds and nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look([u64; 2], [i64; 4]);

impl Look {
    fn of(file: &Metadata) -> Self {
        let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
        Self([file.ino(), file.len()], times)
    }
}

impl Files {
    /// Those of the two paths.
    #[must_use]
    pub fn new(certificate: &Path, key: &Path) -> Self {
        Self { certificate: certificate.to_owned(), key: key.to_owned() }
    }

    /// How they look now. One that is not there looks like nothing.
    #[must_use]
    pub fn looks(&self) -> Looks {
        Looks([&self.certificate, &self.key].map(|path| metadata(path).ok().as_ref().map(Look::of)))
    }

    /// What they hold.
    ///
    /// # Errors
    /// One line that names the flag and the file, and nothing of what is in it: a file can't be read,
    /// holds something else, or the key is not that of the certificate.
    pub fn read(&self, crypto: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
        let certificate_name = format!("--tls-cert-file {}", self.certificate.display());
        let key_name = format!("--tls-key-file {}", self.key.display());
        let chain = read(&self.certificate)
            .and_then(|bytes| chain(&bytes))
            .map_err(|why| format!("{certificate_name}: {why}"))?;
        let key = read(&self.key)
            .and_then(|bytes| key(&bytes))
            .map_err(|why| format!("{key_name}: {why}"))?;
        CertifiedKey::from_der(chain, key, crypto).map(Arc::new).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                format!("{key_name}: is not the key of the certificate in {certificate_name}")
            }
            Error::InvalidCertificate(_) => {
                format!("{certificate_name}: the first certificate is none that can be read")
            }
            _ => format!("{key_name}: must be an RSA, ECDSA (P-256, P-384) or Ed25519 key"),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| error.to_string();
    let mut bytes = Vec::new();
    // Not more, or a device without end would never be read.
    let file = File::open(path).map_err(told)?.take(MAX_KEY_FILE_BYTES + 1);
    { file }.read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MAX_KEY_FILE_BYTES {
        return Err(format!("is larger than {MAX_KEY_FILE_BYTES} bytes: some other file"));
    }
    Ok(bytes)
}

fn chain(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(bytes).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err("must hold certificates in PEM, which begin with BEGIN CERTIFICATE".to_owned()),
    }
}

fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|_| {
        "must hold a private key in PEM without a password, which begins with BEGIN PRIVATE KEY"
            .to_owned()
    })
}
