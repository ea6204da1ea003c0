//! The text of a ticket: its payload, and the code over it that only this keyring can make.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::keys::{Key, KeyId};
use super::ticket::Ticket;
use crate::domain::access::TicketText;

const FORM: &str = "sk1";

/// Why a ticket is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not made by this daemon, or altered since. There is one kind only: more would help a forger.
    #[error("the ticket is not genuine")]
    NotGenuine,
    /// Made by an older version, which said less in it: it has expired.
    #[error("the ticket was made by an older version")]
    Older,
}

/// Makes tickets with the first key and checks them with the one that they name, so that a new key logs nobody out.
#[derive(Clone)]
pub struct TicketKeys {
    current: TicketKey,
    older: Vec<TicketKey>,
}

#[derive(Clone)]
struct TicketKey {
    id: KeyId,
    state: Hmac<Sha256>,
}

impl TicketKeys {
    pub(super) fn new(current: &Key, older: &[Key]) -> Self {
        let keyed = |key: &Key| TicketKey {
            id: key.id,
            state: key.hmac(),
        };
        Self {
            current: keyed(current),
            older: older.iter().map(keyed).collect(),
        }
    }

    /// Makes the text of a ticket, at most [`TicketText::MAX_BYTES`].
    #[must_use]
    pub fn issue(&self, ticket: &Ticket) -> TicketText {
        let mut text = String::with_capacity(TicketText::MAX_BYTES);
        for part in [FORM, ".", self.current.id.as_str(), "."] {
            text.push_str(part);
        }
        BASE64URL_NOPAD.encode_append(&ticket.to_payload(), &mut text);
        let mut mac = self.current.state.clone();
        mac.update(text.as_bytes());
        text.push('.');
        BASE64URL_NOPAD.encode_append(&mac.finalize().into_bytes(), &mut text);
        TicketText::new(&text)
    }

    /// Reads a ticket that this keyring made. The code is compared in constant time, before anything else is read.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn verify(&self, text: &TicketText) -> Result<Ticket, TicketError> {
        let payload = self.read(text.expose()).ok_or(TicketError::NotGenuine)?;
        if Ticket::is_older(&payload) {
            return Err(TicketError::Older);
        }
        Ticket::from_payload(&payload).ok_or(TicketError::NotGenuine)
    }

    /// Whether a text has the form of a ticket and names a key that is not here.
    #[must_use]
    pub fn lacks_the_key_of(&self, text: &TicketText) -> bool {
        let mut parts = text.expose().splitn(3, '.');
        let (Some(FORM), Some(id), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let id = <[u8; KeyId::CHARACTERS]>::try_from(id.as_bytes());
        id.ok()
            .and_then(KeyId::read)
            .is_some_and(|id| self.find(id.as_str()).is_none())
    }

    fn find(&self, id: &str) -> Option<&TicketKey> {
        std::iter::once(&self.current)
            .chain(&self.older)
            .find(|key| key.id.as_str() == id)
    }

    fn read(&self, text: &str) -> Option<Vec<u8>> {
        if text.len() > TicketText::MAX_BYTES {
            return None;
        }
        let (signed, mac_text) = text.rsplit_once('.')?;
        let mut parts = signed.split('.');
        let (Some(FORM), Some(id), Some(payload), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let key = self.find(id)?;
        let mut mac = key.state.clone();
        mac.update(signed.as_bytes());
        // The decoder takes canonical text only: no padding, white space, or stray bits at the end.
        let claimed = BASE64URL_NOPAD.decode(mac_text.as_bytes()).ok()?;
        mac.verify_slice(&claimed).ok()?;
        BASE64URL_NOPAD.decode(payload.as_bytes()).ok()
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({}", self.current.id)?;
        for key in &self.older {
            write!(f, ", {}", key.id)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::identity::ticket::tests::ticket;
    use zeroize::Zeroizing;

    fn key(byte: u8) -> Key {
        Key::new("tickets", Zeroizing::new([byte; 32]))
    }

    pub(in crate::identity) fn keys() -> TicketKeys {
        TicketKeys::new(&key(1), &[])
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let text = keys().issue(&ticket());
        for at in 0..text.expose().len() {
            for bit in 0..8 {
                let mut bytes = text.expose().as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                // What is not UTF-8 any more can't even arrive.
                if let Ok(altered) = String::from_utf8(bytes) {
                    assert_eq!(
                        keys().verify(&TicketText::new(&altered)),
                        Err(TicketError::NotGenuine),
                        "{at}.{bit}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_cut_lengthened_or_reworded_ticket_is_refused() {
        let text = keys().issue(&ticket());
        let text = text.expose();
        for end in 0..text.len() {
            assert!(keys().verify(&TicketText::new(&text[..end])).is_err());
        }
        for altered in [
            format!("{text}="),
            format!("{text}A"),
            format!("{text}."),
            format!(" {text}"),
            format!("{text}\n"),
            text.replacen("sk1", "SK1", 1),
            text.replacen('.', "..", 1),
            "sk1...".to_owned(),
            ".".repeat(TicketText::MAX_BYTES),
            "x".repeat(TicketText::MAX_BYTES + 1),
        ] {
            assert!(
                keys().verify(&TicketText::new(&altered)).is_err(),
                "{altered}"
            );
        }
    }

    #[test]
    fn a_ticket_of_an_older_version_is_told_apart_where_it_is_genuine() {
        let issue = |version: u8| {
            let mut payload = ticket().to_payload();
            payload[0] = version;
            let mut text = format!("sk1.{}.", key(1).id);
            BASE64URL_NOPAD.encode_append(&payload, &mut text);
            let mut mac = key(1).hmac();
            mac.update(text.as_bytes());
            text.push('.');
            BASE64URL_NOPAD.encode_append(&mac.finalize().into_bytes(), &mut text);
            TicketText::new(&text)
        };
        let told = |version| keys().verify(&issue(version)).map(|_| ());
        assert_eq!(told(2), Ok(()));
        assert_eq!(told(1), Err(TicketError::Older));
        assert_eq!(told(0), Err(TicketError::NotGenuine));
        assert_eq!(told(3), Err(TicketError::NotGenuine));
        let other = TicketKeys::new(&key(2), &[]);
        assert_eq!(other.verify(&issue(1)), Err(TicketError::NotGenuine));
    }

    #[test]
    fn another_key_is_refused_even_under_the_same_id() {
        let text = keys().issue(&ticket());
        let other = TicketKeys::new(&key(2), &[]);
        assert_eq!(other.verify(&text), Err(TicketError::NotGenuine));
        let same_id = TicketKeys {
            current: TicketKey {
                id: key(1).id,
                state: key(2).hmac(),
            },
            older: vec![],
        };
        assert_eq!(same_id.verify(&text), Err(TicketError::NotGenuine));
    }

    #[test]
    fn a_new_key_logs_nobody_out() {
        let text = keys().issue(&ticket());
        let rotated = TicketKeys::new(&key(2), &[key(1)]);
        assert_eq!(rotated.verify(&text), Ok(ticket()));
        assert_eq!(
            keys().verify(&rotated.issue(&ticket())),
            Err(TicketError::NotGenuine)
        );
    }

    #[test]
    fn ticket_keys_print_their_ids_only() {
        assert_eq!(
            format!("{:?}", keys()),
            format!("TicketKeys({})", key(1).id)
        );
    }
}
