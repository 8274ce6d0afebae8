//! Whoever issues certificates, and all the ways in which two sides can know each other.

#[cfg(feature = "tls")]
use multiprocess::Tls;
use multiprocess::{AuthKey, Credentials};

/// What a listener and its clients may have in common: a key, and with the feature `tls` certificates.
pub fn all_credentials() -> Vec<Credentials> {
    vec![
        AuthKey::generate().into(),
        #[cfg(feature = "tls")]
        Authority::new().issue("localhost").server_name("localhost").into(),
    ]
}

#[cfg(feature = "tls")]
pub use with_tls::{Authority, Certified};

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::atomic::{AtomicU32, Ordering};

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::Tls;

    pub struct Authority {
        issuer: Issuer<'static, KeyPair>,
        root: String,
    }

    /// A certificate and its key, as text.
    pub struct Certified {
        pub certificate: String,
        pub key: String,
    }

    impl Authority {
        pub fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            Self::named(&format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed)))
        }

        pub fn named(name: &str) -> Self {
            let key = KeyPair::generate().expect("there is randomness");
            let mut params = CertificateParams::new([]).expect("it has no names");
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let root = params.self_signed(&key).expect("it can be signed").pem();
            Self { issuer: Issuer::new(params, key), root }
        }

        /// Its own certificate.
        pub fn root(&self) -> &str {
            &self.root
        }

        pub fn certify(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certified {
            let key = KeyPair::generate().expect("there is randomness");
            let mut params = CertificateParams::new([name.to_owned()]).expect("it is a name");
            change(&mut params);
            let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed").pem();
            Certified { certificate, key: key.serialize_pem() }
        }

        /// Somebody of this name, who trusts this authority.
        pub fn issue(&self, name: &str) -> Tls {
            self.issue_with(name, |_| {})
        }

        pub fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Tls {
            self.trusting(&self.certify(name, change))
        }

        /// Somebody who has this and trusts this authority.
        pub fn trusting(&self, certified: &Certified) -> Tls {
            Tls::from_pem(&certified.certificate, &certified.key, &self.root).expect("all is there")
        }
    }
}
