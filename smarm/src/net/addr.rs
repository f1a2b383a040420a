//! Socket addresses: from names, and to and from the kernel's form.

use std::io;
use std::iter::Cloned;
use std::mem;
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{option, slice, vec};

use crate::host::sys::check;
use crate::io::block_on_io;

/// What can be turned into socket addresses, in the order in which they are to be tried.
///
/// The same types as in [`std::net::ToSocketAddrs`] can. Numeric addresses need no wait; names are
/// looked up on a thread of [`block_on_io`], while the actor parks.
pub trait ToSocketAddrs {
    /// What gives the addresses.
    type Iter: Iterator<Item = SocketAddr>;

    /// The addresses.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a text of the wrong form; those of the name's look-up.
    fn to_socket_addrs(&self) -> io::Result<Self::Iter>;
}

/// Of types that are one address already.
macro_rules! immediate {
    ($($type:ty),*) => {$(
        impl ToSocketAddrs for $type {
            type Iter = option::IntoIter<SocketAddr>;

            fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
                net::ToSocketAddrs::to_socket_addrs(self)
            }
        }
    )*};
}

immediate!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl<'a> ToSocketAddrs for &'a [SocketAddr] {
    type Iter = Cloned<slice::Iter<'a, SocketAddr>>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.iter().cloned())
    }
}

impl ToSocketAddrs for str {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        match self.parse() {
            Ok(addr) => Ok(vec![addr].into_iter()),
            Err(_) => match simulated(self) {
                Some(found) => found,
                None => look_up(self.to_owned()),
            },
        }
    }
}

impl ToSocketAddrs for String {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        self.as_str().to_socket_addrs()
    }
}

impl ToSocketAddrs for (&str, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![(ip, port).into()].into_iter()),
            Err(_) => match found_in_simulation(host, port) {
                Some(found) => found,
                None => look_up((host.to_owned(), port)),
            },
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        (self.0.as_str(), self.1).to_socket_addrs()
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    type Iter = T::Iter;

    fn to_socket_addrs(&self) -> io::Result<T::Iter> {
        (**self).to_socket_addrs()
    }
}

/// What a name with a port, as in `host:80`, stands for in a simulation.
fn simulated(text: &str) -> Option<io::Result<vec::IntoIter<SocketAddr>>> {
    let (host, port) = text.rsplit_once(':')?;
    found_in_simulation(host, port.parse().ok()?)
}

#[cfg(feature = "sim")]
fn found_in_simulation(host: &str, port: u16) -> Option<io::Result<vec::IntoIter<SocketAddr>>> {
    Some(crate::sim::resolve(host, port)?.map(Vec::into_iter))
}

#[cfg(not(feature = "sim"))]
fn found_in_simulation(_: &str, _: u16) -> Option<io::Result<vec::IntoIter<SocketAddr>>> {
    None
}

fn look_up<A: net::ToSocketAddrs + Send + 'static>(name: A) -> io::Result<vec::IntoIter<SocketAddr>> {
    block_on_io(move || Ok(net::ToSocketAddrs::to_socket_addrs(&name)?.collect::<Vec<_>>().into_iter()))
}

/// All addresses, for std, which tries them in turn.
pub(super) fn all(addr: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    Ok(addr.to_socket_addrs()?.collect())
}

/// What `attempt` makes of the first address with which it succeeds, or the error of the last.
pub(super) fn first_that_succeeds<T>(
    addr: impl ToSocketAddrs,
    mut attempt: impl FnMut(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = Err(no_address());
    for addr in addr.to_socket_addrs()? {
        last = attempt(&addr);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// The error for a name without addresses.
pub(super) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address")
}

/// A new socket of this kind for an address of this family, non-blocking.
pub(super) fn open(addr: &SocketAddr, kind: libc::c_int) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: socket takes no pointers.
    let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) })?;
    // SAFETY: the descriptor was opened just now, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option of the socket layer that is on or off.
pub(super) fn set_flag(fd: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    let yes: libc::c_int = 1;
    let (value, size) = ((&raw const yes).cast(), mem::size_of_val(&yes) as libc::socklen_t);
    // SAFETY: the kernel reads the one integer that `value` points to.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, value, size) })?;
    Ok(())
}

/// Binds a new socket to an address that others of the same user may be bound to in the same way.
pub(super) fn bind_group(fd: BorrowedFd<'_>, addr: &SocketAddr) -> io::Result<()> {
    set_flag(fd, libc::SO_REUSEPORT)?;
    let (storage, len) = encode(addr);
    // SAFETY: the first `len` bytes of `storage` are an address, and live through the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const storage).cast(), len) })?;
    Ok(())
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

    fn found(addr: impl ToSocketAddrs) -> Vec<SocketAddr> {
        all(addr).unwrap()
    }

    #[test]
    fn the_same_types_as_in_std_give_the_same_addresses() {
        let addr: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let both = [addr, "[::1]:81".parse().unwrap()];
        assert_eq!(found(addr), [addr]);
        assert_eq!(found("127.0.0.1:80"), [addr]);
        assert_eq!(found("127.0.0.1:80".to_string()), [addr]);
        assert_eq!(found(("127.0.0.1", 80)), [addr]);
        assert_eq!(found(("127.0.0.1".to_string(), 80)), [addr]);
        assert_eq!(found((Ipv4Addr::LOCALHOST, 80)), [addr]);
        assert_eq!(found(&both[..]), both);
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
