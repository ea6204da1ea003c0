//! Certificates that `init` and `dev` make: an authority of their own, the server's, and the clients'. A company with an
//! authority of its own names that in the configuration instead.

use std::path::Path;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::Failure;
use crate::domain::time::Timestamp;
use crate::files;

const AUTHORITY_DAYS: i64 = 3_650;
const CERTIFICATE_DAYS: i64 = 825;
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// An authority whose key is at hand.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    now: OffsetDateTime,
}

impl Authority {
    /// Makes a new one: `ca.pem` and `ca.key` in `folder`.
    pub(super) fn create(
        folder: &Path,
        trust_domain: &str,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let now = calendar(now)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&format!("sekisho authority of {trust_domain}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_for(&mut params, now, AUTHORITY_DAYS);
        let key = KeyPair::generate().map_err(Failure::cannot_create)?;
        let certificate = params.self_signed(&key).map_err(Failure::cannot_create)?;
        write(&folder.join("ca.pem"), certificate.pem().as_bytes())?;
        write(&folder.join("ca.key"), key.serialize_pem().as_bytes())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            now,
        })
    }

    /// Takes up the one in `folder`.
    pub(super) fn open(folder: &Path, now: Timestamp) -> Result<Self, Failure> {
        let read = |name: &str| {
            let path = folder.join(name);
            let bytes =
                files::read_private(&path, FILE_MAX_BYTES).map_err(Failure::configuration)?;
            String::from_utf8(bytes.to_vec())
                .map_err(|_| Failure::configuration(format!("{}: is not text", path.display())))
        };
        let key = KeyPair::from_pem(&read("ca.key")?).map_err(Failure::configuration)?;
        let issuer =
            Issuer::from_ca_cert_pem(&read("ca.pem")?, key).map_err(Failure::configuration)?;
        Ok(Self {
            issuer,
            now: calendar(now)?,
        })
    }

    /// Makes the server's certificate, for loopback and for `hosts`.
    pub(super) fn server(&self, folder: &Path, hosts: &[String]) -> Result<(), Failure> {
        let mut names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        names.extend_from_slice(hosts);
        let mut params = CertificateParams::new(names)
            .map_err(|error| Failure::new(64, format!("--host: {error}")))?;
        params.distinguished_name = common_name("sekisho");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, folder, "server")
    }

    /// Makes a client's certificate, `<id>.pem` and `<id>.key`, under `spiffe://<trust domain>/service/<id>`.
    pub(super) fn client(
        &self,
        folder: &Path,
        trust_domain: &str,
        id: &str,
    ) -> Result<(), Failure> {
        let name = Ia5String::try_from(format!("spiffe://{trust_domain}/service/{id}"))
            .map_err(Failure::cannot_create)?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(name)];
        params.distinguished_name = common_name(id);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, folder, id)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        folder: &Path,
        name: &str,
    ) -> Result<(), Failure> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        valid_for(&mut params, self.now, CERTIFICATE_DAYS);
        let key = KeyPair::generate().map_err(Failure::cannot_create)?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(Failure::cannot_create)?;
        write(
            &folder.join(format!("{name}.key")),
            key.serialize_pem().as_bytes(),
        )?;
        write(
            &folder.join(format!("{name}.pem")),
            certificate.pem().as_bytes(),
        )
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From an hour ago, since clocks differ a little.
fn valid_for(params: &mut CertificateParams, now: OffsetDateTime, days: i64) {
    params.not_before = now.saturating_sub(Duration::hours(1));
    params.not_after = now.saturating_add(Duration::days(days));
}

fn calendar(now: Timestamp) -> Result<OffsetDateTime, Failure> {
    now.to_utc()
        .ok_or_else(|| Failure::new(70, "the clock is beyond the year 9999"))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    files::write_private(path, content).map_err(Failure::cannot_create)
}
