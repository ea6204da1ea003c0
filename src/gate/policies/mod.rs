//! The life of the policy while the daemon runs: a changed folder is loaded whole and put in force, or made a candidate that waits
//! for an administrator's hand and decides in the shadow meanwhile; an older revision can be put in force again. Whatever goes wrong,
//! what is in force stays so, and operators are told. No check waits for any of it.
//!
//! `source` is where packs come from, `looking` sees to the folder, `activation` puts a revision in force, `shadow` decides beside it,
//! `coming` has limits count what was read before them, `read` tells.

mod activation;
mod coming;
mod looking;
mod read;
mod shadow;
mod source;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use activation::PolicyWish;
pub(in crate::gate) use coming::ComingLimits;
pub use looking::FolderStands;
pub use read::{PolicySeen, RevisionSeen, ShadowSeen};
pub use source::{PolicyBegun, PolicyError, PolicySource, signed_text};

use crate::policy::shelf::{InForce, Revision, written};
use crate::vitals::{Metric, Vitals};
use shadow::Shadow;
use source::{Loaded, Stamp};

/// How many revisions are kept beside those that are used.
const KEPT: usize = 50;

/// How many faults of a refused pack a warning tells.
const FAULTS_TOLD: usize = 5;

/// What is known of the policy, beside the rules in force.
#[derive(Debug)]
pub struct Policies {
    source: Option<Arc<PolicySource>>,
    state: Mutex<State>,
    /// One look or activation at a time, until it is made, whoever waits for it.
    turn: Arc<tokio::sync::Mutex<()>>,
    activated: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State {
    in_force: InForce,
    /// What the shelf says is in force.
    noted: Option<InForce>,
    /// The configured keys that signed what is in force.
    signed_by: Vec<String>,
    /// What the folder holds, as far as it was in order when it was last looked at.
    folder: Option<Arc<Loaded>>,
    /// What is wrong with what it holds now.
    faults: Vec<String>,
    /// What the log was told since the start of what is wrong with it, and that it holds.
    told: (Vec<String>, Option<Revision>),
    /// Of what was last loaded, or tried.
    seen: Option<Stamp>,
    /// Of a change that is not loaded yet: its files may still be written.
    changing: Option<Stamp>,
    shadow: Option<Arc<Shadow>>,
    /// Why the shelf could not be told, or tidied.
    undone: Option<String>,
}

impl Policies {
    pub(in crate::gate) fn of(begun: PolicyBegun) -> Self {
        let PolicyBegun {
            source,
            in_force,
            signed_by,
            folder,
            faults,
            noted,
            ..
        } = begun;
        Self {
            source: source.map(Arc::new),
            state: Mutex::new(State {
                noted,
                in_force,
                signed_by,
                folder,
                faults,
                told: (Vec::new(), None),
                seen: None,
                changing: None,
                shadow: None,
                undone: None,
            }),
            turn: Arc::default(),
            activated: AtomicU64::default(),
            refused: AtomicU64::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_hand(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.settings.by_hand)
    }
}

impl State {
    fn stands(&self, by_hand: bool) -> FolderStands {
        let revision = self.folder.as_ref().map(|loaded| loaded.revision());
        if !self.faults.is_empty() {
            FolderStands::Refused(self.faults.clone())
        } else if revision.is_none_or(|revision| revision == self.in_force.revision) {
            FolderStands::InForce
        } else if by_hand {
            FolderStands::Candidate
        } else {
            FolderStands::SetAside
        }
    }

    /// The pack that waits for an administrator's hand.
    fn candidate(&self, by_hand: bool) -> Option<Arc<Loaded>> {
        let loaded = self.folder.as_ref()?;
        let waits = by_hand && loaded.revision() != self.in_force.revision;
        waits.then(|| Arc::clone(loaded))
    }

    /// Revisions that must not go.
    fn used(&self) -> Vec<Revision> {
        let folder = self.folder.as_ref().map(|loaded| loaded.revision());
        let noted = self.noted.as_ref().map(|noted| noted.revision);
        std::iter::once(self.in_force.revision)
            .chain(noted)
            .chain(folder)
            .collect()
    }
}

impl Vitals for Policies {
    fn warnings(&self) -> Vec<String> {
        let state = self.state();
        let mut warnings = Vec::new();
        if !state.faults.is_empty() {
            let count = state.faults.len();
            let told: Vec<&str> = state
                .faults
                .iter()
                .take(FAULTS_TOLD)
                .map(|fault| fault.trim())
                .collect();
            let more = match count.saturating_sub(FAULTS_TOLD) {
                0 => String::new(),
                more => format!("; and {more} more, which `sekisho policy status` tells"),
            };
            warnings.push(format!(
                "the pack in the policy's folder is refused, and revision {} stays in force; faults: {count}: {}{more}",
                written(&state.in_force.revision),
                told.join("; ")
            ));
        }
        warnings.extend(state.undone.clone());
        warnings
    }

    fn metrics(&self) -> Vec<Metric> {
        let state = self.state();
        let candidate = state.candidate(self.by_hand()).is_some();
        let tally = state.shadow.as_ref().map(|shadow| shadow.counts());
        let (decided, differing) = tally.unwrap_or_default();
        vec![
            Metric::counter(
                "sekisho_policy_activations_total",
                "Times another policy was put in force since the start.",
                self.activated.load(Ordering::Relaxed),
            ),
            Metric::counter(
                "sekisho_policy_refusals_total",
                "Times a changed pack was refused since the start.",
                self.refused.load(Ordering::Relaxed),
            ),
            Metric::gauge(
                "sekisho_policy_folder_refused",
                "1 when the pack in the policy's folder is refused; /readyz says why.",
                u64::from(!state.faults.is_empty()),
            ),
            Metric::gauge(
                "sekisho_policy_folder_faults",
                "How many faults the pack in the policy's folder has.",
                u64::try_from(state.faults.len()).unwrap_or(u64::MAX),
            ),
            Metric::gauge(
                "sekisho_policy_candidate",
                "1 when a changed pack waits to be activated.",
                u64::from(candidate),
            ),
            Metric::gauge(
                "sekisho_policy_in_force_since_seconds",
                "When what is in force was put in force, seconds since 1970.",
                u64::try_from(state.in_force.since.seconds()).unwrap_or(0),
            ),
            Metric::gauge(
                "sekisho_policy_shadow_decided",
                "Decisions that were decided anew under the candidate.",
                decided,
            ),
            Metric::gauge(
                "sekisho_policy_shadow_differing",
                "Of them, those on which the candidate differs.",
                differing,
            ),
        ]
    }
}
