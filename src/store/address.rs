//! Where a PostgreSQL store is: `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=/path/ca.pem`.
//! Taken apart here and strictly, so that nothing in it is ignored, and so that its password has a place that prints nothing.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use url::{Host as UrlHost, Url};
use zeroize::Zeroizing;

use super::error::StoreError;
use crate::files;

const PORT: u16 = 5_432;
const PASSWORD_MAX_BYTES: u64 = 4_096;

/// Where a PostgreSQL store is and how it is spoken to. Prints no password.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) encryption: Encryption,
    password: Option<Zeroizing<String>>,
    password_file: Option<PathBuf>,
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// A name or an address.
    Name(String),
    /// The directory of its socket on this machine.
    Socket(PathBuf),
}

/// How what is said is kept from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Encryption {
    /// It doesn't leave the machine.
    None,
    /// TLS, with a certificate for the host's name by `authority` (PEM).
    Verified {
        /// The file with the authority's certificate.
        authority: PathBuf,
    },
}

impl PostgresAddress {
    /// Takes an address apart. Relative paths are taken from `folder`; the password can be in `password_file` (0600, read when
    /// the store is opened) instead of in the address.
    ///
    /// # Errors
    /// What is wrong with it, without repeating any of it: it may hold a password.
    pub fn parse(
        text: &str,
        password_file: Option<&Path>,
        folder: &Path,
    ) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| {
            "is not an address such as postgres://sekisho@127.0.0.1/sekisho (what is no letter or digit in a password is percent-encoded)"
        })?;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err(
                "doesn't begin with postgres://; leave it out for the embedded store in the data directory",
            );
        }
        if url.fragment().is_some() {
            return Err("has a part after #; percent-encode it in a password");
        }
        let mut user = decode(url.username())?;
        let (mut socket, mut mode, mut authority) = (None, None, None);
        for (key, value) in url.query_pairs() {
            let slot = match &*key {
                "host" => &mut socket,
                "sslmode" => &mut mode,
                "sslrootcert" => &mut authority,
                "user" if user.is_empty() => {
                    user = value.into_owned();
                    continue;
                }
                "password" => return Err("has its password after the ?; name a password_file"),
                _ => {
                    return Err("has a parameter that is none of host, user, sslmode, sslrootcert");
                }
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err("has a parameter twice");
            }
        }
        if user.is_empty() {
            return Err("names no user");
        }
        let database = decode(url.path().strip_prefix('/').unwrap_or_default())?;
        if database.is_empty() || database.contains('/') {
            return Err("names no database, as in postgres://host/database");
        }
        let password = url.password().map(decode).transpose()?.map(Zeroizing::new);
        if password.is_some() && password_file.is_some() {
            return Err("has a password, and password_file names another");
        }
        let host = read_host(&url, socket)?;
        let encryption = read_encryption(&host, mode.as_deref(), authority, folder)?;
        Ok(Self {
            host,
            port: url.port().unwrap_or(PORT),
            user,
            database,
            encryption,
            password,
            password_file: password_file.map(|file| folder.join(file)),
        })
    }

    /// The password, read from its file if it has one.
    pub(super) fn password(&self) -> Result<Option<Zeroizing<String>>, StoreError> {
        let Some(path) = &self.password_file else {
            return Ok(self.password.clone());
        };
        let bytes = files::read_private(path, PASSWORD_MAX_BYTES)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| StoreError::PasswordFile(path.clone()))?
            .trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(StoreError::PasswordFile(path.clone()));
        }
        Ok(Some(Zeroizing::new(text.to_owned())))
    }
}

fn read_host(url: &Url, socket: Option<String>) -> Result<Host, &'static str> {
    match (url.host().filter(|host| host.to_string() != ""), socket) {
        (None, Some(directory)) if directory.starts_with('/') => {
            Ok(Host::Socket(PathBuf::from(directory)))
        }
        (None, _) => Err(
            "names no host; for a socket of this machine: postgres:///database?host=/directory&user=name",
        ),
        (Some(_), Some(_)) => Err("names two hosts"),
        // Without the brackets that it has in an address.
        (Some(UrlHost::Ipv6(address)), None) => Ok(Host::Name(address.to_string())),
        (Some(host), None) => {
            let host = host.to_string();
            let plain = host
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "-._:".contains(character));
            if plain {
                Ok(Host::Name(host))
            } else {
                Err("names a host that can't be one")
            }
        }
    }
}

fn read_encryption(
    host: &Host,
    mode: Option<&str>,
    authority: Option<String>,
    folder: &Path,
) -> Result<Encryption, &'static str> {
    let on_this_machine = match host {
        Host::Socket(_) => true,
        Host::Name(name) => name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback()),
    };
    match (mode, authority) {
        (Some("verify-full"), Some(authority)) if !authority.is_empty() => {
            if matches!(host, Host::Socket(_)) {
                return Err("asks for TLS on a socket of this machine");
            }
            let authority = folder.join(authority);
            Ok(Encryption::Verified { authority })
        }
        (Some("verify-full"), _) => {
            Err("needs sslrootcert=FILE: the authority of the server's certificate")
        }
        (None | Some("disable"), None) if on_this_machine => Ok(Encryption::None),
        (None | Some("disable"), None) => Err(
            "is not at a loopback address (127.0.0.1, ::1) or a socket of this machine: add sslmode=verify-full&sslrootcert=FILE, since passwords' hashes and sealed seeds are not sent in clear",
        ),
        (None | Some("disable"), Some(_)) => Err("has sslrootcert, but not sslmode=verify-full"),
        _ => Err("has an sslmode that is neither verify-full nor disable"),
    }
}

/// Percent-decodes; what is not UTF-8 then is refused.
fn decode(text: &str) -> Result<String, &'static str> {
    let wrong = "is not percent-encoded as it should be";
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or(wrong)?;
        bytes.extend(
            HEXLOWER_PERMISSIVE
                .decode(digits.as_bytes())
                .map_err(|_| wrong)?,
        );
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or(wrong)
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(host) if host.contains(':') => write!(f, "postgres://[{host}]")?,
            Host::Name(host) => write!(f, "postgres://{host}")?,
            Host::Socket(directory) => write!(f, "postgres:{}", directory.display())?,
        }
        write!(f, ":{}/{}", self.port, self.database)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PostgresAddress, &'static str> {
        PostgresAddress::parse(text, None, Path::new("/etc/sekisho"))
    }

    #[test]
    fn an_address_is_taken_apart() {
        let address = parse("postgres://sek%40isho:p%3A%2Fss@127.0.0.1:6000/people").unwrap();
        assert_eq!(address.host, Host::Name("127.0.0.1".to_owned()));
        assert_eq!((address.port, &*address.user), (6_000, "sek@isho"));
        assert_eq!(address.database, "people");
        assert_eq!(address.password().unwrap().unwrap().as_str(), "p:/ss");
        let address = parse("postgresql://u@[::1]/d").unwrap();
        assert_eq!(address.host, Host::Name("::1".to_owned()));
        assert_eq!(address.port, 5_432);
        let address = parse("postgres:///d?host=/run/postgresql&user=u").unwrap();
        assert_eq!(address.host, Host::Socket("/run/postgresql".into()));
        assert_eq!(address.encryption, Encryption::None);
    }

    #[test]
    fn a_password_is_never_printed() {
        let address = parse("postgres://u:hidden@127.0.0.1/d").unwrap();
        assert!(!format!("{address:?} {address}").contains("hidden"));
        for wrong in [
            "postgres://u:hidden@h/d",
            "mysql://u:hidden@h/d",
            "u:hidden",
        ] {
            assert!(!parse(wrong).unwrap_err().contains("hidden"));
        }
    }

    #[test]
    fn nothing_leaves_the_machine_in_clear() {
        for refused in [
            "postgres://u@db.example/d",
            "postgres://u@localhost/d",
            "postgres://u@10.0.0.1/d?sslmode=disable",
            "postgres://u@db.example/d?sslmode=require",
            "postgres://u@db.example/d?sslmode=verify-ca&sslrootcert=ca.pem",
            "postgres://u@db.example/d?sslmode=verify-full",
            "postgres://u@db.example/d?sslmode=prefer&sslrootcert=ca.pem",
            "postgres://u@db.example/d?sslrootcert=ca.pem",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
        let address =
            parse("postgres://u@db.example/d?sslmode=verify-full&sslrootcert=ca.pem").unwrap();
        let authority = PathBuf::from("/etc/sekisho/ca.pem");
        assert_eq!(address.encryption, Encryption::Verified { authority });
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for refused in [
            "postgres://127.0.0.1/d",
            "postgres://u@127.0.0.1",
            "postgres://u@127.0.0.1/",
            "postgres://u@127.0.0.1/a/b",
            "postgres://u@127.0.0.1/d?options=-cfsync%3Doff",
            "postgres://u@127.0.0.1/d?sslmode=disable&sslmode=disable",
            "postgres://u@127.0.0.1/d?password=p",
            "postgres://u@127.0.0.1/d#x",
            "postgres://u@127.0.0.1/d?host=/run",
            "postgres:///d?user=u",
            "postgres:///d?host=relative&user=u",
            "postgres://u%zz@127.0.0.1/d",
            "postgres://u%00@127.0.0.1/d",
            "sqlite:///d",
        ] {
            assert!(parse(refused).is_err(), "{refused}");
        }
        let file = Some(Path::new("p"));
        let folder = Path::new("/");
        assert!(PostgresAddress::parse("postgres://u:p@127.0.0.1/d", file, folder).is_err());
    }

    #[test]
    fn a_password_comes_from_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        files::write_private(&path, b"from the file\n").unwrap();
        let text = "postgres://u@127.0.0.1/d";
        let file = Some(Path::new("password"));
        let address = PostgresAddress::parse(text, file, folder.path()).unwrap();
        let password = address.password().unwrap().unwrap();
        assert_eq!(password.as_str(), "from the file");
        files::write_private(&path, b"\n").unwrap();
        assert!(address.password().is_err());
    }
}
