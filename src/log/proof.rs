//! Proofs over the tree of RFC 6962: that an entry is in it, and that an older tree is a prefix of it. Made from stored
//! hashes, verified with nothing but the proof, and written as C2SP `tlog-proof` text.

use std::fmt;

use data_encoding::BASE64;

use super::error::ReadError;
use super::merkle::{Hash, empty_root, node_hash};
use super::note::{self, Checkpoint, NoteError, SignedNote, VerifierKey};

/// A path in a tree of 64-bit size is no longer.
const PATH_MAX: usize = 64;
/// The largest proof that is read: a path and a note.
const PROOF_MAX_BYTES: usize = (1 << 20) + 4096;
/// C2SP `tlog-proof`: the first line.
const PROOF_MARK: &str = "c2sp.org/tlog-proof@v1";

/// Where the hashes of a tree come from.
pub(super) trait Nodes {
    /// The root of the complete subtree of `2^height` leaves that is the `index`th of them from the left.
    fn node(&self, height: u32, index: u64) -> Result<Hash, ReadError>;
}

/// What is wrong with a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It does not prove what it should: a hash is another, or there are too few or too many.
    #[error("the proof does not prove it")]
    Wrong,
    /// The entry's index is beyond the tree, or the older tree is the larger.
    #[error("the proof is about a place beyond the tree")]
    Beyond,
    /// The text is not a C2SP `tlog-proof`.
    #[error("this is not a proof: {0}")]
    NotAProof(&'static str),
    /// The checkpoint in it.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// The hashes from the leaf's sibling up to the root's child (RFC 6962, section 2.1.1).
///
/// # Errors
/// When a hash can't be read. `index` MUST be below `size`; for another the path is empty, which proves nothing.
pub(super) fn inclusion(nodes: &dyn Nodes, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
    let mut path = Vec::new();
    if index >= size {
        return Ok(path);
    }
    let (mut start, mut end) = (0, size);
    while let Some(middle) = split(start, end) {
        if index < middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// What proves that the tree of the first `old` leaves is a prefix of that of the first `new` (RFC 6962, section 2.1.2).
///
/// # Errors
/// When a hash can't be read. `old` MUST NOT be above `new`; the path is empty then, and when they are equal or `old` is 0.
pub(super) fn consistency(nodes: &dyn Nodes, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return Ok(path);
    }
    let (mut start, mut end) = (0, new);
    while old < end {
        let Some(middle) = split(start, end) else {
            break;
        };
        if old <= middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    // The verifier has the older root: when it is a subtree of its own, it needn't be told.
    if start > 0 {
        path.push(range_root(nodes, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Where RFC 6962 splits the leaves from `start` to `end`: after the largest power of two of them that is not all. `None`
/// for a single one.
fn split(start: u64, end: u64) -> Option<u64> {
    let last = end.checked_sub(start)?.checked_sub(1)?;
    Some(start.saturating_add(1 << last.checked_ilog2()?))
}

/// The Merkle tree hash of the leaves from `start` to `end`, a range that [`split`] gave.
fn range_root(nodes: &dyn Nodes, start: u64, end: u64) -> Result<Hash, ReadError> {
    let mut subtrees = Vec::new();
    let mut start = start;
    while let Some(height) = end.saturating_sub(start).checked_ilog2() {
        subtrees.push(nodes.node(height, start >> height)?);
        start = start.saturating_add(1 << height);
    }
    let mut subtrees = subtrees.into_iter().rev();
    let last = subtrees.next().unwrap_or_else(empty_root);
    Ok(subtrees.fold(last, |right, left| node_hash(&left, &right)))
}

/// Verifies that `leaf` is the `index`th leaf of the tree of `size` leaves with this root (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// When it is not, or `index` is not below `size`.
pub fn verify_inclusion(
    leaf: &[u8; 32],
    index: u64,
    size: u64,
    path: &[[u8; 32]],
    root: &[u8; 32],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Beyond);
    }
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Wrong);
        }
        if is_right(node, last) {
            hash = node_hash(sibling, &hash);
            skip_lone(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    let proved = last == 0 && hash == *root;
    proved.then_some(()).ok_or(ProofError::Wrong)
}

/// Verifies that the tree of `old_size` leaves is a prefix of that of `new_size` (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// When it is not, or `old_size` is above `new_size`.
pub fn verify_consistency(
    (old_size, old_root): (u64, &[u8; 32]),
    (new_size, new_root): (u64, &[u8; 32]),
    path: &[[u8; 32]],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::Beyond);
    }
    if old_size == 0 || old_size == new_size {
        let same = match old_size {
            0 => *old_root == empty_root(),
            _ => old_root == new_root,
        };
        let proved = same && path.is_empty();
        return proved.then_some(()).ok_or(ProofError::Wrong);
    }
    let (mut node, mut last) = (old_size.saturating_sub(1), new_size.saturating_sub(1));
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // A tree that is a subtree of its own starts from its root, which is not in the path.
    let (start, path) = match path.split_first() {
        _ if old_size.is_power_of_two() => (old_root, path),
        Some((start, rest)) => (start, rest),
        None => return Err(ProofError::Wrong),
    };
    let (mut old, mut new) = (*start, *start);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Wrong);
        }
        if is_right(node, last) {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            skip_lone(&mut node, &mut last);
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    let proved = last == 0 && old == *old_root && new == *new_root;
    proved.then_some(()).ok_or(ProofError::Wrong)
}

/// Whether a node's sibling is on its left: it is a right child, or the last of its row, which joins what is left of it.
fn is_right(node: u64, last: u64) -> bool {
    node & 1 == 1 || node == last
}

/// Passes over the rows in which a last node has no sibling.
fn skip_lone(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

/// That an entry is in the log, for whoever has the entry and the log's key (C2SP `tlog-proof`). `Display` writes the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// Which entry.
    pub index: u64,
    /// From the leaf's sibling up to the root's child.
    pub path: Vec<[u8; 32]>,
    /// The tree that it is in.
    pub checkpoint: SignedNote,
}

impl InclusionProof {
    /// Reads a proof's text. Verifies nothing.
    ///
    /// # Errors
    /// When it is not exactly of the form that C2SP `tlog-proof` gives. Extra data are not supported.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let wrong = ProofError::NotAProof;
        if text.len() > PROOF_MAX_BYTES {
            return Err(wrong("it is over 1 MiB"));
        }
        let (proof, checkpoint) = text
            .split_once("\n\n")
            .ok_or(wrong("no empty line parts the proof from its checkpoint"))?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(PROOF_MARK) {
            return Err(wrong("its first line is not \"c2sp.org/tlog-proof@v1\""));
        }
        let index = lines.next().unwrap_or_default();
        if index.starts_with("extra ") {
            return Err(wrong("extra data are not supported"));
        }
        let index = index
            .strip_prefix("index ")
            .and_then(note::decimal)
            .ok_or(wrong("its second line is not an index"))?;
        let path: Option<Vec<Hash>> = lines.map(note::hash).take(PATH_MAX + 1).collect();
        let path = path.ok_or(wrong("a line is not a hash"))?;
        if path.len() > PATH_MAX {
            return Err(wrong("it has over 64 hashes"));
        }
        Ok(Self {
            index,
            path,
            checkpoint: SignedNote::parse(checkpoint)?,
        })
    }

    /// Verifies that the log with this key holds an entry with this leaf hash (RFC 6962: `SHA-256(0x00 || stored bytes)`)
    /// at [`Self::index`], and tells in which state of the log.
    ///
    /// # Errors
    /// When the checkpoint is not signed by the key, or the path doesn't lead from the leaf to its root.
    pub fn verify(&self, leaf: &[u8; 32], key: &VerifierKey) -> Result<Checkpoint, ProofError> {
        let checkpoint = self.checkpoint.checkpoint(key)?;
        let (size, root) = (checkpoint.size, &checkpoint.root);
        verify_inclusion(leaf, self.index, size, &self.path, root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PROOF_MARK}\nindex {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", BASE64.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::merkle::leaf_hash;
    use crate::log::merkle::tests::{known_leaves, naive_root};
    use crate::log::note::tests::key;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    /// The complete subtrees of a tree in memory, row by row.
    struct Rows(Vec<Vec<Hash>>);

    impl Rows {
        fn of(leaves: &[Vec<u8>]) -> Self {
            let mut rows = vec![
                leaves
                    .iter()
                    .map(|leaf| leaf_hash(leaf))
                    .collect::<Vec<_>>(),
            ];
            while let Some(row) = rows.last().filter(|row| row.len() > 1) {
                let pairs = row.chunks_exact(2);
                rows.push(pairs.map(|pair| node_hash(&pair[0], &pair[1])).collect());
            }
            Self(rows)
        }
    }

    impl Nodes for Rows {
        fn node(&self, height: u32, index: u64) -> Result<Hash, ReadError> {
            Ok(self.0[height as usize][usize::try_from(index).unwrap()])
        }
    }

    fn leaves(count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|n| n.to_le_bytes().to_vec()).collect()
    }

    /// The plain computation takes long.
    fn is_compared(size: u64) -> bool {
        size <= 34 || (63..=66).contains(&size) || size >= 129
    }

    fn root(leaves: &[Vec<u8>], size: u64) -> Hash {
        naive_root(&leaves[..usize::try_from(size).unwrap()])
    }

    /// RFC 6962, section 2.1.1, word for word.
    fn naive_path(m: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
        let n = leaves.len();
        if n == 1 {
            return Vec::new();
        }
        let k = n.next_power_of_two() / 2;
        let (mut path, sibling) = if m < k {
            (naive_path(m, &leaves[..k]), naive_root(&leaves[k..]))
        } else {
            (naive_path(m - k, &leaves[k..]), naive_root(&leaves[..k]))
        };
        path.push(sibling);
        path
    }

    /// RFC 6962, section 2.1.2, word for word.
    fn naive_subproof(m: usize, leaves: &[Vec<u8>], whole: bool) -> Vec<Hash> {
        let n = leaves.len();
        if m == n {
            return if whole {
                vec![]
            } else {
                vec![naive_root(leaves)]
            };
        }
        let k = n.next_power_of_two() / 2;
        let (mut path, sibling) = if m <= k {
            (
                naive_subproof(m, &leaves[..k], whole),
                naive_root(&leaves[k..]),
            )
        } else {
            (
                naive_subproof(m - k, &leaves[k..], false),
                naive_root(&leaves[..k]),
            )
        };
        path.push(sibling);
        path
    }

    #[test]
    fn every_entry_of_every_tree_is_proved_as_the_rfc_says_and_no_other() {
        let all = leaves(130);
        let nodes = Rows::of(&all);
        for size in 1..=130 {
            let root = root(&all, size);
            for index in 0..size {
                let at = usize::try_from(index).unwrap();
                let leaf = leaf_hash(&all[at]);
                let path = inclusion(&nodes, index, size).unwrap();
                if is_compared(size) {
                    let leaves = &all[..usize::try_from(size).unwrap()];
                    assert_eq!(path, naive_path(at, leaves));
                }
                let verify = |index, size| verify_inclusion(&leaf, index, size, &path, &root);
                assert_eq!(verify(index, size), Ok(()));
                if size > 1 {
                    assert!(verify(index ^ 1, size).is_err());
                }
            }
            assert_eq!(
                verify_inclusion(&leaf_hash(&all[0]), size, size, &[], &root),
                Err(ProofError::Beyond)
            );
        }
    }

    #[test]
    fn every_older_tree_is_proved_a_prefix_as_the_rfc_says_and_no_other_is() {
        let all = leaves(130);
        let nodes = Rows::of(&all);
        let roots: Vec<Hash> = (0..=130).map(|size| root(&all, size)).collect();
        for new in 1..=130_u64 {
            let leaves = &all[..usize::try_from(new).unwrap()];
            let new_root = &roots[usize::try_from(new).unwrap()];
            for old in 0..=new {
                let path = consistency(&nodes, old, new).unwrap();
                if old > 0 && is_compared(new) {
                    let expected = naive_subproof(usize::try_from(old).unwrap(), leaves, true);
                    assert_eq!(path, expected, "{old} {new}");
                }
                let old_root = &roots[usize::try_from(old).unwrap()];
                let verify = |old_root| verify_consistency((old, old_root), (new, new_root), &path);
                assert_eq!(verify(old_root), Ok(()), "{old} {new}");
                assert_eq!(verify(&[9; 32]), Err(ProofError::Wrong));
            }
        }
        assert_eq!(
            verify_consistency((2, &roots[2]), (1, &roots[1]), &[]),
            Err(ProofError::Beyond)
        );
    }

    #[test]
    fn paths_are_those_of_certificate_transparency() {
        let nodes = Rows::of(&known_leaves());
        let hex = |path: Vec<Hash>| -> Vec<String> {
            path.iter().map(|hash| HEXLOWER.encode(hash)).collect()
        };
        assert_eq!(
            hex(inclusion(&nodes, 0, 8).unwrap()),
            [
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ]
        );
        assert_eq!(
            hex(inclusion(&nodes, 5, 8).unwrap()),
            [
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(
            hex(consistency(&nodes, 6, 8).unwrap()),
            [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ]
        );
        assert_eq!(
            hex(consistency(&nodes, 2, 5).unwrap()),
            [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ]
        );
    }

    fn proof(index: u64, size: u64) -> (InclusionProof, Hash) {
        let all = leaves(size);
        let checkpoint = Checkpoint {
            origin: "log.example".to_owned(),
            size,
            root: naive_root(&all),
        };
        let leaf = leaf_hash(&all[usize::try_from(index).unwrap()]);
        let proof = InclusionProof {
            index,
            path: inclusion(&Rows::of(&all), index, size).unwrap(),
            checkpoint: key().sign(&checkpoint).unwrap(),
        };
        (proof, leaf)
    }

    #[test]
    fn a_written_proof_reads_back_and_verifies_for_its_entry_and_key_only() {
        for (index, size) in [(0, 1), (0, 2), (41, 42), (7, 100)] {
            let (proof, leaf) = proof(index, size);
            let read = InclusionProof::parse(&proof.to_string()).unwrap();
            assert_eq!(read, proof);
            let key = key();
            assert_eq!(read.verify(&leaf, key.verifier_key()).unwrap().size, size);
            assert_eq!(
                read.verify(&[0; 32], key.verifier_key()),
                Err(ProofError::Wrong)
            );
            let stranger = note::SigningKey::new("log.example", &[1; 32]).unwrap();
            assert!(read.verify(&leaf, stranger.verifier_key()).is_err());
        }
    }

    #[test]
    fn a_text_of_another_form_is_no_proof() {
        let text = proof(7, 100).0.to_string();
        let hash = format!("{}\n", BASE64.encode(&[1; 32]));
        for wrong in [
            text.replace("@v1", "@v2"),
            text.replace("index 7", "index 07"),
            text.replace("index 7", "extra AAAA\nindex 7"),
            text.replace("index 7\n", &format!("index 7\n{}", hash.repeat(60))),
            text.replace("index 7\n", "index 7\nAAAA\n"),
            text.replace("\n\n", "\n"),
            text.trim_end().to_owned(),
        ] {
            assert!(InclusionProof::parse(&wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_is_changed_anywhere_proves_nothing(
            size in 2_u64..200,
            index in any::<u64>(),
            at in any::<prop::sample::Index>(),
            change in 0..3_u8,
        ) {
            let (mut proof, leaf) = proof(index % size, size);
            let at = at.index(proof.path.len());
            match change {
                0 => proof.path[at][7] ^= 1,
                1 => drop(proof.path.remove(at)),
                _ => proof.path.insert(at, [5; 32]),
            }
            prop_assert!(proof.verify(&leaf, key().verifier_key()).is_err());
        }
    }
}
