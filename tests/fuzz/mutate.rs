//! Inputs: a pack of the repository or of the corpus, with some mutations. The same seed and number make the same input.

use std::collections::BTreeSet;
use std::fs;

use crate::support::bad_packs::{self, Case, FILES};
use crate::support::{own_packs, packs};

/// The files of a pack, in the order of [`FILES`]; `None` for one that is not there.
pub(crate) type Files = [Option<Vec<u8>>; FILES.len()];

/// So large a mutated file gets at most.
const FILE_MAX: usize = 64 * 1024;
/// So many changes one input has at most.
const CHANGES_MAX: u64 = 8;

/// What readers trip over.
const TRAPS: &[&str] = &[
    "",
    "\u{feff}",
    "\u{0}",
    "\r",
    "\r\n",
    "\n\n",
    "\t",
    " ",
    ",",
    ",,,,,,,,",
    "\"",
    "\"\"\"",
    "'''",
    "#",
    "*",
    "\\",
    "\\u0000",
    "\\uD800",
    "=",
    "==",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "{}",
    "[]",
    "[[[[[[[[[[[[[[[[",
    "a.b.c.d",
    ".",
    "-",
    "--",
    "é",
    "所",
    "👩‍💻",
    "\u{202e}",
    "\u{2028}",
    "\u{85}",
    "\u{ffff}",
    "0",
    "-1",
    "007",
    "1e999",
    "nan",
    "inf",
    "0x7fffffffffffffff",
    "18446744073709551616",
    "99999999999999999999d",
    "366d",
    "367d",
    "1y",
    "30y",
    "31y",
    "2099-02-30",
    "0000-00-00",
    "9999-12-31",
    "9999-12-31T23:59:60Z",
    "+14:00",
    "-99:99",
    "0.0.0.0/0",
    "::/0",
    "::ffff:10.0.0.0/104",
    "10.0.0.1/33",
    "010.0.0.0/8",
    "all",
    "true",
    "false",
    "administrator",
    "sekisho-",
    "default",
    "provision-record-3y",
    "id",
    "p",
    "g",
    "g2",
    "P",
    "allow",
    "deny",
    "always",
    "on-request",
    "eft",
    "r.role",
    "keyMatch(r.role, p.role)",
    "some(where (p.eft == allow))",
    "priority(p.eft) || deny",
    "promise",
    "promise_ja",
];

/// A pseudo-random sequence (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn chance(&mut self, of: u64) -> bool {
        self.next().is_multiple_of(of)
    }
}

/// Makes inputs.
pub(crate) struct Mutator {
    seed: u64,
    packs: Vec<Files>,
    /// Good packs; they come first.
    good: usize,
    /// Words of all packs.
    words: Vec<String>,
}

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut folders = vec![bad_packs::base()];
        folders.extend(own_packs());
        folders.extend(packs());
        let good = folders.len();
        let read = |folder: &std::path::Path| FILES.map(|file| fs::read(folder.join(file)).ok());
        let mut packs: Vec<Files> = folders.iter().map(|folder| read(folder)).collect();
        packs.extend(Case::all().iter().map(|case| read(case.pack().path())));
        let mut words = BTreeSet::new();
        for text in packs.iter().flatten().flatten() {
            let text = String::from_utf8_lossy(text).into_owned();
            let between =
                |character: char| !(character.is_alphanumeric() || "-._:/".contains(character));
            words.extend(text.split(between).map(str::to_owned));
        }
        words.extend(TRAPS.iter().map(|trap| (*trap).to_owned()));
        Self {
            seed,
            packs,
            good,
            words: words.into_iter().collect(),
        }
    }

    /// So many of the first inputs are packs as they are.
    pub(crate) fn unchanged(&self) -> u64 {
        self.packs.len() as u64
    }

    pub(crate) fn input(&self, number: u64) -> Files {
        if let Some(pack) = self.packs.get(usize::try_from(number).unwrap()) {
            return pack.clone();
        }
        let mut dice = Dice(self.seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        // The small good pack half of the time: what is changed there is told apart best, and quickest.
        let from = match dice.below(8) {
            0..4 => 0,
            4 | 5 => dice.below(self.good),
            _ => dice.below(self.packs.len()),
        };
        let mut files = self.packs[from].clone();
        // Rules of the pack's own ids, most of which are in order: so casbin reads them, too.
        if dice.chance(3) {
            self.add_rules(&mut files, &mut dice);
            if dice.chance(2) {
                return files;
            }
        }
        for _ in 0..=dice.next() % CHANGES_MAX {
            // pack.toml and policy.csv say most.
            let place = *dice.one_of(&[0, 0, 0, 2, 2, 2, 1, 3]);
            if dice.chance(200) {
                files[place] = None;
            } else if let Some(bytes) = &mut files[place] {
                self.change(bytes, place, &mut dice);
                bytes.truncate(FILE_MAX);
            }
        }
        files
    }

    fn change(&self, bytes: &mut Vec<u8>, place: usize, dice: &mut Dice) {
        match dice.below(10) {
            0 => byte(bytes, dice),
            1 => cut_or_double(bytes, dice),
            2 | 3 => self.word(bytes, dice),
            4 | 5 => line(bytes, dice),
            6 | 7 => self.line_of_another(bytes, place, dice),
            8 => self.insert_trap(bytes, dice),
            _ => self.splice(bytes, place, dice),
        }
    }

    /// A word becomes another word of any pack.
    fn word(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        let at = dice.below(bytes.len());
        let Some(start) = bytes
            .iter()
            .skip(at)
            .position(is_part)
            .map(|found| at + found)
        else {
            return;
        };
        let start = start
            - bytes[..start]
                .iter()
                .rev()
                .take_while(|byte| is_part(byte))
                .count();
        let end = start
            + bytes[start..]
                .iter()
                .take_while(|byte| is_part(byte))
                .count();
        let new = dice.one_of(&self.words).clone();
        bytes.splice(start..end, new.into_bytes());
    }

    fn insert_trap(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let at = dice.below(bytes.len() + 1);
        let trap = *dice.one_of(TRAPS);
        let times = if dice.chance(10) { 300 } else { 1 };
        bytes.splice(at..at, trap.repeat(times).into_bytes());
    }

    /// A line, or a section of some lines, of the same file of another pack, or of any file.
    fn line_of_another(&self, bytes: &mut Vec<u8>, place: usize, dice: &mut Dice) {
        let place = if dice.chance(20) {
            dice.below(FILES.len())
        } else {
            place
        };
        let Some(other) = &self.packs[dice.below(self.packs.len())][place] else {
            return;
        };
        let lines: Vec<&[u8]> = other.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.is_empty() {
            return;
        }
        let from = dice.below(lines.len());
        let to = (from + 1 + dice.below(6)).min(lines.len());
        let starts = starts(bytes);
        let at = *dice.one_of(&starts);
        bytes.splice(at..at, lines[from..to].concat());
    }

    /// The beginning of one and the end of another.
    fn splice(&self, bytes: &mut Vec<u8>, place: usize, dice: &mut Dice) {
        let Some(other) = &self.packs[dice.below(self.packs.len())][place] else {
            return;
        };
        let (here, there) = (starts(bytes), starts(other));
        bytes.truncate(*dice.one_of(&here));
        bytes.extend_from_slice(&other[*dice.one_of(&there)..]);
    }

    /// Some lines of policy.csv of words that the pack's own policy.csv has in the same column.
    fn add_rules(&self, files: &mut Files, dice: &mut Dice) {
        let Some(policy) = &mut files[2] else { return };
        let text = String::from_utf8_lossy(policy).into_owned();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split(',').map(str::trim).collect())
            .collect();
        let of_sort = |sort: &str| -> Vec<&Vec<&str>> {
            rows.iter()
                .filter(|row| row.first() == Some(&sort))
                .collect()
        };
        let rules = of_sort("p");
        if rules.is_empty() {
            return;
        }
        let mut more = String::from("\n");
        for _ in 0..=dice.below(12) {
            let mut row = Vec::new();
            let sort = *dice.one_of(&["p", "p", "p", "p", "p", "g"]);
            let columns = if sort == "p" { 8 } else { 3 };
            row.push(sort);
            for column in 1..columns {
                // Roles stand in the first column of rules.
                let column = if sort == "g" { 1 } else { column };
                let from = dice.one_of(&rules);
                row.push(match (column, dice.below(12)) {
                    (2 | 3, 0) => "*",
                    (6, 0) => "on-request",
                    (7, 0 | 1) => "deny",
                    _ => from.get(column).copied().unwrap_or("*"),
                });
            }
            more.push_str(&row.join(", "));
            more.push('\n');
        }
        policy.extend_from_slice(more.as_bytes());
    }
}

/// Where lines begin, the end of the text included.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut starts = vec![0];
    starts.extend(ends.map(|(at, _)| at + 1));
    starts
}

fn byte(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len());
    let new = dice.next() as u8;
    match (bytes.get_mut(at), dice.below(3)) {
        (Some(byte), 0) => *byte = new,
        (Some(byte), 1) => *byte ^= 1 << (new % 8),
        _ => bytes.insert(at.min(bytes.len()), new),
    }
}

fn cut_or_double(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let from = dice.below(bytes.len() + 1);
    let to = (from + 1 + dice.below(40)).min(bytes.len()).max(from);
    if dice.chance(2) {
        bytes.drain(from..to);
    } else {
        let again = bytes[from..to].to_vec();
        bytes.splice(to..to, again);
    }
}

/// A line goes, comes twice, or changes places with another.
fn line(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if lines.is_empty() {
        return;
    }
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(3) {
        0 => {
            lines.remove(one);
        }
        1 => {
            let again = lines[one].clone();
            lines.insert(other, again);
        }
        _ => lines.swap(one, other),
    }
    *bytes = lines.concat();
}
