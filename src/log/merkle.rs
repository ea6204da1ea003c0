//! The Merkle tree of RFC 6962, section 2.1, over the stored bytes of the entries, kept as a compact range: only the roots of
//! the complete subtrees from the left, so its memory is logarithmic in the length of the log.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub(super) type Hash = [u8; 32];

/// The most peaks a tree of 64-bit size has.
pub(super) const PEAKS_MAX: usize = 64;

/// The leaf of a stored entry (RFC 6962, section 2.1): `SHA-256(0x00 || bytes)`.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(bytes);
    hasher.finalize().into()
}

/// RFC 6962: `SHA-256(0x01 || left || right)`.
pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The root of the tree without leaves: the hash of nothing.
pub(super) fn empty_root() -> Hash {
    Sha256::new().finalize().into()
}

/// The tree of the first `size` entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CompactRange {
    size: u64,
    /// One for each set bit of `size`, the largest subtree first.
    peaks: Vec<Hash>,
}

impl CompactRange {
    /// From a stored state; `None` when the number of peaks doesn't fit the size.
    pub(super) fn from_parts(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        let fits = u64::from(size.count_ones()) == u64::try_from(peaks.len()).ok()?;
        fits.then_some(Self { size, peaks })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds the next leaf.
    pub(super) fn push(&mut self, leaf: Hash) {
        self.push_telling(leaf, |_, _| ());
    }

    /// Adds the next leaf, and tells the height and the root of each complete subtree that ends with it; the leaf is the
    /// first.
    pub(super) fn push_telling(&mut self, leaf: Hash, mut told: impl FnMut(u32, &Hash)) {
        let mut hash = leaf;
        let mut size = self.size;
        told(0, &hash);
        for height in 1.. {
            if size & 1 == 0 {
                break;
            }
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
            size >>= 1;
            told(height, &hash);
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// The Merkle tree hash; of the empty tree, the hash of nothing.
    pub(super) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
            None => empty_root(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// RFC 6962, section 2.1, word for word.
    pub(crate) fn naive_root(entries: &[Vec<u8>]) -> Hash {
        match entries.len() {
            0 => Sha256::digest([]).into(),
            1 => leaf_hash(&entries[0]),
            n => {
                let mut k = 1;
                while k * 2 < n {
                    k *= 2;
                }
                node_hash(&naive_root(&entries[..k]), &naive_root(&entries[k..]))
            }
        }
    }

    /// The leaves of Certificate Transparency's own tests.
    pub(crate) fn known_leaves() -> Vec<Vec<u8>> {
        [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]
        .iter()
        .map(|hex| HEXLOWER.decode(hex.as_bytes()).unwrap())
        .collect()
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = CompactRange::default();
        assert_eq!(HEXLOWER.encode(&tree.root()), roots[0]);
        for (leaf, root) in known_leaves().iter().zip(&roots[1..]) {
            tree.push(leaf_hash(leaf));
            assert_eq!(HEXLOWER.encode(&tree.root()), *root);
        }
    }

    #[test]
    fn a_tree_taken_up_from_its_peaks_grows_to_the_same_root() {
        let entries: Vec<Vec<u8>> = (0..300_u32).map(|n| n.to_le_bytes().to_vec()).collect();
        let mut tree = CompactRange::default();
        for (n, entry) in entries.iter().enumerate() {
            tree = CompactRange::from_parts(tree.size(), tree.peaks().to_vec()).unwrap();
            tree.push(leaf_hash(entry));
            assert_eq!(tree.root(), naive_root(&entries[..=n]));
        }
    }

    #[test]
    fn peaks_that_do_not_fit_the_size_are_no_tree() {
        assert!(CompactRange::from_parts(3, vec![[0; 32]]).is_none());
        assert!(CompactRange::from_parts(4, vec![[0; 32]]).is_some());
    }
}
