//! `sekisho password`, `sekisho enroll` and `sekisho recovery-codes`: what people do about what they prove themselves with.
//!
//! Each asks for the ID and the password first. Where a second factor is enrolled, a code follows; the command logs in with it, so
//! that what comes next is within a session of its own, and takes a second code: codes are good once. Wherever a code is asked
//! for, a recovery code will do.

use std::path::{Path, PathBuf};

use tonic::transport::Channel;
use zeroize::Zeroizing;

use super::client::{Connection, Target};
use super::error::{CliError, Fault};
use super::login::{Input, random_reference, say, shown};
use super::output::print_text;
use super::words::{Language, Word};
use crate::files;
use crate::identity::qr::QrDrawing;
use crate::proto::authentication_service_client::AuthenticationServiceClient;
use crate::proto::change_password_request::Factor as ChangeFactor;
use crate::proto::verify_second_factor_request::Factor;
use crate::proto::{
    BeginStepUpRequest, ChangePasswordRequest, ConfirmEnrollmentRequest, EndSessionRequest,
    RegenerateRecoveryCodesRequest, StartEnrollmentRequest, VerifyPasswordRequest,
    VerifyPasswordResponse, VerifySecondFactorRequest,
};

/// Arguments of `sekisho password` and `sekisho recovery-codes`.
#[derive(Debug, clap::Args)]
pub(super) struct OwnArgs {
    #[command(flatten)]
    connection: Connection,
    /// Your ID [default: asked for]
    person: Option<String>,
}

/// Arguments of `sekisho enroll`.
#[derive(Debug, clap::Args)]
pub(super) struct EnrollArgs {
    /// Write the QR code to this file, 0600, instead of drawing it here; delete it afterwards
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    #[command(flatten)]
    own: OwnArgs,
}

/// The first step passed.
struct Begun {
    target: Target,
    service: AuthenticationServiceClient<Channel>,
    input: Input,
    language: Language,
    session_ref: String,
    person: String,
    accepted: VerifyPasswordResponse,
}

impl Begun {
    async fn first_step(args: OwnArgs) -> Result<Self, CliError> {
        let language = args.connection.language();
        let target = args.connection.target(None, language)?;
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
                client_ip: String::new(),
                session_ref: session_ref.clone(),
            }))
            .await?
            .into_inner();
        Ok(Self {
            target,
            service,
            input,
            language,
            session_ref,
            person,
            accepted,
        })
    }

    /// A challenge within a session of its own, whose ticket comes with it; the second step of it is still to come.
    async fn step_up(&mut self) -> Result<(String, Zeroizing<String>), CliError> {
        let code = self.input.line(Word::AskCode).await?;
        let asked = VerifySecondFactorRequest {
            challenge_id: self.accepted.challenge_id.clone(),
            factor: Some(shown(&code)),
        };
        let given = self
            .target
            .answer(self.service.verify_second_factor(asked))
            .await?
            .into_inner();
        let ticket = Zeroizing::new(given.session_ticket);
        let begun = self
            .target
            .answer(self.service.begin_step_up(BeginStepUpRequest {
                session_ticket: ticket.to_string(),
                client_ip: String::new(),
                session_ref: self.session_ref.clone(),
            }))
            .await?;
        say(Word::NextCode.text(self.language));
        Ok((begun.into_inner().challenge_id, ticket))
    }

    /// Asks for the second code, and answers the challenge of a session with it: good for one change then.
    async fn answer(&mut self, challenge_id: &str) -> Result<(), CliError> {
        let code = self.input.line(Word::AskCode).await?;
        let asked = VerifySecondFactorRequest {
            challenge_id: challenge_id.to_owned(),
            factor: Some(shown(&code)),
        };
        self.target
            .answer(self.service.verify_second_factor(asked))
            .await
            .map(drop)
    }

    /// The session was for this command alone.
    async fn end(&mut self, ticket: Zeroizing<String>) -> Result<(), CliError> {
        let session_ticket = ticket.to_string();
        let ended = self
            .service
            .end_session(EndSessionRequest { session_ticket });
        self.target.answer(ended).await.map(drop)
    }

    fn refused(&self, word: Word) -> CliError {
        CliError::new(Fault::NotPermitted, word, self.language, &[&self.person])
    }
}

/// Changes one's own password.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn password(args: OwnArgs) -> Result<(), CliError> {
    let mut begun = Begun::first_step(args).await?;
    let enrolled = !begun.accepted.enrollment_required;
    if !enrolled && !begun.accepted.password_change_required {
        return Err(begun.refused(Word::EnrolmentRequired));
    }
    let (challenge_id, mut ticket) = if begun.accepted.password_change_required {
        (begun.accepted.challenge_id.clone(), None)
    } else {
        let (challenge, ticket) = begun.step_up().await?;
        (challenge, Some(ticket))
    };
    let mut new = begun.input.secret(Word::AskNewPassword).await?;
    if begun.input.terminal {
        let again = begun.input.secret(Word::AskNewPasswordAgain).await?;
        if *again != *new {
            return Err(CliError::new(
                Fault::Usage,
                Word::PasswordsDiffer,
                begun.language,
                &[],
            ));
        }
    }
    let mut factor = None;
    if enrolled {
        let code = begun.input.line(Word::AskCode).await?;
        factor = Some(match shown(&code) {
            Factor::Totp(code) => ChangeFactor::Totp(code),
            Factor::RecoveryCode(code) => ChangeFactor::RecoveryCode(code),
        });
    }
    let request = ChangePasswordRequest {
        challenge_id,
        new_password: std::mem::take(&mut *new),
        factor,
    };
    let changed = begun
        .target
        .answer(begun.service.change_password(request))
        .await?
        .into_inner();
    if !changed.session_ticket.is_empty() {
        ticket = Some(Zeroizing::new(changed.session_ticket));
    }
    if let Some(ticket) = ticket {
        begun.end(ticket).await?;
    }
    say(Word::PasswordChanged.text(begun.language));
    Ok(())
}

/// Enrols a second factor, or another one in place of the one in force.
///
/// # Errors
/// When the daemon can't be reached or refuses, or the picture can't be written.
pub(super) async fn enroll(args: EnrollArgs) -> Result<(), CliError> {
    let mut begun = Begun::first_step(args.own).await?;
    if begun.accepted.password_change_required {
        return Err(begun.refused(Word::PasswordChangeRequired));
    }
    let language = begun.language;
    let mut enrollment_code = String::new();
    let mut session = None;
    let challenge_id = if begun.accepted.enrollment_required {
        let code = begun.input.line(Word::AskEnrollmentCode).await?;
        code.trim().clone_into(&mut enrollment_code);
        begun.accepted.challenge_id.clone()
    } else {
        let (challenge_id, ticket) = begun.step_up().await?;
        begun.answer(&challenge_id).await?;
        session = Some(ticket);
        challenge_id
    };
    let request = StartEnrollmentRequest {
        challenge_id,
        enrollment_code,
    };
    let started = begun
        .target
        .answer(begun.service.start_enrollment(request))
        .await?
        .into_inner();
    let uri = Zeroizing::new(started.otpauth_uri);
    let notice = started.notice.unwrap_or_default();
    let text = match language {
        Language::English => &notice.en,
        Language::Japanese => &notice.ja,
    };
    print_text(text, language)?;
    show(&uri, args.png.as_deref(), language)?;
    let read = begun.input.line(Word::AskNoticeRead).await?;
    if !matches!(&*read.trim().to_lowercase(), "yes" | "y" | "はい") {
        return Err(begun.refused(Word::NoticeNotRead));
    }
    let code = begun.input.line(Word::AskNewCode).await?;
    let request = ConfirmEnrollmentRequest {
        enrollment_id: started.enrollment_id,
        totp: code.trim().to_owned(),
        acknowledged_notice: notice.digest,
    };
    let confirmed = begun
        .target
        .answer(begun.service.confirm_enrollment(request))
        .await?;
    if let Some(ticket) = session {
        begun.end(ticket).await?;
    }
    say(Word::Enrolled.text(language));
    show_codes(confirmed.into_inner().recovery_codes, language)
}

/// Draws new recovery codes.
///
/// # Errors
/// When the daemon can't be reached or refuses.
pub(super) async fn recovery_codes(args: OwnArgs) -> Result<(), CliError> {
    let mut begun = Begun::first_step(args).await?;
    if begun.accepted.password_change_required {
        return Err(begun.refused(Word::PasswordChangeRequired));
    }
    if begun.accepted.enrollment_required {
        return Err(begun.refused(Word::EnrolmentRequired));
    }
    let (challenge_id, ticket) = begun.step_up().await?;
    begun.answer(&challenge_id).await?;
    let request = RegenerateRecoveryCodesRequest {
        challenge_id,
        totp: String::new(),
    };
    let drawn = begun
        .target
        .answer(begun.service.regenerate_recovery_codes(request))
        .await?;
    begun.end(ticket).await?;
    show_codes(drawn.into_inner().recovery_codes, begun.language)
}

/// The URI, and the code to take a picture of.
fn show(uri: &str, png: Option<&Path>, language: Language) -> Result<(), CliError> {
    let drawing = QrDrawing::of(uri).map_err(|error| {
        let values = [&*error.to_string()];
        CliError::new(Fault::Internal, Word::CantWrite, language, &values)
    })?;
    print_text(uri, language)?;
    match png {
        Some(path) => {
            files::create_private(path, &drawing.to_png())
                .map_err(|error| CliError::of_file(&error))?;
            say(&Word::PictureWritten.fill(language, &[&path.display().to_string()]));
            Ok(())
        }
        None => print_text(&drawing.to_half_blocks(), language),
    }
}

fn show_codes(codes: Vec<String>, language: Language) -> Result<(), CliError> {
    say(Word::RecoveryCodes.text(language));
    let codes = Zeroizing::new(codes);
    codes.iter().try_for_each(|code| print_text(code, language))
}
