//! Things of a pack by name and by position, and sets of them.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

/// Position of a `T` in its [`Table`].
pub struct Id<T> {
    position: u16,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// The position as a number, for indexes that are built over ids.
    #[must_use]
    pub const fn position(self) -> u16 {
        self.position
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.position.cmp(&other.position)
    }
}
impl<T> std::hash::Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.position.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.position)
    }
}

/// Things of one sort, by name and by position; at most 65,535.
#[derive(Debug, Clone)]
pub struct Table<T> {
    rows: Vec<(Box<str>, T)>,
    by_name: HashMap<Box<str>, u16>,
}

/// Why a thing can't be added to a [`Table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The name is taken.
    #[error("is there already")]
    Duplicate,
    /// 65,535 are there.
    #[error("is one more than the 65,535 that a pack may have")]
    Full,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            by_name: HashMap::new(),
        }
    }
}

impl<T> Table<T> {
    /// Adds a thing under its name.
    ///
    /// # Errors
    /// When the name is taken or the table is full.
    pub fn add(&mut self, name: &str, row: T) -> Result<Id<T>, TableError> {
        if self.by_name.contains_key(name) {
            return Err(TableError::Duplicate);
        }
        let position = u16::try_from(self.rows.len())
            .ok()
            .filter(|position| *position < u16::MAX)
            .ok_or(TableError::Full)?;
        self.by_name.insert(name.into(), position);
        self.rows.push((name.into(), row));
        Ok(Id {
            position,
            of: PhantomData,
        })
    }

    /// The id of a name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<Id<T>> {
        self.by_name.get(name).map(|position| Id {
            position: *position,
            of: PhantomData,
        })
    }

    /// The thing at an id of this table; `None` for an id of another table only.
    #[must_use]
    pub fn get(&self, id: Id<T>) -> Option<&T> {
        self.rows.get(usize::from(id.position)).map(|(_, row)| row)
    }

    /// The same, to be filled in while loading.
    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        self.rows
            .get_mut(usize::from(id.position))
            .map(|(_, row)| row)
    }

    /// The name at an id; empty for an id of another table only.
    #[must_use]
    pub fn name(&self, id: Id<T>) -> &str {
        self.rows
            .get(usize::from(id.position))
            .map_or("", |(name, _)| name)
    }

    /// Everything in order.
    pub fn iter(&self) -> impl Iterator<Item = (Id<T>, &str, &T)> {
        (0_u16..).zip(&self.rows).map(|(position, (name, row))| {
            (
                Id {
                    position,
                    of: PhantomData,
                },
                &**name,
                row,
            )
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A set of ids of one table.
pub struct IdSet<T> {
    bits: Vec<u64>,
    of: PhantomData<fn() -> T>,
}

impl<T> Default for IdSet<T> {
    fn default() -> Self {
        Self {
            bits: Vec::new(),
            of: PhantomData,
        }
    }
}

impl<T> Clone for IdSet<T> {
    fn clone(&self) -> Self {
        Self {
            bits: self.bits.clone(),
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for IdSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x?}", self.bits)
    }
}

impl<T> IdSet<T> {
    /// Puts an id in.
    pub fn insert(&mut self, id: Id<T>) {
        let (word, bit) = (usize::from(id.position / 64), id.position % 64);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(word) {
            *bits |= 1 << bit;
        }
    }

    /// Whether an id is in.
    #[must_use]
    pub fn contains(&self, id: Id<T>) -> bool {
        self.bits
            .get(usize::from(id.position / 64))
            .is_some_and(|bits| bits >> (id.position % 64) & 1 == 1)
    }

    /// Whether none is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|bits| *bits == 0)
    }
}

impl<T> FromIterator<Id<T>> for IdSet<T> {
    fn from_iter<I: IntoIterator<Item = Id<T>>>(ids: I) -> Self {
        let mut set = Self::default();
        for id in ids {
            set.insert(id);
        }
        set
    }
}
