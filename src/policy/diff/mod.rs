//! What a change of a pack means: what becomes allowed or denied for which role, whom that touches, and what else changes.
//!
//! | file | job |
//! |---|---|
//! | `grants` | the compiled grants of both, tuple by tuple; only where they differ is anything put into words |
//! | `people` | for whom of some people it makes a difference |
//! | `facts`, `describe` | everything else that a pack says, as facts under the names of pack.toml |
//!
//! Two packs are compared by the ids they use: one that is renamed is one that went and one that came. Rules stand on lines, which
//! move: two that differ in their line alone are alike.
//!
//! Nothing here decides or reads a file; what would have been decided otherwise is `replay`'s to say.

mod describe;
mod facts;
mod grants;
mod people;

pub use facts::{Became, FactChange, Section, not_shown, other_changes};
pub use grants::{GrantChange, GrantChanges, How, grant_changes};
pub use people::{Affected, PersonBefore, affected};

use crate::decision::rules::{Id, Table};

/// The names of two tables, in order, and what has them in each.
#[derive(Debug)]
struct Joint<'a, T> {
    names: Vec<&'a str>,
    old: Vec<Option<Id<T>>>,
    new: Vec<Option<Id<T>>>,
    /// By position in the table: the number of its name here.
    of_old: Vec<u32>,
    of_new: Vec<u32>,
}

impl<'a, T> Joint<'a, T> {
    fn of(old: &'a Table<T>, new: &'a Table<T>) -> Self {
        let of_both = old.iter().chain(new.iter());
        let mut names: Vec<&str> = of_both.map(|(_, name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let number = |name: &str| {
            let found = names.binary_search(&name).unwrap_or_default();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let numbers = |table: &Table<T>| table.iter().map(|(_, name, _)| number(name)).collect();
        Self {
            old: names.iter().map(|name| old.id(name)).collect(),
            new: names.iter().map(|name| new.id(name)).collect(),
            of_old: numbers(old),
            of_new: numbers(new),
            names,
        }
    }

    fn name(&self, number: u32) -> &'a str {
        at(&self.names, number).unwrap_or_default()
    }

    fn of_old(&self, id: Id<T>) -> u32 {
        let number = self.of_old.get(usize::from(id.position()));
        number.copied().unwrap_or(u32::MAX)
    }

    fn of_new(&self, id: Id<T>) -> u32 {
        let number = self.of_new.get(usize::from(id.position()));
        number.copied().unwrap_or(u32::MAX)
    }

    fn id_in_old(&self, number: u32) -> Option<Id<T>> {
        at(&self.old, number).flatten()
    }

    fn id_in_new(&self, number: u32) -> Option<Id<T>> {
        at(&self.new, number).flatten()
    }
}

fn at<T: Copy>(all: &[T], number: u32) -> Option<T> {
    all.get(usize::try_from(number).ok()?).copied()
}

#[cfg(test)]
mod tests;
