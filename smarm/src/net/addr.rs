//! Socket addresses: from names, and to and from the kernel's form.

use std::io;
use std::mem;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::io::block_on_io;

/// What can be turned into socket addresses, in the order in which they are to be tried.
///
/// The same types as in [`std::net::ToSocketAddrs`] can. Numeric addresses need no wait; names are
/// looked up on a thread of [`block_on_io`], while the actor parks.
pub trait ToSocketAddrs {
    /// The addresses.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a text of the wrong form; those of the name's look-up.
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>>;
}

/// Of types that are addresses already.
macro_rules! immediate {
    ($($type:ty),*) => {$(
        impl ToSocketAddrs for $type {
            fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
                Ok(net::ToSocketAddrs::to_socket_addrs(self)?.collect())
            }
        }
    )*};
}

immediate!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for [SocketAddr] {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl ToSocketAddrs for str {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        match self.parse() {
            Ok(addr) => Ok(vec![addr]),
            Err(_) => look_up(self.to_owned()),
        }
    }
}

impl ToSocketAddrs for String {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        ToSocketAddrs::to_socket_addrs(self.as_str())
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![(ip, port).into()]),
            Err(_) => look_up((host.to_owned(), port)),
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        ToSocketAddrs::to_socket_addrs(&(self.0.as_str(), self.1))
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        ToSocketAddrs::to_socket_addrs(&**self)
    }
}

fn look_up<A: net::ToSocketAddrs + Send + 'static>(name: A) -> io::Result<Vec<SocketAddr>> {
    block_on_io(move || Ok(net::ToSocketAddrs::to_socket_addrs(&name)?.collect()))
}

/// The kernel's form of an address: room for any, and the length of this one.
pub(super) fn encode(addr: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: a sockaddr_storage of zeros is valid: integers and bytes.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let len = match addr {
        SocketAddr::V4(addr) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: addr.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: a sockaddr_storage has the size and alignment for every kind of address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
            mem::size_of_val(&raw)
        }
        SocketAddr::V6(addr) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: addr.port().to_be(),
                sin6_flowinfo: addr.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                sin6_scope_id: addr.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
            mem::size_of_val(&raw)
        }
    };
    (storage, len as libc::socklen_t)
}

/// The address that the kernel wrote.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for one that is not of the internet.
pub(super) fn decode(storage: &libc::sockaddr_storage) -> io::Result<SocketAddr> {
    let storage: *const libc::sockaddr_storage = storage;
    // SAFETY: the family can be read from any sockaddr_storage.
    match i32::from(unsafe { (*storage).ss_family }) {
        libc::AF_INET => {
            // SAFETY: the family says which form it has; the storage is large and aligned enough.
            let raw = unsafe { storage.cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
            Ok(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let raw = unsafe { storage.cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            let port = u16::from_be(raw.sin6_port);
            Ok(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id).into())
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not an internet address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_kernels_form() {
        for text in ["127.0.0.1:80", "1.2.3.4:65535", "[::1]:1", "[fe80::1:2:3]:443"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(decode(&encode(&addr).0).unwrap(), addr);
        }
        let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 7, 11, 13).into();
        assert_eq!(decode(&encode(&scoped).0).unwrap(), scoped);
        // SAFETY: a sockaddr_storage of zeros is valid.
        let unspecified = unsafe { mem::zeroed() };
        assert!(decode(&unspecified).is_err());
    }

    #[test]
    fn the_same_types_as_in_std_give_the_same_addresses() {
        let addr: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let both = [addr, "[::1]:81".parse().unwrap()];
        assert_eq!("127.0.0.1:80".to_socket_addrs().unwrap(), [addr]);
        assert_eq!("127.0.0.1:80".to_string().to_socket_addrs().unwrap(), [addr]);
        assert_eq!(("127.0.0.1", 80).to_socket_addrs().unwrap(), [addr]);
        assert_eq!(("127.0.0.1".to_string(), 80).to_socket_addrs().unwrap(), [addr]);
        assert_eq!((Ipv4Addr::LOCALHOST, 80).to_socket_addrs().unwrap(), [addr]);
        assert_eq!(both[..].to_socket_addrs().unwrap(), both);
    }

    #[test]
    fn a_name_is_looked_up_and_a_text_without_port_is_refused() {
        for addr in "localhost:80".to_socket_addrs().unwrap() {
            assert!(addr.ip().is_loopback());
        }
        assert!(("localhost", 80).to_socket_addrs().is_ok());
        assert_eq!("localhost".to_socket_addrs().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
