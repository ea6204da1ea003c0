//! The directory: people who work with the data.

use super::engine::{Row, query};
use super::error::StoreError;
use super::news::Told;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;

impl Store {
    /// Everybody, by id.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn people(&self) -> Result<Vec<Person>, StoreError> {
        // One statement, so that all of it is as of one moment.
        let rows = query(
            "SELECT people.id, department, disabled, employment_end, trained_until, pledge, epoch, role
             FROM people LEFT JOIN person_roles ON person_roles.person = people.id
             ORDER BY people.id, person_roles.position",
        )
        .fetch_all(&self.engine)
        .await?;
        let mut people: Vec<Person> = Vec::new();
        for row in &rows {
            let id: &str = row.try_get("id")?;
            let role: Option<&str> = row.try_get("role")?;
            let role = role.map(read_name).transpose()?;
            match people.last_mut() {
                Some(person) if &*person.id == id => person.roles.extend(role),
                _ => people.push(read_person(row, role)?),
            }
        }
        Ok(people)
    }

    /// Adds a person, or replaces what is known of them; their credentials stay. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::EpochLowered`] when their epoch is below the one that is stored.
    pub async fn put_person(&self, person: &Person) -> Result<(), StoreError> {
        let id = &*person.id;
        let mut change = self.change().await?;
        self.take_turn(&mut change).await?;
        self.tell_others(&mut change, Told::People).await?;
        let put = query(
            "INSERT INTO people
                 (id, department, disabled, employment_end, trained_until, pledge, epoch)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE
             SET department = excluded.department, disabled = excluded.disabled,
                 employment_end = excluded.employment_end, trained_until = excluded.trained_until,
                 pledge = excluded.pledge, epoch = excluded.epoch
             WHERE excluded.epoch >= people.epoch",
        )
        .bind(id)
        .bind(&*person.department)
        .bind(person.disabled)
        .bind(person.employment_end.map(Timestamp::micros))
        .bind(person.trained_until.map(Timestamp::micros))
        .bind(person.pledge)
        .bind(to_stored(person.epoch)?)
        .execute(&mut change)
        .await?;
        if put == 0 {
            return Err(StoreError::EpochLowered);
        }
        query("DELETE FROM person_roles WHERE person = $1")
            .bind(id)
            .execute(&mut change)
            .await?;
        for (position, role) in (0_i64..).zip(&person.roles) {
            query("INSERT INTO person_roles (person, position, role) VALUES ($1, $2, $3)")
                .bind(id)
                .bind(position)
                .bind(&**role)
                .execute(&mut change)
                .await?;
        }
        change.commit().await
    }
}

fn read_person(row: &Row, role: Option<Name>) -> Result<Person, StoreError> {
    let instant = |micros: Option<i64>| micros.map(Timestamp::from_micros);
    Ok(Person {
        id: read_name(row.try_get("id")?)?,
        department: read_name(row.try_get("department")?)?,
        roles: role.into_iter().collect(),
        disabled: row.try_get("disabled")?,
        employment_end: instant(row.try_get("employment_end")?),
        trained_until: instant(row.try_get("trained_until")?),
        pledge: row.try_get("pledge")?,
        epoch: from_stored(row.try_get("epoch")?)?,
    })
}

pub(super) fn read_name(text: &str) -> Result<Name, StoreError> {
    Name::parse(text).map_err(|error| StoreError::Damaged(format!("a name {error}")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::tests::both;

    pub(in crate::store) fn person(id: &str, roles: &[&str]) -> Person {
        let name = |text: &str| Name::parse(text).unwrap();
        Person {
            id: name(id),
            department: name("人事部"),
            roles: roles.iter().map(|role| name(role)).collect(),
            disabled: false,
            employment_end: Some(Timestamp::from_micros(-1)),
            trained_until: None,
            pledge: true,
            epoch: 3,
        }
    }

    both! {
    async fn people_are_told_as_they_were_put(home) {
        let store = home.open().await;
        let mut two = person("person-2", &["z", "a", "m"]);
        two.disabled = true;
        two.employment_end = None;
        two.trained_until = Some(Timestamp::from_seconds(5));
        let one = person("person-1", &[]);
        store.put_person(&two).await.unwrap();
        store.put_person(&one).await.unwrap();
        store.close().await;
        let store = home.open().await;
        assert_eq!(store.people().await.unwrap(), [one, two]);
    }
    }

    both! {
    async fn a_person_is_replaced_whole(home) {
        let store = home.open().await;
        store.put_person(&person("p", &["a", "b"])).await.unwrap();
        let mut changed = person("p", &["c"]);
        changed.epoch = 4;
        changed.pledge = false;
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
}
