//! The use cases, in words of the domain: check, log in, register, report, read the log. The only room that joins the
//! decision with the log; a door (`api`) only translates for it. It never speaks the wire, and it never answers without a
//! receipt of the log.

mod accounts;
mod admission;
mod case;
mod changes;
mod check;
mod content;
mod counters;
mod directory;
mod entry;
mod error;
mod explain;
mod guarded;
mod incidents;
mod ledger;
mod measures;
mod outcome;
mod peer;
mod pending;
mod policies;
mod provisions;
mod records;
mod refusals;
mod repeats;
mod requests;
mod review;
mod running;
mod strangers;
mod subjects;
mod telling;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

pub use accounts::credentials::{CodeIssued, TokenFile, TokenWish, TokensImported};
pub use accounts::enrollment::{EnrollmentBegun, EnrollmentConfirmation, RecoveryCodes};
pub use accounts::login::{ChallengeOpened, LoginRequest, StepUpRequest, TicketGiven};
pub use accounts::notice::Notice;
pub use accounts::passwords::{PasswordChange, PasswordSet};
pub use accounts::reset::{HostResetWish, ResetOutcome, ResetWish};
pub use accounts::second_factor::Shown;
pub use accounts::sessions::{Revocation, Revoked, SessionPage, SessionQuery};
pub use admission::Credentials;
pub use check::{Answer, Answers};
pub use directory::{
    ChangedField, ImportFault, ImportOutcome, ImportRow, ImportWish, ImportedPerson, PeopleFilter,
    PersonChanged, PersonSort, PersonWish, SeenPeople,
};
pub use error::{GateError, Violation};
pub use explain::{
    Access, Actor, Allowed, ExplainWish, ExplainedStage, Explanation, OwnAccess, RegisterSeen,
    WhoWish,
};
pub use incidents::{
    ANY_OF_MAX, Affected, Doing, IncidentSeen, OpenWish, OverdueClocks, Scoping, StepWish,
};
pub use ledger::{Ledger, Lost, Opened, Unsealer};
pub use measures::{AttestWish, MeasureSeen, MeasuresSeen, OverdueAttestation};
pub use outcome::OutcomeReport;
pub use peer::Peer;
pub use pending::{Awaited, Guarded, RequestKind};
pub use policies::{
    FolderStands, Policies, PolicyBegun, PolicyError, PolicySeen, PolicySource, PolicyWish,
    RevisionSeen, ShadowSeen, signed_text,
};
pub use provisions::disclosure::{Disclosed, Disclosure, DisclosureWish, LogSeen};
pub use provisions::read::{RecordFilter, RecordPage, RecordSeen, ReportHead};
pub use provisions::receipt::{ReceiptRegistered, ReceiptWish};
pub use records::disposal::{Disposable, DisposeOutcome, DisposeWish, Withheld, WithheldThing};
pub use records::log_holds::{LogHoldPlace, LogHoldRelease, LogHoldReleased, LogHoldSeen};
pub use records::lost;
pub use records::read_log::{Found, Page, ReadEntry};
pub use records::sieve::{EntryFilter, Sieve};
pub use requests::{RequestSeen, Which};
pub use review::reading::{
    AfterCase, CaseSeen, CaseTold, CaseWish, FindingsTold, FindingsWish, WentBy,
};
pub use review::{
    ItemFilter, ItemSeen, Judgement, Question, Redrawn, ReviewSeen, ReviewWish, Text,
};
pub use running::restore;
pub use running::start::{Parts, StartError};
pub use running::upkeep::Upkeep;
pub use subjects::{
    DateSet, HoldChange, LeftOut, Matched, Matching, Overdue, OverduePage, PSEUDONYMS_MAX,
    REFS_MAX, ReferencePage, ReferenceWish, Register, SubjectImport, SubjectImportNews,
    SubjectImportOutcome, SubjectImportPhase, SubjectImportWish, SubjectRow, SubjectRowWhat,
};
pub use telling::Told;

pub use crate::config::LoginSettings;
use crate::decision::rules::{RuleSet, Service};
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::time::{Clock, Timestamp};
use crate::identity::challenge::Challenges;
use crate::identity::current_keys::CurrentKeys;
use crate::identity::enrollments::Enrollments;
use crate::identity::keyring::Keyring;
use crate::identity::live::LiveSessions;
use crate::identity::password::Passwords;
use crate::identity::sessions::Sessions;
use crate::index::{Index, IndexConfig};
use crate::log::AccessLog;
use crate::store::Store;

/// What the operator decides about the gate.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The SPIFFE trust domain of the services' certificates.
    pub trust_domain: Name,
    /// Reserved service ids, by the SHA-256 of the one certificate that may bear each.
    pub built_in: HashMap<[u8; 32], Name>,
    /// SHA-256 of certificates that are no longer accepted.
    pub revoked_certificates: HashSet<[u8; 32]>,
    /// How long a caller waits for a change; it is made all the same.
    pub change_deadline: std::time::Duration,
    /// Whether the command line and the console admit a device at a loopback address.
    pub allow_loopback_device: bool,
    /// What a person's enrolment takes.
    pub login: LoginSettings,
    /// Whether a disposal, and the release of a hold of the log, take two administrators.
    pub dispose_needs_two: bool,
    /// How old what is known of a store that others change may be for anything to be decided by it.
    pub snapshot_max_age: std::time::Duration,
    /// Whether there is one administrator only, who may then do alone, on the host and after a wait, what else takes two.
    pub small_office: bool,
    /// How many request ids of one service are remembered for ten minutes; past it its calls that carry one are refused.
    pub request_ids_max: usize,
}

/// Everything a use case needs. Shared by all doors.
pub struct Gate {
    clock: Arc<dyn Clock>,
    settings: Settings,
    rules: Arc<ArcSwap<RuleSet>>,
    policies: Arc<Policies>,
    people: ArcSwap<HashMap<Name, Arc<Person>>>,
    subjects: subjects::Register,
    sessions: Sessions,
    challenges: Challenges,
    enrollments: Enrollments,
    /// Whose second factor is disabled.
    locked_out: ArcSwap<HashSet<Name>>,
    passwords: Passwords,
    /// The keys for tickets and for seeds are in `keys`.
    keyring: Keyring,
    keys: Arc<CurrentKeys>,
    log: Ledger,
    /// Without it, searches read every entry.
    index: OnceLock<Arc<Index>>,
    store: Store,
    /// How far what others changed in the store was followed.
    followed: running::follow::Followed,
    counters: counters::Counters,
    /// Limits that were put in force last, or are about to be.
    coming_limits: arc_swap::ArcSwapOption<policies::ComingLimits>,
    repeats: repeats::Repeats,
    refusals: refusals::Refusals,
    /// How many of the store's writes for second factors are named by durable entries.
    named_factor_writes: std::sync::atomic::AtomicU64,
    changes: tokio::sync::Mutex<changes::Changes>,
    /// How far the log was read for records of provision.
    recorded: tokio::sync::Mutex<provisions::follow::Recorded>,
    /// Who is logged in.
    live: LiveSessions,
    /// How often the tickets of a service were ended; of most never. An entry more for each service whose tickets are ended.
    generations: ArcSwap<HashMap<Name, u64>>,
    /// Held while campaigns that are due are opened.
    opening_reviews: tokio::sync::Mutex<review::upkeep::Hopeless>,
    /// One disposal at a time; remembers until when segments have to be kept.
    disposing: tokio::sync::Mutex<records::disposal::DueDates>,
    /// Files and keys go for one disposal after the other.
    carrying_out: tokio::sync::Mutex<()>,
    upkeep: Arc<Upkeep>,
    incidents: incidents::Incidents,
    /// The operator's command, where there is one.
    host_proofs: accounts::reset::HostProofs,
    /// Held while keys are made ready: one that hangs is not begun again.
    preparing: Arc<tokio::sync::Mutex<()>>,
    /// Up to when, by the clock that nobody sets, the waits of what one person asked for alone were noted.
    waits_counted: tokio::sync::Mutex<std::time::Duration>,
    /// How long the clock has gone on without a jump.
    settled: running::forgetting::Settled,
    /// Imports of subjects that the log has and the store lacks.
    lost_imports: ArcSwap<Vec<crate::store::LostImport>>,
    /// The place of the one import of subjects that may go on.
    importing: Arc<tokio::sync::Semaphore>,
    /// Places for scans of the log.
    scans: tokio::sync::Semaphore,
    /// What stood out, as last looked for.
    findings: review::findings::Findings,
    /// Told once, when the daemon stops.
    stopping: tokio::sync::watch::Sender<()>,
    /// The command line and the console: for people, for no system, from anywhere that a person may be.
    built_in_service: Service,
}

impl Gate {
    /// The wall clock's reading.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The pack in force.
    #[must_use]
    pub fn rules(&self) -> Arc<RuleSet> {
        self.rules.load_full()
    }

    /// The access log.
    #[must_use]
    pub fn log(&self) -> &AccessLog {
        &self.log
    }

    /// The access log with its seals: what opens its entries.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.log
    }

    /// Starts the index of the access log, which searches use from now on. A second call changes nothing.
    pub fn start_index(&self, config: IndexConfig) -> Arc<Index> {
        let index = self.index.get_or_init(|| {
            let opener = self.log.unsealer().clone().into_opener();
            Arc::new(Index::start(config, self.log.reader(), opener))
        });
        Arc::clone(index)
    }

    /// The index of the access log, once it was started.
    #[must_use]
    pub fn index(&self) -> Option<&Index> {
        self.index.get().map(Arc::as_ref)
    }

    /// What operators should know of the policy.
    #[must_use]
    pub fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies)
    }

    /// What operators should know of how the gate is kept in order.
    #[must_use]
    pub fn upkeep(&self) -> Arc<Upkeep> {
        Arc::clone(&self.upkeep)
    }

    fn person(&self, id: &str) -> Option<Arc<Person>> {
        self.people.load().get(id).cloned()
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("log", &self.log.name())
            .finish_non_exhaustive()
    }
}
