//! Which passwords a person may choose: NIST SP 800-63B, 3.1.1: long enough, none that is tried first, and no rules of
//! composition, which make passwords worse. There is always a second factor beside it.

use std::collections::HashSet;
use std::sync::OnceLock;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::secret::Secret;

/// The fewest characters (code points) of a password, beside a second factor (NIST SP 800-63B, 3.1.1.2).
pub const MIN_CHARACTERS: usize = 8;
/// The most.
pub const MAX_CHARACTERS: usize = 128;
/// A word of the surroundings that is shorter is in too many passwords to count.
const WORD_MIN_CHARACTERS: usize = 4;
/// So many characters have to be left once the words of the surroundings are taken out.
const REST_MIN_CHARACTERS: usize = 6;
/// With fewer different characters it is one key pressed again and again.
const DIFFERENT_MIN: usize = 4;

const COMMON: &str = include_str!("common_passwords.txt");

/// Why a password can't be chosen: the person's to mend. Tells nothing of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Under 8 characters.
    #[error("has fewer than 8 characters")]
    TooShort,
    /// Over 128 characters.
    #[error("has more than 128 characters")]
    TooLong,
    /// Among those that are tried first.
    #[error("is one of the most used passwords, or one with digits or signs added")]
    Common,
    /// The person's id, or a name of the company or its services, with little added.
    #[error("is made of your ID or of names that everybody here knows")]
    OfTheSurroundings,
    /// Few characters again and again, or a row of the alphabet or of digits.
    #[error("is a row or a repetition")]
    Monotonous,
}

/// Looks at a new password. `surroundings` are words that whoever guesses would try: the person's id, names of the company and
/// of its services; short ones don't count.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(password: &Secret, surroundings: &[&str]) -> Result<(), WeakPassword> {
    let characters = password.expose().chars().count();
    if characters < MIN_CHARACTERS {
        return Err(WeakPassword::TooShort);
    }
    if characters > MAX_CHARACTERS {
        return Err(WeakPassword::TooLong);
    }
    let folded = folded(password.expose());
    if is_monotonous(&folded) {
        return Err(WeakPassword::Monotonous);
    }
    let core = folded.trim_matches(|character: char| !character.is_alphabetic());
    if is_common(&folded) || is_common(core) {
        return Err(WeakPassword::Common);
    }
    let mut rest = folded.clone();
    for word in surroundings {
        let word = self::folded(word);
        for part in std::iter::once(&**word).chain(word.split(|it: char| !it.is_alphanumeric())) {
            if part.chars().count() >= WORD_MIN_CHARACTERS {
                rest = Zeroizing::new(rest.replace(part, " "));
            }
        }
    }
    let left = rest.chars().filter(|character| character.is_alphabetic());
    if *rest != *folded && left.count() < REST_MIN_CHARACTERS {
        return Err(WeakPassword::OfTheSurroundings);
    }
    Ok(())
}

/// The same for all ways of writing it.
fn folded(text: &str) -> Zeroizing<String> {
    // Room from the start: NFKC is at most 18 times as long (UAX 15), lower case at most 3 times.
    let mut folded = Zeroizing::new(String::with_capacity(text.len().saturating_mul(54)));
    folded.extend(text.nfkc().flat_map(char::to_lowercase));
    folded
}

fn is_common(text: &str) -> bool {
    static WORDS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        COMMON
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect()
    });
    words.contains(text)
}

/// Few different characters, or each the neighbour of the one before.
fn is_monotonous(text: &str) -> bool {
    let different: HashSet<char> = text.chars().collect();
    if different.len() < DIFFERENT_MIN {
        return true;
    }
    let steps: Vec<i64> = text
        .chars()
        .zip(text.chars().skip(1))
        .map(|(one, next)| i64::from(u32::from(next)) - i64::from(u32::from(one)))
        .collect();
    // 9 to 0 and back is a row, too.
    let is_row = |direction: i64| {
        steps
            .iter()
            .all(|step| *step == direction || *step == direction * -9)
    };
    is_row(1) || is_row(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SURROUNDINGS: [&str; 3] = ["t.yamada", "recruitment", "career-crm"];

    fn looked_at(password: &str) -> Result<(), WeakPassword> {
        check(&Secret::parse(password).unwrap(), &SURROUNDINGS)
    }

    #[test]
    fn a_password_has_8_to_128_characters_whatever_they_are() {
        assert_eq!(looked_at("xk7!pq2"), Err(WeakPassword::TooShort));
        assert_eq!(looked_at("xk7!pq2z"), Ok(()));
        // Eight characters of three bytes each, and no rules of composition.
        assert_eq!(looked_at("雨のち晴れの月曜"), Ok(()));
        assert_eq!(looked_at("correct horse battery staple"), Ok(()));
        let long: String = "ab3 ずつ".chars().cycle().take(128).collect();
        assert_eq!(looked_at(&long), Ok(()));
        assert_eq!(looked_at(&format!("{long}x")), Err(WeakPassword::TooLong));
    }

    #[test]
    fn what_is_tried_first_is_refused_however_it_is_written() {
        for common in [
            "password",
            "Password",
            "ＰＡＳＳＷＯＲＤ",
            "password2026!",
            "!!Dragon1987",
            "iloveyou",
            "1qaz2wsx",
            "qwertyuiop",
        ] {
            assert_eq!(looked_at(common), Err(WeakPassword::Common), "{common}");
        }
    }

    #[test]
    fn names_that_everybody_knows_are_refused_with_little_added() {
        for near in [
            "t.yamada2026",
            "Yamada!Yamada",
            "recruitment1",
            "CareerRecruitment99",
        ] {
            let refused = looked_at(near);
            assert_eq!(refused, Err(WeakPassword::OfTheSurroundings), "{near}");
        }
        assert_eq!(looked_at("yamada eats plums"), Ok(()));
        // A short word of the surroundings is part of too many others.
        assert_eq!(looked_at("crm plus 47"), Ok(()));
    }

    #[test]
    fn rows_and_repetitions_are_refused() {
        for monotonous in [
            "aaaaaaaaaa",
            "abababababab",
            "23456789",
            "abcdefgh",
            "hgfedcba",
            "7890123456",
        ] {
            assert_eq!(
                looked_at(monotonous),
                Err(WeakPassword::Monotonous),
                "{monotonous}"
            );
        }
    }

    #[test]
    fn the_list_is_whole() {
        let words = COMMON.lines().filter(|line| !line.starts_with('#'));
        assert!(words.clone().count() > 5_000);
        assert!(
            words
                .clone()
                .all(|word| *folded(word) == *word && !word.is_empty())
        );
    }
}
