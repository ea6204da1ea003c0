//! Client certificates that `sekisho dev` did not make: made with its CA, or with another one.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The certificate that `sekisho dev` made for a service of the pack.
pub fn of_service(data: &Path, service: &str) -> Identity {
    let folder = data.join("dev/services");
    Identity {
        certificate: folder.join(format!("{service}.pem")),
        key: folder.join(format!("{service}.key")),
    }
}

/// The trust domain, read from a certificate that `sekisho dev` made.
pub fn trust_domain(data: &Path) -> String {
    let made = fs::read_dir(data.join("dev/services")).expect("certificates of services");
    let path = made
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "pem"))
        .expect("a service's certificate");
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, pem) = parse_x509_pem(&text).expect("a certificate in PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    let names = certificate
        .subject_alternative_name()
        .expect("readable names")
        .expect("a certificate with names");
    let uri = names
        .value
        .general_names
        .iter()
        .find_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix("spiffe://"),
            _ => None,
        });
    uri.and_then(|uri| uri.split('/').next())
        .expect("a SPIFFE name")
        .to_owned()
}

/// A certificate with these URI names, signed by the CA that `sekisho dev` made.
pub fn signed_by_dev(data: &Path, into: &Path, file: &str, uris: &[String]) -> Identity {
    let read = |name: &str| {
        let path = data.join("dev").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let key = KeyPair::from_pem(&read("ca.key")).expect("the CA's key");
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).expect("the CA's certificate");
    write(into, file, uris, &issuer)
}

/// The same, signed by a CA of the same name that nobody knows.
pub fn signed_by_stranger(into: &Path, file: &str, uris: &[String]) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
        .distinguished_name
        .push(DnType::CommonName, "sekisho dev CA");
    let issuer = Issuer::new(parameters, key);
    write(into, file, uris, &issuer)
}

fn write(into: &Path, file: &str, uris: &[String], issuer: &Issuer<'_, KeyPair>) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, file);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters.subject_alt_names = uris
        .iter()
        .map(|uri| SanType::URI(uri.as_str().try_into().expect("an ASCII name")))
        .collect();
    let certificate = parameters
        .signed_by(&key, issuer)
        .expect("a signed certificate");
    let identity = Identity {
        certificate: into.join(format!("{file}.pem")),
        key: into.join(format!("{file}.key")),
    };
    fs::write(&identity.certificate, certificate.pem()).expect("a certificate on disk");
    fs::write(&identity.key, key.serialize_pem()).expect("a key on disk");
    identity
}
