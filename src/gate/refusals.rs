//! Refusals of strangers: of certificates that name no service, or services outside their blocks. Each answer still has a
//! durable entry, but strangers can't fill the disk: the first within a second has an entry of its own, the others of that
//! second share one that says how many they were, and wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::admission::NotAdmitted;
use super::ledger::Ledger;
use super::peer::{Caller, Peer};
use super::{Gate, GateError, Violation, entry};
use crate::domain::time::Timestamp;
use crate::log::{AppendError, Receipt};
use crate::proto::{Decision, EntryKind, StoredEntry, StoredReason};

/// How often one certificate gets an entry for one sort of refusal.
const WINDOW: Duration = Duration::from_secs(1);
/// How many certificates and sorts are told apart at once.
const WINDOWS_MAX: usize = 10_000;
/// How many calls wait for one summed entry.
const WAITING_MAX: usize = 1_000;

/// What is summed: refusals of one certificate for one reason.
pub(super) type Key = ([u8; 32], &'static str);
type Shared = Result<(Arc<StoredEntry>, Receipt), AppendError>;

#[derive(Debug, Default)]
struct Window {
    /// The first entry waiting to be written, for all that came after the one that was written at once.
    sum: Option<StoredEntry>,
    waiting: Vec<oneshot::Sender<Shared>>,
}

/// The open windows.
#[derive(Debug, Clone, Default)]
pub(super) struct Refusals {
    windows: Arc<Mutex<HashMap<Key, Window>>>,
}

impl Refusals {
    /// Makes a refusal durable, alone or summed. `count` is how many it stands for (the items of a batch).
    pub(super) async fn log(
        &self,
        log: &Ledger,
        key: Key,
        mut entry: StoredEntry,
        count: u64,
    ) -> Result<(Arc<StoredEntry>, Receipt), GateError> {
        entry.sum_of = if count > 1 { count } else { 0 };
        let busy = GateError::Busy {
            what: "too many refused calls",
            retry_after: WINDOW,
        };
        let shared = {
            let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(window) = windows.get_mut(&key) {
                match &mut window.sum {
                    Some(sum) => sum.sum_of = sum.sum_of.max(1).saturating_add(count),
                    None => window.sum = Some(entry.clone()),
                }
                if window.waiting.len() >= WAITING_MAX {
                    return Err(busy); // counted all the same
                }
                let (tell, shared) = oneshot::channel();
                window.waiting.push(tell);
                Some(shared)
            } else if windows.len() >= WINDOWS_MAX {
                return Err(busy);
            } else {
                windows.insert(key, Window::default());
                None
            }
        };
        if let Some(shared) = shared {
            return match shared.await {
                Ok(shared) => shared.map_err(GateError::from),
                Err(_) => Err(GateError::Internal("a summed refusal was lost")),
            };
        }
        self.close_later(log, key);
        write(log, entry).await.map_err(GateError::from)
    }

    /// Ends the window after its second, writing what was summed; goes on while refusals keep coming.
    fn close_later(&self, log: &Ledger, key: Key) {
        let (refusals, log) = (self.clone(), log.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WINDOW).await;
                let window = {
                    let mut windows = refusals
                        .windows
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    match windows.get_mut(&key) {
                        Some(window) if window.sum.is_some() => std::mem::take(window),
                        _ => {
                            windows.remove(&key);
                            return;
                        }
                    }
                };
                let Some(sum) = window.sum else { return };
                let shared = write(&log, sum).await;
                for waiting in window.waiting {
                    // One that hung up needs no answer.
                    let _ = waiting.send(shared.clone());
                }
            }
        });
    }
}

async fn write(log: &Ledger, entry: StoredEntry) -> Shared {
    let receipts = log.append(std::slice::from_ref(&entry))?.await?;
    Ok((Arc::new(entry), receipts.first()))
}

impl Gate {
    /// Refuses a call: completes `entry` with what was called and why it is refused, makes it durable, and gives the error
    /// back for the caller; if the entry can't be written, that is the error. A stranger's refusals are summed.
    pub(super) async fn refuse(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        mut entry: StoredEntry,
        call: &str,
        error: GateError,
    ) -> GateError {
        entry.decision = Decision::Deny.into();
        entry::detail(&mut entry, "call", call);
        let mut sort = "other";
        match &error {
            GateError::Malformed(violations) => {
                let fields: Vec<&str> = violations
                    .iter()
                    .map(|violation| &*violation.field)
                    .collect();
                entry::detail(&mut entry, "fields", fields.join(", "));
            }
            GateError::Refused(code) | GateError::Ticket(code) => {
                sort = code.name();
                entry.reasons = vec![StoredReason {
                    code: code.number(),
                    about: String::new(),
                }];
            }
            other => entry::detail(&mut entry, "refused", other.to_string()),
        }
        let writes = entry.store_writes;
        let logged = if caller.is_at_home() {
            write(&self.log, entry).await.map_err(GateError::from)
        } else {
            let key = (peer.certificate.fingerprint, sort);
            self.refusals.log(&self.log, key, entry, 1).await
        };
        match logged {
            Ok(_) => {
                self.note_factor_writes(writes);
                error
            }
            Err(unwritten) => unwritten,
        }
    }

    /// Refuses a call of which no more is known than who called.
    pub(super) async fn refuse_call(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        call: &str,
        error: GateError,
        now: Timestamp,
    ) -> GateError {
        let entry = entry::event(EntryKind::RefusedCall, now, caller, peer);
        self.refuse(peer, caller, entry, call, error).await
    }

    /// Refuses a person, saying who they are as far as their ticket tells.
    pub(super) async fn refuse_person(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        call: &str,
        refused: impl Into<Box<NotAdmitted>>,
        error: GateError,
        now: Timestamp,
    ) -> GateError {
        let refused = refused.into();
        let mut entry = entry::event(EntryKind::RefusedCall, now, caller, peer);
        entry.client_ip = refused
            .client_ip
            .map_or_else(String::new, |address| address.to_string());
        if let Some(ticket) = &refused.ticket {
            entry.person = ticket.person.to_string();
            entry::in_session(&mut entry, ticket);
        }
        if let Some(person) = &refused.person {
            entry::acted_by(&mut entry, person);
        }
        if refused.ahead {
            entry::detail(&mut entry, entry::CLOCK, entry::SET_BACK);
        }
        self.refuse(peer, caller, entry, call, error).await
    }

    /// Refuses a call before it became one of the gate's: a message that can't be taken.
    pub async fn refuse_unheard(&self, peer: &Peer, call: &str, error: GateError) -> GateError {
        let (rules, now) = (self.rules.load_full(), self.now());
        let caller = self.caller(&rules, peer, now);
        self.refuse_call(peer, &caller, call, error, now).await
    }

    /// Refuses fields that can't be taken.
    pub async fn malformed(
        &self,
        peer: &Peer,
        call: &str,
        violations: Vec<Violation>,
    ) -> GateError {
        self.refuse_unheard(peer, call, GateError::Malformed(violations))
            .await
    }
}
