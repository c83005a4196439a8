//! The certificate that is shown now. Handshakes that begin after it was replaced see the new one;
//! connections that stand know nothing of either.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

use super::certificate::{Files, Looks};
use super::flags::TlsFlags;

/// What the port speaks: HTTP/1.1, on which a WebSocket begins, too.
const PROTOCOL: &[u8] = b"http/1.1";

/// Tickets with which a client resumes, of each handshake. None is kept here: the client holds it,
/// sealed with a key that this process makes anew every few hours.
const TICKETS: usize = 1;

/// How every handshake is made.
pub type Terms = Arc<ServerConfig>;

/// The pair that is shown.
#[derive(Debug)]
pub struct Shown {
    files: Files,
    pair: RwLock<Arc<CertifiedKey>>,
    looked: Mutex<Looked>,
}

/// How the files looked: when they were read last, and at the last look.
#[derive(Debug)]
struct Looked {
    read: Looks,
    last: Looks,
}

impl Shown {
    /// The pair in the files that `flags` name; `None`: they name none.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn of(flags: &TlsFlags) -> Result<Option<Arc<Self>>, String> {
        let Some((certificate, key)) = flags.files()? else { return Ok(None) };
        let files = Files::new(certificate, key);
        let looks = files.looks();
        let pair = RwLock::new(files.read(&ring::default_provider())?);
        let looked = Mutex::new(Looked { read: looks.clone(), last: looks });
        Ok(Some(Arc::new(Self { files, pair, looked })))
    }

    /// How every handshake is made from here on, whichever certificate is shown in it.
    ///
    /// # Errors
    /// One line: there is no randomness, or the library can't do what is asked of it.
    pub fn terms(self: &Arc<Self>) -> Result<Terms, String> {
        let told = |error: rustls::Error| format!("TLS: {error}");
        let mut terms = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(told)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        terms.alpn_protocols = vec![PROTOCOL.to_vec()];
        terms.ticketer = ring::Ticketer::new().map_err(told)?;
        terms.send_tls13_tickets = TICKETS;
        Ok(Arc::new(terms))
    }

    /// Reads the files again. What can't be used changes nothing.
    ///
    /// # Errors
    /// One line that names the flag.
    pub fn read_again(&self) -> Result<(), String> {
        let looks = self.files.looks();
        *self.looked.lock() = Looked { read: looks.clone(), last: looks };
        let pair = self.files.read(&ring::default_provider())?;
        *self.pair.write() = pair;
        Ok(())
    }

    /// Reads the files again if they changed since they were last read, and have rested since the
    /// last look: of two files that are being replaced one is the first. `None`: nothing to do.
    ///
    /// # Errors
    /// As [`Shown::read_again`], once for each change.
    pub fn read_if_changed(&self) -> Option<Result<(), String>> {
        let looks = self.files.looks();
        let mut looked = self.looked.lock();
        let rested = looked.last == looks;
        let changed = looked.read != looks;
        looked.last = looks;
        drop(looked);
        (changed && rested).then(|| self.read_again())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.pair.read()))
    }
}
