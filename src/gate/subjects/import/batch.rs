//! The rows of an import as they are kept until all are there: compact, since there may be a million.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use prost::Message as _;
use sha2::{Digest, Sha256};

use crate::domain::ids::Name;
use crate::domain::reference::Reference;
use crate::domain::subject::{Pseudonym, Word};
use crate::domain::time::Timestamp;
use crate::store::Sort;

/// A row: texts are numbers of words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// `None` for nobody in particular.
    pub(super) subject: Option<Pseudonym>,
    pub(super) value: Option<Timestamp>,
    pub(super) given: Option<Timestamp>,
    pub(super) name: u32,
    pub(super) reference: u32,
    pub(super) purposes: u32,
    pub(super) line: u32,
    pub(super) sort: Sort,
}

/// Texts, each once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    numbers: HashMap<Word, u32>,
    words: Vec<Word>,
}

impl Texts {
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let word = Word::from(text);
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        number
    }
}

/// All rows of an import. Where something is wrong it has the bad ones too, as far as they say what they are about: of two that
/// are the same both may be.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) texts: Texts,
    purposes: Vec<Arc<[Word]>>,
    numbers_of_purposes: HashMap<Arc<[Word]>, u32>,
}

impl Batch {
    pub(super) fn word(&self, number: u32) -> &Word {
        static NONE: LazyLock<Word> = LazyLock::new(|| Word::from(""));
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.texts.words.get(at).unwrap_or(&NONE)
    }

    pub(super) fn purposes(&self, number: u32) -> Arc<[Word]> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.purposes.get(at).cloned().unwrap_or_default()
    }

    pub(super) fn number_of_purposes(&mut self, purposes: &[Name]) -> u32 {
        let words: Vec<Word> = purposes
            .iter()
            .map(|purpose| {
                let number = self.texts.number(purpose);
                Arc::clone(self.word(number))
            })
            .collect();
        let words: Arc<[Word]> = words.into();
        if let Some(known) = self.numbers_of_purposes.get(&words) {
            return *known;
        }
        let number = u32::try_from(self.purposes.len()).unwrap_or(u32::MAX);
        self.purposes.push(Arc::clone(&words));
        self.numbers_of_purposes.insert(words, number);
        number
    }

    pub(super) fn reference(&self, row: &Row, at: Timestamp) -> Option<Reference> {
        let Sort::Reference(kind) = row.sort else {
            return None;
        };
        Some(Reference {
            kind,
            id: Name::parse(self.word(row.name)).ok()?,
            purposes: self.purposes(row.purposes),
            until: row.value,
            since: at,
            given: row.given,
            withdrawn: false,
        })
    }

    /// Rows of one subject after the other, once they are in order.
    pub(super) fn by_subject(&self) -> impl Iterator<Item = &[Row]> {
        self.rows.chunk_by(|one, next| one.subject == next.subject)
    }

    /// Puts the rows in the order of subject, sort and name; nobody in particular comes first.
    pub(super) fn sort(&mut self) {
        let Self { rows, texts, .. } = self;
        let word = |number: u32| {
            texts
                .words
                .get(usize::try_from(number).unwrap_or(usize::MAX))
        };
        rows.sort_unstable_by(|one, other| {
            (one.subject, one.sort)
                .cmp(&(other.subject, other.sort))
                .then_with(|| word(one.name).cmp(&word(other.name)))
                .then_with(|| one.line.cmp(&other.line))
        });
    }

    /// SHA-256 of the rows in their order, each with its length before it.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for row in &self.rows {
            let told = Told {
                subject: row.subject.map_or_else(Vec::new, |of| of.0.to_vec()),
                sort: row.sort.number(),
                name: self.word(row.name).to_string(),
                value_us: row.value.map(Timestamp::micros),
                purposes: self
                    .purposes(row.purposes)
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                reference: self.word(row.reference).to_string(),
                given_us: row.given.map(Timestamp::micros),
            };
            digest.update(told.encode_length_delimited_to_vec());
        }
        digest.finalize().into()
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }
}

/// A row as the digest takes it. Fields are only ever added.
#[derive(Clone, PartialEq, prost::Message)]
struct Told {
    #[prost(bytes = "vec", tag = "1")]
    subject: Vec<u8>,
    #[prost(int64, tag = "2")]
    sort: i64,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(int64, optional, tag = "4")]
    value_us: Option<i64>,
    #[prost(string, repeated, tag = "5")]
    purposes: Vec<String>,
    #[prost(string, tag = "6")]
    reference: String,
    #[prost(int64, optional, tag = "7")]
    given_us: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(batch: &mut Batch, subject: u8, sort: Sort, name: &str, line: u32) {
        let row = Row {
            subject: (subject > 0).then_some(Pseudonym([subject; 32])),
            value: None,
            given: None,
            name: batch.texts.number(name),
            reference: batch.texts.number(""),
            purposes: batch.number_of_purposes(&[]),
            line,
            sort,
        };
        batch.rows.push(row);
    }

    #[test]
    fn the_digest_is_of_what_is_in_it_whatever_the_order_of_the_lines() {
        let batch = |order: &[usize]| {
            let all = [
                (1, Sort::Hold, "b"),
                (1, Sort::Hold, "a"),
                (0, Sort::Date, "z"),
            ];
            let mut batch = Batch::default();
            for (line, position) in (2..).zip(order) {
                let (subject, sort, name) = all[*position];
                row(&mut batch, subject, sort, name, line);
            }
            batch.sort();
            batch
        };
        assert_eq!(batch(&[0, 1, 2]).digest(), batch(&[2, 0, 1]).digest());
        assert_ne!(batch(&[0, 1, 2]).digest(), batch(&[0, 1]).digest());
        let lines: Vec<u32> = batch(&[0, 1, 2]).rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [4, 3, 2]);
        let mut later = batch(&[0, 1, 2]);
        later.rows[0].given = Some(Timestamp::default());
        assert_ne!(later.digest(), batch(&[0, 1, 2]).digest());
    }
}
