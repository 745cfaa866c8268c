//! The certificate that a server on this machine presents, and whether it is good for a name.

use crate::error::{Failure, Result};
use crate::host::Reader;
use crate::host::http::{Trust, address_of};
use crate::names::Domain;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use x509_cert::der::Decode;

/// What was presented.
#[derive(Debug, Clone)]
pub struct Presented {
    /// Begin of its time, in seconds since 1970 (UTC).
    pub not_before: i64,
    /// End of its time, in seconds since 1970 (UTC).
    pub not_after: i64,
    /// Why name, chain or time are not good, if they are not.
    pub refused: Option<String>,
}

/// What Debian, Fedora and others keep the authorities in that this host trusts.
const BUNDLES: [&str; 2] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Notes what the true verifier says and lets everybody in: the certificate is to be seen anyway.
#[derive(Debug)]
struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    said: Mutex<Option<String>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let said = self.judge.verify_server_cert(end_entity, intermediates, name, ocsp, now).err();
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) =
            said.map(|error| error.to_string());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

fn bundles(host: &Reader) -> impl Iterator<Item = String> {
    BUNDLES.iter().filter_map(|bundle| host.open_text(Path::new(bundle)).ok())
}

// `Anybody` is judged by everybody that this host trusts.
fn roots(host: &Reader, trust: &Trust) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let mut add = |pem: &[u8]| {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    };
    match trust {
        Trust::Only(pem) => add(pem),
        Trust::Public | Trust::Anybody => {
            bundles(host).for_each(|text| add(text.as_bytes()));
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    }
    roots
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn shake(
    host: &Reader,
    domain: &Domain,
    trust: &Trust,
) -> std::io::Result<(Stream, Option<String>)> {
    let other = std::io::Error::other::<rustls::Error>;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let anchors = Arc::new(roots(host, trust));
    let judge = WebPkiServerVerifier::builder_with_provider(anchors, Arc::clone(&provider))
        .build()
        .map_err(std::io::Error::other)?;
    let witness = Arc::new(Witness { judge, said: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(domain.host().to_owned()).map_err(std::io::Error::other)?;
    let limit = host.patience(Duration::from_secs(10));
    let at = SocketAddr::new(address_of(domain), domain.port());
    let mut socket = TcpStream::connect_timeout(&at, limit)?;
    socket.set_read_timeout(Some(limit))?;
    socket.set_write_timeout(Some(limit))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    let said = witness.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((StreamOwned::new(connection, socket), said))
}

impl Reader {
    /// The authorities that this host trusts; none if it keeps no list where it is usual.
    pub(in crate::host) fn trusted_roots(&self) -> Vec<ureq::tls::Certificate<'static>> {
        bundles(self)
            .flat_map(|text| {
                ureq::tls::parse_pem(text.as_bytes())
                    .filter_map(|item| match item {
                        Ok(ureq::tls::PemItem::Certificate(one)) => Some(one),
                        _ => None,
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Asks this machine for the certificate of a name.
    ///
    /// # Errors
    /// If nobody answers there, or not by TLS.
    pub fn certificate(&self, domain: &Domain, trust: &Trust) -> Result<Presented> {
        let fail = |why: String| Failure::new("asking for the certificate of", domain, why);
        let (stream, refused) =
            shake(self, domain, trust).map_err(|error| fail(error.to_string()))?;
        let first = stream.conn.peer_certificates().and_then(<[_]>::first);
        let first = first.ok_or_else(|| fail("it presented none".into()))?;
        let parsed = x509_cert::Certificate::from_der(first)
            .map_err(|error| fail(format!("it is not understood: {error}")))?;
        let validity = parsed.tbs_certificate().validity();
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let (not_before, not_after) = (seconds(validity.not_before), seconds(validity.not_after));
        Ok(Presented { not_before, not_after, refused })
    }

    /// Asks for a WebSocket at a path and gives the status of the answer; 101 is a yes. That the
    /// certificate is not good is no matter here.
    ///
    /// # Errors
    /// If nobody answers there, or not by HTTP.
    pub fn websocket(&self, domain: &Domain, trust: &Trust, path: &str) -> Result<u16> {
        let fail = |error: std::io::Error| Failure::new("asking for a WebSocket at", path, error);
        let (mut stream, _) = shake(self, domain, trust).map_err(fail)?;
        let host = domain.as_str();
        // The key is RFC 6455's own example; nothing is sent over the socket.
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).map_err(fail)?;
        let mut line = String::new();
        let mut head = BufReader::new(stream).take(1 << 10);
        head.read_line(&mut line).map_err(fail)?;
        let status = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        status.ok_or_else(|| fail(std::io::Error::other(format!("not HTTP: {line:?}"))))
    }
}
