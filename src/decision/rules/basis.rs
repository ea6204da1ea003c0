//! What makes a use lawful besides a grant: consent, what a person asked for, what is registered for them, and what must not
//! come together.

use super::{Actions, Category, Exceptions, Id, IdSet, Kind, Purpose, Route};
use crate::domain::access::{AccessRequest, Action, Consent, LegalException};
use crate::domain::reason::ReasonCode;
use crate::domain::reference::ReferenceKind;

/// The least state of consent that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeastConsent {
    /// Any but a withdrawn one: having none is no objection.
    NotWithdrawn,
    /// Deemed, or given.
    Deemed,
    /// Given beforehand.
    Prior,
    /// Given beforehand for exactly this.
    Explicit,
    /// None will do.
    Never,
}

impl LeastConsent {
    /// All, with the words of pack.toml.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::NotWithdrawn, "NOT_WITHDRAWN"),
        (Self::Deemed, "DEEMED"),
        (Self::Prior, "PRIOR"),
        (Self::Explicit, "EXPLICIT"),
        (Self::Never, "NEVER"),
    ];

    /// Whether a state will do.
    #[must_use]
    pub const fn is_met_by(self, consent: Consent) -> bool {
        match self {
            Self::NotWithdrawn => !matches!(consent, Consent::Withdrawn),
            Self::Deemed => matches!(
                consent,
                Consent::Deemed | Consent::Prior | Consent::Explicit
            ),
            Self::Prior => consent.is_prior(),
            Self::Explicit => matches!(consent, Consent::Explicit),
            Self::Never => false,
        }
    }
}

/// For which requests a rule counts; what is not said counts for all.
#[derive(Debug, Clone, Default)]
pub struct When {
    /// Of these kinds.
    pub kinds: Option<IdSet<Kind>>,
    /// For these purposes.
    pub purposes: Option<IdSet<Purpose>>,
    /// But not for these.
    pub except_purposes: IdSet<Purpose>,
    /// By these actions.
    pub actions: Option<Actions>,
    /// But not by these.
    pub except_actions: Actions,
    /// Collected in one of these ways, compared exactly; empty for any.
    pub collected_via: Vec<Box<str>>,
    /// Only where a program alone decides.
    pub automated_decision: bool,
}

impl When {
    /// Whether it counts for a request of this kind for this purpose.
    #[must_use]
    pub fn is(&self, request: &AccessRequest, kind: Id<Kind>, purpose: Id<Purpose>) -> bool {
        let collected_via = request.collected_via.as_deref();
        self.is_for(request.action, kind, purpose)
            && (self.collected_via.is_empty()
                || collected_via
                    .is_some_and(|via| self.collected_via.iter().any(|one| **one == *via)))
            && (!self.automated_decision || request.automated_decision)
    }

    /// Whether it counts for this use, however the data were collected and whoever decides.
    #[must_use]
    pub fn is_for(&self, action: Action, kind: Id<Kind>, purpose: Id<Purpose>) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
            && self
                .purposes
                .as_ref()
                .is_none_or(|purposes| purposes.contains(purpose))
            && !self.except_purposes.contains(purpose)
            && self.actions.is_none_or(|actions| actions.contains(action))
            && !self.except_actions.contains(action)
    }
}

/// Where consent is asked, and what is answered without it.
#[derive(Debug, Clone)]
pub struct ConsentRule {
    /// For which requests.
    pub when: When,
    /// Only for special care-required information.
    pub special_care: bool,
    /// Only on these routes to a recipient; empty for any.
    pub routes: Vec<Route>,
    /// The least that will do.
    pub least: LeastConsent,
    /// What is answered otherwise.
    pub denial: ReasonCode,
    /// What is answered when it was withdrawn.
    pub denial_if_withdrawn: ReasonCode,
    /// Legal exceptions that stand in for it.
    pub exceptions: Exceptions,
    /// By which actions they do.
    pub exceptions_for: Option<Actions>,
    /// Line in pack.toml.
    pub line: u32,
}

impl ConsentRule {
    /// The code of the denial, where neither the consent that there is nor a valid exception will do. Whether the rule counts is
    /// asked before.
    #[must_use]
    pub fn denies(
        &self,
        request: &AccessRequest,
        consent: Consent,
        exception: Option<LegalException>,
    ) -> Option<ReasonCode> {
        if self.least.is_met_by(consent) {
            return None;
        }
        let stands_in = exception.is_some_and(|exception| self.exceptions.contains(exception))
            && self
                .exceptions_for
                .is_none_or(|actions| actions.contains(request.action));
        if stands_in {
            return None;
        }
        Some(if consent == Consent::Withdrawn {
            self.denial_if_withdrawn
        } else {
            self.denial
        })
    }
}

/// A registered hold that stops uses.
#[derive(Debug, Clone)]
pub struct SuspensionRule {
    /// The hold.
    pub hold: Box<str>,
    /// Which uses it stops.
    pub when: When,
    /// [`ReasonCode::UseSuspended`] or [`ReasonCode::LegalHold`].
    pub denial: ReasonCode,
    /// Line in pack.toml.
    pub line: u32,
}

/// Where a caller says what it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceField {
    /// `basis.reference`
    Basis,
    /// `case_ref`
    Case,
}

impl ReferenceField {
    /// All, with the words of pack.toml.
    pub const ALL: [(Self, &'static str); 2] =
        [(Self::Basis, "basis.reference"), (Self::Case, "case_ref")];

    /// What a request says there.
    #[must_use]
    pub fn of(self, request: &AccessRequest) -> Option<&str> {
        match self {
            Self::Basis => request.basis.reference.as_deref(),
            Self::Case => request.case_ref.as_deref(),
        }
    }
}

/// What a caller refers to must be registered beforehand.
#[derive(Debug, Clone)]
pub struct ReferenceRule {
    /// Names it in reasons.
    pub id: Box<str>,
    /// For which requests.
    pub when: When,
    /// Only where one of these categories, of what they cover or of what covers them is asked for; empty for any.
    pub categories: IdSet<Category>,
    /// Only on these routes to a recipient; empty for any, and for what is no provision.
    pub routes: Vec<Route>,
    /// Only where one of these states of consent is claimed; empty for any.
    pub consents: Vec<Consent>,
    /// Only where one of these exceptions is claimed; empty for any.
    pub exceptions: Exceptions,
    /// Where the caller says it.
    pub field: ReferenceField,
    /// What it may be: one of these.
    pub accepts: Vec<ReferenceKind>,
    /// Line in pack.toml.
    pub line: u32,
}

/// Until a registered date has passed, these uses are refused: the data must be kept.
#[derive(Debug, Clone)]
pub struct KeepRule {
    /// Names it in reasons and obligations.
    pub id: Box<str>,
    /// The registered date it counts from.
    pub date: Box<str>,
    /// Calendar years after the date.
    pub years: u16,
    /// Which uses it stops.
    pub when: When,
    /// Line in pack.toml.
    pub line: u32,
}

/// Categories that no request may join with any other.
#[derive(Debug, Clone)]
pub struct NeverTogether {
    /// They, and what they cover.
    pub categories: IdSet<Category>,
    /// Line in pack.toml.
    pub line: u32,
}

/// What was collected in a certain way is for certain purposes only.
#[derive(Debug, Clone)]
pub struct CollectedRule {
    /// The way, compared exactly.
    pub via: Box<str>,
    /// These categories, and what they cover.
    pub categories: IdSet<Category>,
    /// For these purposes only.
    pub purposes: IdSet<Purpose>,
    /// Line in pack.toml.
    pub line: u32,
}

/// Categories that go to nobody, but for some purposes.
#[derive(Debug, Clone)]
pub struct ConfidentialRule {
    /// They, what they cover and what covers them.
    pub categories: IdSet<Category>,
    /// For these they may.
    pub except_purposes: IdSet<Purpose>,
    /// Line in pack.toml.
    pub line: u32,
}

/// Data from certain countries leave for others only under a safeguard (GDPR Art. 46).
#[derive(Debug, Clone)]
pub struct SafeguardRule {
    /// Countries the data come from, ISO 3166-1 alpha-2.
    pub from: Vec<Box<str>>,
    /// Countries they may go to without.
    pub free_to: Vec<Box<str>>,
    /// The safeguards, compared exactly.
    pub safeguards: Vec<Box<str>>,
    /// Whether the document of it must be named.
    pub needs_reference: bool,
    /// Line in pack.toml.
    pub line: u32,
}
