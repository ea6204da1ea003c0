//! What a client certificate says of the service that holds it. That it is of the right authority and not tampered with is
//! TLS's to find; here only the names are read.

use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::domain::ids::NAME_MAX_BYTES;
use crate::domain::time::Timestamp;

/// A client certificate, read once per connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The service it claims to be.
    pub name: ClaimedName,
    /// SHA-256 of the certificate (DER).
    pub fingerprint: [u8; 32],
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
}

/// The name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimedName {
    /// Exactly one URI name, `spiffe://<trust domain>/service/<id>` (SPIFFE-ID, 2; X509-SVID, 2: exactly one URI SAN).
    Spiffe {
        /// The trust domain.
        trust_domain: Box<str>,
        /// The service id.
        service: Box<str>,
    },
    /// No URI name; these DNS names, lower case.
    Dns(Vec<Box<str>>),
    /// No name that counts, and why.
    None(&'static str),
}

impl Certificate {
    /// Reads a certificate (DER). One that can't be read has no name.
    #[must_use]
    pub fn read(der: &[u8]) -> Self {
        let fingerprint = Sha256::digest(der).into();
        let unreadable = Self {
            name: ClaimedName::None("the certificate can't be read"),
            fingerprint,
            not_before: Timestamp::from_micros(i64::MAX),
            not_after: Timestamp::from_micros(i64::MIN),
        };
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return unreadable;
        };
        let validity = certificate.validity();
        Self {
            name: name_of(&certificate),
            not_before: Timestamp::from_seconds(validity.not_before.timestamp()),
            not_after: Timestamp::from_seconds(validity.not_after.timestamp()),
            ..unreadable
        }
    }
}

fn name_of(certificate: &X509Certificate<'_>) -> ClaimedName {
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names,
        Ok(None) => return ClaimedName::None("no subject alternative name"),
        Err(_) => return ClaimedName::None("more than one list of names"),
    };
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(_), Some(_)) => ClaimedName::None("more than one URI name"),
        (Some(uri), None) => {
            spiffe(uri).unwrap_or(ClaimedName::None("the URI name is no service's"))
        }
        (None, _) => {
            let dns: Vec<Box<str>> = names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
                    _ => None,
                })
                .collect();
            if dns.is_empty() {
                ClaimedName::None("neither a URI name nor a DNS name")
            } else {
                ClaimedName::Dns(dns)
            }
        }
    }
}

fn spiffe(uri: &str) -> Option<ClaimedName> {
    let (trust_domain, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
    let service = path.strip_prefix("service/")?;
    let of_trust_domain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    let of_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let well_formed = !trust_domain.is_empty()
        && trust_domain.len() <= NAME_MAX_BYTES
        && trust_domain.bytes().all(of_trust_domain)
        && !service.is_empty()
        && service.len() <= NAME_MAX_BYTES
        && service.bytes().all(of_path)
        && !matches!(service, "." | "..");
    well_formed.then(|| ClaimedName::Spiffe {
        trust_domain: trust_domain.into(),
        service: service.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn named(names: &[SanType]) -> ClaimedName {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::read(certificate.der()).name
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(Ia5String::try_from(text).unwrap())
    }

    #[test]
    fn one_uri_name_names_the_service() {
        let expected = ClaimedName::Spiffe {
            trust_domain: "sekisho.test".into(),
            service: "career-crm".into(),
        };
        let name = uri("spiffe://sekisho.test/service/career-crm");
        assert_eq!(named(&[name.clone(), dns("billing.internal")]), expected);
    }

    #[test]
    fn two_uri_names_or_another_form_name_nobody() {
        for names in [
            vec![uri("spiffe://a/service/x"), uri("spiffe://a/service/y")],
            vec![uri("spiffe://a/service/x"), uri("https://a/")],
            vec![uri("https://a/service/x"), dns("x.internal")],
            vec![uri("spiffe://a/service/x/y")],
            vec![uri("spiffe://a/service/")],
            vec![uri("spiffe:///service/x")],
            vec![uri("spiffe://A/service/x")],
            vec![uri("spiffe://a/service/x?y")],
            vec![uri("SPIFFE://a/service/x")],
            vec![],
        ] {
            assert!(matches!(named(&names), ClaimedName::None(_)), "{names:?}");
        }
    }

    #[test]
    fn dns_names_count_only_without_a_uri_name() {
        assert_eq!(
            named(&[dns("Crm.Internal")]),
            ClaimedName::Dns(vec!["crm.internal".into()])
        );
    }

    #[test]
    fn what_is_no_certificate_has_no_name_and_no_validity() {
        let read = Certificate::read(b"no certificate");
        assert!(matches!(read.name, ClaimedName::None(_)));
        assert!(read.not_before > read.not_after);
    }
}
