//! Stage `network`: is the person's device in a network that one of their roles may work from?

use std::net::IpAddr;

use super::facts::{Facts, roles_of};
use super::rules::{Id, Network, RuleSet};
use super::scope::Scope;
use super::{Failure, Outcome};
use crate::domain::access::Proof;
use crate::domain::person::Person;
use crate::domain::reason::{Reason, ReasonCode};

pub(super) fn stage(rules: &RuleSet, facts: &Facts<'_>, scope: &mut Scope) -> Outcome {
    if facts.request.proof == Proof::Workload {
        return Outcome::Passed; // a workload has no device
    }
    let fail = |code| Outcome::Failed(Failure::of(Reason::new(code, "")));
    let Some(address) = facts.request.client_ip else {
        return fail(ReasonCode::ClientIpMissing);
    };
    let admitting = admitting_network(rules, facts.person, address);
    let is_proxy = facts
        .caller
        .service
        .is_some_and(|service| service.proxies.iter().any(|block| block.contains(&address)));
    match (admitting, is_proxy) {
        (Some(_), true) => fail(ReasonCode::ClientIpIsProxy),
        (Some(network), false) => {
            scope.network = Some(network);
            Outcome::Passed
        }
        (None, _) => fail(ReasonCode::IpNotAllowed),
    }
}

/// The first network that admits the address: of the person's own roles (inherited ones don't count), or of the whole
/// pack where nobody is known.
pub(super) fn admitting_network(
    rules: &RuleSet,
    person: Option<&Person>,
    address: IpAddr,
) -> Option<Id<Network>> {
    let admits = |id: &Id<Network>| {
        rules
            .networks
            .get(*id)
            .is_some_and(|network| network.blocks.iter().any(|block| block.contains(&address)))
    };
    match person {
        Some(person) => roles_of(rules, person)
            .into_iter()
            .filter_map(|role| rules.roles.get(role))
            .flat_map(|role| role.networks.iter().copied())
            .find(admits),
        None => rules.networks.iter().map(|(id, _, _)| id).find(admits),
    }
}
