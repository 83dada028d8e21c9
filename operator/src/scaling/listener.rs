//! Connections of the front proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

/// Connections that shake hands at the same time; another waits in the listener's backlog.
const HANDSHAKES: usize = 32;

/// A caller that takes longer to shake hands is no API server.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a connection that could not be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// What the server shows, and whom it lets in; `None` before either is known.
pub(super) type Identity = Arc<RwLock<Option<Arc<ServerConfig>>>>;

type Connection = (TlsStream<TcpStream>, SocketAddr);

/// A listener whose connections have shaken hands.
pub(super) struct TlsListener {
    address: SocketAddr,
    connections: mpsc::Receiver<Connection>,
    // Dropping it ends the task.
    _accepting: JoinSet<()>,
}

impl TlsListener {
    /// Begins to accept connections. Each sees the identity of its moment.
    pub(super) fn new(listener: TcpListener, identity: Identity) -> std::io::Result<Self> {
        let (sender, connections) = mpsc::channel(HANDSHAKES);
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, identity, sender));
        Ok(Self { address, connections, _accepting: accepting })
    }
}

async fn accept(listener: TcpListener, identity: Identity, connections: mpsc::Sender<Connection>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "Could not accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        // A connection that can't be verified is closed.
        let Some(config) = identity.read().clone() else { continue };
        let connections = connections.clone();
        tokio::spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await {
                Ok(Ok(stream)) => drop(connections.send((stream, peer)).await),
                Ok(Err(error)) => debug!(%peer, %error, "Refused a connection"),
                Err(_elapsed) => debug!(%peer, "Gave up a handshake"),
            }
            drop(permit);
        });
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        match self.connections.recv().await {
            Some(connection) => connection,
            // The task ends only with this listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
