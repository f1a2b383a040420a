//! The kernel's form of a Unix address.

use std::mem::{self, offset_of};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

/// The kernel's form of an address, and how much of it counts.
pub(super) fn encode(addr: &SocketAddr) -> (libc::sockaddr_un, libc::socklen_t) {
    // SAFETY: a sockaddr_un of zeros is valid: integers and bytes.
    let mut raw: libc::sockaddr_un = unsafe { mem::zeroed() };
    raw.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // A path ends with a zero, an abstract name begins with one.
    let (name, begin, end) = match (addr.as_pathname(), addr.as_abstract_name()) {
        (Some(path), _) => (path.as_os_str().as_bytes(), 0, 1),
        (None, Some(name)) => (name, 1, 0),
        (None, None) => (&[][..], 0, 0),
    };
    // std has checked that there is room for it.
    for (place, byte) in raw.sun_path[begin..].iter_mut().zip(name) {
        *place = byte.cast_signed();
    }
    let len = offset_of!(libc::sockaddr_un, sun_path) + begin + name.len() + end;
    (raw, len as libc::socklen_t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_address_has_the_kernels_length() {
        let base = offset_of!(libc::sockaddr_un, sun_path);
        let path = SocketAddr::from_pathname("/tmp/x").unwrap();
        let (raw, len) = encode(&path);
        assert_eq!(len as usize, base + 7);
        assert_eq!(
            raw.sun_path[..7].iter().map(|byte| byte.cast_unsigned()).collect::<Vec<_>>(),
            b"/tmp/x\0"
        );
        let (raw, len) = encode(&SocketAddr::from_abstract_name("name").unwrap());
        assert_eq!(len as usize, base + 5);
        assert_eq!(raw.sun_path[..5].iter().map(|byte| byte.cast_unsigned()).collect::<Vec<_>>(), b"\0name");
        let longest = "x".repeat(107);
        let (raw, len) = encode(&SocketAddr::from_pathname(longest).unwrap());
        assert_eq!((len as usize, raw.sun_path[107]), (base + 108, 0));
    }
}
