//! The promises that the rules keep, in the words of the privacy policy.

use std::collections::BTreeMap;

use super::{Id, Purpose, Role, RuleSet};

/// The sentence of the privacy policy that a rule keeps; 1 to 1,024 bytes in each language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    text: Box<str>,
    ja: Option<Box<str>>,
}

impl Promise {
    /// A promise, and its Japanese where it is given.
    #[must_use]
    pub fn new(text: &str, ja: Option<&str>) -> Self {
        Self {
            text: text.into(),
            ja: ja.map(Box::from),
        }
    }

    /// As the pack gives it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In Japanese; as the pack gives it where it has no Japanese.
    #[must_use]
    pub fn text_ja(&self) -> &str {
        self.ja.as_deref().unwrap_or(&self.text)
    }
}

/// Promises by the line of their rule in pack.toml.
#[derive(Debug, Clone, Default)]
pub struct Promises(BTreeMap<u32, Promise>);

impl FromIterator<(u32, Promise)> for Promises {
    fn from_iter<I: IntoIterator<Item = (u32, Promise)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl Promises {
    /// The promise of the rule on a line of pack.toml.
    #[must_use]
    pub fn at(&self, line: u32) -> Option<&Promise> {
        self.0.get(&line)
    }

    /// How many rules have one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no rule has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl RuleSet {
    /// What a row of policy.csv keeps: the promise of its purpose, else of its role. A row itself has nowhere to give one.
    #[must_use]
    pub fn promise_of_grant(
        &self,
        role: Option<Id<Role>>,
        purpose: Id<Purpose>,
    ) -> Option<&Promise> {
        let of_purpose = self
            .purposes
            .get(purpose)
            .and_then(|purpose| self.promises.at(purpose.line));
        let of_role = || {
            let role = self.roles.get(role?)?;
            self.promises.at(role.line)
        };
        of_purpose.or_else(of_role)
    }
}
