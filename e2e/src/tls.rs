//! Connections that a certificate of our own protects, as a company's hub or bucket has them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::serve::Listener;
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A certificate for one address, which no public authority has signed.
pub struct Certificate {
    /// The certificate in PEM, for those who are to trust it.
    pub pem: String,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Makes one for a DNS name or an IP address.
    pub fn of(address: &str) -> Result<Self> {
        let made = generate_simple_self_signed(vec![address.to_owned()])?;
        let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key.into())?;
        Ok(Self { pem: made.cert.pem(), config: Arc::new(config) })
    }

    /// Protects the connections of a listener.
    #[must_use]
    pub fn protect(&self, listener: TcpListener) -> Protected {
        Protected { listener, acceptor: TlsAcceptor::from(Arc::clone(&self.config)) }
    }
}

/// A listener whose connections are protected.
pub struct Protected {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Protected {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    /// The next connection. One that does not trust the certificate is dropped, and shows as a failed download.
    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if let Ok(protected) = self.acceptor.accept(stream).await {
                return (protected, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
