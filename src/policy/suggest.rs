//! Which known word was probably meant.

use crate::domain::ids::NAME_MAX_BYTES;

/// The nearest of `known` to `word`, if one is near enough to be a slip of the pen: a change of at most a third of the
/// word, three characters at most.
pub(super) fn did_you_mean<'k>(
    word: &str,
    known: impl Iterator<Item = &'k str>,
) -> Option<&'k str> {
    if word.len() > NAME_MAX_BYTES {
        return None;
    }
    let word: Vec<char> = word.chars().collect();
    let near = (word.len() / 3).clamp(1, 3);
    known
        .filter_map(|candidate| {
            let distance = edits(&word, candidate, near)?;
            Some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// The fewest insertions, deletions and replacements from `word` to `candidate` (Levenshtein); `None` when more than
/// `at_most`.
fn edits(word: &[char], candidate: &str, at_most: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=word.len()).collect();
    let mut length = 0_usize;
    for (position, other) in candidate.chars().enumerate() {
        length += 1;
        let mut diagonal = position;
        let mut left = position + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (above, character) in row.iter().skip(1).zip(word) {
            let replaced = diagonal + usize::from(*character != other);
            left = replaced.min(above + 1).min(left + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
        if row.iter().min().is_some_and(|least| *least > at_most) {
            return None;
        }
    }
    (length.abs_diff(word.len()) <= at_most)
        .then(|| row.last().copied())
        .flatten()
        .filter(|distance| *distance <= at_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(word: &str) -> Option<&'static str> {
        did_you_mean(
            word,
            ["office", "vpn", "career-adviser", "contact.email"].into_iter(),
        )
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_word() {
        assert_eq!(nearest("ofice"), Some("office"));
        assert_eq!(nearest("oficce"), Some("office"));
        assert_eq!(nearest("vnp"), None);
        assert_eq!(nearest("vp"), Some("vpn"));
        assert_eq!(nearest("carreer-advisor"), Some("career-adviser"));
        assert_eq!(nearest("contact.mail"), Some("contact.email"));
    }

    #[test]
    fn a_word_that_is_far_from_all_finds_none() {
        assert_eq!(nearest("warehouse"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"o".repeat(5_000)), None);
    }
}
