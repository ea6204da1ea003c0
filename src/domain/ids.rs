//! Names, positions and ids.

use std::fmt;
use std::ops::Deref;

use uuid::Uuid;

/// The longest name, in bytes of UTF-8.
pub const NAME_MAX_BYTES: usize = 128;

/// A name from a request, a pack or the directory: 1 to 128 bytes that are not all white space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or only white space.
    #[error("is missing")]
    Missing,
    /// Over [`NAME_MAX_BYTES`].
    #[error("is over 128 bytes")]
    TooLong,
    /// Has U+0000 in it, which not every store can keep.
    #[error("holds the character U+0000")]
    Nul,
}

impl Name {
    /// Takes `text` as it is: names are compared byte by byte.
    ///
    /// # Errors
    /// When it is empty, white space, over 128 bytes, or has U+0000 in it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > NAME_MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if text.trim().is_empty() {
            return Err(NameError::Missing);
        }
        if text.contains('\0') {
            return Err(NameError::Nul);
        }
        Ok(Self(text.into()))
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Position of an entry in the access log, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogIndex(pub u64);

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Reads 16 bytes, as the log and the store keep them.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }

            /// 16 bytes.
            #[must_use]
            pub fn to_bytes(self) -> Vec<u8> {
                self.0.as_bytes().to_vec()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

uuid_id!(
    /// Names one decision in answers, outcomes and the log: a UUIDv7 (RFC 9562) whose time is the decision's.
    DecisionId
);
uuid_id!(
    /// Names one record of provision or of receipt: a UUIDv7.
    RecordId
);
uuid_id!(
    /// One per login: every ticket of the login, renewed, stepped up or exchanged, carries it.
    SessionId
);
