//! What certificates and keys are made of, as text, and what the handshakes need of them.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::error::{Error, Result};

/// The protocol within TLS, and its version.
pub(super) const PROTOCOL: &[u8] = b"multiprocess/1";

/// The texts, as they travel to another process of the program.
#[derive(Serialize, Deserialize)]
pub(super) struct Material {
    pub(super) chain: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) roots: Vec<u8>,
}

impl Drop for Material {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Material {
    /// That of a listener and of a client.
    pub(super) fn configs(&self) -> Result<(Arc<ServerConfig>, Arc<ClientConfig>)> {
        let (chain, roots) = (self.chain()?, Arc::new(self.roots()?));
        Ok((Arc::new(self.server(chain.clone(), &roots)?), Arc::new(self.client(chain, roots)?)))
    }

    fn server(
        &self,
        chain: Vec<CertificateDer<'static>>,
        roots: &Arc<RootCertStore>,
    ) -> Result<ServerConfig> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
        let verifier = verifier.build().map_err(|why| wrong(format!("of what is trusted: {why}")))?;
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(unfit)?.with_client_cert_verifier(verifier);
        let mut config = builder.with_single_cert(chain, self.key()?).map_err(unfit)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Each connection shows its certificate anew.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    fn client(&self, chain: Vec<CertificateDer<'static>>, roots: Arc<RootCertStore>) -> Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
        let builder = builder.map_err(unfit)?.with_root_certificates(roots);
        let mut config = builder.with_client_auth_cert(chain, self.key()?).map_err(unfit)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        let chain = certificates(&self.chain).map_err(|why| wrong(format!("of the chain: {why}")))?;
        if chain.is_empty() { Err(wrong("the chain has no certificate")) } else { Ok(chain) }
    }

    fn roots(&self) -> Result<RootCertStore> {
        let untrusted = |why: String| wrong(format!("of what is trusted: {why}"));
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.roots).map_err(untrusted)? {
            roots.add(root).map_err(|why| untrusted(why.to_string()))?;
        }
        if roots.is_empty() {
            Err(wrong("there is no certificate of anybody who is trusted"))
        } else {
            Ok(roots)
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| wrong("there is no private key in the form of PEM"))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|why| why.to_string())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The key does not fit the certificate, most likely.
fn unfit(why: rustls::Error) -> Error {
    wrong(why.to_string())
}

pub(super) fn wrong(why: impl Into<String>) -> Error {
    Error::Certificate { why: why.into() }
}
