//! Clocks that ran out, and attestations that are overdue, for operators: looked at every minute and after every step.

use std::sync::{Mutex, PoisonError};

use super::folded;
use crate::gate::{Gate, GateError};
use crate::review::incident::clocks::{State, standing};
use crate::store::IncidentQuery;
use crate::vitals::{Metric, Vitals};

/// How many are told one by one.
const TOLD_MAX: usize = 20;

#[derive(Debug, Default)]
struct Seen {
    open: u64,
    running: u64,
    overdue: Vec<String>,
    /// How many measures nobody attested in time: a metric, since people mend it and not the operators.
    unattested: u64,
}

/// What was seen last.
#[derive(Debug, Default)]
pub struct OverdueClocks(Mutex<Seen>);

impl Vitals for OverdueClocks {
    fn warnings(&self) -> Vec<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told: Vec<String> = seen.overdue.iter().take(TOLD_MAX).cloned().collect();
        let more = seen.overdue.len().saturating_sub(TOLD_MAX);
        if more > 0 {
            told.push(format!("{more} more clocks of incidents are overdue"));
        }
        told
    }

    fn metrics(&self) -> Vec<Metric> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        vec![
            Metric::gauge(
                "sekisho_incidents_open",
                "Incidents that are not closed.",
                seen.open,
            ),
            Metric::gauge(
                "sekisho_attestations_overdue",
                "Safety-management measures that nobody attested in time; the register says which.",
                seen.unattested,
            ),
            Metric::gauge(
                "sekisho_incident_clocks_running",
                "Reports of incidents that are still to be recorded, within their time.",
                seen.running,
            ),
            Metric::gauge(
                "sekisho_incident_clocks_overdue",
                "Reports of incidents whose time is over and of which nothing is recorded; /readyz says which.",
                u64::try_from(seen.overdue.len()).unwrap_or(u64::MAX),
            ),
        ]
    }
}

impl Gate {
    /// Looks at the clocks of all open incidents, and tells operators which ran out.
    pub async fn look_at_incidents(&self) {
        if let Err(error) = self.try_look_at_incidents().await {
            tracing::warn!(%error, "which reports of incidents are overdue is not known");
        }
    }

    async fn try_look_at_incidents(&self) -> Result<(), GateError> {
        let wanted = IncidentQuery {
            closed: false,
            before: None,
            at_most: u32::MAX,
        };
        let incidents = self.store.incidents(wanted).await?;
        let (rules, now) = (self.rules.load_full(), self.now());
        let mut seen = Seen {
            open: u64::try_from(incidents.len()).unwrap_or(u64::MAX),
            ..Seen::default()
        };
        for incident in incidents.into_iter().map(folded) {
            for clock in standing(&incident, &rules, now) {
                match (clock.state, clock.due) {
                    (State::Overdue, Some(due)) => seen.overdue.push(format!(
                        "incident {}: {} was due {}, and nothing is recorded",
                        incident.id, clock.clock.id, due.day
                    )),
                    (State::Running, _) => seen.running = seen.running.saturating_add(1),
                    _ => {}
                }
            }
        }
        let unattested = self.overdue_attestations(now).await?;
        seen.unattested = u64::try_from(unattested.len()).unwrap_or(u64::MAX);
        let kept = &self.incidents.overdue.0;
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }
}
