//! Entries into numbers: who accessed, whose data, what, when. Takes one entry after the other, so that nothing loads whole.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest as _, Sha256};

use crate::domain::subject::Pseudonym;
use crate::proto::{StoredEntry, StoredScope, StoredScopeCount};

/// How many people are told apart: 16 bytes of memory each, and what a set of them takes besides.
pub const PEOPLE_MAX: usize = 1_000_000;
/// How many values of one sort are told apart. Packs have fewer.
const VALUES_MAX: usize = 10_000;
/// How many bytes of values of one sort go into the entry of a scope: seven sorts, and an entry is at most 65,535 bytes.
const LIST_MAX_BYTES: usize = 6_000;
/// What a value takes besides its text.
const PER_VALUE: usize = 16;

/// How many accesses each value has.
#[derive(Debug, Default)]
struct Counts {
    each: BTreeMap<String, u64>,
    /// There were more than are told apart.
    more: bool,
}

impl Counts {
    fn add(&mut self, value: &str) {
        if value.is_empty() {
            return;
        }
        if let Some(count) = self.each.get_mut(value) {
            *count = count.saturating_add(1);
        } else if self.each.len() < VALUES_MAX {
            self.each.insert(value.to_owned(), 1);
        } else {
            self.more = true;
        }
    }

    /// How many there are: one more than are told apart where there are more.
    fn in_all(&self) -> u64 {
        let told = u64::try_from(self.each.len()).unwrap_or(u64::MAX);
        told.saturating_add(u64::from(self.more))
    }

    /// The most frequent first, as many as fit.
    fn listed(self) -> Vec<StoredScopeCount> {
        let mut all: Vec<(String, u64)> = self.each.into_iter().collect();
        all.sort_by(|(one, most), (other, least)| least.cmp(most).then_with(|| one.cmp(other)));
        let mut left = LIST_MAX_BYTES;
        let fits = all.into_iter().map_while(|(id, accesses)| {
            left = left.checked_sub(id.len().saturating_add(PER_VALUE))?;
            Some(StoredScopeCount { id, accesses })
        });
        fits.collect()
    }
}

/// What fits so far.
#[derive(Debug, Default)]
pub struct Tally {
    accesses: u64,
    people: HashSet<[u8; 16]>,
    more_people: bool,
    unnamed_records: u64,
    persons: Counts,
    workloads: Counts,
    categories: Counts,
    purposes: Counts,
    systems: Counts,
    subject_kinds: Counts,
    origin_countries: Counts,
    recipients: Counts,
    first_us: Option<i64>,
    last_us: Option<i64>,
    digest: Sha256,
}

impl Tally {
    /// Takes an access that was allowed, with the hash of its leaf; tells the people whom no entry before it named. What was withheld
    /// doesn't count. A repeat of an answer is no access of its own.
    pub fn add(&mut self, entry: &StoredEntry, leaf_hash: &[u8; 32]) -> Vec<Pseudonym> {
        if !entry.repeat_of.is_empty() {
            return Vec::new();
        }
        self.accesses = self.accesses.saturating_add(1);
        self.digest.update(leaf_hash);
        let at = entry.time_us;
        self.first_us = Some(self.first_us.map_or(at, |first| first.min(at)));
        self.last_us = Some(self.last_us.map_or(at, |last| last.max(at)));
        match &*entry.person {
            "" => self.workloads.add(&entry.caller),
            person => self.persons.add(person),
        }
        for (position, category) in (0_u32..).zip(&entry.categories) {
            let mut withheld = entry.withheld_categories.iter();
            if !withheld.any(|withheld| withheld.index == position) {
                self.categories.add(category);
            }
        }
        self.purposes.add(&entry.purpose);
        self.systems.add(&entry.system);
        self.subject_kinds.add(&entry.subject_kind);
        self.origin_countries.add(&entry.origin_country);
        self.recipients.add(&entry.recipient);
        if entry.subjects.is_empty() {
            let records = entry.allowed_records.max(1);
            self.unnamed_records = self.unnamed_records.saturating_add(records);
            return Vec::new();
        }
        let withheld: HashSet<u32> = entry
            .withheld_subjects
            .iter()
            .flat_map(|group| group.indexes.iter().copied())
            .collect();
        let allowed = (0_u32..)
            .zip(&entry.subjects)
            .filter(|(position, _)| !withheld.contains(position))
            .filter_map(|(_, subject)| Pseudonym::from_bytes(subject));
        let mut new = Vec::new();
        for subject in allowed {
            // Half of what a keyed hash gives tells a million people apart as well as all of it.
            let Some(half) = subject.0.first_chunk::<16>() else {
                continue;
            };
            if self.people.contains(half) {
                continue;
            }
            if self.people.len() >= PEOPLE_MAX {
                self.more_people = true;
                continue;
            }
            self.people.insert(*half);
            new.push(subject);
        }
        new
    }

    /// How many accesses fit so far.
    #[must_use]
    pub const fn accesses(&self) -> u64 {
        self.accesses
    }

    /// How many people were told apart so far.
    #[must_use]
    pub fn people(&self) -> u64 {
        u64::try_from(self.people.len()).unwrap_or(u64::MAX)
    }

    /// As the entry of a scope has it; what was looked for, and in which log, is for the caller to add.
    #[must_use]
    pub fn into_scope(self) -> StoredScope {
        let (persons_in_all, categories_in_all) = (self.persons.in_all(), self.categories.in_all());
        StoredScope {
            accesses: self.accesses,
            people: self.people(),
            more_people: self.more_people,
            unnamed_records: self.unnamed_records,
            persons: self.persons.listed(),
            persons_in_all,
            workloads: self.workloads.listed(),
            categories: self.categories.listed(),
            categories_in_all,
            purposes: self.purposes.listed(),
            systems: self.systems.listed(),
            subject_kinds: self.subject_kinds.listed(),
            origin_countries: self.origin_countries.listed(),
            recipients: self.recipients.listed(),
            first_us: self.first_us.unwrap_or(0),
            last_us: self.last_us.unwrap_or(0),
            digest: self.digest.finalize().to_vec(),
            ..StoredScope::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{StoredWithheldCategory, StoredWithheldSubjects};

    fn access(person: &str, subjects: &[u8], categories: &[&str]) -> StoredEntry {
        StoredEntry {
            person: person.into(),
            caller: "desk".into(),
            subjects: subjects.iter().map(|one| vec![*one; 32]).collect(),
            categories: categories.iter().map(|&one| one.into()).collect(),
            allowed_records: 3,
            ..StoredEntry::default()
        }
    }

    #[test]
    fn each_person_counts_once_and_what_was_withheld_not_at_all() {
        let mut tally = Tally::default();
        let mut partial = access("p-1", &[1, 2, 3], &["contact", "health"]);
        partial.withheld_subjects = vec![StoredWithheldSubjects {
            reason: None,
            indexes: vec![1],
        }];
        partial.withheld_categories = vec![StoredWithheldCategory {
            index: 1,
            reason: None,
        }];
        assert_eq!(tally.add(&partial, &[1; 32]).len(), 2);
        assert_eq!(
            tally
                .add(&access("p-2", &[3, 4], &["contact"]), &[2; 32])
                .len(),
            1
        );
        let mut repeat = access("p-2", &[9], &["health"]);
        repeat.repeat_of = vec![1; 16];
        assert!(tally.add(&repeat, &[3; 32]).is_empty());
        assert!(
            tally
                .add(&access("", &[], &["contact"]), &[4; 32])
                .is_empty()
        );
        let scope = tally.into_scope();
        assert_eq!(
            (scope.accesses, scope.people, scope.unnamed_records),
            (3, 3, 3)
        );
        assert_eq!(scope.categories.len(), 1);
        assert_eq!(scope.persons_in_all, 2);
        assert_eq!(scope.workloads[0].id, "desk");
    }

    #[test]
    fn a_scope_fits_an_entry_whatever_it_names() {
        let mut tally = Tally::default();
        for number in 0..20_000 {
            let long = format!("{number:0128}");
            let mut entry = access(&long, &[1], &[&long]);
            entry.purpose.clone_from(&long);
            entry.system.clone_from(&long);
            entry.subject_kind.clone_from(&long);
            entry.origin_country.clone_from(&long);
            entry.recipient = long;
            tally.add(&entry, &[0; 32]);
        }
        let scope = tally.into_scope();
        assert_eq!(scope.persons_in_all, 10_001, "and more");
        assert!(prost::Message::encoded_len(&scope) < 50_000);
        assert!(scope.persons.len() < 100);
    }
}
