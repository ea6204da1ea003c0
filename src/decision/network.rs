//! Stage `network`: is the person's device in a network that one of their roles may work from, or where an exception admits
//! them for a time?

use std::net::IpAddr;

use ipnet::IpNet;

use super::facts::{Facts, roles_of};
use super::rules::{Id, Network, RuleSet};
use super::scope::Scope;
use super::verdict::RuleLine;
use super::{Failure, Outcome};
use crate::domain::access::Proof;
use crate::domain::person::Person;
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::time::Timestamp;

pub(super) fn stage(rules: &RuleSet, facts: &Facts<'_>, scope: &mut Scope) -> Outcome {
    if facts.request.proof == Proof::Workload {
        return Outcome::Passed; // a workload has no device
    }
    let fail = |code| {
        let reason = Reason::new(code, "");
        Outcome::Failed(match rule(rules, facts) {
            Some(rule) => Failure::by(reason, rule),
            None => Failure::of(reason),
        })
    };
    let Some(address) = facts.request.client_ip else {
        return fail(ReasonCode::ClientIpMissing);
    };
    let admitting = admitting(rules, facts.person, address, facts.now);
    let is_proxy = facts
        .caller
        .service
        .is_some_and(|service| service.proxies.iter().any(|block| block.contains(&address)));
    match (admitting, is_proxy) {
        (Some(_), true) => fail(ReasonCode::ClientIpIsProxy),
        (Some(admitting), false) => {
            match admitting {
                Admitting::Network(network) => scope.network = Some(network),
                Admitting::Exception(block) => scope.network_exception = Some(block),
            }
            Outcome::Passed
        }
        (None, _) => fail(ReasonCode::IpNotAllowed),
    }
}

/// Where it is said from where the person may work: the first of their networks; of the pack's where nobody is known.
fn rule(rules: &RuleSet, facts: &Facts<'_>) -> Option<RuleLine> {
    let network = match facts.person {
        Some(person) => roles_of(rules, person, facts.now)
            .into_iter()
            .filter_map(|role| rules.roles.get(role))
            .find_map(|role| role.networks.first().copied()),
        None => rules.networks.iter().map(|(id, _, _)| id).next(),
    };
    let network = rules.networks.get(network?)?;
    Some(RuleLine::Pack(network.line))
}

/// What admits a device.
enum Admitting {
    Network(Id<Network>),
    /// The block of an exception of the person.
    Exception(IpNet),
}

/// What admits the address: the first network of the person's own roles (inherited ones don't count), else an exception of
/// theirs; or any network of the pack where nobody is known.
fn admitting(
    rules: &RuleSet,
    person: Option<&Person>,
    address: IpAddr,
    now: Timestamp,
) -> Option<Admitting> {
    let admits = |id: &Id<Network>| {
        rules
            .networks
            .get(*id)
            .is_some_and(|network| network.blocks.iter().any(|block| block.contains(&address)))
    };
    let Some(person) = person else {
        let mut all = rules.networks.iter().map(|(id, _, _)| id);
        return all.find(admits).map(Admitting::Network);
    };
    let of_roles = roles_of(rules, person, now)
        .into_iter()
        .filter_map(|role| rules.roles.get(role))
        .flat_map(|role| role.networks.iter().copied())
        .find(admits);
    let excepted = || {
        let mut exceptions = person.network_exceptions.iter();
        exceptions.find(|exception| exception.admits(address, now))
    };
    of_roles
        .map(Admitting::Network)
        .or_else(|| excepted().map(|exception| Admitting::Exception(exception.block)))
}
