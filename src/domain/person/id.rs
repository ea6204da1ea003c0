//! Ids of people: one canonical form, and none that looks like another's.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::{
    GeneralSecurityProfile as _, RestrictionLevel, RestrictionLevelDetection as _, skeleton,
};

use crate::domain::ids::{Name, NameError};

/// Besides the letters and digits of identifiers.
const SIGNS: [char; 5] = ['-', '_', '.', '@', '+'];

/// Why a text is not an id that a person may be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Missing or too long.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Another way to write an id.
    #[error("is not the canonical form: write {0:?}")]
    NotCanonical(String),
    /// A character that no id has.
    #[error(
        "has the character {0:?}: an id is letters and digits of one script, or of Japanese and Latin, and - _ . @ +"
    )]
    Character(char),
    /// Begins with a sign.
    #[error("begins with {0:?}: an id begins with a letter or a digit")]
    Beginning(char),
    /// Letters of scripts that are not written together.
    #[error("mixes scripts that are not written together")]
    Mixed,
}

/// The one form of an id: NFKC, lower case (UAX #15, UAX #31). A text that is too long is left as it is.
#[must_use]
pub fn canonical(text: &str) -> String {
    let lower: String = text.nfkc().flat_map(char::to_lowercase).collect();
    lower.nfkc().collect()
}

/// An id that a person may be given.
///
/// # Errors
/// When it is not canonical, or has what no id has.
pub fn parse(text: &str) -> Result<Name, IdError> {
    let name = Name::parse(text)?;
    let sign = |character: char| SIGNS.contains(&character);
    let written = |character: char| character.is_alphanumeric() || is_combining_mark(character);
    let form = canonical(text);
    // What could not be an id in any form is told first.
    if let Some(character) = form.chars().find(|character| {
        !(sign(*character) || written(*character) && character.identifier_allowed())
    }) {
        return Err(IdError::Character(character));
    }
    if form != text {
        return Err(IdError::NotCanonical(form));
    }
    if let Some(first) = text.chars().next().filter(|first| !first.is_alphanumeric()) {
        return Err(IdError::Beginning(first));
    }
    let letters: String = text.chars().filter(|character| !sign(*character)).collect();
    if !letters.check_restriction_level(RestrictionLevel::HighlyRestrictive) {
        return Err(IdError::Mixed);
    }
    Ok(name)
}

/// What two ids that look alike have in common: the skeleton (UTS #39, section 4), where signs that separate are one, and
/// so are `i`, `l`, `1` and `o`, `0`, which fonts hardly tell apart.
#[must_use]
pub fn look(id: &str) -> String {
    let lower: String = skeleton(id).flat_map(char::to_lowercase).collect();
    skeleton(&lower)
        .map(|character| match character {
            '_' | '.' | '‐' | 'ー' | '一' => '-',
            'i' => 'l',
            'o' => '0',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        for good in [
            "adviser-1",
            "山田.太郎",
            "たなか",
            "タナカ",
            "taro_yamada",
            "a@corp.example",
            "müller",
            "佐々木-2",
        ] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
        for (bad, form) in [
            ("Adviser-1", "adviser-1"),
            ("ａｄｖｉｓｅｒ－１", "adviser-1"),
            ("ﾀﾅｶ", "タナカ"),
            ("e\u{301}va", "éva"),
        ] {
            assert_eq!(
                parse(bad),
                Err(IdError::NotCanonical(form.to_owned())),
                "{bad}"
            );
            assert_eq!(canonical(bad), form);
            assert_eq!(canonical(form), form);
        }
    }

    #[test]
    fn what_can_be_hidden_or_taken_for_something_else_is_no_id() {
        for bad in [
            "a b",
            "a\u{200b}b",
            "a\u{202e}b",
            "a,b",
            "a;b",
            "a|b",
            "a\"b",
            "a'b",
            "a/b",
            "a\nb",
            "😀",
            "a\u{ff0f}b",
        ] {
            assert!(matches!(parse(bad), Err(IdError::Character(_))), "{bad:?}");
        }
        for bad in ["-a", "@a", "+a", ".a"] {
            assert!(matches!(parse(bad), Err(IdError::Beginning(_))), "{bad:?}");
        }
        assert_eq!(parse("аdviser"), Err(IdError::Mixed), "a Cyrillic а");
        assert!(matches!(parse("a\u{0}b"), Err(IdError::Name(_))));
        assert_eq!(parse(" "), Err(IdError::Name(NameError::Missing)));
        assert_eq!(
            parse(&"a".repeat(129)),
            Err(IdError::Name(NameError::TooLong))
        );
    }

    #[test]
    fn ids_that_look_alike_look_the_same() {
        for (one, two) in [
            ("adviser-1", "adviser-l"),
            ("adviser-1", "adviser-i"),
            ("adviser-1", "adviser_1"),
            ("adviser-1", "adviser.1"),
            ("tom", "torn"),
            ("ono", "0n0"),
            ("сосо", "coco"),
            ("エ-1", "工-1"),
        ] {
            assert_eq!(look(one), look(two), "{one} {two}");
        }
        for (one, two) in [
            ("adviser-1", "adviser-2"),
            ("adviser-1", "adviser-11"),
            ("山田", "山本"),
            ("tanaka", "tanaka2"),
        ] {
            assert_ne!(look(one), look(two), "{one} {two}");
        }
    }
}
