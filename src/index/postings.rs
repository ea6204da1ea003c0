//! Positions of entries within one segment: packed as they come, and as sets to look into.

/// Positions in ascending order, packed: the first, and then by how far each is from the one before, as variable-length
/// numbers (7 bits a byte, the least significant first).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Postings {
    One(u32),
    Many(Box<Packed>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Packed {
    last: u32,
    bytes: Vec<u8>,
}

impl Packed {
    fn push(&mut self, position: u32) {
        write_number(position.wrapping_sub(self.last), &mut self.bytes);
        self.last = position;
    }
}

impl Postings {
    /// Adds a position that is not before any other; one that is the last already is not added again.
    pub(super) fn push(&mut self, position: u32) {
        match self {
            Self::One(only) if *only == position => {}
            Self::One(only) => {
                let mut packed = Packed::default();
                packed.push(*only);
                packed.push(position);
                *self = Self::Many(Box::new(packed));
            }
            Self::Many(packed) if packed.last == position => {}
            Self::Many(packed) => packed.push(position),
        }
    }

    pub(super) fn to_set(&self, universe: u32) -> Option<Set> {
        match self {
            Self::One(position) => Some(Set::Few(vec![*position])),
            Self::Many(packed) => unpack(&packed.bytes, universe),
        }
    }

    /// As they are kept in a sidecar: twice their length in bytes, plus 1 when they are a bitmap; then the bytes.
    pub(super) fn encode(&self, universe: u32, out: &mut Vec<u8>) {
        let packed = match self {
            Self::One(position) => {
                let mut packed = Packed::default();
                packed.push(*position);
                &packed.bytes.clone()
            }
            Self::Many(packed) => &packed.bytes,
        };
        let bits = is_dense(packed.len(), universe)
            .then(|| unpack(packed, universe))
            .flatten();
        match bits {
            Some(Set::Bits(words)) => {
                write_number(length(words.len().saturating_mul(8)) << 1 | 1, out);
                out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            }
            _ => {
                write_number(length(packed.len()) << 1, out);
                out.extend(packed);
            }
        }
    }
}

/// No list is longer than a segment has bytes, which are at most 2^30.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Whether a bitmap of `universe` positions takes no more than `bytes`.
fn is_dense(bytes: usize, universe: u32) -> bool {
    bytes as u64 >= u64::from(universe).div_ceil(64).saturating_mul(8)
}

/// What stands before encoded postings: how long they are, whether they are a bitmap, and how long this itself was. `None`
/// when `bytes` start with no such thing.
pub(super) fn read_prefix(bytes: &[u8]) -> Option<(usize, bool, usize)> {
    let (number, rest) = read_number(bytes)?;
    let own = bytes.len().checked_sub(rest.len())?;
    Some((usize::try_from(number >> 1).ok()?, number & 1 == 1, own))
}

/// Reads encoded postings without what stands before them. `None` when they are none of a segment with `universe` entries.
pub(super) fn decode(bytes: &[u8], bitmap: bool, universe: u32) -> Option<Set> {
    if !bitmap {
        return unpack(bytes, universe);
    }
    let (words, []) = bytes.as_chunks::<8>() else {
        return None;
    };
    let fits = words.len() as u64 == u64::from(universe).div_ceil(64);
    fits.then(|| Set::Bits(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))
}

fn unpack(bytes: &[u8], universe: u32) -> Option<Set> {
    if is_dense(bytes.len(), universe) {
        let mut words = empty_words(universe);
        each(bytes, universe, |position| set_bit(&mut words, position))?;
        return Some(Set::Bits(words));
    }
    let mut few = Vec::with_capacity(bytes.len());
    each(bytes, universe, |position| few.push(position))?;
    Some(Set::Few(few))
}

/// `None` at the first number that is no position after the one before it.
fn each(bytes: &[u8], universe: u32, mut take: impl FnMut(u32)) -> Option<()> {
    let (mut last, mut rest) = read_number(bytes)?;
    loop {
        if last >= universe {
            return None;
        }
        take(last);
        if rest.is_empty() {
            return Some(());
        }
        let (step, after) = read_number(rest)?;
        if step == 0 {
            return None;
        }
        (last, rest) = (last.checked_add(step)?, after);
    }
}

fn empty_words(universe: u32) -> Vec<u64> {
    vec![0; usize::try_from(universe.div_ceil(64)).unwrap_or(0)]
}

fn set_bit(words: &mut [u64], position: u32) {
    if let Some(word) = words.get_mut(word_of(position)) {
        *word |= 1 << (position % 64);
    }
}

fn word_of(position: u32) -> usize {
    usize::try_from(position / 64).unwrap_or(usize::MAX)
}

fn write_number(number: u32, out: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(low_byte(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

fn low_byte(number: u32) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low
}

fn read_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0_u32;
    let mut rest = bytes;
    for shift in (0..35).step_by(7) {
        let (byte, after) = rest.split_first()?;
        rest = after;
        let part = u32::from(byte & 0x7f);
        number |= part
            .checked_shl(shift)
            .filter(|moved| moved >> shift == part)?;
        if byte & 0x80 == 0 {
            return Some((number, rest));
        }
    }
    None
}

/// A set of positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Set {
    /// Every position.
    All,
    /// In ascending order.
    Few(Vec<u32>),
    /// A bit for each position.
    Bits(Vec<u64>),
}

impl Set {
    pub(super) fn none() -> Self {
        Self::Few(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::All => false,
            Self::Few(few) => few.is_empty(),
            Self::Bits(words) => words.iter().all(|word| *word == 0),
        }
    }

    pub(super) fn contains(&self, position: u32) -> bool {
        match self {
            Self::All => true,
            Self::Few(few) => few.binary_search(&position).is_ok(),
            Self::Bits(words) => words
                .get(word_of(position))
                .is_some_and(|word| word >> (position % 64) & 1 == 1),
        }
    }

    /// What is in both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, set) | (set, Self::All) => set,
            (Self::Bits(mut one), Self::Bits(other)) => {
                one.truncate(other.len());
                for (word, other) in one.iter_mut().zip(other) {
                    *word &= other;
                }
                Self::Bits(one)
            }
            (Self::Few(mut few), bits @ Self::Bits(_))
            | (bits @ Self::Bits(_), Self::Few(mut few)) => {
                few.retain(|position| bits.contains(*position));
                Self::Few(few)
            }
            (Self::Few(one), Self::Few(other)) => {
                let (mut shorter, longer) = if one.len() <= other.len() {
                    (one, other)
                } else {
                    (other, one)
                };
                let mut rest = longer.as_slice();
                shorter.retain(|position| {
                    let before = rest.partition_point(|other| other < position);
                    rest = rest.get(before..).unwrap_or_default();
                    rest.first() == Some(position)
                });
                Self::Few(shorter)
            }
        }
    }

    /// What is in either; `universe` bounds the positions.
    pub(super) fn or(self, other: Self, universe: u32) -> Self {
        let mut words = empty_words(universe);
        for set in [self, other] {
            match set {
                Self::All => return Self::All,
                Self::Few(few) => few
                    .into_iter()
                    .for_each(|position| set_bit(&mut words, position)),
                Self::Bits(bits) => {
                    for (word, other) in words.iter_mut().zip(bits) {
                        *word |= other;
                    }
                }
            }
        }
        Self::Bits(words)
    }

    /// What of it is `wanted`; `universe` bounds the positions.
    pub(super) fn keep(self, universe: u32, wanted: impl Fn(u32) -> bool) -> Self {
        match self {
            Self::Few(mut few) => {
                few.retain(|position| wanted(*position));
                Self::Few(few)
            }
            other => {
                let mut words = empty_words(universe);
                for (at, word) in (0..).zip(&mut words) {
                    let first = u32::saturating_mul(at, 64);
                    for bit in 0..64_u32.min(universe.saturating_sub(first)) {
                        *word |= u64::from(wanted(first.saturating_add(bit))) << bit;
                    }
                }
                other.and(Self::Bits(words))
            }
        }
    }

    /// The first position at or after `from`.
    pub(super) fn next_from(&self, from: u32) -> Option<u32> {
        match self {
            Self::All => Some(from),
            Self::Few(few) => few
                .get(few.partition_point(|position| *position < from))
                .copied(),
            Self::Bits(words) => {
                let start = word_of(from);
                let mut mask = u64::MAX << (from % 64);
                for (at, word) in words.iter().enumerate().skip(start) {
                    let found = word & mask;
                    mask = u64::MAX;
                    if found != 0 {
                        let first = u32::try_from(at).ok()?.checked_mul(64)?;
                        return first.checked_add(found.trailing_zeros());
                    }
                }
                None
            }
        }
    }

    /// The last position at or before `until`.
    pub(super) fn last_until(&self, until: u32) -> Option<u32> {
        match self {
            Self::All => Some(until),
            Self::Few(few) => {
                let after = few.partition_point(|position| *position <= until);
                few.get(after.checked_sub(1)?).copied()
            }
            Self::Bits(words) => {
                let last = word_of(until);
                for (at, word) in words.iter().enumerate().rev() {
                    if at > last {
                        continue;
                    }
                    let mask = if at == last {
                        u64::MAX >> (63 - until % 64)
                    } else {
                        u64::MAX
                    };
                    let found = word & mask;
                    if found != 0 {
                        let first = u32::try_from(at).ok()?.checked_mul(64)?;
                        return first.checked_add(63_u32.checked_sub(found.leading_zeros())?);
                    }
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const UNIVERSE: u32 = 500;

    fn set_of(positions: &BTreeSet<u32>) -> (Set, Set) {
        let few = Set::Few(positions.iter().copied().collect());
        let mut words = empty_words(UNIVERSE);
        positions
            .iter()
            .for_each(|position| set_bit(&mut words, *position));
        (few, Set::Bits(words))
    }

    fn positions_of(set: &Set) -> BTreeSet<u32> {
        (0..UNIVERSE)
            .filter(|position| set.contains(*position))
            .collect()
    }

    proptest! {
        #[test]
        fn packed_positions_read_back(positions in btree_set(0..UNIVERSE, 1..400)) {
            let mut all = positions.iter();
            let mut postings = Postings::One(*all.next().unwrap());
            for position in all {
                postings.push(*position);
                postings.push(*position);
            }
            prop_assert_eq!(positions_of(&postings.to_set(UNIVERSE).unwrap()), positions.clone());
            let mut bytes = Vec::new();
            postings.encode(UNIVERSE, &mut bytes);
            let (length, bitmap, own) = read_prefix(&bytes).unwrap();
            prop_assert_eq!(own + length, bytes.len());
            prop_assert!(length <= 64);
            let read = decode(&bytes[own..], bitmap, UNIVERSE).unwrap();
            prop_assert_eq!(positions_of(&read), positions);
        }

        #[test]
        fn sets_of_either_form_say_the_same(
            one in btree_set(0..UNIVERSE, 0..300),
            other in btree_set(0..UNIVERSE, 0..300),
            at in 0..UNIVERSE,
        ) {
            let both: BTreeSet<u32> = one.intersection(&other).copied().collect();
            let either: BTreeSet<u32> = one.union(&other).copied().collect();
            let even: BTreeSet<u32> = one.iter().copied().filter(|n| n % 2 == 0).collect();
            for a in <[Set; 2]>::from(set_of(&one)) {
                prop_assert_eq!(a.next_from(at), one.range(at..).next().copied());
                prop_assert_eq!(a.last_until(at), one.range(..=at).next_back().copied());
                prop_assert_eq!(a.is_empty(), one.is_empty());
                prop_assert_eq!(positions_of(&a.clone().keep(UNIVERSE, |n| n % 2 == 0)), even.clone());
                for b in <[Set; 2]>::from(set_of(&other)) {
                    prop_assert_eq!(positions_of(&a.clone().and(b.clone())), both.clone());
                    prop_assert_eq!(positions_of(&a.clone().or(b, UNIVERSE)), either.clone());
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80), bitmap: bool) {
            if let Some(set) = decode(&bytes, bitmap, UNIVERSE) {
                prop_assert!(set.last_until(u32::MAX - 64).is_none_or(|last| last < UNIVERSE.next_multiple_of(64)));
            }
            let _ = read_prefix(&bytes);
        }
    }
}
