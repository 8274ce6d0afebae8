//! The certificates by which processes that talk over a network know each other.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::handshake::Handshake;
use super::material::{Material, wrong};
use crate::channel::address::Address;
use crate::error::{Error, Result};

/// Who this side of a connection is, by a certificate, and whom it trusts. It takes the place of an [`AuthKey`](crate::AuthKey) where machines have certificates already, or where a
/// key that all have in common is not wanted.
///
/// Both sides show a certificate, the listener and the client, and each refuses one that does not lead to an authority that it trusts, or whose time is over. The client also
/// looks whether the certificate is for the name that it has connected to. It is TLS 1.3 and nothing older, with rustls; sessions are never resumed. Certificates are not looked up in lists
/// of revoked ones: let them be short-lived.
///
/// All is in the form of PEM. The private key is never shown by `Debug`. Its text is overwritten when the last copy of this is dropped; what rustls makes of it is not. Like a key this can be an argument of a
/// [`Process`](crate::Process), which then can listen and connect by it.
///
/// # Examples
///
/// With certificates that are made here for the purpose; otherwise they come from files, by [`read`](Self::read):
///
/// ```
/// use multiprocess::{Client, Connection, Listener, Tls};
/// use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (key, mut authority) = (KeyPair::generate()?, CertificateParams::new([])?);
/// authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
/// let root = authority.self_signed(&key)?.pem();
/// let issuer = Issuer::new(authority, key);
/// let issue = |name: &str| -> Result<Tls, Box<dyn std::error::Error>> {
///     let key = KeyPair::generate()?;
///     let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &issuer)?;
///     Ok(Tls::from_pem(certificate.pem(), key.serialize_pem(), &root)?)
/// };
/// let listener = Listener::builder().tls(issue("127.0.0.1")?).bind(("127.0.0.1", 0))?;
///
/// // In a program on another machine:
/// let client = Client::builder().tls(issue("worker-7")?);
/// let theirs: Connection<u32, u32> = client.blocking_connect(listener.address())?;
///
/// let ours: Connection<u32, u32> = listener.blocking_accept()?;
/// theirs.blocking_send(&7)?;
/// assert_eq!(ours.blocking_recv()?, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    material: Arc<Material>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: Option<String>,
}

impl Tls {
    /// Of texts: the certificate of this side, with those that lead from it to an authority behind it; its private key (PKCS#8, PKCS#1 or SEC1); and the certificates of those who are trusted.
    ///
    /// # Errors
    ///
    /// `Error::Certificate` if one of them is not there or cannot be read, or if the key is not that of the certificate.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Tls};
    ///
    /// assert!(matches!(Tls::from_pem("no certificate", "no key", "nobody"), Err(Error::Certificate { .. })));
    /// ```
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>, roots: impl AsRef<[u8]>) -> Result<Self> {
        let owned = |text: &[u8]| text.to_vec();
        let (chain, key, roots) = (owned(chain.as_ref()), owned(key.as_ref()), owned(roots.as_ref()));
        Self::of(Material { chain, key, roots }, None)
    }

    /// As [`from_pem`](Self::from_pem), of files.
    ///
    /// # Errors
    ///
    /// As for [`from_pem`](Self::from_pem), and if a file cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiprocess::{Error, Tls};
    ///
    /// let tls = Tls::read("/etc/app/chain.pem", "/etc/app/key.pem", "/etc/app/roots.pem");
    /// # let tls: Result<Tls, Error> = tls;
    /// # assert!(matches!(tls, Err(Error::Certificate { .. })));
    /// ```
    pub fn read(chain: impl AsRef<Path>, key: impl AsRef<Path>, roots: impl AsRef<Path>) -> Result<Self> {
        let key = Zeroizing::new(file(key.as_ref())?);
        Self::from_pem(file(chain.as_ref())?, &*key, file(roots.as_ref())?)
    }

    /// The name that the listener's certificate must have; that of the host which a client connects to, unless it is set. At a path there is none, and it has to be set. It makes no difference to a listener.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use multiprocess::{Client, Connection, Tls};
    ///
    /// let tls = Tls::read("chain.pem", "key.pem", "roots.pem")?.server_name("scores.example.com");
    /// let scores: Connection<u32, u32> = Client::builder().tls(tls).blocking_connect(("10.0.0.7", 5000))?;
    /// # Ok::<(), multiprocess::Error>(())
    /// ```
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    fn of(material: Material, name: Option<String>) -> Result<Self> {
        let (server, client) = material.configs()?;
        Ok(Self { material: Arc::new(material), server, client, name })
    }

    /// How a listener begins.
    pub(in crate::channel::net) fn listener(&self) -> Result<Handshake> {
        Handshake::listener(Arc::clone(&self.server))
    }

    /// How a client begins that connects to this address.
    pub(in crate::channel::net) fn client(&self, address: &Address) -> Result<Handshake> {
        let name = match (&self.name, address) {
            (Some(name), _) => name.as_str(),
            // The interface of an address is no part of the name.
            (None, Address::Tcp { host, .. }) => host.split('%').next().unwrap_or(host),
            (None, Address::Unix(_)) => {
                return Err(unnamed("at a path it has to be told what the listener's certificate is for"));
            }
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| unnamed(format!("{name:?} is no name of a host")))?;
        Handshake::client(Arc::clone(&self.client), name)
    }
}

fn file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|cause| wrong(format!("{} cannot be read: {cause}", path.display())))
}

fn unnamed(why: impl Into<String>) -> Error {
    Error::option("server_name", why)
}

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.name).finish_non_exhaustive()
    }
}

impl Serialize for Tls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&*self.material, &self.name).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (material, name) = <(Material, Option<String>)>::deserialize(deserializer)?;
        Self::of(material, name).map_err(D::Error::custom)
    }
}
