//! Why the other side is not who it should be, in words.

use rustls::{AlertDescription, CertificateError, Error};

use crate::channel::net::handshake::refused;

/// As an error of a handshake.
pub(super) fn no_handshake(error: &Error) -> crate::Error {
    refused(reason(error))
}

pub(super) fn reason(error: &Error) -> &'static str {
    match error {
        Error::NoCertificatesPresented => "the other side has shown no certificate",
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(_) => "the other side has another version of TLS, or none of its ciphers",
        Error::NoApplicationProtocol => ANOTHER_PROTOCOL,
        Error::DecryptError => "it was changed, repeated or exchanged on its way",
        _ => "what came is no TLS, or not as it should be",
    }
}

pub(super) const ANOTHER_PROTOCOL: &str =
    "the other side speaks another protocol, or another version of this one";

fn of_certificate(why: &CertificateError) -> &'static str {
    use CertificateError as E;
    match why {
        E::Expired | E::ExpiredContext { .. } => "the certificate of the other side has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "the certificate of the other side is not valid yet",
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "the certificate of the other side is for another name"
        }
        E::UnknownIssuer | E::BadSignature => {
            "the certificate of the other side is of no authority that is trusted here"
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the certificate of the other side is for another purpose"
        }
        _ => "the certificate of the other side is not as it should be",
    }
}

/// What the other side says before it leaves.
fn of_alert(alert: AlertDescription) -> &'static str {
    use AlertDescription as A;
    match alert {
        A::UnknownCA => "the other side does not trust the authority of this certificate",
        A::CertificateExpired => "the other side says that this certificate has expired, or is not valid yet",
        A::CertificateRequired => "the other side wants a certificate",
        A::ProtocolVersion => "the other side has another version of TLS",
        A::NoApplicationProtocol => ANOTHER_PROTOCOL,
        // The last is for a signature that is not the authority's.
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateUnknown
        | A::CertificateRevoked
        | A::DecryptError => "the other side does not take this certificate",
        _ => "the other side has broken the handshake off",
    }
}
