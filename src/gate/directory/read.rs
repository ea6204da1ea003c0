//! Reading the directory: by those who administer or audit, and with an entry.

use std::sync::Arc;

use time::UtcOffset;

use super::People;
use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::admission::administers;
use crate::gate::peer::Peer;
use crate::gate::records::log_holds::Administrator;
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::proto::EntryKind;

/// Which people are wanted.
#[derive(Debug, Clone, Default)]
pub struct PeopleFilter {
    /// Who work there.
    pub department: Option<Name>,
    /// Whose role it is now.
    pub role: Option<Name>,
    /// Only those who may work now.
    pub active_only: bool,
    /// Whose ids come after this one.
    pub after: Option<Name>,
}

impl PeopleFilter {
    fn fits(&self, person: &Person, now: Timestamp) -> bool {
        self.after.as_ref().is_none_or(|after| person.id > *after)
            && (!self.active_only || person.is_active(now))
            && self
                .department
                .as_ref()
                .is_none_or(|wanted| person.departments.contains(wanted))
            && self
                .role
                .as_ref()
                .is_none_or(|wanted| person.roles_at(now).any(|role| role == wanted))
    }

    fn words(&self) -> String {
        let part =
            |what: &str, name: &Option<Name>| name.as_ref().map(|name| format!("{what}={name}"));
        let parts = [
            part("department", &self.department),
            part("role", &self.role),
            self.active_only.then(|| "active_only=true".to_owned()),
            part("after", &self.after),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// People as they are told.
#[derive(Debug)]
pub struct SeenPeople {
    /// By id.
    pub people: Vec<Arc<Person>>,
    /// As of when.
    pub at: Timestamp,
    /// Where the pack's days begin.
    pub offset: UtcOffset,
}

impl Gate {
    /// One person.
    ///
    /// # Errors
    /// When nobody who administers or audits asks, there is no such person, or the call can't be logged.
    pub async fn get_person(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        id: &Name,
    ) -> Result<SeenPeople, GateError> {
        let (rules, people, at) = self
            .directory_reader(peer, credentials, "GetPerson", ("account", id.to_string()))
            .await?;
        let person = people
            .get(id)
            .ok_or(GateError::NotFound("there is no such person"))?;
        Ok(SeenPeople {
            people: vec![Arc::clone(person)],
            at,
            offset: rules.utc_offset,
        })
    }

    /// The people whom a filter fits, all of them: who asks takes as many as they want.
    ///
    /// # Errors
    /// When nobody who administers or audits asks, or the call can't be logged.
    pub async fn list_people(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
        filter: &PeopleFilter,
    ) -> Result<SeenPeople, GateError> {
        let (rules, people, at) = self
            .directory_reader(peer, credentials, call, ("filter", filter.words()))
            .await?;
        let mut people: Vec<Arc<Person>> = people
            .values()
            .filter(|person| filter.fits(person, at))
            .cloned()
            .collect();
        people.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Ok(SeenPeople {
            people,
            at,
            offset: rules.utc_offset,
        })
    }

    async fn directory_reader(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        call: &'static str,
        (key, value): (&'static str, String),
    ) -> Result<(Arc<RuleSet>, Arc<People>, Timestamp), GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let caller = self.caller(&rules, peer, now);
        let (admitted, ()) = self
            .admitted_or_refused(
                &rules,
                (peer, &caller),
                credentials,
                (call, "this needs somebody who administers or audits"),
                now,
                |person| may_read(&rules, person, now).then_some(()),
            )
            .await?;
        let reader = Administrator { caller, admitted };
        let mut entry = self.administrators_entry(EntryKind::Administration, peer, &reader, now);
        entry::detail(&mut entry, "call", call);
        entry::detail(&mut entry, key, value);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok((rules, self.people.load_full(), now))
    }
}

fn may_read(rules: &RuleSet, person: &Person, now: Timestamp) -> bool {
    let mut roles = person
        .roles_at(now)
        .filter_map(|role| rules.roles.get(rules.roles.id(role)?));
    administers(rules, person, now) || roles.any(|role| role.audits)
}
