//! What proves that a call comes from whoever has the keyring and its master key: the operator on the daemon's own host.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::keys::Pepper;
use crate::domain::time::Timestamp;

/// Makes and checks proofs, under a key of its own that is derived from the pepper (HMAC-SHA-256).
#[derive(Clone)]
pub struct HostProof(Hmac<Sha256>);

impl HostProof {
    pub(super) fn new(pepper: &Pepper) -> Self {
        let mut derived = pepper.hmac();
        derived.update(b"sekisho host proof\0");
        Self(super::keys::keyed(&derived.finalize().into_bytes().into()))
    }

    fn over(&self, person: &str, reason: &str, at: Timestamp) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        // Each with its length, so that no two calls read alike.
        for part in [person, reason] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.update(&at.micros().to_be_bytes());
        mac
    }

    /// For a reset of `person`'s second factor for `reason`, asked for at `at`.
    #[must_use]
    pub fn make(&self, person: &str, reason: &str, at: Timestamp) -> Vec<u8> {
        self.over(person, reason, at)
            .finalize()
            .into_bytes()
            .to_vec()
    }

    /// Whether `proof` is that; compared in constant time.
    #[must_use]
    pub fn is_genuine(&self, person: &str, reason: &str, at: Timestamp, proof: &[u8]) -> bool {
        self.over(person, reason, at).verify_slice(proof).is_ok()
    }
}

impl fmt::Debug for HostProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostProof(..)")
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::time::Timestamp;
    use crate::identity::keyring::Keyring;

    #[test]
    fn a_proof_is_for_one_person_reason_time_and_keyring() {
        let proofs = Keyring::ephemeral().unwrap().host_proof;
        let at = Timestamp::from_seconds(7);
        let proof = proofs.make("a", "lost", at);
        assert!(proofs.is_genuine("a", "lost", at, &proof));
        assert!(!proofs.is_genuine("al", "ost", at, &proof));
        assert!(!proofs.is_genuine("b", "lost", at, &proof));
        assert!(!proofs.is_genuine("a", "lost", Timestamp::from_seconds(8), &proof));
        assert!(!proofs.is_genuine("a", "lost", at, &proof[..31]));
        assert!(!proofs.is_genuine("a", "lost", at, b""));
        let other = Keyring::ephemeral().unwrap().host_proof;
        assert!(!other.is_genuine("a", "lost", at, &proof));
    }
}
