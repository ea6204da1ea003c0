//! Refusals of strangers: of certificates that name no service, or services outside their blocks. Each answer still has a
//! durable entry, but strangers can't fill the disk: the first within a second has an entry of its own, the others of that
//! second share one that says how many they were, and wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::peer::{Caller, Peer};
use super::{Gate, GateError, Violation, entry};
use crate::decision;
use crate::domain::reason::{ReasonCode, Stage};
use crate::domain::time::Timestamp;
use crate::log::{AccessLog, AppendError, Receipt};
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
        log: &AccessLog,
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
    fn close_later(&self, log: &AccessLog, key: Key) {
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

async fn write(log: &AccessLog, entry: StoredEntry) -> Shared {
    let receipts = log.append(std::slice::from_ref(&entry))?.await?;
    Ok((Arc::new(entry), receipts.first()))
}

impl Gate {
    /// Logs a call that was refused for `code` and says so to the caller.
    pub(super) async fn refused(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        call: &'static str,
        code: ReasonCode,
        now: Timestamp,
    ) -> GateError {
        let mut entry = entry::event(EntryKind::RefusedCall, now, caller, peer);
        entry::detail(&mut entry, "call", call);
        entry.decision = Decision::Deny.into();
        entry.reasons = vec![StoredReason {
            code: code.number(),
            about: String::new(),
        }];
        let key = (peer.certificate.fingerprint, code.name());
        let logged = if code.stage() == Stage::Caller {
            self.refusals
                .log(&self.log, key, entry, 1)
                .await
                .map(|_| ())
        } else {
            write(&self.log, entry)
                .await
                .map(|_| ())
                .map_err(GateError::from)
        };
        logged.err().unwrap_or(GateError::Refused(code))
    }

    /// Logs a refused call of a known caller under the error's own words.
    pub(super) async fn refused_entry(
        &self,
        mut entry: StoredEntry,
        call: &'static str,
        error: GateError,
    ) -> GateError {
        entry::detail(&mut entry, "call", call);
        entry::detail(&mut entry, "refused", error.to_string());
        match write(&self.log, entry).await {
            Ok(_) => error,
            Err(unwritten) => unwritten.into(),
        }
    }

    /// Logs a request that can't be taken, field by field, and says so to the caller. A stranger's are summed.
    pub async fn malformed(
        &self,
        peer: &Peer,
        call: &'static str,
        violations: Vec<Violation>,
    ) -> GateError {
        let (rules, now) = (self.rules.load_full(), self.now());
        let caller = self.caller(&rules, peer, now);
        self.malformed_of(peer, &caller, call, violations, now)
            .await
    }

    pub(super) async fn malformed_of(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        call: &'static str,
        violations: Vec<Violation>,
        now: Timestamp,
    ) -> GateError {
        let fields: Vec<&str> = violations
            .iter()
            .map(|violation| &*violation.field)
            .collect();
        let mut entry = entry::event(EntryKind::RefusedCall, now, caller, peer);
        entry::detail(&mut entry, "call", call);
        entry::detail(&mut entry, "fields", fields.join(", "));
        self.refuse_taking(peer, caller, entry, GateError::Malformed(violations))
            .await
    }

    /// Logs a message over its size, which was not decoded.
    pub async fn too_large(&self, peer: &Peer, call: &str, what: String) -> GateError {
        let (rules, now) = (self.rules.load_full(), self.now());
        let caller = self.caller(&rules, peer, now);
        let mut entry = entry::event(EntryKind::RefusedCall, now, &caller, peer);
        entry::detail(&mut entry, "call", call);
        entry::detail(&mut entry, "refused", what.clone());
        self.refuse_taking(peer, &caller, entry, GateError::TooLarge(what))
            .await
    }

    async fn refuse_taking(
        &self,
        peer: &Peer,
        caller: &Caller<'_>,
        entry: StoredEntry,
        error: GateError,
    ) -> GateError {
        let at_home = caller
            .service
            .is_some_and(|service| decision::is_from_its_blocks(service, caller.address));
        let logged = if at_home {
            write(&self.log, entry)
                .await
                .map(|_| ())
                .map_err(GateError::from)
        } else {
            let key = (peer.certificate.fingerprint, "malformed");
            self.refusals
                .log(&self.log, key, entry, 1)
                .await
                .map(|_| ())
        };
        logged.err().unwrap_or(error)
    }
}
