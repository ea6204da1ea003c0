//! Checks of strangers: callers that are nobody, or not where they belong.

use super::check::{Answer, Answers};
use super::peer::Peer;
use super::{Gate, GateError, entry};
use crate::decision::{self, LimitOutcome};
use crate::domain::access::{AccessRequest, Subjects};
use crate::domain::reason::ReasonCode;

impl Gate {
    /// A caller that is nobody, or not where it belongs: decided like any, but logged with a limit and without the lists it
    /// sent, so that it can't fill the disk.
    pub(super) async fn refuse_stranger(
        &self,
        peer: &Peer,
        request: Option<AccessRequest>,
        code: ReasonCode,
        count: u64,
    ) -> Result<Answers, GateError> {
        let Some(mut request) = request else {
            return Ok(Vec::new());
        };
        request.subjects = Subjects::Unnamed;
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        let case = self.case(&rules, &caller, request, now);
        let facts = case.facts(&caller, now);
        let verdict = decision::decide(&rules, &facts, |_, _| LimitOutcome::Exceeded(usize::MAX));
        if verdict.is_allowed() {
            return Err(GateError::Internal("a stranger was allowed"));
        }
        let mut entry = self.who_and_what(peer, &rules, &caller, case, now)?;
        entry.categories.clear();
        entry::decided(&mut entry, &rules, verdict, Vec::new(), now);
        let key = (peer.certificate.fingerprint, code.name());
        let (entry, receipt) = self.refusals.log(&self.log, key, entry, count).await?;
        let answer = Answer {
            entry,
            index: receipt.index(),
            renewed_ticket: None,
            receipt,
        };
        let copies = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(vec![answer; copies])
    }
}
