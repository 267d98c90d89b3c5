//! A port that stays one server's, while that is up and while it is down.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// A port of the loopback that the system gives to nobody else. Nothing listens: whoever connects is refused until a
/// server binds it by its number, which SO_REUSEADDR lets it do.
pub struct HeldPort {
    number: u16,
    _socket: OwnedFd,
}

impl HeldPort {
    /// # Panics
    /// When there is none.
    pub fn find() -> Self {
        let socket =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        set_socket_reuseaddr(&socket, true).expect("a port for two");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address: SocketAddr = getsockname(&socket).expect("its address").try_into().expect("an address of the net");
        Self { number: address.port(), _socket: socket }
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn one_server_after_the_other_listens_on_a_held_port() {
        let port = HeldPort::find();
        let other = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        let refused = bind(&other, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.number()));
        assert_eq!(refused, Err(rustix::io::Errno::ADDRINUSE), "it is nobody's who does not ask to share it");
        for _ in 0..3 {
            let refused = TcpStream::connect(("127.0.0.1", port.number())).expect_err("nothing listens");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            let server = TcpListener::bind(("127.0.0.1", port.number())).expect("it is kept for a server");
            let client = TcpStream::connect(("127.0.0.1", port.number())).expect("the server listens");
            // Ends with a connection, as one that is killed does.
            drop(server.accept().expect("the client"));
            drop((server, client));
        }
    }
}
