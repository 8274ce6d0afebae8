//! Where a listener listens.

use std::ffi::{OsStr, OsString};
use std::fmt;
#[cfg(feature = "net")]
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const UNIX: &str = "unix:";
const TCP: &str = "tcp:";

/// Where a [`Listener`](crate::Listener) listens and a [`Client`](crate::Client) connects. As text it is `unix:` and a path, or `tcp:`, a host and a port. It can be an argument of a
/// task or a [`Process`](crate::Process).
///
/// # Examples
///
/// ```
/// use std::path::Path;
/// use multiprocess::Address;
///
/// let address: Address = "unix:/run/app.sock".parse()?;
/// assert_eq!(address, Address::from(Path::new("/run/app.sock")));
/// assert_eq!(address.to_string(), "unix:/run/app.sock");
/// # Ok::<(), multiprocess::Error>(())
/// ```
///
/// With the feature `net`:
///
/// ```
/// # #[cfg(feature = "net")] {
/// use std::net::Ipv6Addr;
/// use multiprocess::Address;
///
/// let address: Address = "tcp:localhost:5000".parse()?;
/// assert_eq!(address, Address::from(("localhost", 5000)));
/// assert_eq!(Address::from((Ipv6Addr::LOCALHOST, 5000)).to_string(), "tcp:[::1]:5000");
/// # }
/// # Ok::<(), multiprocess::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// A path of the file system, for processes of this machine. Python: `AF_UNIX`.
    Unix(PathBuf),
    /// A port of a machine. Only with a key. Python: `AF_INET`.
    #[cfg(feature = "net")]
    Tcp {
        /// A name, or an address of version 4 or 6, without brackets. A listener at `0.0.0.0` or `::` can be reached by every address of the machine.
        host: String,
        /// The port; 0 stands for any that is free, and the listener tells which.
        port: u16,
    },
}

impl Address {
    /// The path, if it is one.
    ///
    /// # Examples
    ///
    /// ```
    /// let listener = multiprocess::Listener::new()?;
    /// assert!(listener.address().path().is_some_and(|path| path.exists()));
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            #[cfg(feature = "net")]
            Self::Tcp { .. } => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            #[cfg(feature = "net")]
            Self::Tcp { host, port } if host.contains(':') => write!(f, "{TCP}[{host}]:{port}"),
            #[cfg(feature = "net")]
            Self::Tcp { host, port } => write!(f, "{TCP}{host}:{port}"),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix(UNIX).filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        match text.strip_prefix(TCP) {
            Some(port) => tcp(port).map_err(|why| no_address(text, why)),
            None => Err(no_address(text, "it is `unix:` and a path, or `tcp:`, a host and a port")),
        }
    }
}

#[cfg(feature = "net")]
fn tcp(text: &str) -> Result<Address, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("there is no port")?;
    let port = port.parse().map_err(|_| "its port is no number up to 65535")?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare.unwrap_or(host) {
        "" => Err("there is no host"),
        host if bare.is_none() && host.contains(':') => Err("an address of version 6 stands in brackets"),
        host => Ok(Address::Tcp { host: host.to_owned(), port }),
    }
}

#[cfg(not(feature = "net"))]
fn tcp(_text: &str) -> Result<Address, &'static str> {
    Err("TCP needs the feature `net`")
}

fn no_address(text: &str, why: &str) -> Error {
    Error::option("address", format!("{text:?} is none: {why}"))
}

macro_rules! paths {
    ($($path:ty),*) => {
        $(
            impl From<$path> for Address {
                fn from(path: $path) -> Self {
                    Self::Unix(path.into())
                }
            }
        )*
    };
}

paths!(PathBuf, &PathBuf, &Path, OsString, &OsStr);

impl From<&Self> for Address {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

#[cfg(feature = "net")]
impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            // The number of the interface belongs to such an address.
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            _ => address.ip().to_string(),
        };
        Self::Tcp { host, port: address.port() }
    }
}

/// A name or an address, and a port. Python's `('localhost', 5000)`.
#[cfg(feature = "net")]
impl<H: ToString> From<(H, u16)> for Address {
    fn from((host, port): (H, u16)) -> Self {
        Self::Tcp { host: host.to_string(), port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let mut texts = vec!["unix:/run/app.sock", "unix:here", "unix:tcp:x"];
        if cfg!(feature = "net") {
            texts.extend([
                "tcp:localhost:0",
                "tcp:127.0.0.1:65535",
                "tcp:[::1]:5000",
                "tcp:[fe80::1%eth0]:1",
            ]);
        }
        for text in texts {
            let address: Address = text.parse().expect("it is one");
            assert_eq!(address.to_string(), text);
        }
    }

    // conformance C077
    #[test]
    fn what_is_no_address_is_an_error() {
        let none =
            ["", "unix:", "/run/app.sock", "tcp:", "tcp:host", "tcp::1", "tcp:host:65536", "tcp:::1:5"];
        for text in none {
            let error = text.parse::<Address>().expect_err("it is none");
            assert!(matches!(error, Error::Option { option: "address", .. }), "{error:?}");
        }
    }

    #[cfg(feature = "net")]
    #[test]
    fn an_address_of_a_socket_keeps_all_of_it() {
        for text in ["127.0.0.1:80", "[::1]:80", "[fe80::1%3]:80"] {
            let socket: SocketAddr = text.parse().expect("it is one");
            assert_eq!(Address::from(socket).to_string(), format!("tcp:{text}"));
        }
    }
}
