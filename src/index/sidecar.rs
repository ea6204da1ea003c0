//! The index of one closed segment as a file. All numbers are little-endian.
//!
//! ```text
//! ┌──────┬──────────┬──────┬───────────┬─────────┬─────────────┬───────────────╥────────┬───────────┬────────┐
//! │ head │ postings │ rows │ addresses │ numbers │ block table │ zero, to a    ║ fences │ checksums │ ...    │
//! │ 4096 │          │      │           │         │ of the log  │ multiple of   ║        │ of the    │ of the │
//! │      │          │      │           │         │             │ 4096          ║        │ pages     │ tail   │
//! └──────┴──────────┴──────┴───────────┴─────────┴─────────────┴───────────────╨────────┴───────────┴────────┘
//! ```
//! - head: what segment it is of, and where everything lies; written last. Its checksum is its own.
//! - postings: lists of positions (`postings`), in the order of their keys.
//! - rows: key (8) and reference (4), by key, 341 to a page. A reference with its highest bit set is the one position; any
//!   other is an offset within the postings.
//! - addresses: 16 bytes each, most significant first, ascending. numbers: for each entry, in 1, 2 or 4 bytes, which address
//!   it has, from 1; 0 for none. So a block of addresses is a range of numbers, however large it is.
//! - fences: the first key of each page of rows.
//!
//! Pages are checked when they are read; fences and checksums are read when the file is opened, and have a checksum in the
//! head.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::IndexError;
use super::key::{Key, Query};
use super::pages::{PAGE_BYTES, PageWriter, Pages};
use super::part::{POSITIONS_MAX, Part};
use super::postings::{self, Postings, Set};
use crate::log::SegmentMark;

const MAGIC: [u8; 8] = *b"SEKISHOx";
const VERSION: u64 = 1;
const ROW_BYTES: usize = 12;
const ROWS_PER_PAGE: usize = PAGE_BYTES / ROW_BYTES;
const ADDRESS_BYTES: usize = 16;
/// Set in a reference that is a position.
const ONE: u32 = 1 << 31;
/// No entry is unread.
const NO_UNREAD: u64 = u64::MAX;
/// Where the sections start: behind the head's page.
const BODY_AT: u64 = PAGE_BYTES as u64;
/// More than the largest segment's keys could take.
const TAIL_MAX_BYTES: u64 = 1 << 28;

/// Where everything lies, in the order of the bytes. Offsets count from the start of the body.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    first: u64,
    next: u64,
    rows_at: u64,
    rows: u64,
    addresses_at: u64,
    addresses: u64,
    numbers_at: u64,
    number_bytes: u64,
    table_at: u64,
    table_bytes: u64,
    pages: u64,
    fences: u64,
    tail_checksum: u64,
    unread: u64,
}

const FIELDS: usize = 14;
const HEAD_BYTES: usize = MAGIC.len() + 4 + 8 + SegmentMark::BYTES + FIELDS * 8;
const CRC_AT: usize = MAGIC.len();
const AFTER_CRC: usize = CRC_AT + 4;

impl Head {
    fn fields(self) -> [u64; FIELDS] {
        [
            self.first,
            self.next,
            self.rows_at,
            self.rows,
            self.addresses_at,
            self.addresses,
            self.numbers_at,
            self.number_bytes,
            self.table_at,
            self.table_bytes,
            self.pages,
            self.fences,
            self.tail_checksum,
            self.unread,
        ]
    }

    fn encode(self, mark: &SegmentMark) -> Vec<u8> {
        let mut rest = Vec::with_capacity(HEAD_BYTES);
        rest.extend(VERSION.to_le_bytes());
        rest.extend(mark.0);
        rest.extend(self.fields().iter().flat_map(|field| field.to_le_bytes()));
        let mut bytes = MAGIC.to_vec();
        bytes.extend(crc32c::crc32c(&rest).to_le_bytes());
        bytes.extend(rest);
        bytes
    }

    fn decode(bytes: &[u8], mark: &SegmentMark) -> Result<Self, &'static str> {
        const OTHER: &str = "this is not a sidecar of an access log";
        let rest = bytes.get(AFTER_CRC..).ok_or(OTHER)?;
        if bytes.first_chunk() != Some(&MAGIC) {
            return Err(OTHER);
        }
        let stored = bytes.get(CRC_AT..).and_then(<[u8]>::first_chunk);
        if stored.copied().map(u32::from_le_bytes) != Some(crc32c::crc32c(rest)) {
            return Err("the head's checksum does not match");
        }
        let (version, rest) = rest.split_first_chunk().ok_or(OTHER)?;
        if u64::from_le_bytes(*version) != VERSION {
            return Err("the format is of another version than this program's");
        }
        let (of, rest) = rest.split_first_chunk().ok_or(OTHER)?;
        if *of != mark.0 {
            return Err("it is of another segment");
        }
        let fields: Vec<u64> = rest
            .as_chunks()
            .0
            .iter()
            .map(|field| u64::from_le_bytes(*field))
            .collect();
        let fields: [u64; FIELDS] = fields.try_into().map_err(|_| OTHER)?;
        let [
            first,
            next,
            rows_at,
            rows,
            addresses_at,
            addresses,
            numbers_at,
            number_bytes,
            table_at,
            table_bytes,
            pages,
            fences,
            tail_checksum,
            unread,
        ] = fields;
        Ok(Self {
            first,
            next,
            rows_at,
            rows,
            addresses_at,
            addresses,
            numbers_at,
            number_bytes,
            table_at,
            table_bytes,
            pages,
            fences,
            tail_checksum,
            unread,
        })
    }
}

/// Writes the sidecar of a whole part; the caller makes it durable.
///
/// # Errors
/// As the system says it, or when the segment is larger than a sidecar can tell.
pub(super) fn write(
    part: &Part,
    mark: &SegmentMark,
    table: &[u8],
    file: &mut File,
) -> io::Result<()> {
    let too_large = || io::Error::other("the segment is too large for a sidecar");
    if u64::from(part.entries()) >= POSITIONS_MAX {
        return Err(too_large());
    }
    file.write_all(&[0; PAGE_BYTES])?;
    let mut out = PageWriter::new(file);
    let mut head = Head {
        first: part.first(),
        next: part.next(),
        ..Head::default()
    };
    let universe = part.entries();
    let mut packed = Vec::new();
    let mut refer = |postings: &Postings, out: &mut PageWriter<'_>| -> io::Result<u32> {
        if let Postings::One(position) = postings {
            return Ok(position | ONE);
        }
        let at = u32::try_from(out.at()).ok().filter(|at| *at < ONE);
        packed.clear();
        postings.encode(universe, &mut packed);
        out.write(&packed)?;
        at.ok_or_else(too_large)
    };
    let mut rows: Vec<(Key, u32)> = part.lists.keys().map(|key| (*key, 0)).collect();
    rows.sort_unstable();
    for (key, reference) in &mut rows {
        if let Some(postings) = part.lists.get(key) {
            *reference = refer(postings, &mut out)?;
        }
    }
    head.unread = match &part.unread {
        Some(postings) => u64::from(refer(postings, &mut out)?),
        None => NO_UNREAD,
    };
    out.end_page()?;
    (head.rows_at, head.rows) = (out.at(), rows.len() as u64);
    let mut fences = Vec::new();
    for page in rows.chunks(ROWS_PER_PAGE) {
        fences.extend(page.first().map(|(key, _)| key.0));
        for (key, reference) in page {
            out.write(&key.0.to_le_bytes())?;
            out.write(&reference.to_le_bytes())?;
        }
        out.end_page()?;
    }
    write_addresses(part, &mut head, &mut out)?;
    (head.table_at, head.table_bytes) = (out.at(), table.len() as u64);
    out.write(table)?;
    let checksums = out.finish()?;
    (head.pages, head.fences) = (checksums.len() as u64, fences.len() as u64);
    let mut tail = Vec::new();
    tail.extend(fences.iter().flat_map(|fence| fence.to_le_bytes()));
    tail.extend(checksums.iter().flat_map(|checksum| checksum.to_le_bytes()));
    head.tail_checksum = u64::from(crc32c::crc32c(&tail));
    file.write_all(&tail)?;
    file.write_all_at(&head.encode(mark), 0)
}

fn write_addresses(part: &Part, head: &mut Head, out: &mut PageWriter<'_>) -> io::Result<()> {
    let mut addresses: Vec<(u128, u32)> = part
        .addresses
        .iter()
        .map(|(address, number)| (*address, *number))
        .collect();
    addresses.sort_unstable();
    // From when an address came to where it stands in order.
    let mut places = vec![0_u32; addresses.len().saturating_add(1)];
    (head.addresses_at, head.addresses) = (out.at(), addresses.len() as u64);
    for (place, (address, number)) in (1..).zip(&addresses) {
        if let Some(slot) = usize::try_from(*number)
            .ok()
            .and_then(|number| places.get_mut(number))
        {
            *slot = place;
        }
        out.write(&address.to_be_bytes())?;
    }
    let number_bytes = match addresses.len() {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    };
    (head.numbers_at, head.number_bytes) = (out.at(), number_bytes as u64);
    for number in &part.numbers {
        let place = usize::try_from(*number)
            .ok()
            .and_then(|number| places.get(number))
            .copied()
            .unwrap_or(0);
        out.write(place.to_le_bytes().get(..number_bytes).unwrap_or_default())?;
    }
    Ok(())
}

/// A sidecar that was looked at: what it takes to find something in it. The file is opened for each query, so that a log of
/// thousands of segments doesn't take thousands of descriptors.
#[derive(Debug)]
pub(super) struct Sidecar {
    path: PathBuf,
    head: Head,
    fences: Vec<u64>,
    checksums: Vec<u32>,
    pub(super) identity: Identity,
}

/// Device, inode, length and time of change of a file: another one in its place has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64, u64, i64, i64);

impl Identity {
    pub(super) fn of(about: &std::fs::Metadata) -> Self {
        let changed = (about.ctime(), about.ctime_nsec());
        Self(about.dev(), about.ino(), about.len(), changed.0, changed.1)
    }
}

/// A sidecar whose file is open.
#[derive(Debug)]
pub(super) struct OpenSidecar<'a> {
    sidecar: &'a Sidecar,
    head: &'a Head,
    pages: Pages<'a>,
}

impl Sidecar {
    /// Looks at the sidecar of the segment with this mark; `None` when there is no such file.
    ///
    /// # Errors
    /// When it is damaged, of another version or of another segment, or can't be read.
    pub(super) fn look(
        path: &Path,
        first: u64,
        mark: &SegmentMark,
    ) -> Result<Option<Self>, IndexError> {
        let failed = |source| IndexError::io(path, source);
        let unfit = |what| IndexError::Unfit {
            path: path.to_owned(),
            what,
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let about = file.metadata().map_err(failed)?;
        let mut bytes = vec![0; HEAD_BYTES];
        let read = file.read_exact_at(&mut bytes, 0);
        if matches!(&read, Err(error) if error.kind() == io::ErrorKind::UnexpectedEof) {
            return Err(unfit("it is cut short"));
        }
        read.map_err(failed)?;
        let head = Head::decode(&bytes, mark).map_err(unfit)?;
        let body = head.pages.saturating_mul(PAGE_BYTES as u64);
        let tail_at = BODY_AT.saturating_add(body);
        let tail_bytes = head
            .fences
            .saturating_mul(8)
            .saturating_add(head.pages.saturating_mul(4));
        let sound = head.first == first
            && head
                .next
                .checked_sub(first)
                .is_some_and(|entries| entries < POSITIONS_MAX)
            && matches!(head.number_bytes, 1 | 2 | 4)
            && tail_bytes <= TAIL_MAX_BYTES
            && tail_at.saturating_add(tail_bytes) == about.len();
        if !sound {
            return Err(unfit("it is cut short"));
        }
        let mut tail = vec![0; usize::try_from(tail_bytes).unwrap_or(0)];
        file.read_exact_at(&mut tail, tail_at).map_err(failed)?;
        if u64::from(crc32c::crc32c(&tail)) != head.tail_checksum {
            return Err(unfit("the tail's checksum does not match"));
        }
        let fence_bytes = usize::try_from(head.fences.saturating_mul(8)).unwrap_or(0);
        let (fences, checksums) = tail
            .split_at_checked(fence_bytes)
            .ok_or_else(|| unfit("it is cut short"))?;
        let fences = fences.as_chunks().0.iter().copied().map(u64::from_le_bytes);
        let checksums = checksums.as_chunks().0.iter().copied();
        Ok(Some(Self {
            path: path.to_owned(),
            head,
            fences: fences.collect(),
            checksums: checksums.map(u32::from_le_bytes).collect(),
            identity: Identity::of(&about),
        }))
    }

    /// The index after the last entry of its segment.
    pub(super) fn next(&self) -> u64 {
        self.head.next
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let fences = self.fences.len().saturating_mul(8);
        let checksums = self.checksums.len().saturating_mul(4);
        fences.saturating_add(checksums).saturating_add(512)
    }

    /// Opens its file.
    ///
    /// # Errors
    /// `NotFound` when it is gone or another has taken its place; else as the system says it.
    pub(super) fn open(&self) -> io::Result<OpenSidecar<'_>> {
        let file = File::open(&self.path)?;
        if Identity::of(&file.metadata()?) != self.identity {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(OpenSidecar {
            sidecar: self,
            head: &self.head,
            pages: Pages {
                file,
                checksums: &self.checksums,
            },
        })
    }
}

impl OpenSidecar<'_> {
    fn universe(&self) -> u32 {
        u32::try_from(self.head.next.saturating_sub(self.head.first)).unwrap_or(u32::MAX)
    }

    /// The log's block table of the segment.
    pub(super) fn table(&self) -> io::Result<Vec<u8>> {
        let count = usize::try_from(self.head.table_bytes).unwrap_or(usize::MAX);
        self.read(self.head.table_at, count)
    }

    /// Where entries may be that have all of `query`.
    ///
    /// # Errors
    /// When it can't be read, or is not what was written.
    pub(super) fn candidates(&self, query: &Query) -> io::Result<Set> {
        let mut set = Set::All;
        for key in &query.keys {
            set = match self.reference(*key)? {
                Some(reference) => set.and(self.postings(reference)?),
                None => Set::none(),
            };
            if set.is_empty() {
                break;
            }
        }
        if let Some((first, last)) = query.addresses
            && !set.is_empty()
        {
            set = self.within(set, first, last)?;
        }
        match u32::try_from(self.head.unread) {
            Ok(reference) => Ok(set.or(self.postings(reference)?, self.universe())),
            Err(_) => Ok(set),
        }
    }

    /// The reference of a key.
    fn reference(&self, key: Key) -> io::Result<Option<u32>> {
        let fences = &self.sidecar.fences;
        let after = fences.partition_point(|fence| *fence <= key.0);
        let Some(page) = after.checked_sub(1) else {
            return Ok(None);
        };
        let offset = (page as u64).saturating_mul(PAGE_BYTES as u64);
        let before = page.saturating_mul(ROWS_PER_PAGE) as u64;
        let count = self.head.rows.saturating_sub(before);
        let count = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(ROWS_PER_PAGE);
        let bytes = self.read(
            self.head.rows_at.saturating_add(offset),
            count.saturating_mul(ROW_BYTES),
        )?;
        let rows = bytes.as_chunks::<ROW_BYTES>().0;
        let key_of = |row: &[u8; ROW_BYTES]| row.first_chunk().copied().map(u64::from_le_bytes);
        let found = rows.partition_point(|row| key_of(row) < Some(key.0));
        Ok(rows
            .get(found)
            .filter(|row| key_of(row) == Some(key.0))
            .and_then(|row| row.last_chunk().copied().map(u32::from_le_bytes)))
    }

    fn postings(&self, reference: u32) -> io::Result<Set> {
        if reference & ONE != 0 {
            return Ok(Set::Few(vec![reference & !ONE]));
        }
        const LOOK_BYTES: usize = 64;
        let at = u64::from(reference);
        let left = self.head.rows_at.saturating_sub(at);
        let look = LOOK_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX));
        let start = self.read(at, look)?;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "a list is not in order");
        let (length, bitmap, own) = postings::read_prefix(&start).ok_or_else(wrong)?;
        let held = start.get(own..own.saturating_add(length));
        let set = match held {
            Some(held) => postings::decode(held, bitmap, self.universe()),
            None => {
                let from = at.saturating_add(own as u64);
                postings::decode(&self.read(from, length)?, bitmap, self.universe())
            }
        };
        set.ok_or_else(wrong)
    }

    /// What of `set` has an address from `first` to `last`.
    fn within(&self, set: Set, first: u128, last: u128) -> io::Result<Set> {
        let count = usize::try_from(self.head.addresses).unwrap_or(usize::MAX);
        let bytes = self.read(self.head.addresses_at, count.saturating_mul(ADDRESS_BYTES))?;
        let addresses = bytes.as_chunks::<ADDRESS_BYTES>().0;
        let before = |bound: u128, with: bool| {
            let found = addresses.partition_point(|address| {
                let address = u128::from_be_bytes(*address);
                address < bound || (with && address == bound)
            });
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        // Numbers count from 1.
        let wanted = before(first, false).saturating_add(1)..before(last, true).saturating_add(1);
        if wanted.is_empty() {
            return Ok(Set::none());
        }
        let width = usize::try_from(self.head.number_bytes).unwrap_or(4);
        let entries = usize::try_from(self.universe()).unwrap_or(usize::MAX);
        let numbers = self.read(self.head.numbers_at, entries.saturating_mul(width))?;
        Ok(match width {
            1 => keep_numbers(
                set,
                &numbers,
                |n: [u8; 1]| u32::from(u8::from_le_bytes(n)),
                &wanted,
            ),
            2 => keep_numbers(set, &numbers, |n| u32::from(u16::from_le_bytes(n)), &wanted),
            _ => keep_numbers(set, &numbers, u32::from_le_bytes, &wanted),
        })
    }

    fn read(&self, at: u64, count: usize) -> io::Result<Vec<u8>> {
        self.pages.read(at, count)
    }
}

fn keep_numbers<const N: usize>(
    set: Set,
    numbers: &[u8],
    number: impl Fn([u8; N]) -> u32,
    wanted: &std::ops::Range<u32>,
) -> Set {
    let numbers = numbers.as_chunks::<N>().0;
    let universe = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    set.keep(universe, |position| {
        usize::try_from(position)
            .ok()
            .and_then(|at| numbers.get(at))
            .is_some_and(|bytes| wanted.contains(&number(*bytes)))
    })
}
