//! What tests of TLS need: certificates, clients, and a bridge that lends TLS to clients without.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use herenow::Config;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::broker::Process;
use crate::client::PATIENCE;
use crate::wire::small_socket;

/// A folder with a certificate and its key, gone with this.
pub(crate) struct Pair {
    folder: PathBuf,
}

impl Pair {
    /// A certificate that signed itself, for the names of this machine.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("herenow-tls-{}-{number}", std::process::id());
        let pair = Self { folder: std::env::temp_dir().join(name) };
        std::fs::create_dir_all(&pair.folder).unwrap();
        pair.renew();
        pair
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// The same files with another certificate and another key, each moved into place whole.
    pub(crate) fn renew(&self) {
        let (certificate, key) = (self.folder.join("new-cert"), self.folder.join("new-key"));
        let openssl = Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '))
            .args("-days 3650 -subj /CN=localhost -addext".split(' '))
            .arg("subjectAltName=DNS:localhost,IP:127.0.0.1")
            // Who may sign others is, for strict clients, no host.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args([Path::new("-out"), &certificate, Path::new("-keyout"), &key])
            .stderr(Stdio::null())
            .status()
            .expect("these tests need openssl");
        assert!(openssl.success(), "openssl made no certificate");
        std::fs::rename(certificate, self.certificate()).unwrap();
        std::fs::rename(key, self.key()).unwrap();
    }

    /// The certificate as it goes over the wire.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.certificate()).unwrap()
    }

    /// Makes handshakes with it.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::from_pem_file(self.key()).unwrap();
        let terms = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.shown()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(terms))
    }

    /// Has a broker show it.
    pub(crate) fn set(&self, config: &mut Config) {
        config.tls.tls_cert_file = Some(self.certificate());
        config.tls.tls_key_file = Some(self.key());
    }

    /// The binary, which shows it, with further flags.
    pub(crate) fn start(&self, flags: &[&str]) -> Process {
        let files = [
            format!("--tls-cert-file={}", self.certificate().display()),
            format!("--tls-key-file={}", self.key().display()),
        ];
        let files = files.each_ref().map(String::as_str);
        Process::start(&[&files, flags].concat())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Trusts any certificate: the tests compare what they saw.
#[derive(Debug)]
struct Trusting(CryptoProvider);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What makes TLS clients.
fn connector() -> TlsConnector {
    let crypto = ring::default_provider();
    let verifier = Trusting(crypto.clone());
    let config = ClientConfig::builder_with_provider(Arc::new(crypto))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A client whose handshake is done.
pub(crate) async fn secure(stream: TcpStream) -> TlsStream<TcpStream> {
    try_secure(stream).await.unwrap()
}

/// The same, if the broker makes a handshake.
pub(crate) async fn try_secure(stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    timeout(PATIENCE, connector().connect(name, stream)).await.expect("no handshake, no end")
}

/// Which certificate a client sees that comes now.
pub(crate) async fn seen(address: SocketAddr) -> CertificateDer<'static> {
    let client = secure(TcpStream::connect(address).await.unwrap()).await;
    client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Leads from TLS, with this certificate, to a server that speaks none.
pub(crate) async fn before(server: SocketAddr, pair: &Pair) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, acceptor) = (listener.local_addr().unwrap(), pair.acceptor());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(socket).await else { return };
                let mut inside = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    address
}

/// Leads to a broker over TLS, for clients that speak none: their bytes go through it one by one,
/// and it hides little.
pub(crate) async fn bridge(broker: SocketAddr) -> SocketAddr {
    const BYTES: usize = 1024;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(8 * 1024).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener: TcpListener = socket.listen(128).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                client.set_nodelay(true).unwrap();
                let stream = small_socket(broker).await;
                stream.set_nodelay(true).unwrap();
                let mut secured = secure(stream).await;
                let _ =
                    copy_bidirectional_with_sizes(&mut client, &mut secured, BYTES, BYTES).await;
            });
        }
    });
    address
}
