//! The files of a data directory that are secret, or say where the secrets are: they go into a backup sealed only.
//!
//! ```text
//! for each file: length of its path (u16), path, length of its content (u32), content; little-endian
//! ```

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{BackupError, KEYRING};
use crate::files::{self, FileError};
use crate::identity::keyring::KeyringError;
use crate::identity::master::MasterKey;

/// More than any key, certificate or configuration.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// All of them with what lies around them.
const ALL_MAX_BYTES: u64 = 16 << 20;
const CONFIGURATION: &str = "sekisho.toml";
const RECOVERY: &str = "recovery.pub";
const TLS: &str = "tls";
/// Where a restored directory has it, wherever it came from.
const MASTER: &str = "master.key";

/// Files with their content.
#[derive(Default)]
pub(super) struct Keys(Vec<(PathBuf, Zeroizing<Vec<u8>>)>);

impl Keys {
    /// Reads them from a data directory. There must be a keyring with its master key; the others may be kept elsewhere.
    pub(super) fn gather(data: &Path) -> Result<Self, BackupError> {
        let mut paths = vec![PathBuf::from(KEYRING)];
        for name in [CONFIGURATION, RECOVERY] {
            if data.join(name).exists() {
                paths.push(name.into());
            }
        }
        let tls = super::copying::list(&data.join(TLS))?;
        paths.extend(tls.iter().map(|path| Path::new(TLS).join(path)));
        let mut keys = Self::default();
        for path in paths {
            let content = files::read_guarded(&data.join(&path), FILE_MAX_BYTES)?;
            keys.0.push((path, content));
        }
        let master = MasterKey::find(data).map_err(KeyringError::from)?;
        let text = Zeroizing::new(master.expose().as_bytes().to_vec());
        keys.0.push((MASTER.into(), text));
        Ok(keys)
    }

    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        let too_large = || BackupError::Mismatch("the keys are over 16 MiB".to_owned());
        let mut size = 0_u64;
        for (path, content) in &self.0 {
            let around = path.as_os_str().len().saturating_add(6);
            let bytes = content.len().saturating_add(around);
            size = size.saturating_add(u64::try_from(bytes).map_err(|_| too_large())?);
        }
        if size > ALL_MAX_BYTES {
            return Err(too_large());
        }
        // Room from the start: a buffer that grew would leave copies of the keys behind.
        let mut encoded = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0)));
        for (path, content) in &self.0 {
            let path = path.as_os_str().as_encoded_bytes();
            let length = u16::try_from(path.len()).map_err(|_| too_large())?;
            encoded.extend(length.to_le_bytes());
            encoded.extend(path);
            let length = u32::try_from(content.len()).map_err(|_| too_large())?;
            encoded.extend(length.to_le_bytes());
            encoded.extend(content.iter());
        }
        Ok(encoded)
    }

    pub(super) fn decode(encoded: &[u8]) -> Result<Self, BackupError> {
        let bad = || BackupError::Manifest("the sealed keys are not what was sealed".to_owned());
        let mut keys = Self::default();
        let mut rest = encoded;
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let split = after.split_at_checked(u16::from_le_bytes(*length).into());
            let (path, after) = split.ok_or_else(bad)?;
            let path = std::str::from_utf8(path).map_err(|_| bad())?;
            let (length, after) = after.split_first_chunk::<4>().ok_or_else(bad)?;
            let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| bad())?;
            let (content, after) = after.split_at_checked(length).ok_or_else(bad)?;
            if !is_ours(path) {
                return Err(bad());
            }
            keys.0.push((path.into(), Zeroizing::new(content.to_vec())));
            rest = after;
        }
        if rest.is_empty() {
            Ok(keys)
        } else {
            Err(bad())
        }
    }

    /// Writes them into a new data directory, durably; the keyring last.
    pub(super) fn write(&self, data: &Path) -> Result<(), BackupError> {
        for (path, content) in self.0.iter().rev() {
            let to = data.join(path);
            super::copying::make_parent(&to)?;
            files::create_private(&to, content)?;
        }
        Ok(())
    }

    pub(super) fn keyring(&self) -> Option<&[u8]> {
        let (_, content) = self.0.iter().find(|(path, _)| path == Path::new(KEYRING))?;
        Some(content)
    }
}

/// Whoever sealed them, nothing is written but what a backup has.
fn is_ours(path: &str) -> bool {
    let file = |name: &str| {
        let simple = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
        simple && !name.contains('\0')
    };
    match path.split_once('/') {
        Some((TLS, name)) => file(name),
        Some(_) => false,
        None => [MASTER, KEYRING, CONFIGURATION, RECOVERY].contains(&path),
    }
}

/// Whether the keyring of `data` is still as it was read.
pub(super) fn keyring_is(data: &Path, keys: &Keys) -> Result<bool, BackupError> {
    match files::read_private(&data.join(KEYRING), FILE_MAX_BYTES) {
        Ok(now) => Ok(keys.keyring() == Some(now.as_slice())),
        Err(FileError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        files::make_private_directory(&data.join("tls")).unwrap();
        for (name, content) in [
            ("keyring", "k"),
            (
                "master.key",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
            ),
            ("sekisho.toml", ""),
            ("tls/server.key", "secret"),
            ("people.json", "never"),
        ] {
            files::create_private(&data.join(name), content.as_bytes()).unwrap();
        }
        folder
    }

    #[test]
    fn keys_are_written_as_they_were_gathered_and_nothing_else_is() {
        let from = house();
        let keys = Keys::gather(from.path()).unwrap();
        let decoded = Keys::decode(&keys.encode().unwrap()).unwrap();
        let to = tempfile::tempdir().unwrap();
        decoded.write(to.path()).unwrap();
        let read = |name: &str| std::fs::read(to.path().join(name)).ok();
        assert_eq!(read("keyring").unwrap(), b"k");
        assert_eq!(read("master.key").unwrap().len(), 44);
        assert_eq!(read("sekisho.toml").unwrap(), b"");
        assert_eq!(read("tls/server.key").unwrap(), b"secret");
        assert_eq!(read("people.json"), None);
        assert!(keyring_is(from.path(), &decoded).unwrap());
        files::write_private(&from.path().join("keyring"), b"other").unwrap();
        assert!(!keyring_is(from.path(), &decoded).unwrap());
    }

    #[test]
    fn what_was_sealed_by_somebody_else_writes_no_other_file() {
        for path in [
            "../keyring",
            "/etc/x",
            "restored",
            "tls/../x",
            "tls/a/b",
            "tls/",
            "log/x",
        ] {
            let mut encoded = Vec::new();
            encoded.extend(u16::try_from(path.len()).unwrap().to_le_bytes());
            encoded.extend(path.as_bytes());
            encoded.extend(0_u32.to_le_bytes());
            assert!(Keys::decode(&encoded).is_err(), "{path}");
        }
        let whole = Keys::gather(house().path()).unwrap().encode().unwrap();
        let ends: Vec<usize> = (0..whole.len())
            .filter(|end| Keys::decode(&whole[..*end]).is_ok())
            .collect();
        assert_eq!(ends.len(), 4, "cut between files only: {ends:?}");
    }
}
