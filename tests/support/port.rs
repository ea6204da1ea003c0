//! A port of loopback that stays a test's own while nobody listens there: the system would give a free one to whoever connects
//! or listens meanwhile.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

/// One that nobody listens on, or that its listener was made of.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    held: Option<TcpSocket>,
}

impl Port {
    /// A free one. Connections to it are refused.
    pub fn free() -> Self {
        let held = bound(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self {
            address: held.local_addr().unwrap(),
            held: Some(held),
        }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens.
    pub fn listen(&mut self) -> TcpListener {
        let held = self.held.take().unwrap_or_else(|| bound(self.address));
        // It is made in a runtime, of a thread that has none, and leaves it at once.
        let listening = std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            let _within = runtime.enter();
            held.listen(1_024).unwrap().into_std().unwrap()
        });
        let listener = listening.join().unwrap();
        listener.set_nonblocking(false).unwrap();
        listener
    }

    /// Keeps it once nobody listens there any more.
    pub fn hold(&mut self) {
        self.held = Some(bound(self.address));
    }
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    // Connections of before may be on their way out.
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}
