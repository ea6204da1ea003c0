//! Who may register: a service that the pack lets, or a person who administers; and who may ask whether somebody is held.

use super::administers;
use crate::decision::rules::{RuleSet, Service};
use crate::domain::time::Timestamp;
use crate::gate::admission::Admitted;
use crate::gate::peer::{Caller, Peer};
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::proto::{EntryKind, StoredEntry};

/// Who registers, or asks.
#[derive(Debug)]
pub(in crate::gate) struct Registrar<'a> {
    pub(in crate::gate) caller: Caller<'a>,
    /// Who administers; `None` where the service itself may.
    pub(in crate::gate) person: Option<Admitted>,
}

impl Gate {
    /// A service of the pack, in its blocks, that may register subjects, or a person who administers; anyone else is refused. Whoever
    /// comes with a ticket is the one who registers, whatever the service may: it is judged, and it is who the entry names.
    pub(in crate::gate) async fn registrar<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Registrar<'a>, GateError> {
        if credentials.ticket.is_some() {
            let caller = self.caller_at_home(rules, peer, call, now).await?;
            let otherwise = "with a ticket it takes a person who administers";
            return self
                .administering(rules, peer, caller, credentials, (call, otherwise), now)
                .await;
        }
        let may = |service: &Service| service.registers_subjects;
        let otherwise =
            "the policy lets this service register nothing; a person who administers may";
        self.service_or_administrator(rules, peer, credentials, (call, may, otherwise), now)
            .await
    }

    /// Who may ask about subjects: a service that holds data, or a person who administers.
    pub(super) async fn asking_of_subjects<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Registrar<'a>, GateError> {
        let may = |service: &Service| !service.systems.is_empty();
        let otherwise = "only a service that holds data may ask this, or a person who administers";
        self.service_or_administrator(rules, peer, credentials, (call, may, otherwise), now)
            .await
    }

    async fn service_or_administrator<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        (call, may, otherwise): (&'static str, fn(&Service) -> bool, &'static str),
        now: Timestamp,
    ) -> Result<Registrar<'a>, GateError> {
        let caller = self.caller_at_home(rules, peer, call, now).await?;
        if caller.service.is_some_and(may) {
            return Ok(Registrar {
                caller,
                person: None,
            });
        }
        if credentials.ticket.is_none() {
            let error = GateError::NotAuthorised(otherwise);
            return Err(self.refuse_call(peer, &caller, call, error, now).await);
        }
        self.administering(rules, peer, caller, credentials, (call, otherwise), now)
            .await
    }

    /// A person who administers; anyone else is refused.
    pub(super) async fn administering<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        caller: Caller<'a>,
        credentials: &Credentials,
        (call, otherwise): (&'static str, &'static str),
        now: Timestamp,
    ) -> Result<Registrar<'a>, GateError> {
        let (admitted, ()) = self
            .admitted_or_refused(
                rules,
                (peer, &caller),
                credentials,
                (call, otherwise),
                now,
                |person| administers(rules, person, now).then_some(()),
            )
            .await?;
        Ok(Registrar {
            caller,
            person: Some(admitted),
        })
    }

    /// An entry of what they do.
    pub(in crate::gate) fn registrars_entry(
        &self,
        registrar: &Registrar<'_>,
        peer: &Peer,
        now: Timestamp,
    ) -> StoredEntry {
        let mut entry = entry::event(EntryKind::Administration, now, &registrar.caller, peer);
        if let Some(admitted) = &registrar.person {
            self.acts(&mut entry, admitted, now);
        }
        entry
    }

    /// Says who acted, in which login: that is a use of the session.
    pub(super) fn acts(&self, entry: &mut StoredEntry, admitted: &Admitted, now: Timestamp) {
        entry::acted_by(entry, &admitted.person);
        entry::in_session(entry, &admitted.ticket);
        entry.client_ip = admitted.client_ip.to_string();
        self.sessions.used(admitted.ticket.session, now);
        entry.session_used = true;
    }
}
