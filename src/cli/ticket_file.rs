//! The login that the command line keeps between two commands: one file, its owner's alone, for as long as the ticket lives.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::{CliError, Fault};
use super::words::{Language, Word};
use crate::domain::time::Timestamp;
use crate::files::{FileError, make_private_directory, read_private, write_private};

/// More than a ticket with its names can be.
const MAX_BYTES: usize = 16 * 1_024;

/// A login that was kept.
pub(super) struct Kept {
    /// Where the person logged in, `address:port`.
    pub(super) server: String,
    /// Who.
    pub(super) person: String,
    /// Their ticket.
    pub(super) ticket: Zeroizing<String>,
    /// What the ticket is bound to, made at login.
    pub(super) session_ref: String,
    /// When the ticket ends by itself.
    pub(super) expires_at: Timestamp,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("server", &self.server)
            .field("person", &self.person)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<T> {
    server: T,
    person: T,
    ticket: T,
    session_ref: T,
    expires_at: String,
}

/// The file, and the language of its faults.
#[derive(Debug)]
pub(super) struct TicketFile {
    path: PathBuf,
    /// Whether its folder is ours to make.
    own_folder: bool,
    language: Language,
}

impl TicketFile {
    /// `SEKISHO_TICKET_FILE`, else `sekisho/ticket.json` in `XDG_STATE_HOME` or in `~/.local/state` (XDG Base Directory
    /// Specification, which has a relative path ignored).
    ///
    /// # Errors
    /// When the environment names none of them.
    pub(super) fn of(
        environment: impl Fn(&str) -> Option<OsString>,
        language: Language,
    ) -> Result<Self, CliError> {
        let set = |name: &str| {
            environment(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(path) = set("SEKISHO_TICKET_FILE") {
            return Ok(Self {
                path,
                own_folder: false,
                language,
            });
        }
        set("XDG_STATE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".local").join("state")))
            .map(|state| Self {
                path: state.join("sekisho").join("ticket.json"),
                own_folder: true,
                language,
            })
            .ok_or_else(|| CliError::new(Fault::Usage, Word::NoHome, language, &[]))
    }

    /// Makes the folder, so that a login doesn't fail after the person typed everything.
    ///
    /// # Errors
    /// When the system refuses, or others can put files there.
    pub(super) fn prepare(&self) -> Result<(), CliError> {
        match self.path.parent() {
            Some(folder) if self.own_folder || is_missing(folder) => {
                make_private_directory(folder).map_err(|error| CliError::of_file(&error))
            }
            _ => Ok(()),
        }
    }

    /// Keeps a login in place of any earlier one.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn write(&self, kept: &Kept) -> Result<(), CliError> {
        // Room from the start: a buffer that grew would leave copies of the ticket behind.
        let mut content = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
        let form = Form {
            server: kept.server.as_str(),
            person: kept.person.as_str(),
            ticket: kept.ticket.as_str(),
            session_ref: kept.session_ref.as_str(),
            expires_at: kept.expires_at.to_string(),
        };
        serde_json::to_writer_pretty(&mut *content, &form)
            .map_err(|error| CliError::of_output(&error.into(), self.language))?;
        content.push(b'\n');
        write_private(&self.path, &content).map_err(|error| CliError::of_file(&error))
    }

    /// The login that is kept, whether or not it has ended; `None` when there is none.
    ///
    /// # Errors
    /// When the file is open to others, can't be read, or is no login.
    pub(super) fn read(&self) -> Result<Option<Kept>, CliError> {
        let bound = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        let content = match read_private(&self.path, bound) {
            Ok(content) => content,
            Err(FileError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(CliError::of_file(&error)),
        };
        let no_login = || {
            let path = self.path.display().to_string();
            CliError::new(Fault::Usage, Word::BadTicketFile, self.language, &[&path])
        };
        let form: Form<String> = serde_json::from_slice(&content).map_err(|_| no_login())?;
        let ticket = Zeroizing::new(form.ticket);
        let expires_at = Timestamp::parse(&form.expires_at).map_err(|_| no_login())?;
        Ok(Some(Kept {
            server: form.server,
            person: form.person,
            ticket,
            session_ref: form.session_ref,
            expires_at,
        }))
    }

    /// Forgets the login.
    ///
    /// # Errors
    /// When the system refuses. That there is none is no error.
    pub(super) fn remove(&self) -> Result<(), CliError> {
        remove(&self.path).map_err(|error| CliError::of_output(&error, self.language))
    }

    /// The login, when it is alive. One that has ended is forgotten.
    ///
    /// # Errors
    /// When nobody is logged in, or the login has ended; as [`Self::read`].
    pub(super) fn alive(&self, now: Timestamp) -> Result<Kept, CliError> {
        let Some(kept) = self.read()? else {
            let (fault, word) = (Fault::NotPermitted, Word::NotLoggedIn);
            return Err(CliError::new(fault, word, self.language, &[]));
        };
        if kept.expires_at > now {
            return Ok(kept);
        }
        self.remove()?;
        Err(CliError::new(
            Fault::NotPermitted,
            Word::TicketExpired,
            self.language,
            &[&kept.person, &to_the_second(kept.expires_at)],
        ))
    }
}

impl Kept {
    /// Refuses to show the ticket to another server than its own.
    ///
    /// # Errors
    /// When `server` is another.
    pub(super) fn only_for(&self, server: &str, language: Language) -> Result<(), CliError> {
        if self.server == server {
            return Ok(());
        }
        Err(CliError::new(
            Fault::NotPermitted,
            Word::TicketElsewhere,
            language,
            &[&self.server, server],
        ))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// An instant as people read it: RFC 3339 in UTC, whole seconds.
pub(super) fn to_the_second(at: Timestamp) -> String {
    Timestamp::from_seconds(at.seconds()).to_string()
}

fn is_missing(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && !folder.exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: Timestamp = Timestamp::from_seconds(1_780_000_000);

    fn file(folder: &Path) -> TicketFile {
        let path = folder.join("state");
        let file = TicketFile::of(
            |name| (name == "XDG_STATE_HOME").then(|| path.clone().into_os_string()),
            Language::English,
        )
        .unwrap();
        file.prepare().unwrap();
        file
    }

    fn kept(expires_at: Timestamp) -> Kept {
        Kept {
            server: "127.0.0.1:7443".to_owned(),
            person: "manager-1".to_owned(),
            ticket: Zeroizing::new("sk1.1.payload.mac".to_owned()),
            session_ref: "7f4df4a5-41e5-4a5b-8d6d-8b8f5f3c9f10".to_owned(),
            expires_at,
        }
    }

    #[test]
    fn a_login_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path());
        assert!(file.read().unwrap().is_none());
        let expires_at = Timestamp::from_micros(NOW.micros() + 123_456);
        file.write(&kept(expires_at)).unwrap();
        let mode = std::fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(file.path.ends_with("state/sekisho/ticket.json"));
        let read = file.alive(NOW).unwrap();
        assert_eq!(*read.ticket, "sk1.1.payload.mac");
        assert_eq!(read.expires_at, expires_at);
        assert!(!format!("{read:?}").contains("sk1"));

        std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(file.read().is_err());
    }

    #[test]
    fn a_login_that_ended_is_forgotten_and_says_to_log_in_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path());
        file.write(&kept(NOW)).unwrap();
        let error = file.alive(NOW).unwrap_err();
        assert_eq!(error.exit_code(), 77);
        assert!(error.to_string().contains("sekisho login"), "{error}");
        assert!(!file.path.exists());
        assert_eq!(file.alive(NOW).unwrap_err().exit_code(), 77);
        file.remove().unwrap();
    }

    #[test]
    fn a_ticket_is_shown_to_its_own_server_only() {
        let kept = kept(NOW);
        assert!(kept.only_for("127.0.0.1:7443", Language::English).is_ok());
        let error = kept
            .only_for("127.0.0.1:7444", Language::English)
            .unwrap_err();
        assert_eq!(error.exit_code(), 77);
    }

    #[test]
    fn what_is_no_login_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path());
        for bad in [
            "",
            "{}",
            "[1]",
            r#"{"server":"a","person":"b","ticket":"c","session_ref":"d","expires_at":"soon"}"#,
        ] {
            write_private(&file.path, bad.as_bytes()).unwrap();
            assert_eq!(file.read().unwrap_err().exit_code(), 64, "{bad}");
        }
    }

    #[test]
    fn the_place_is_the_first_that_the_environment_names() {
        let place = |pairs: &'static [(&str, &str)]| {
            TicketFile::of(
                move |name| {
                    let found = pairs.iter().find(|(key, _)| *key == name);
                    found.map(|(_, value)| value.into())
                },
                Language::English,
            )
            .map(|file| file.path)
        };
        let home = place(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")]).unwrap();
        assert_eq!(home, Path::new("/h/.local/state/sekisho/ticket.json"));
        let own = place(&[("HOME", "/h"), ("SEKISHO_TICKET_FILE", "/t/x")]).unwrap();
        assert_eq!(own, Path::new("/t/x"));
        assert_eq!(place(&[]).unwrap_err().exit_code(), 64);
    }
}
