//! Incidents as they are shown. Each call is logged before anything is.

use std::sync::Arc;

use super::{Wants, folded};
use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::records::read_log::unreadable;
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::log::ReadError;
use crate::proto::EntryKind;
use crate::review::incident::Incident;
use crate::review::incident::clocks::{Standing, standing};
use crate::review::incident::draft::{Drafted, Stage, Texts, draft};
use crate::store::IncidentQuery;

/// An incident as of an instant.
#[derive(Debug, Clone)]
pub struct IncidentSeen {
    /// What was done about it.
    pub incident: Incident,
    /// What people wrote, where it was asked for and can be read.
    pub texts: Texts,
    /// By which rules it is judged.
    pub rules: Arc<RuleSet>,
    /// As of when.
    pub now: Timestamp,
    /// The log that it is in.
    pub log: String,
}

impl IncidentSeen {
    /// How its clocks stand.
    #[must_use]
    pub fn standing(&self) -> Vec<Standing<'_>> {
        standing(&self.incident, &self.rules, self.now)
    }

    /// The nine items of its report.
    #[must_use]
    pub fn draft(&self, stage: Stage) -> Vec<Drafted> {
        let standing = self.standing();
        draft(&self.incident, &self.texts, stage, &standing, &self.rules)
    }
}

/// A page of a list, and before which one the next begins.
type IncidentPage = (Vec<IncidentSeen>, Option<LogIndex>);

impl Gate {
    /// Incidents, the newest first, without what people wrote.
    ///
    /// # Errors
    /// When nobody who may asks, or the call can't be logged.
    pub async fn list_incidents(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        closed: bool,
        (size, before): (usize, Option<LogIndex>),
    ) -> Result<IncidentPage, GateError> {
        const CALL: &str = "ListIncidents";
        let rules = self.rules.load_full();
        let now = self.now();
        let worker = self
            .incident_worker(&rules, peer, credentials, (CALL, Wants::Read), now)
            .await?;
        let mut entry = self.administrators_entry(EntryKind::LogRead, peer, &worker.who, now);
        entry::detail(&mut entry, "call", CALL);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        let at_most = u32::try_from(size).unwrap_or(u32::MAX);
        let mut found = Vec::new();
        let mut before = before;
        // Those of other departments are passed over: a page is full all the same.
        loop {
            let wanted = IncidentQuery {
                closed,
                before,
                at_most: at_most.saturating_add(1),
            };
            let page = self.store.incidents(wanted).await?;
            let over = page.len() <= size;
            for incident in page.into_iter().map(folded) {
                if found.len() == size {
                    return Ok((found, before));
                }
                before = Some(incident.id);
                if worker.may_see(&incident) {
                    found.push(IncidentSeen {
                        incident,
                        texts: Texts::new(),
                        rules: Arc::clone(&rules),
                        now,
                        log: self.log.name().to_owned(),
                    });
                }
            }
            if over {
                return Ok((found, None));
            }
        }
    }

    /// One incident with all that people wrote; for the draft of a report, too.
    ///
    /// # Errors
    /// When nobody who may asks, there is no such incident for them, or the call can't be logged.
    pub async fn get_incident(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
        id: LogIndex,
    ) -> Result<IncidentSeen, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let worker = self
            .incident_worker(&rules, peer, credentials, (call, Wants::Read), now)
            .await?;
        let incident = self.incident_for(peer, &worker, call, id, now).await?;
        let mut entry = self.administrators_entry(EntryKind::LogRead, peer, &worker.who, now);
        entry::detail(&mut entry, "call", call);
        entry::detail(&mut entry, "incident", id.to_string());
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(IncidentSeen {
            texts: self.texts_of(&incident).await?,
            incident,
            log: self.log.name().to_owned(),
            now,
            rules: Arc::clone(&rules),
        })
    }

    /// What people wrote about an incident. What was disposed of is left out.
    async fn texts_of(&self, incident: &Incident) -> Result<Texts, GateError> {
        let steps = incident.steps.iter().map(|step| step.index);
        let indexes: Vec<LogIndex> = std::iter::once(incident.id).chain(steps).collect();
        let ledger = self.log.clone();
        let read = move || -> Result<Texts, GateError> {
            let mut texts = Texts::new();
            for index in indexes {
                let kept = match ledger.reader().get(index) {
                    Err(ReadError::Disposed { .. }) => continue,
                    kept => kept.map_err(unreadable)?,
                };
                let kept = kept.ok_or(GateError::Internal("a step of an incident is gone"))?;
                let text = ledger.open(&kept).map_err(unreadable)?.entry.free_text;
                if !text.is_empty() {
                    texts.insert(index, text);
                }
            }
            Ok(texts)
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| GateError::Internal("reading ended early"))?
    }
}
