//! A connection to a broker, with TLS where its address says so, by whom the system trusts.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::safe::shown;
use super::seen::{Reached, TlsFault, Unreached};
use crate::limits::{TERMINAL_DIAL, TERMINAL_NAME, TERMINAL_TEXT};

/// Names of a certificate that are told.
const NAMES: usize = 5;

/// Bytes in and out.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Dials.
///
/// # Errors
/// Why nobody could be spoken to.
pub async fn dial(address: &Address) -> Result<(Box<dyn Wire>, Reached), Unreached> {
    let at = (address.host.as_str(), address.port);
    let found = timeout(TERMINAL_DIAL, tokio::net::lookup_host(at)).await;
    let found = found.map_err(|_| Unreached::Name("no answer in time".to_owned()))?;
    let found: Vec<_> = found.map_err(|error| Unreached::Name(error.to_string()))?.collect();
    let stream = timeout(TERMINAL_DIAL, TcpStream::connect(&found[..])).await;
    let stream = stream.map_err(|_| Unreached::Silent)?;
    let stream = stream.map_err(|error| Unreached::Refused(error.to_string()))?;
    let refused = |error: io::Error| Unreached::Refused(error.to_string());
    stream.set_nodelay(true).map_err(refused)?;
    let peer = stream.peer_addr().map_err(refused)?;
    if !address.secure {
        return Ok((Box::new(stream), Reached { peer, tls: None }));
    }
    let other = |why: String| Unreached::Tls(TlsFault::Other(shown(&why, TERMINAL_TEXT)));
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|error| other(error.to_string()))?;
    let config = config().map_err(other)?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = timeout(TERMINAL_DIAL, connecting).await.map_err(|_| Unreached::Silent)?;
    let stream = stream.map_err(|error| Unreached::Tls(fault(&error)))?;
    let version = stream.get_ref().1.protocol_version();
    let tls = version.and_then(|version| version.as_str()).unwrap_or("TLS");
    Ok((Box::new(stream), Reached { peer, tls: Some(tls.replace("TLSv1_", "TLS 1.")) }))
}

fn config() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err("the system's certificates can't be read: see SSL_CERT_FILE".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What is wrong, out of the library's words.
fn fault(error: &io::Error) -> TlsFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let names = |presented: &[String]| {
        presented.iter().take(NAMES).map(|name| shown(plain(name), TERMINAL_NAME)).collect()
    };
    match inner {
        Some(Error::InvalidCertificate(why)) => match why {
            CertificateError::NotValidForName => TlsFault::Name(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                TlsFault::Name(names(presented))
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsFault::Time,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::Stranger,
            why => TlsFault::Other(shown(&why.to_string(), TERMINAL_TEXT)),
        },
        Some(Error::InvalidMessage(_)) => TlsFault::None,
        Some(why) => TlsFault::Other(shown(&why.to_string(), TERMINAL_TEXT)),
        None => {
            let why = error.source().map_or(error.to_string(), ToString::to_string);
            TlsFault::Other(shown(&why, TERMINAL_TEXT))
        }
    }
}

/// `presence.example` of `DnsName("presence.example")`, as the library spells names.
fn plain(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}
