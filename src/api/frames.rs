//! Lengths in a request body, read from its bytes as they pass by, before anything is decoded: of each gRPC message (its
//! first five bytes), and of each item of a batch (protobuf's own length prefixes).

use bytes::{Buf, Bytes};

/// What is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooLong {
    /// A message of so many bytes.
    Message(usize),
    /// The item of this position, of so many bytes.
    Item(usize, usize),
    /// The items can't be measured: groups, which protobuf gave up long ago, or no protobuf at all.
    Unmeasured,
}

/// Follows the messages of one request.
#[derive(Debug)]
pub(super) struct Frames {
    message_max: usize,
    /// Field 2 of the message is a list whose items may have so many bytes.
    item_max: Option<usize>,
    at: At,
    walk: Walk,
    items: usize,
    /// The longest message so far.
    pub(super) longest: usize,
}

/// How far into the body.
#[derive(Debug)]
enum At {
    /// So much of a header: compressed flag, length.
    Header([u8; 5], usize),
    /// So many bytes of a message are left.
    Message(usize),
}

/// How far into the top level of a message.
#[derive(Debug, Clone, Copy)]
enum Walk {
    /// In the number of a field: its bits so far and how many.
    Key(u64, u32),
    /// In a number's value.
    Number,
    /// In a length: whether it is an item's, its bits so far and how many.
    Length(bool, u64, u32),
    /// So many bytes to pass over.
    Skip(u64),
}

const START: Walk = Walk::Key(0, 0);

impl Frames {
    pub(super) const fn new(message_max: usize, item_max: Option<usize>) -> Self {
        Self {
            message_max,
            item_max,
            at: At::Header([0; 5], 0),
            walk: START,
            items: 0,
            longest: 0,
        }
    }

    /// Whether a message may have more than so many bytes.
    pub(super) const fn takes_more_than(&self, bytes: usize) -> bool {
        self.message_max > bytes
    }

    /// Follows the next bytes; `Err` is what is too long.
    pub(super) fn pass(&mut self, data: &Bytes) -> Result<(), TooLong> {
        let mut rest = data.clone();
        while rest.has_remaining() {
            match &mut self.at {
                At::Header(header, filled) => {
                    if let Some(byte) = header.get_mut(*filled) {
                        *byte = rest.get_u8();
                        *filled += 1;
                    }
                    if *filled == header.len() {
                        let [_, a, b, c, d] = *header;
                        let length =
                            usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                        if length > self.message_max {
                            return Err(TooLong::Message(length));
                        }
                        self.longest = self.longest.max(length);
                        (self.walk, self.items) = (START, 0);
                        self.at = match length {
                            0 => At::Header([0; 5], 0),
                            _ => At::Message(length),
                        };
                    }
                }
                At::Message(left) => {
                    let step = (*left).min(rest.remaining());
                    *left -= step;
                    let ended = *left == 0;
                    let part = rest.split_to(step);
                    if let Some(max) = self.item_max {
                        self.walk_over(&part, max)?;
                    }
                    if ended {
                        self.at = At::Header([0; 5], 0);
                    }
                }
            }
        }
        Ok(())
    }

    fn walk_over(&mut self, part: &[u8], item_max: usize) -> Result<(), TooLong> {
        let mut rest = part;
        while let Some((byte, after)) = rest.split_first() {
            self.walk = match self.walk {
                Walk::Skip(left) => {
                    let step = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest = rest.get(step..).unwrap_or_default();
                    let left = left.saturating_sub(u64::try_from(step).unwrap_or(u64::MAX));
                    self.walk = if left == 0 { START } else { Walk::Skip(left) };
                    continue;
                }
                Walk::Number if byte & 0x80 == 0 => START,
                Walk::Number => Walk::Number,
                Walk::Key(bits, count) => match more(bits, count, *byte) {
                    None => return Err(TooLong::Unmeasured),
                    Some((bits, count, false)) => Walk::Key(bits, count),
                    Some((key, _, true)) => match key & 7 {
                        0 => Walk::Number,
                        1 => Walk::Skip(8),
                        2 => Walk::Length(key >> 3 == 2, 0, 0),
                        5 => Walk::Skip(4),
                        // A decoder may pass over an unknown group, and over what follows it.
                        _ => return Err(TooLong::Unmeasured),
                    },
                },
                Walk::Length(item, bits, count) => match more(bits, count, *byte) {
                    None => return Err(TooLong::Unmeasured),
                    Some((bits, count, false)) => Walk::Length(item, bits, count),
                    Some((length, _, true)) => {
                        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
                        if item && bytes > item_max {
                            return Err(TooLong::Item(self.items, bytes));
                        }
                        self.items += usize::from(item);
                        if length == 0 {
                            START
                        } else {
                            Walk::Skip(length)
                        }
                    }
                },
            };
            rest = after;
        }
        Ok(())
    }
}

/// Adds a byte of a varint: its bits so far, how many, and whether it ended; `None` past 64 bits.
fn more(bits: u64, count: u32, byte: u8) -> Option<(u64, u32, bool)> {
    if count >= 64 {
        return None;
    }
    Some((
        bits | u64::from(byte & 0x7f) << count,
        count + 7,
        byte & 0x80 == 0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Actor, BatchCheckRequest, CheckRequest};
    use prost::Message;

    fn body(message: &[u8]) -> Bytes {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0][..], &length, message].concat().into()
    }

    /// Whole and byte by byte must say the same.
    fn pass(body: &Bytes, message_max: usize, item_max: usize) -> Result<(), TooLong> {
        let whole = Frames::new(message_max, Some(item_max)).pass(body);
        let mut frames = Frames::new(message_max, Some(item_max));
        let bytewise = (0..body.len()).try_for_each(|at| frames.pass(&body.slice(at..=at)));
        assert_eq!(whole, bytewise);
        whole
    }

    fn batch(purposes: &[usize]) -> Vec<u8> {
        BatchCheckRequest {
            actor: Some(Actor::default()),
            items: purposes
                .iter()
                .map(|length| CheckRequest {
                    purpose: "x".repeat(*length),
                    ..CheckRequest::default()
                })
                .collect(),
        }
        .encode_to_vec()
    }

    #[test]
    fn an_item_over_its_bound_is_named_before_it_is_decoded() {
        assert_eq!(pass(&body(&batch(&[10, 50, 10])), 1000, 60), Ok(()));
        assert_eq!(
            pass(&body(&batch(&[10, 50, 10])), 1000, 40),
            Err(TooLong::Item(1, 52))
        );
    }

    #[test]
    fn padding_with_unknown_fields_counts() {
        let mut item = vec![0xc2, 0x3e, 80]; // field 1000, 80 bytes
        item.extend([0; 80]);
        let mut message = vec![0x12, 83]; // field 2, 83 bytes
        message.extend(item);
        assert_eq!(pass(&body(&message), 1000, 60), Err(TooLong::Item(0, 83)));
    }

    #[test]
    fn nothing_hides_behind_a_group() {
        let mut message = vec![0xc3, 0x3e, 0xc4, 0x3e]; // field 1000: a group begins, and ends
        message.extend(batch(&[90]));
        assert_eq!(pass(&body(&message), 1000, 60), Err(TooLong::Unmeasured));
    }

    #[test]
    fn a_message_over_its_bound_is_refused_by_its_header() {
        let mut frames = Frames::new(100, None);
        let header = Bytes::from_static(&[0, 0, 0, 0, 101]);
        assert_eq!(frames.pass(&header), Err(TooLong::Message(101)));
    }

    #[test]
    fn whatever_the_bytes_nothing_panics_and_each_message_starts_anew() {
        let good = body(&batch(&[10]));
        let both: Bytes = [&good[..], &good[..]].concat().into();
        assert_eq!(pass(&both, 1000, 60), Ok(()));
        assert_eq!(pass(&body(&[0xff; 40]), 1000, 60), Err(TooLong::Unmeasured));
        for seed in 0_u64..2_000 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[0]
                })
                .collect();
            let _ = pass(&body(&bytes), 1000, 60);
        }
    }
}
