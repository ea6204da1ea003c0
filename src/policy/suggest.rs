//! Which known word was probably meant.

use crate::domain::ids::NAME_MAX_BYTES;

/// The nearest of `known` to `word`, if one is near enough to be a slip of the pen: the same but for capitals, or a change of at most
/// a third of the word, three characters at most. A word of one character is not near any other.
pub(super) fn did_you_mean<'k>(
    word: &str,
    known: impl Iterator<Item = &'k str>,
) -> Option<&'k str> {
    if word.len() > NAME_MAX_BYTES {
        return None;
    }
    let characters: Vec<char> = word.chars().collect();
    let near = match characters.len() {
        0 | 1 => 0,
        length => (length / 3).clamp(1, 3),
    };
    known
        .filter_map(|candidate| {
            if candidate.eq_ignore_ascii_case(word) {
                return Some((0, candidate));
            }
            let distance = edits(&characters, candidate, near)?;
            Some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// The fewest insertions, deletions, replacements and swaps of neighbours from `word` to `candidate` (optimal string alignment);
/// `None` when more than `at_most`.
fn edits(word: &[char], candidate: &str, at_most: usize) -> Option<usize> {
    let candidate: Vec<char> = candidate.chars().collect();
    if candidate.len().abs_diff(word.len()) > at_most {
        return None;
    }
    // One row of the table for each character of the candidate; a swap looks two rows back.
    let mut two_back: Vec<usize> = Vec::new();
    let mut one_back: Vec<usize> = (0..=word.len()).collect();
    for (down, other) in candidate.iter().enumerate() {
        let mut row = Vec::with_capacity(one_back.len());
        row.push(down + 1);
        for (across, character) in word.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(&one_back, across).saturating_add(usize::from(character != other));
            let removed = at(&one_back, across + 1).saturating_add(1);
            let added = at(&row, across).saturating_add(1);
            let mut least = replaced.min(removed).min(added);
            if let (Some(left), Some(above)) = (across.checked_sub(1), down.checked_sub(1))
                && word.get(left) == Some(other)
                && candidate.get(above) == Some(character)
            {
                least = least.min(at(&two_back, left).saturating_add(1));
            }
            row.push(least);
        }
        two_back = std::mem::replace(&mut one_back, row);
    }
    one_back
        .last()
        .copied()
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
        assert_eq!(nearest("vnp"), Some("vpn"));
        assert_eq!(nearest("nvp"), None);
        assert_eq!(nearest("vp"), Some("vpn"));
        assert_eq!(nearest("VPN"), Some("vpn"));
        assert_eq!(nearest("carreer-advisor"), Some("career-adviser"));
        assert_eq!(nearest("contact.mail"), Some("contact.email"));
    }

    #[test]
    fn a_word_that_is_far_from_all_finds_none() {
        assert_eq!(nearest("warehouse"), None);
        assert_eq!(did_you_mean("q", ["p", "g"].into_iter()), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest(&"o".repeat(5_000)), None);
    }
}
