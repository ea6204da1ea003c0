//! Every stage's verdict on a request that nobody makes, as the decision would give it now.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::decision::rules::{Promise, RuleSet};
use crate::decision::{
    GenuineTicket, RuleLine, StageVerdict, TicketFacts, Trace, Verdict, Withheld, passed_by,
};
use crate::domain::access::AccessRequest;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::person::Person;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::time::Timestamp;
use crate::gate::admission::Opened;
use crate::gate::case::Case;
use crate::gate::peer::{Caller, Peer};
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::log::Receipt;

const CALL: &str = "Explain";

/// What is to be explained.
#[derive(Debug)]
pub struct ExplainWish {
    /// The request; its proof is looked at where nobody else stands for it.
    pub request: AccessRequest,
    /// As if this person had passed both steps.
    pub as_person: Option<Name>,
    /// As if this service asked.
    pub as_service: Option<Name>,
}

/// Why a request would be allowed or denied.
#[derive(Debug)]
pub struct Explanation {
    /// Whether it would be allowed.
    pub allowed: bool,
    /// All eight stages, in their order.
    pub stages: Vec<ExplainedStage>,
    /// Digest of the pack.
    pub revision: [u8; 32],
    /// Categories that would be withheld.
    pub withheld_categories: Vec<(Name, Reason)>,
    /// Subjects that would be withheld, by position.
    pub withheld_subjects: Vec<Withheld>,
    receipt: Receipt,
}

impl Explanation {
    /// The entry of the call.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        self.receipt.index()
    }
}

/// What one stage would say.
#[derive(Debug)]
pub struct ExplainedStage {
    /// Which stage, whether it passed, and why not.
    pub verdict: StageVerdict,
    /// The sentence of the privacy policy that its rule keeps.
    pub promise: Option<Promise>,
}

impl Gate {
    /// Explains a request.
    ///
    /// # Errors
    /// When nobody who reviews or administers asks, a field can't be taken, or the call can't be logged.
    pub async fn explain(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        wish: ExplainWish,
    ) -> Result<Explanation, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let explainer = self.explainer(&rules, peer, credentials, CALL, now).await?;
        let ExplainWish {
            request,
            as_person,
            as_service,
        } = wish;
        if (as_person.is_some() || as_service.is_some()) && !explainer.administers {
            let why = "as_person and as_service need an administrator";
            return Err(self.refuse_explainer(peer, explainer, CALL, why, now).await);
        }
        if !request.subjects.named().is_empty() && !explainer.may_know_subjects() {
            let why = "whose data is for administrators and for who reviews everything";
            return Err(self.refuse_explainer(peer, explainer, CALL, why, now).await);
        }
        let person = as_person.as_ref().map(|id| self.person(id));
        let caller = match &as_service {
            None => Some(explainer.by.caller),
            Some(id) => asking(&rules, id),
        };
        let mut unknown = Vec::new();
        if let Some(None) = person {
            unknown.push(Violation::new("as_person", "there is no such person"));
        }
        let Some(caller) = caller.filter(|_| unknown.is_empty()) else {
            if caller.is_none() {
                unknown.push(Violation::new("as_service", "the pack has no such service"));
            }
            return Err(self
                .refuse_fields(peer, &explainer, CALL, unknown, now)
                .await);
        };
        let case = match person.flatten() {
            None => self.case(&rules, &caller, request, now),
            Some(person) => self.as_if_logged_in(&rules, person, request, now),
        };
        // Looks at the counts, and reserves nothing.
        let (verdict, _) = self.decide_case(&rules, &caller, &case, true, now);
        let stages = explained(&rules, &caller, &case, verdict.trace(), now);
        let categories = &case.request.categories;
        let (withheld_categories, withheld_subjects) = match &verdict {
            Verdict::Deny(_) => (Vec::new(), Vec::new()),
            Verdict::Allow(permit) => {
                let named = permit.withheld_categories.iter().filter_map(|withheld| {
                    let category = categories.get(withheld.position)?;
                    Some((category.clone(), withheld.reason.clone()))
                });
                (named.collect(), permit.withheld_subjects.clone())
            }
        };
        let mut entry = self.explainers_entry(peer, &explainer, CALL, now);
        for (key, id) in [("as_person", &as_person), ("as_service", &as_service)] {
            if let Some(id) = id {
                entry::detail(&mut entry, key, &**id);
            }
        }
        let allowed = verdict.is_allowed();
        entry::detail(
            &mut entry,
            "would_be",
            if allowed { "allowed" } else { "denied" },
        );
        self.about_the_request(&mut entry, case);
        entry.policy_revision = rules.revision.to_vec();
        let receipt = self.logged(entry).await?;
        Ok(Explanation {
            allowed,
            stages,
            revision: rules.revision,
            withheld_categories,
            withheld_subjects,
            receipt,
        })
    }

    /// Says what the explained request asks for; who asks for the explanation, and from where, stays.
    fn about_the_request(&self, entry: &mut crate::proto::StoredEntry, case: Case) {
        let (client_ip, mut request) = (entry.client_ip.clone(), case.request);
        // Why somebody would break the glass is no part of what was explained.
        request.break_glass = None;
        request.request_id = None;
        entry::asked(entry, request, &case.pseudonyms);
        let explained = std::mem::replace(&mut entry.client_ip, client_ip);
        if !explained.is_empty() {
            entry::detail(entry, "for_client_ip", explained);
        }
    }

    /// A request as if this person had just passed both steps where they ask from.
    fn as_if_logged_in(
        &self,
        rules: &RuleSet,
        person: Arc<Person>,
        request: AccessRequest,
        now: Timestamp,
    ) -> Case {
        let opened = Opened {
            facts: TicketFacts::Genuine(GenuineTicket {
                revoked: false,
                bound: true,
                second_step: Some(now),
                expires: now.plus(rules.session.absolute),
            }),
            ticket: None,
            locked: self.is_locked_out(&person.id),
            person: Some(person),
            ahead: false,
        };
        self.case_of(opened, request)
    }
}

/// A service as if it asked, from where it always may.
fn asking<'a>(rules: &'a RuleSet, id: &str) -> Option<Caller<'a>> {
    let id = rules.services.id(id)?;
    Some(Caller {
        id: rules.services.name(id),
        service: rules.services.get(id),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        is_built_in: false,
    })
}

/// The stages, each with the rule that settled it, also where it passed, and with the promise that the rule keeps.
fn explained(
    rules: &RuleSet,
    caller: &Caller<'_>,
    case: &Case,
    trace: &Trace,
    now: Timestamp,
) -> Vec<ExplainedStage> {
    let stages = trace.stages.iter().cloned();
    stages
        .map(|mut verdict| {
            if verdict.passed == Some(true) {
                verdict.rule =
                    passed_by(rules, caller.service, &case.request, trace, verdict.stage);
            }
            // sekisho's own programs stand on no line of a pack.
            verdict.rule = verdict.rule.filter(|rule| *rule != RuleLine::Pack(0));
            let promise = promise_of(rules, case, &verdict, now).cloned();
            ExplainedStage { verdict, promise }
        })
        .collect()
}

/// What the rule of a stage keeps. A grant that is missing has no rule: what the actor's role promises is why.
fn promise_of<'a>(
    rules: &'a RuleSet,
    case: &Case,
    verdict: &StageVerdict,
    now: Timestamp,
) -> Option<&'a Promise> {
    let roles = || {
        let person = case.opened.person.iter();
        person
            .flat_map(move |person| person.roles_at(now))
            .filter_map(|role| rules.roles.id(role))
    };
    match verdict.rule {
        Some(RuleLine::Pack(line)) => rules.promises.at(line),
        Some(RuleLine::Grants(_)) => {
            let purpose = rules.purposes.id(case.request.purpose.as_deref()?)?;
            rules.promise_of_grant(roles().next(), purpose)
        }
        None => {
            let missing = verdict.reasons.iter().any(|reason| {
                matches!(
                    reason.code,
                    ReasonCode::CategoryNotPermitted | ReasonCode::ActionNotPermitted
                )
            });
            let mut of_roles = roles().filter_map(|role| {
                let role = rules.roles.get(role)?;
                rules.promises.at(role.line)
            });
            missing.then(|| of_roles.next()).flatten()
        }
    }
}
