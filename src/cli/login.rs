//! `sekisho login` and `sekisho logout`: the two steps at a terminal, or from a pipe.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use tonic::transport::Channel;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::client::{Connection, Target};
use super::error::{CliError, Fault};
use super::ticket_file::{Kept, TicketFile, to_the_second};
use super::words::{Language, Word};
use crate::domain::time::{Clock, SystemClock, Timestamp};
use crate::identity::one_time::OneTimeCode;
use crate::proto::authentication_service_client::AuthenticationServiceClient;
use crate::proto::{
    EndSessionRequest, VerifyPasswordRequest, VerifySecondFactorRequest,
    VerifySecondFactorResponse, verify_second_factor_request::Factor,
};

/// The longest line of input, in bytes; the daemon takes less.
const LINE_MAX_BYTES: usize = 4_096;
/// How often a code may be typed at a terminal. A challenge has five tries; some are left for another attempt.
const CODE_TRIES: usize = 3;
/// What this client passes the second step with, where not with a recovery code in its place.
const METHOD: &str = "totp";

/// Arguments of `sekisho login`.
#[derive(Debug, clap::Args)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    connection: Connection,
    /// Your ID [default: asked for]
    person: Option<String>,
}

/// Arguments of `sekisho logout`.
#[derive(Debug, clap::Args)]
pub(super) struct LogoutArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Passes both steps and keeps the ticket. What is missing is asked for at the terminal; where standard input is none, it is
/// read from there: ID, password and code (or a recovery code), a line each.
///
/// # Errors
/// When the daemon can't be reached, refuses, or asks for more than this client can do; when the ticket can't be kept.
pub(super) async fn login(args: LoginArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let file = TicketFile::of(|name| std::env::var_os(name), language)?;
    let target = args.connection.target(None, language)?;
    file.prepare()?;
    // Before anything is asked: nobody types a password for a daemon that is not there.
    let mut service = AuthenticationServiceClient::new(target.connect().await?);
    let input = Input::new(language);

    let person = match args.person {
        Some(person) => person,
        None => input.line(Word::AskPerson).await?.trim().to_owned(),
    };
    let mut password = input.secret(Word::AskPassword).await?;
    let session_ref = random_reference(language)?;
    let accepted = target
        .answer(service.verify_password(VerifyPasswordRequest {
            person: person.clone(),
            password: std::mem::take(&mut *password),
            // The daemon takes the connection's own address.
            client_ip: String::new(),
            session_ref: session_ref.clone(),
        }))
        .await?
        .into_inner();
    let refused =
        |word: Word, value: &str| Err(CliError::new(Fault::NotPermitted, word, language, &[value]));
    if accepted.password_change_required {
        return refused(Word::PasswordChangeRequired, &person);
    }
    if accepted.enrollment_required {
        return refused(Word::EnrolmentRequired, &person);
    }
    if !accepted.methods.iter().any(|method| method == METHOD) {
        return refused(Word::NoMethod, &accepted.methods.join(", "));
    }

    let given = second_step(&target, &mut service, &input, accepted.challenge_id).await?;
    let kept = Kept {
        server: target.server.clone(),
        person,
        ticket: Zeroizing::new(given.session_ticket),
        session_ref,
        expires_at: instant(given.expires_at.as_ref()),
    };
    file.write(&kept)?;
    let until = to_the_second(kept.expires_at);
    let person = super::table::neutralise(&kept.person);
    say(&Word::LoggedIn.fill(language, &[&person, &until]));
    Ok(())
}

async fn second_step(
    target: &Target,
    service: &mut AuthenticationServiceClient<Channel>,
    input: &Input,
    challenge: String,
) -> Result<VerifySecondFactorResponse, CliError> {
    let mut tries = if input.terminal { CODE_TRIES } else { 1 };
    loop {
        let code = input.line(Word::AskCode).await?;
        tries = tries.saturating_sub(1);
        let asked = VerifySecondFactorRequest {
            challenge_id: challenge.clone(),
            factor: Some(shown(&code)),
        };
        match target.answer(service.verify_second_factor(asked)).await {
            Ok(given) => return Ok(given.into_inner()),
            Err(error) if tries > 0 && error.fault() == Fault::NotPermitted => {
                say(Word::TryCodeAgain.text(input.language));
            }
            Err(error) => return Err(error),
        }
    }
}

/// What was typed where a code is asked for: one of the authenticator, or a recovery code in its place. They don't look alike; what
/// is neither is told so by the daemon.
pub(super) fn shown(typed: &str) -> Factor {
    let code = typed.trim();
    if OneTimeCode::parse(code).is_ok() {
        Factor::RecoveryCode(code.to_owned())
    } else {
        Factor::Totp(code.to_owned())
    }
}

/// Ends the session at the daemon and forgets the ticket. One that the daemon no longer takes is forgotten all the same.
///
/// # Errors
/// When the daemon can't be reached: the ticket is then kept, so that the session can still be ended.
pub(super) async fn logout(args: LogoutArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let file = TicketFile::of(|name| std::env::var_os(name), language)?;
    let Some(kept) = file.read()? else {
        say(Word::WasNotLoggedIn.text(language));
        return Ok(());
    };
    if kept.expires_at > SystemClock.now() {
        let target = args.connection.target(Some(&kept.server), language)?;
        kept.only_for(&target.server, language)?;
        let mut service = AuthenticationServiceClient::new(target.connect().await?);
        let request = EndSessionRequest {
            session_ticket: kept.ticket.to_string(),
        };
        match target.answer(service.end_session(request)).await {
            Ok(_) => {}
            Err(error) if error.fault() == Fault::NotPermitted => {}
            Err(error) => return Err(error),
        }
    }
    file.remove()?;
    say(Word::LoggedOut.text(language));
    Ok(())
}

/// Tells the person something beside the output. Nobody listening is no failure.
pub(super) fn say(words: &str) {
    let _ = writeln!(io::stderr(), "{words}");
}

fn instant(at: Option<&prost_types::Timestamp>) -> Timestamp {
    at.map_or_else(Timestamp::default, |at| {
        let seconds = Timestamp::from_seconds(at.seconds).micros();
        Timestamp::from_micros(seconds.saturating_add(i64::from(at.nanos / 1_000)))
    })
}

/// A random UUID (v4): binds the ticket to this login.
pub(super) fn random_reference(language: Language) -> Result<String, CliError> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        let values = [&*error.to_string()];
        CliError::new(Fault::Internal, Word::NoRandom, language, &values)
    })?;
    let reference = uuid::Builder::from_random_bytes(random).into_uuid();
    Ok(Uuid::hyphenated(reference).to_string())
}

/// The person at the keyboard, or a pipe. Reading waits outside the async threads, which have the connection to look after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// Whether it is a person.
    pub(super) terminal: bool,
    language: Language,
}

impl Input {
    pub(super) fn new(language: Language) -> Self {
        Self {
            terminal: io::stdin().is_terminal(),
            language,
        }
    }

    /// A line that is seen while it is typed.
    pub(super) async fn line(self, ask: Word) -> Result<Zeroizing<String>, CliError> {
        self.waiting(ask, move || {
            if self.terminal {
                let mut prompt = io::stderr();
                write!(prompt, "{}", ask.text(self.language))?;
                prompt.flush()?;
            }
            read_line(&mut io::stdin().lock())
        })
        .await
    }

    /// A line that is not.
    pub(super) async fn secret(self, ask: Word) -> Result<Zeroizing<String>, CliError> {
        self.waiting(ask, move || {
            if self.terminal {
                rpassword::prompt_password(ask.text(self.language)).map(Zeroizing::new)
            } else {
                read_line(&mut io::stdin().lock())
            }
        })
        .await
    }

    async fn waiting(
        self,
        ask: Word,
        read: impl FnOnce() -> io::Result<Zeroizing<String>> + Send + 'static,
    ) -> Result<Zeroizing<String>, CliError> {
        let read = tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        read.map_err(|error| {
            let (word, value) = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    let asked = ask.text(self.language).trim_end_matches([':', ' ']);
                    (Word::InputEnded, asked.to_owned())
                }
                io::ErrorKind::FileTooLarge => (Word::InputTooLong, LINE_MAX_BYTES.to_string()),
                _ => (Word::InputUnreadable, error.to_string()),
            };
            CliError::new(Fault::Usage, word, self.language, &[&value])
        })
    }
}

/// One line without its end, which may be that of the input.
fn read_line(input: &mut impl BufRead) -> io::Result<Zeroizing<String>> {
    let bound = u64::try_from(LINE_MAX_BYTES).unwrap_or(u64::MAX);
    // Room from the start: a buffer that grew would leave copies of a password behind.
    let mut line = Zeroizing::new(String::with_capacity(LINE_MAX_BYTES));
    if input.take(bound).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.ends_with('\n') {
        line.pop();
        if line.ends_with('\r') {
            line.pop();
        }
    } else if line.len() >= LINE_MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_line_or_with_the_input() {
        let mut input: &[u8] = b"manager-1\r\n pass word \n123456";
        for expected in ["manager-1", " pass word ", "123456"] {
            assert_eq!(*read_line(&mut input).unwrap(), expected);
        }
        let end = read_line(&mut input).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let long = vec![b'x'; LINE_MAX_BYTES * 3];
        let error = read_line(&mut &*long).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(read_line(&mut &long[..LINE_MAX_BYTES - 1]).is_ok());
    }

    #[test]
    fn each_login_is_bound_to_a_random_reference_of_its_own() {
        let one = random_reference(Language::English).unwrap();
        let other = random_reference(Language::English).unwrap();
        assert_ne!(one, other);
        assert_eq!(Uuid::parse_str(&one).unwrap().get_version_num(), 4);
    }
}
