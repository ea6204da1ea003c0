//! Stage `caller`: which service is this, from an address it may use, for a system it may ask about?

use std::net::IpAddr;

use super::facts::Facts;
use super::rules::Service;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::Proof;
use crate::domain::reason::{Reason, ReasonCode};

/// Whether a service may connect from `address`: its own blocks, or loopback, because samples run there.
#[must_use]
pub fn is_from_its_blocks(service: &Service, address: IpAddr) -> bool {
    address.is_loopback() || service.blocks.iter().any(|block| block.contains(&address))
}

pub(super) fn stage(facts: &Facts<'_>) -> Outcome {
    identity(facts)
        .and_then(|service| check(facts, service))
        .into()
}

/// The service, where it is known and calls from its own blocks.
pub(super) fn identity<'a>(facts: &Facts<'a>) -> Result<&'a Service, Failure> {
    let Some(service) = facts.caller.service else {
        return Err(Failure::of(Reason::new(ReasonCode::CallerUnknown, "")));
    };
    if !is_from_its_blocks(service, facts.caller.address) {
        return Err(Failure::by(
            Reason::new(ReasonCode::CallerNetworkNotAllowed, ""),
            RuleLine::Pack(service.line),
        ));
    }
    Ok(service)
}

fn check(facts: &Facts<'_>, service: &Service) -> Result<(), Failure> {
    let fail = |code, about: &str| {
        Err(Failure::by(
            Reason::new(code, about),
            RuleLine::Pack(service.line),
        ))
    };
    let system = facts.request.system.as_deref().unwrap_or("");
    if !service.systems.iter().any(|own| **own == *system) {
        return fail(ReasonCode::CallerSystemNotAllowed, system);
    }
    if !service.acts_for_people && facts.request.proof != Proof::Workload {
        return fail(ReasonCode::CallerMayNotActForPeople, "");
    }
    Ok(())
}
