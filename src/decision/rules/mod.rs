//! The rule set: a policy pack as `decision` reads it. `policy` builds it from files and checks every id; here nothing can
//! dangle, because rules hold positions ([`Id`]) and not names.

mod basis;
mod detectors;
mod grants;
mod incident;
mod log_retention;
mod measure;
mod promise;
mod reviews;
mod roles;
mod systems;
mod table;

use std::time::Duration;

use ipnet::IpNet;
use time::UtcOffset;

pub use basis::{
    CollectedRule, ConfidentialRule, ConsentRule, KeepRule, LeastConsent, NeverTogether,
    ReferenceField, ReferenceRule, SafeguardRule, SuspensionRule, When,
};
pub use detectors::DetectorRule;
pub use grants::{GrantCondition, GrantKey, GrantedActions, Granting, Grants, GrantsBuilder};
pub use incident::{ClockKind, IncidentClock, IncidentRules, Within};
pub use log_retention::{LogClass, LogRetention, LoggedKind};
pub use measure::{Measure, MeasureKind, Mechanism};
pub use promise::{Promise, Promises};
pub use reviews::{Every, ReviewSchedule};
pub use roles::IncompatibleRoles;
pub use systems::{Coverage, System};
pub use table::{Id, IdSet, Table, TableError};

use crate::domain::access::{Action, LegalException};

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u8);

impl Actions {
    /// Puts an action in.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << action as u8)
    }

    /// Whether an action is in.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 >> action as u8 & 1 == 1
    }

    /// Whether none is in.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in, by number.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let all = Action::ALL.iter().copied();
        all.filter(move |action| self.contains(*action))
    }

    /// Those that are in one of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in, and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::default(), Self::with)
    }
}

/// A service that may call.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// Where it connects from; loopback is admitted besides.
    pub blocks: Vec<IpNet>,
    /// Addresses of its own proxies, which are nobody's device.
    pub proxies: Vec<IpNet>,
    /// Systems that it may ask about.
    pub systems: Vec<Box<str>>,
    /// DNS names that stand for it in a certificate without a URI name.
    pub dns_names: Vec<Box<str>>,
    /// Whether it may ask for people.
    pub acts_for_people: bool,
    /// The role it has when it asks for itself.
    pub workload_role: Option<Id<Role>>,
    /// Whether it may register holds and dates of subjects.
    pub registers_subjects: bool,
    /// Services whose tickets it may exchange for its own.
    pub exchanges_with: Vec<Id<Service>>,
    /// Line in pack.toml.
    pub line: u32,
}

/// A network people may work from.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Its blocks, canonical.
    pub blocks: Vec<IpNet>,
    /// Line in pack.toml.
    pub line: u32,
}

/// What a role may see of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reviews {
    /// Nothing.
    #[default]
    Nothing,
    /// What the people of their own department did.
    Department,
    /// Everything.
    Everything,
}

/// A role of people or of a workload.
#[derive(Debug, Clone, Default)]
pub struct Role {
    /// Networks its people may work from; inherited roles don't count.
    pub networks: Vec<Id<Network>>,
    /// Itself and all roles whose grants it has, from its own outwards.
    pub closure: Vec<Id<Role>>,
    /// What it may see of the access log.
    pub reviews: Reviews,
    /// Whether it administers people, holds and packs.
    pub administers: bool,
    /// Whether it reads everything and changes nothing.
    pub audits: bool,
    /// Line in pack.toml.
    pub line: u32,
}

/// A kind of person the data are about.
#[derive(Debug, Clone, Default)]
pub struct Kind {
    /// Line in pack.toml.
    pub line: u32,
}

/// A category of data.
#[derive(Debug, Clone, Default)]
pub struct Category {
    /// The category that covers it.
    pub parent: Option<Id<Category>>,
    /// Whether it is, covers or is covered by special care-required information.
    pub special_care: bool,
    /// Items at or below it that are masked, each with the roles that see them clear.
    pub masks: Vec<Mask>,
    /// Line in pack.toml.
    pub line: u32,
}

/// An item that is shown masked.
#[derive(Debug, Clone)]
pub struct Mask {
    /// The item.
    pub category: Id<Category>,
    /// Who sees it clear.
    pub except_to: IdSet<Role>,
}

/// A purpose of use (利用目的).
#[derive(Debug, Clone, Default)]
pub struct Purpose {
    /// Kinds of person it extends to.
    pub kinds: IdSet<Kind>,
    /// Categories it extends to, those they cover included.
    pub categories: IdSet<Category>,
    /// Whether a case reference is needed.
    pub needs_case_ref: bool,
    /// Exceptions of which one, with its reference, is needed; empty where none is.
    pub needs_exception: Exceptions,
    /// Whether the person must have asked for it.
    pub needs_subject_request: bool,
    /// Whether a document must be named besides (`basis.reference`).
    pub needs_reference: bool,
    /// Line in pack.toml.
    pub line: u32,
}

/// A set of legal exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exceptions(u8);

impl Exceptions {
    /// Puts one in.
    #[must_use]
    pub const fn with(self, exception: LegalException) -> Self {
        Self(self.0 | 1 << exception as u8)
    }

    /// Whether one is in.
    #[must_use]
    pub const fn contains(self, exception: LegalException) -> bool {
        self.0 >> exception as u8 & 1 == 1
    }

    /// Whether none is in.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<LegalException> for Exceptions {
    fn from_iter<I: IntoIterator<Item = LegalException>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), Self::with)
    }
}

/// What a claimed exception takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExceptionRule {
    /// Those that the pack knows; any other counts as none.
    pub accepted: Exceptions,
    /// Those that ask for `consent_difficult`.
    pub consent_difficult: Exceptions,
    /// Line in pack.toml, 0 where it has no such section.
    pub line: u32,
}

/// What a pack says to people.
#[derive(Debug, Clone, Default)]
pub struct PackWords {
    /// What it is called, in English: the issuer that authenticators show.
    pub title: Box<str>,
    /// What it is called, in Japanese.
    pub title_ja: Box<str>,
    /// The notice of monitoring that people read before they enrol, in English and in Japanese; `None` where the pack has none of
    /// its own.
    pub monitoring_notice: Option<(Box<str>, Box<str>)>,
}

/// How long a login lasts.
#[derive(Debug, Clone, Copy)]
pub struct SessionRule {
    /// From the first login; nothing extends it.
    pub absolute: Duration,
    /// Without use.
    pub idle: Duration,
    /// How many logins of one person live at a time; with one more the oldest ends.
    pub max_concurrent: u32,
    /// Line in pack.toml.
    pub line: u32,
}

/// How fresh the second step must be.
#[derive(Debug, Clone)]
pub struct SecondStepRule {
    /// For these categories, what they cover and what covers them; empty for any.
    pub categories: IdSet<Category>,
    /// For these actions; empty for any.
    pub actions: Actions,
    /// Not older than this.
    pub max_age: Duration,
    /// Line in pack.toml.
    pub line: u32,
}

/// What is asked of a person's standing besides an enabled account and employment.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandingRule {
    /// Current training.
    pub training: bool,
    /// The confidentiality pledge.
    pub pledge: bool,
    /// Line in pack.toml.
    pub line: u32,
}

/// What emergency access may reach.
#[derive(Debug, Clone)]
pub struct BreakGlassRule {
    /// Who may.
    pub roles: IdSet<Role>,
    /// For these kinds.
    pub kinds: IdSet<Kind>,
    /// For these categories, those they cover included.
    pub categories: IdSet<Category>,
    /// By these actions.
    pub actions: Actions,
    /// Line in pack.toml.
    pub line: u32,
}

/// After a registered date only a few things may still be done.
#[derive(Debug, Clone)]
pub struct RetentionRule {
    /// Names it in obligations and in `FilterSubjects`, e.g. "retention-expired".
    pub id: Box<str>,
    /// Of these kinds.
    pub kinds: IdSet<Kind>,
    /// The registered date it counts from.
    pub date: Box<str>,
    /// Calendar years after the date.
    pub years: u16,
    /// Actions that stay allowed.
    pub except_actions: Actions,
    /// Purposes that stay allowed.
    pub except_purposes: IdSet<Purpose>,
    /// Line in pack.toml.
    pub line: u32,
}

/// On which ground data go to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Shared use (共同利用), APPI Art. 27(5) iii.
    SharedUse,
    /// Outsourcing (委託), APPI Art. 27(5) i.
    Outsourcing,
    /// A third party, with consent.
    ThirdPartyConsent,
    /// A third party, until the person asks to stop.
    ThirdPartyStopsOnRequest,
    /// A third party, by law.
    ThirdPartyByLaw,
    /// A third party to whom data are sold, or with whom they are shared for advertising (CCPA 1798.120), until the person opts
    /// out.
    ThirdPartySaleOrSharing,
    /// Another place of the same legal entity: no provision at all.
    SameLegalEntity,
}

impl Route {
    /// As the log and the pack name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SharedUse => "shared-use",
            Self::Outsourcing => "outsourcing",
            Self::ThirdPartyConsent => "third-party-consent",
            Self::ThirdPartyStopsOnRequest => "third-party-stops-on-request",
            Self::ThirdPartyByLaw => "third-party-by-law",
            Self::ThirdPartySaleOrSharing => "third-party-sale-or-sharing",
            Self::SameLegalEntity => "same-legal-entity",
        }
    }
}

/// Why the law asks for no record of what goes to a recipient on a route on which it else asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRecord {
    /// The State, a local government, an incorporated administrative agency or the like: no third party in the sense of APPI Art. 29(1)
    /// (Art. 16(2)).
    PublicBody,
    /// Whatever goes there rests on an exception of Art. 27(1).
    LegalException,
    /// It is the person who provides, or somebody on their behalf (Guidelines on confirmation and recording, 2-2-1-1).
    OnBehalfOfThePerson,
    /// Who receives it stands for the person (Guidelines on confirmation and recording, 2-2-1-2).
    ToThePerson,
}

impl NoRecord {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::PublicBody,
        Self::LegalException,
        Self::OnBehalfOfThePerson,
        Self::ToThePerson,
    ];

    /// As the pack names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PublicBody => "public-body",
            Self::LegalException => "legal-exception",
            Self::OnBehalfOfThePerson => "on-behalf-of-the-person",
            Self::ToThePerson => "to-the-person",
        }
    }
}

/// Who a third party is, for the record of what it gets or gave (APPI Art. 29 and 30(1)(i); Rules of the Commission Art. 20(1)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// Name (氏名又は名称).
    pub name: Option<Box<str>>,
    /// Address (住所).
    pub address: Option<Box<str>>,
    /// Who represents a legal person (代表者の氏名).
    pub representative: Option<Box<str>>,
}

impl Party {
    /// The longest address, in bytes; names are as long as any other.
    pub const ADDRESS_MAX_BYTES: usize = 512;
}

/// To whom data may go.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// On which ground.
    pub route: Route,
    /// On which ground where it follows its own purpose, if it may.
    pub own_purpose_route: Option<Route>,
    /// Where it is, ISO 3166-1 alpha-2.
    pub country: Box<str>,
    /// Whether that is outside Japan.
    pub abroad: bool,
    /// Whether the country protects personal data as Japan does (APPI Art. 28(1)).
    pub adequate: bool,
    /// Items that go there, those they cover included.
    pub items: IdSet<Category>,
    /// For these purposes.
    pub purposes: IdSet<Purpose>,
    /// Outsourcing: last instant of the contract.
    pub contract_until: Option<crate::domain::time::Timestamp>,
    /// Outsourcing: until when the last inspection counts.
    pub inspected_until: Option<crate::domain::time::Timestamp>,
    /// Abroad: until when the check of equivalent measures counts (APPI Art. 28(3)). Where it has lapsed, the provision is refused for
    /// that, or (`lapsed_counts_as_none`) as if there had never been any.
    pub equivalent_until: Option<crate::domain::time::Timestamp>,
    /// How a lapsed check counts.
    pub lapsed_counts_as_none: bool,
    /// Years that its record of provision is kept (APPI Art. 29), where the law asks for one; `None` where none is asked.
    pub record_years: Option<u16>,
    /// Why there is none, where its route asks for one and this recipient doesn't.
    pub no_record: Option<NoRecord>,
    /// Who it is, as far as the pack says; the request does where `named_by_request`.
    pub party: Party,
    /// A natural person: nobody represents them.
    pub individual: bool,
    /// The request names it: the row is for all of a sort.
    pub named_by_request: bool,
    /// The hold that stops a route that stops on request, or a sale.
    pub stopped_by: Option<Box<str>>,
    /// Line in pack.toml.
    pub line: u32,
}

/// How many people's records one person may reach within a window.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Names it in reasons and in the log.
    pub id: Box<str>,
    /// Actions that share the count.
    pub actions: Actions,
    /// At most so many people.
    pub people: u64,
    /// Within so long.
    pub window: Duration,
    /// Line in pack.toml.
    pub line: u32,
}

/// Whose outcome must be reported.
#[derive(Debug, Clone)]
pub struct OutcomeRule {
    /// For these actions.
    pub actions: Actions,
    /// For break glass, whatever the action.
    pub break_glass: bool,
    /// Within so long.
    pub within: Duration,
    /// Line in pack.toml.
    pub line: u32,
}

/// A policy pack, compiled.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// Id of the pack.
    pub pack: Box<str>,
    /// SHA-256 over the pack's files.
    pub revision: [u8; 32],
    /// Where the pack's dates begin and end.
    pub utc_offset: UtcOffset,
    /// What it says to people.
    pub words: PackWords,
    /// How long a login lasts.
    pub session: SessionRule,
    /// What is asked of a person's standing.
    pub standing: StandingRule,
    /// What a legal exception takes.
    pub exceptions: ExceptionRule,
    /// Systems that hold personal data; empty where the pack lists none.
    pub systems: Table<System>,
    /// Callers.
    pub services: Table<Service>,
    /// Networks.
    pub networks: Table<Network>,
    /// Roles, the built-in `administrator` included.
    pub roles: Table<Role>,
    /// Roles that one person may not have together.
    pub incompatible_roles: Vec<IncompatibleRoles>,
    /// Kinds of person.
    pub kinds: Table<Kind>,
    /// Categories.
    pub categories: Table<Category>,
    /// Purposes.
    pub purposes: Table<Purpose>,
    /// Recipients.
    pub recipients: Table<Recipient>,
    /// Holds that may be registered for a subject; the value is the line in pack.toml.
    pub holds: Table<u32>,
    /// Dates that may be registered for a subject; the value is the line in pack.toml.
    pub dates: Table<u32>,
    /// Freshness of the second step.
    pub second_step: Vec<SecondStepRule>,
    /// Emergency access.
    pub break_glass: Vec<BreakGlassRule>,
    /// Limits.
    pub limits: Vec<Limit>,
    /// Retention.
    pub retention: Vec<RetentionRule>,
    /// What must be kept.
    pub keep: Vec<KeepRule>,
    /// Where consent is asked.
    pub consents: Vec<ConsentRule>,
    /// Holds that stop uses.
    pub suspensions: Vec<SuspensionRule>,
    /// What must be registered beforehand.
    pub references: Vec<ReferenceRule>,
    /// What never comes together.
    pub never_together: Vec<NeverTogether>,
    /// What was collected in a certain way.
    pub collected: Vec<CollectedRule>,
    /// What goes to nobody.
    pub confidential: Vec<ConfidentialRule>,
    /// Safeguards of transfers abroad.
    pub safeguards: Vec<SafeguardRule>,
    /// How long the access log is kept.
    pub log_retention: LogRetention,
    /// Safety-management measures.
    pub measures: Vec<Measure>,
    /// What an incident asks for.
    pub incident: IncidentRules,
    /// Outcomes to be reported.
    pub outcomes: Vec<OutcomeRule>,
    /// When campaigns of review are opened.
    pub review_schedules: Vec<ReviewSchedule>,
    /// What detectors go by, where it is not the default.
    pub detectors: Vec<DetectorRule>,
    /// Grants.
    pub grants: Grants,
    /// The promises that the rules keep.
    pub promises: Promises,
}

impl RuleSet {
    /// Whether `outer` is `inner` or covers it.
    #[must_use]
    pub fn covers(&self, outer: Id<Category>, inner: Id<Category>) -> bool {
        let mut at = Some(inner);
        while let Some(category) = at {
            if category == outer {
                return true;
            }
            at = self
                .categories
                .get(category)
                .and_then(|category| category.parent);
        }
        false
    }
}
