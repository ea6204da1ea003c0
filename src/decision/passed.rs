//! By which rule a stage passed: for who explains a decision. Nothing is decided by it.

use super::rules::{RuleSet, Service};
use super::verdict::{RuleLine, Trace};
use crate::domain::access::{AccessRequest, Action, Proof};
use crate::domain::reason::Stage;

/// By which rule a stage passed, where it is one rule that let it.
#[must_use]
pub fn passed_by(
    rules: &RuleSet,
    service: Option<&Service>,
    request: &AccessRequest,
    trace: &Trace,
    stage: Stage,
) -> Option<RuleLine> {
    let line = match stage {
        Stage::Caller => service?.line,
        Stage::Network => rules.networks.get(trace.network?)?.line,
        Stage::Grant => {
            let granted = trace.granted.iter();
            // Emergency access where one of them needs it.
            let first = granted.clone().find(|granted| granted.by_break_glass);
            return first.or(granted.clone().next()).map(|granted| granted.rule);
        }
        Stage::Provision if request.action == Action::Provide => {
            let recipient = request.provision.recipient.as_deref()?;
            rules.recipients.get(rules.recipients.id(recipient)?)?.line
        }
        Stage::Limits if request.proof != Proof::Workload => {
            let mut limits = rules.limits.iter();
            limits
                .find(|limit| limit.actions.contains(request.action))?
                .line
        }
        _ => return None,
    };
    Some(RuleLine::Pack(line))
}
