//! Which service is at the other end of a connection.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Gate, GateError};
use crate::decision::rules::{RuleSet, Service};
use crate::decision::{self, CallerFacts};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::identity::certificate::{Certificate, ClaimedName};

/// The other end of a connection, after its TLS handshake.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its certificate, of the configured authority.
    pub certificate: Arc<Certificate>,
    /// Its address, canonical.
    pub address: IpAddr,
}

/// What is known of the caller of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    /// Its id; empty where it is unknown.
    pub(super) id: &'a str,
    pub(super) service: Option<&'a Service>,
    pub(super) address: IpAddr,
    /// One of sekisho's own: its device address is the peer's.
    pub(super) is_built_in: bool,
}

impl<'a> Caller<'a> {
    /// What makes it a stranger: no service that is known, or one outside its own blocks.
    pub(super) fn stranger(&self) -> Option<ReasonCode> {
        match self.service {
            None => Some(ReasonCode::CallerUnknown),
            Some(service) if !decision::is_from_its_blocks(service, self.address) => {
                Some(ReasonCode::CallerNetworkNotAllowed)
            }
            Some(_) => None,
        }
    }

    pub(super) fn is_at_home(&self) -> bool {
        self.stranger().is_none()
    }

    pub(super) const fn facts(&self) -> CallerFacts<'a> {
        CallerFacts {
            service: self.service,
            address: self.address,
        }
    }
}

impl Gate {
    /// The service that a certificate names, as things stand now: validity and revocation count at each call, since a
    /// connection may outlive its certificate.
    pub(super) fn caller<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        now: Timestamp,
    ) -> Caller<'a> {
        let certificate = &peer.certificate;
        let mut caller = Caller {
            id: "",
            service: None,
            address: peer.address,
            is_built_in: false,
        };
        let in_time = certificate.not_before <= now && now <= certificate.not_after;
        if !in_time
            || self
                .settings
                .revoked_certificates
                .contains(&certificate.fingerprint)
        {
            return caller;
        }
        if let Some(id) = self.settings.built_in.get(&certificate.fingerprint) {
            caller.id = id;
            caller.service = Some(&self.built_in_service);
            caller.is_built_in = true;
            return caller;
        }
        let found = match &certificate.name {
            ClaimedName::Spiffe {
                trust_domain,
                service,
            } if **trust_domain == *self.settings.trust_domain => rules.services.id(service),
            ClaimedName::Dns(names) => {
                let mut listed = rules.services.iter().filter(|(_, _, service)| {
                    names.iter().any(|name| service.dns_names.contains(name))
                });
                match (listed.next(), listed.next()) {
                    (Some((id, _, _)), None) => Some(id),
                    _ => None, // none, or names of two services
                }
            }
            ClaimedName::Spiffe { .. } | ClaimedName::None(_) => None,
        };
        if let Some(id) = found {
            caller.id = rules.services.name(id);
            caller.service = rules.services.get(id);
        }
        caller
    }

    /// The caller of a call other than `Check`: a service that is known and calls from its own blocks.
    pub(super) async fn caller_at_home<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Caller<'a>, GateError> {
        let caller = self.caller(rules, peer, now);
        let error = match caller.stranger() {
            Some(code) => GateError::Refused(code),
            None if !self.is_fresh() => GateError::Stale,
            None => return Ok(caller),
        };
        Err(self.refuse_call(peer, &caller, call, error, now).await)
    }

    /// A caller at home whose service `may`; anyone else is refused, `otherwise` telling why.
    pub(super) async fn caller_that<'a>(
        &'a self,
        may: impl Fn(&Service) -> bool + Send,
        otherwise: GateError,
        rules: &'a RuleSet,
        peer: &'a Peer,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Caller<'a>, GateError> {
        let caller = self.caller_at_home(rules, peer, call, now).await?;
        if caller.service.is_some_and(may) {
            return Ok(caller);
        }
        Err(self.refuse_call(peer, &caller, call, otherwise, now).await)
    }
}
