//! Text for people: sentences with places to fill, and what text from anywhere may do where it is shown.

/// Whether a character could steer a terminal or change how others around it read: controls (C0, DEL, C1), line and paragraph
/// separators, bidirectional controls (Unicode TR 36, 2.10.4) and invisible tags.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A sentence with values in its places, `{0}`, `{1}`. What a value contains is never taken for a place itself; a place without a
/// value stays as it is.
pub(crate) fn fill<'v>(sentence: &str, value: impl Fn(usize) -> Option<&'v str>) -> String {
    let mut pieces = sentence.split('{');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let place = piece
            .split_once('}')
            .and_then(|(number, rest)| Some((value(number.parse().ok()?)?, rest)));
        match place {
            Some((value, rest)) => {
                filled.push_str(value);
                filled.push_str(rest);
            }
            None => {
                filled.push('{');
                filled.push_str(piece);
            }
        }
    }
    filled
}
