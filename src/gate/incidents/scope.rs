//! What an incident affects, looked for in the log: through the index, a bounded turn at a time. What was looked for is fixed to a size
//! of the log and its root hash, so that anybody can look again and find the same.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::steps::StillOpen;
use super::{Wants, Worker};
use crate::domain::access::Action;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::network::{parse_address, parse_block};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::records::read_log::Scan;
use crate::gate::records::sieve::{EntryFilter, Sieve};
use crate::gate::telling::{self, Ended, Told};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::stored_change::Kind;
use crate::proto::stored_incident_step::What;
use crate::proto::{
    Decision, EntryKind, StoredChange, StoredIncidentStep, StoredScope, StoredScopeFilter,
};
use crate::review::incident::tally::Tally;

/// How many alternatives a scope has at most.
pub const ANY_OF_MAX: usize = 8;
/// How many accesses one turn brings.
const TURN: usize = 512;
/// How far a reader may be behind.
const AHEAD: usize = 64;
/// How long to wait where another is looking.
const BUSY: std::time::Duration = std::time::Duration::from_secs(5);

/// What is told while a scope is looked for.
#[derive(Debug)]
pub enum Scoping {
    /// How many accesses fit so far.
    Progress(u64),
    /// All of it, and its entry: the last.
    Found(Box<StoredScope>, LogIndex),
}

/// What is told of those who are affected.
#[derive(Debug)]
pub enum Affected {
    /// One of them, and the newest access that names them.
    Person(Pseudonym, LogIndex),
    /// The last.
    End {
        /// How many.
        people: u64,
        /// In how many accesses.
        accesses: u64,
        /// Whether it is what was recorded.
        same: bool,
    },
}

/// A scope while the log is read for it.
struct Walking {
    gate: Arc<Gate>,
    sieves: Vec<Sieve>,
    /// Which of the sieves is at work.
    at: usize,
    newest: Option<LogIndex>,
    scan: Scan,
    tally: Tally,
}

impl Walking {
    fn begin(gate: &Arc<Gate>, scope: &StoredScope) -> Result<Self, GateError> {
        let newest = scope.log_size.checked_sub(1).map(LogIndex);
        let sieves = scope.any_of.iter();
        Ok(Self {
            gate: Arc::clone(gate),
            sieves: sieves
                .map(|filter| sieve_of(filter, &scope.departments))
                .collect::<Result<_, _>>()?,
            at: 0,
            newest,
            scan: Scan::newest_first(newest),
            tally: Tally::default(),
        })
    }

    /// The next accesses: whom they name that none before did, each with the access. `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<(Pseudonym, LogIndex)>>, GateError> {
        while self.scan.is_over() {
            self.at = self.at.saturating_add(1);
            if self.at >= self.sieves.len() {
                return Ok(None);
            }
            self.scan = Scan::newest_first(self.newest);
        }
        let (before, from) = self.sieves.split_at(self.at.min(self.sieves.len()));
        let Some(sieve) = from.first() else {
            return Ok(None);
        };
        let found = self.gate.turn_of(sieve, &mut self.scan, true, TURN).await?;
        let mut new = Vec::new();
        for read in found {
            // What fits two of them is one access.
            if before.iter().any(|sieve| sieve.fits(&read.entry)) {
                continue;
            }
            let people = self.tally.add(&read.entry, &read.leaf_hash);
            new.extend(people.into_iter().map(|person| (person, read.index)));
        }
        Ok(Some(new))
    }
}

impl Gate {
    /// Looks for what an incident affects, and records it as its scope.
    ///
    /// # Errors
    /// When nobody who works on it asks, a field can't be taken, another scope is being looked for, or the call can't be logged.
    pub async fn scope_incident(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        id: LogIndex,
        any_of: Vec<EntryFilter>,
    ) -> Result<Told<Scoping>, GateError> {
        const CALL: &str = "ScopeIncident";
        let rules = self.rules.load_full();
        let now = self.now();
        let worker = self
            .incident_worker(&rules, peer, credentials, (CALL, Wants::Work), now)
            .await?;
        let incident = self.incident_for(peer, &worker, CALL, id, now).await?;
        let mut violations = Vec::new();
        if incident.closed().is_some() {
            violations.push(Violation::new("incident", "was closed"));
        }
        if any_of.is_empty() || any_of.len() > ANY_OF_MAX {
            let what = format!("must be 1 to {ANY_OF_MAX}");
            violations.push(Violation::new("any_of", what));
        }
        let wanted: Vec<StoredScopeFilter> = any_of
            .iter()
            .map(|filter| self.stored_filter(filter))
            .collect();
        for (position, filter) in wanted.iter().enumerate() {
            if *filter == StoredScopeFilter::default() {
                let field = format!("any_of[{position}]");
                let what = "is empty: everything that ever happened is no scope";
                violations.push(Violation::new(field, what));
            }
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &worker.who, CALL, violations, now)
                .await);
        }
        let place = self.place_to_look(peer, &worker, CALL, now).await?;
        let mut entry = self.administrators_entry(EntryKind::LogRead, peer, &worker.who, now);
        entry::detail(&mut entry, "call", CALL);
        entry::detail(&mut entry, "incident", id.to_string());
        for filter in &any_of {
            entry::detail(&mut entry, "filter", filter.to_string());
        }
        entry.subjects = wanted
            .iter()
            .map(|filter| filter.subject.clone())
            .filter(|subject| !subject.is_empty())
            .collect();
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let mut entry = self.administrators_entry(EntryKind::Incident, peer, &worker.who, now);
        let by = worker.id().to_string();
        let departments = worker.departments.iter().flatten();
        let departments = departments.map(ToString::to_string).collect();
        let gate = Arc::clone(self);
        Ok(telling::begin(AHEAD, |teller| async move {
            let seen = gate.log_seen().await?;
            let base = StoredScope {
                any_of: wanted,
                departments,
                log_size: seen.size,
                root_hash: seen.root.to_vec(),
                log_first: seen.first.map_or(seen.size, |(first, _)| first.0),
                ..StoredScope::default()
            };
            let mut walking = Walking::begin(&gate, &base)?;
            while walking.next().await?.is_some() {
                if teller.is_unheard() {
                    return Err(Ended::Unheard);
                }
                let progress = Scoping::Progress(walking.tally.accesses());
                teller.tell(progress).await?;
            }
            let scope = StoredScope {
                any_of: base.any_of,
                departments: base.departments,
                log_size: base.log_size,
                root_hash: base.root_hash,
                log_first: base.log_first,
                ..walking.tally.into_scope()
            };
            drop(place);
            let at = gate.now();
            entry.time_us = at.micros();
            entry::detail(&mut entry, "change", "scope");
            entry::detail(&mut entry, "incident", id.to_string());
            entry::detail(&mut entry, "accesses", scope.accesses.to_string());
            entry::detail(&mut entry, "people", scope.people.to_string());
            entry::detail(&mut entry, "log_size", scope.log_size.to_string());
            entry.change = Some(StoredChange {
                kind: Some(Kind::IncidentStep(StoredIncidentStep {
                    incident: id.0,
                    at_us: at.micros(),
                    by,
                    what: Some(What::Scope(scope.clone())),
                })),
            });
            let receipt = gate.change(entry, StillOpen(id), |_| ()).await?;
            gate.look_at_incidents().await;
            let found = Scoping::Found(Box::new(scope), receipt.index());
            teller.tell(found).await
        }))
    }

    /// Streams whom an incident affects: its scope, made anew.
    ///
    /// # Errors
    /// When nobody who may asks, the incident has no scope, another scope is being looked for, or the call can't be logged.
    pub async fn list_affected(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        id: LogIndex,
    ) -> Result<Told<Affected>, GateError> {
        const CALL: &str = "ListAffected";
        let rules = self.rules.load_full();
        let now = self.now();
        let worker = self
            .incident_worker(&rules, peer, credentials, (CALL, Wants::Read), now)
            .await?;
        let incident = self.incident_for(peer, &worker, CALL, id, now).await?;
        let Some((_, scope)) = incident.scope() else {
            let violations = vec![Violation::new("incident", "has no scope yet")];
            return Err(self
                .refuse_administrator(peer, &worker.who, CALL, violations, now)
                .await);
        };
        let place = self.place_to_look(peer, &worker, CALL, now).await?;
        let mut entry = self.administrators_entry(EntryKind::LogRead, peer, &worker.who, now);
        entry::detail(&mut entry, "call", CALL);
        entry::detail(&mut entry, "incident", id.to_string());
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let (gate, scope) = (Arc::clone(self), scope.clone());
        Ok(telling::begin(AHEAD, |teller| async move {
            let _place = place;
            let mut walking = Walking::begin(&gate, &scope)?;
            while let Some(people) = walking.next().await? {
                if teller.is_unheard() {
                    return Err(Ended::Unheard);
                }
                for (person, index) in people {
                    teller.tell(Affected::Person(person, index)).await?;
                }
            }
            let anew = walking.tally.into_scope();
            let end = Affected::End {
                people: anew.people,
                accesses: anew.accesses,
                same: anew.digest == scope.digest && anew.people == scope.people,
            };
            teller.tell(end).await
        }))
    }

    async fn place_to_look(
        &self,
        peer: &Peer,
        worker: &Worker<'_>,
        call: &str,
        now: Timestamp,
    ) -> Result<OwnedSemaphorePermit, GateError> {
        let place = Arc::clone(&self.incidents.scoping).try_acquire_owned();
        match place {
            Ok(place) => Ok(place),
            Err(_) => {
                let error = GateError::Busy {
                    what: "the scope of another incident is being looked for",
                    retry_after: BUSY,
                };
                Err(self.refuse_worker(peer, worker, call, error, now).await)
            }
        }
    }

    /// Whether an access of a person's is within a scope.
    pub(super) async fn accessed_within(
        self: &Arc<Self>,
        scope: &StoredScope,
        person: &Name,
    ) -> Result<bool, GateError> {
        let newest = scope.log_size.checked_sub(1).map(LogIndex);
        for filter in &scope.any_of {
            if !filter.person.is_empty() && *filter.person != **person {
                continue;
            }
            let of_person = StoredScopeFilter {
                person: person.to_string(),
                ..filter.clone()
            };
            let sieve = sieve_of(&of_person, &scope.departments)?;
            let mut scan = Scan::newest_first(newest);
            while !scan.is_over() {
                if !self.turn_of(&sieve, &mut scan, true, 1).await?.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn stored_filter(&self, filter: &EntryFilter) -> StoredScopeFilter {
        let text =
            |name: &Option<Name>| name.as_ref().map_or_else(String::new, ToString::to_string);
        let subject = filter.subject.as_ref();
        let subject = subject.map(|subject| self.keyring.pseudonyms.pseudonym(subject));
        StoredScopeFilter {
            from_us: filter.from.map(Timestamp::micros),
            until_us: filter.until.map(Timestamp::micros),
            person: text(&filter.person),
            subject: subject.map_or_else(Vec::new, |subject| subject.0.to_vec()),
            category: text(&filter.category),
            purpose: text(&filter.purpose),
            action: filter.action.map_or(0, Action::number),
            caller: text(&filter.caller),
            client_ip: filter
                .client_ip
                .map_or_else(String::new, |block| block.to_string()),
            system: text(&filter.system),
            subject_kind: text(&filter.subject_kind),
            department: text(&filter.department),
            recipient: text(&filter.recipient),
            case_ref: text(&filter.case_ref),
            break_glass_only: filter.break_glass_only,
        }
    }
}

/// What looks for allowed accesses that fit.
fn sieve_of(filter: &StoredScopeFilter, departments: &[String]) -> Result<Sieve, GateError> {
    let damaged = GateError::Internal("a scope that can't be read");
    let name = |text: &str| Name::parse(text).ok();
    let client_ip = match &*filter.client_ip {
        "" => None,
        text => {
            let block = parse_block(text).or_else(|_| parse_address(text).map(ipnet::IpNet::from));
            Some(block.map_err(|_| damaged)?)
        }
    };
    let wanted = EntryFilter {
        from: filter.from_us.map(Timestamp::from_micros),
        until: filter.until_us.map(Timestamp::from_micros),
        person: name(&filter.person),
        category: name(&filter.category),
        purpose: name(&filter.purpose),
        action: Action::from_number(filter.action),
        decision: Some(Decision::Allow.into()),
        caller: name(&filter.caller),
        client_ip,
        break_glass_only: filter.break_glass_only,
        kind: Some(EntryKind::Decision.into()),
        system: name(&filter.system),
        subject_kind: name(&filter.subject_kind),
        department: name(&filter.department),
        recipient: name(&filter.recipient),
        case_ref: name(&filter.case_ref),
        ..EntryFilter::default()
    };
    let departments: Vec<Name> = departments.iter().filter_map(|id| name(id)).collect();
    let departments = (!departments.is_empty()).then_some(departments);
    let subject = Pseudonym::from_bytes(&filter.subject);
    Ok(Sieve::new(wanted, subject, departments))
}
