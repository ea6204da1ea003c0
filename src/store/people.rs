//! The directory: people who work with the data.

use prost::Message as _;

use super::engine::{Transaction, query};
use super::error::StoreError;
use super::news::Told;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::network::parse_block;
use crate::domain::person::{
    EmploymentKind, Leave, NetworkException, Person, Pledge, RoleAssignment,
};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::proto::{StoredLeave, StoredNetworkException, StoredPerson, StoredPledge, StoredRole};

impl Store {
    /// Everybody, by id.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn people(&self) -> Result<Vec<Person>, StoreError> {
        let rows = query("SELECT id, epoch, log_index, profile FROM people ORDER BY id")
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| {
                let id: &str = row.try_get("id")?;
                let damaged = || StoreError::Damaged(format!("the person {id:?}"));
                let profile: &[u8] = row.try_get("profile")?;
                let stored = StoredPerson::decode(profile).map_err(|_| damaged())?;
                let mut person = read_person(&stored).ok_or_else(damaged)?;
                if *person.id != *id {
                    return Err(damaged());
                }
                person.epoch = from_stored(row.try_get("epoch")?)?;
                person.revision = LogIndex(from_stored(row.try_get("log_index")?)?);
                Ok(person)
            })
            .collect()
    }

    /// Adds a person, or replaces what is known of them; their credentials stay. Durable when it returns. For those who are
    /// there before the log is: afterwards a change is an entry first.
    ///
    /// # Errors
    /// [`StoreError::EpochLowered`] when their epoch is below the one that is stored.
    pub async fn put_person(&self, person: &Person) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        self.take_turn(&mut change).await?;
        self.tell_others(&mut change, Told::People).await?;
        let known = query("SELECT epoch FROM people WHERE id = $1")
            .bind(&*person.id)
            .fetch_optional(&mut change)
            .await?;
        let known = known.map(|row| row.try_get("epoch")).transpose()?;
        if known.map(from_stored).transpose()?.unwrap_or(0) > person.epoch {
            return Err(StoreError::EpochLowered);
        }
        write(&mut change, person.revision, &stored_person(person)).await?;
        change.commit().await
    }
}

/// Makes the change that the entry `index` names. An epoch is never lowered.
pub(super) async fn put(
    change: &mut Transaction,
    index: LogIndex,
    person: &StoredPerson,
) -> Result<(), StoreError> {
    read_person(person).ok_or(StoreError::Change(index))?;
    to_stored(person.epoch).map_err(|_| StoreError::Change(index))?;
    write(change, index, person).await
}

async fn write(
    change: &mut Transaction,
    index: LogIndex,
    person: &StoredPerson,
) -> Result<(), StoreError> {
    // The epoch may be raised without the rest: only its column counts.
    let profile = StoredPerson {
        epoch: 0,
        ..person.clone()
    };
    query(
        "INSERT INTO people (id, epoch, log_index, profile) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE
         SET epoch = CASE WHEN people.epoch > excluded.epoch THEN people.epoch ELSE excluded.epoch END,
             log_index = excluded.log_index, profile = excluded.profile",
    )
    .bind(&person.id)
    .bind(to_stored(person.epoch)?)
    .bind(to_stored(index.0)?)
    .bind(profile.encode_to_vec())
    .execute(change)
    .await?;
    Ok(())
}

/// A person in the form that entries and the store keep.
#[must_use]
pub fn stored_person(person: &Person) -> StoredPerson {
    let text = |name: &Option<Name>| name.as_deref().unwrap_or_default().to_owned();
    let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
    StoredPerson {
        id: person.id.to_string(),
        display_name: person
            .display_name
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        departments: person.departments.iter().map(ToString::to_string).collect(),
        employment_kind: person.employment_kind.number(),
        employer: text(&person.employer),
        employment_end_us: micros(person.employment_end),
        leave: person.leave.map(|leave| StoredLeave {
            from_us: leave.from.micros(),
            until_us: micros(leave.until),
        }),
        roles: person
            .roles
            .iter()
            .map(|role| StoredRole {
                role: role.role.to_string(),
                valid_from_us: micros(role.valid_from),
                valid_until_us: micros(role.valid_until),
                approved_by: text(&role.approved_by),
                request: text(&role.request),
            })
            .collect(),
        network_exceptions: person
            .network_exceptions
            .iter()
            .map(|exception| StoredNetworkException {
                block: exception.block.to_string(),
                until_us: exception.until.micros(),
                why: exception.why.to_string(),
            })
            .collect(),
        trained_until_us: micros(person.trained_until),
        pledge: match person.pledge {
            Pledge::NotGiven => None,
            Pledge::Given => Some(StoredPledge { given_on_us: None }),
            Pledge::GivenOn(at) => Some(StoredPledge {
                given_on_us: Some(at.micros()),
            }),
        },
        subjects: person.subjects.iter().map(|own| own.0.to_vec()).collect(),
        disabled: person.disabled,
        epoch: person.epoch,
    }
}

/// Reads what [`stored_person`] writes; `None` for what it never writes.
fn read_person(stored: &StoredPerson) -> Option<Person> {
    let name = |text: &String| Name::parse(text).ok();
    let optional = |text: &String| match text.as_str() {
        "" => Some(None),
        text => Name::parse(text).ok().map(Some),
    };
    let at = |micros: Option<i64>| micros.map(Timestamp::from_micros);
    let departments: Vec<Name> = stored.departments.iter().map(name).collect::<Option<_>>()?;
    let mut person = Person::new(name(&stored.id)?, departments.first()?.clone());
    person.departments = departments;
    person.display_name =
        (!stored.display_name.is_empty()).then(|| stored.display_name.as_str().into());
    person.employment_kind = EmploymentKind::from_number(stored.employment_kind)?;
    person.employer = optional(&stored.employer)?;
    person.employment_end = at(stored.employment_end_us);
    person.leave = stored.leave.map(|leave| Leave {
        from: Timestamp::from_micros(leave.from_us),
        until: at(leave.until_us),
    });
    for role in &stored.roles {
        person.roles.push(RoleAssignment {
            role: name(&role.role)?,
            valid_from: at(role.valid_from_us),
            valid_until: at(role.valid_until_us),
            approved_by: optional(&role.approved_by)?,
            request: optional(&role.request)?,
        });
    }
    for exception in &stored.network_exceptions {
        person.network_exceptions.push(NetworkException {
            block: parse_block(&exception.block).ok()?,
            until: Timestamp::from_micros(exception.until_us),
            why: name(&exception.why)?,
        });
    }
    person.trained_until = at(stored.trained_until_us);
    person.pledge = stored.pledge.map_or(Pledge::NotGiven, |pledge| {
        at(pledge.given_on_us).map_or(Pledge::Given, Pledge::GivenOn)
    });
    for own in &stored.subjects {
        person.subjects.push(Pseudonym::from_bytes(own)?);
    }
    person.disabled = stored.disabled;
    person.epoch = stored.epoch;
    Some(person)
}

pub(super) fn read_name(text: &str) -> Result<Name, StoreError> {
    Name::parse(text).map_err(|error| StoreError::Damaged(format!("a name {error}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::proto::stored_change::Kind;
    use crate::store::tests::{both, change};

    pub(in crate::store) fn person(id: &str, roles: &[&str]) -> Person {
        let name = |text: &str| Name::parse(text).unwrap();
        Person {
            roles: roles
                .iter()
                .map(|role| RoleAssignment::for_good(name(role)))
                .collect(),
            employment_end: Some(Timestamp::from_micros(-1)),
            pledge: Pledge::Given,
            epoch: 3,
            ..Person::new(name(id), name("人事部"))
        }
    }

    /// With something in every field.
    fn full(id: &str) -> Person {
        let name = |text: &str| Name::parse(text).unwrap();
        let at = Timestamp::from_seconds;
        Person {
            id: name(id),
            display_name: Some("新しい 人".into()),
            departments: vec![name("人事部"), name("経理部")],
            employment_kind: EmploymentKind::Dispatched,
            employer: Some(name("Staff")),
            employment_end: Some(at(9)),
            leave: Some(Leave {
                from: at(1),
                until: Some(at(2)),
            }),
            roles: vec![
                RoleAssignment {
                    role: name("a"),
                    valid_from: Some(at(3)),
                    valid_until: Some(at(4)),
                    approved_by: Some(name("manager-1")),
                    request: Some(name("R-1")),
                },
                RoleAssignment::for_good(name("b")),
            ],
            network_exceptions: vec![NetworkException {
                block: "198.51.100.0/24".parse().unwrap(),
                until: at(5),
                why: name("R-2"),
            }],
            trained_until: Some(at(6)),
            pledge: Pledge::GivenOn(at(7)),
            subjects: vec![Pseudonym([8; 32])],
            disabled: true,
            epoch: 9,
            revision: LogIndex(10),
        }
    }

    both! {
    async fn people_are_told_as_they_were_put(home) {
        let store = home.open().await;
        let two = full("person-2");
        let mut three = person("person-3", &["z", "a", "m"]);
        three.leave = Some(Leave {
            from: Timestamp::from_micros(-5),
            until: None,
        });
        let one = person("person-1", &[]);
        for person in [&two, &one, &three] {
            store.put_person(person).await.unwrap();
        }
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.people().await.unwrap(), [one, two, three]);
    }
    }

    both! {
    async fn a_person_is_replaced_whole(home) {
        let store = home.open().await;
        store.put_person(&person("p", &["a", "b"])).await.unwrap();
        let mut changed = person("p", &["c"]);
        changed.epoch = 4;
        changed.pledge = Pledge::NotGiven;
        store.put_person(&changed).await.unwrap();
        assert_eq!(store.people().await.unwrap(), [changed]);
    }
    }

    both! {
    async fn an_epoch_is_never_lowered(home) {
        let store = home.open().await;
        store.put_person(&person("p", &["a"])).await.unwrap();
        let mut lowered = person("p", &["b"]);
        lowered.epoch = 2;
        let refused = store.put_person(&lowered).await.unwrap_err();
        assert!(matches!(refused, StoreError::EpochLowered), "{refused}");
        assert_eq!(store.people().await.unwrap(), [person("p", &["a"])]);
    }
    }

    both! {
    async fn a_change_of_the_log_puts_a_person_whose_revision_is_its_index(home) {
        let store = home.open().await;
        let put = |person: &Person| change(Kind::PutPerson(stored_person(person)));
        let mut lower = full("p");
        lower.epoch = 1;
        let changes = [
            (LogIndex(4), put(&full("p"))),
            (LogIndex(5), put(&person("q", &["a"]))),
            // Something else raised it meanwhile.
            (LogIndex(6), put(&lower)),
        ];
        store.apply(&changes, 7).await.unwrap();
        let people = store.people().await.unwrap();
        let told: Vec<_> = people
            .iter()
            .map(|person| (&*person.id, person.revision.0, person.epoch))
            .collect();
        assert_eq!(told, [("p", 6, 9), ("q", 5, 3)]);
        let mut bad = stored_person(&full("p"));
        bad.departments.clear();
        let bad = [(LogIndex(7), change(Kind::PutPerson(bad)))];
        let refused = store.apply(&bad, 8).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Change(LogIndex(7))),
            "{refused}"
        );
    }
    }
}
