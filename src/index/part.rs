//! The index of one segment in memory, as it grows.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::key::{self, Key, Query};
use super::postings::{Postings, Set};
use crate::proto::StoredEntry;

/// No position is larger: the highest bit tells a position from an offset in a sidecar.
pub(super) const POSITIONS_MAX: u64 = 1 << 31;

/// Places keys, which are spread already: a number that nobody outside knows keeps callers, who may choose what a case is
/// called, from choosing keys that fall on each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places(u64);

impl Places {
    fn drawn() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Places {
    type Hasher = Place;

    fn build_hasher(&self) -> Place {
        Place(self.0)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place(u64);

impl Hasher for Place {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    /// Both halves of the product of two 64-bit numbers.
    fn write_u64(&mut self, number: u64) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ number).wrapping_mul(ODD);
        let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
        self.0 = u64::try_from(low ^ high).unwrap_or_default();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The entries of a segment from its first up to some index.
#[derive(Debug)]
pub(super) struct Part {
    first: u64,
    /// How many keys were destroyed before the first of its entries was opened; `None` where nobody could tell.
    keys_destroyed: Option<u64>,
    pub(super) lists: HashMap<Key, Postings, Places>,
    /// Entries that could not be read: candidates of every query.
    pub(super) unread: Option<Postings>,
    /// Each address by when it came first, from 1 on.
    pub(super) addresses: HashMap<u128, u32>,
    /// The number of each entry's address, 0 for none.
    pub(super) numbers: Vec<u32>,
}

impl Part {
    pub(super) fn new(first: u64, keys_destroyed: Option<u64>) -> Self {
        Self {
            first,
            keys_destroyed,
            lists: HashMap::with_hasher(Places::drawn()),
            unread: None,
            addresses: HashMap::new(),
            numbers: Vec::new(),
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Whether none of its entries was opened by a key that is among the `keys_destroyed` by now.
    pub(super) fn is_of(&self, keys_destroyed: u64) -> bool {
        self.keys_destroyed == Some(keys_destroyed)
    }

    /// The index after the last entry that it knows.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(u64::from(self.entries()))
    }

    pub(super) fn entries(&self) -> u32 {
        u32::try_from(self.numbers.len()).unwrap_or(u32::MAX)
    }

    /// Adds the entry at [`Self::next`]; `None` is one that can't be read.
    pub(super) fn add(&mut self, entry: Option<&StoredEntry>) {
        let position = self.entries();
        let Some(entry) = entry else {
            match &mut self.unread {
                Some(postings) => postings.push(position),
                none => *none = Some(Postings::One(position)),
            }
            self.numbers.push(0);
            return;
        };
        key::keys_of(entry, |key| {
            self.lists
                .entry(key)
                .and_modify(|postings| postings.push(position))
                .or_insert(Postings::One(position));
        });
        let number = key::address_of(entry).map_or(0, |address| {
            let count = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
            *self
                .addresses
                .entry(address)
                .or_insert(count.saturating_add(1))
        });
        self.numbers.push(number);
    }

    /// Where entries may be that have all of `query`.
    pub(super) fn candidates(&self, query: &Query) -> Set {
        let universe = self.entries();
        let mut set = Set::All;
        for key in &query.keys {
            // A list that is not in order can't be: without it, nothing is narrowed.
            let list = match self.lists.get(key) {
                Some(postings) => postings.to_set(universe).unwrap_or(Set::All),
                None => Set::none(),
            };
            set = set.and(list);
            if set.is_empty() {
                break;
            }
        }
        if let Some((first, last)) = query.addresses
            && !set.is_empty()
        {
            let mut within = vec![false; self.addresses.len().saturating_add(1)];
            for (address, number) in &self.addresses {
                let place = usize::try_from(*number).ok();
                if (first..=last).contains(address)
                    && let Some(place) = place.and_then(|place| within.get_mut(place))
                {
                    *place = true;
                }
            }
            set = set.keep(universe, |position| {
                let number = usize::try_from(position)
                    .ok()
                    .and_then(|at| self.numbers.get(at).copied())
                    .and_then(|number| usize::try_from(number).ok());
                number.is_some_and(|number| within.get(number).copied().unwrap_or(false))
            });
        }
        match &self.unread {
            Some(unread) => set.or(unread.to_set(universe).unwrap_or(Set::All), universe),
            None => set,
        }
    }
}
