//! A file of pages, each with a checksum of its own, so that whatever is read of it was checked and nothing else had to be.
//! The first page of the file is not one of them: it is the head, which is written last.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;

pub(super) const PAGE_BYTES: usize = 4096;

/// Writes pages one after the other.
#[derive(Debug)]
pub(super) struct PageWriter<'a> {
    out: BufWriter<&'a mut File>,
    at: u64,
    checksums: Vec<u32>,
    current: u32,
}

impl<'a> PageWriter<'a> {
    pub(super) fn new(file: &'a mut File) -> Self {
        Self {
            out: BufWriter::with_capacity(1 << 18, file),
            at: 0,
            checksums: Vec::new(),
            current: 0,
        }
    }

    /// Where the next byte goes.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = within_page(self.at);
            let room = PAGE_BYTES.saturating_sub(within).min(rest.len());
            let (now, after) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.out.write_all(now)?;
            self.current = crc32c::crc32c_append(self.current, now);
            self.at = self.at.saturating_add(now.len() as u64);
            if within_page(self.at) == 0 {
                self.checksums.push(std::mem::take(&mut self.current));
            }
            rest = after;
        }
        Ok(())
    }

    /// Fills the page with zeros.
    pub(super) fn end_page(&mut self) -> io::Result<()> {
        const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
        let left = match within_page(self.at) {
            0 => 0,
            within => PAGE_BYTES.saturating_sub(within),
        };
        self.write(ZEROS.get(..left).unwrap_or_default())
    }

    /// Fills the last page and gives the checksum of each.
    pub(super) fn finish(mut self) -> io::Result<Vec<u32>> {
        self.end_page()?;
        self.out.flush()?;
        Ok(self.checksums)
    }
}

fn within_page(at: u64) -> usize {
    usize::try_from(at % PAGE_BYTES as u64).unwrap_or(0)
}

/// Reads what a [`PageWriter`] wrote.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    pub(super) file: File,
    pub(super) checksums: &'a [u32],
}

impl Pages<'_> {
    /// `count` bytes from `at` on.
    ///
    /// # Errors
    /// `InvalidData` when a page is not what was written, or there are not so many; else as the system says it.
    pub(super) fn read(&self, at: u64, count: usize) -> io::Result<Vec<u8>> {
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let within = within_page(at);
        let start = at.saturating_sub(within as u64);
        let whole = within
            .checked_add(count)
            .and_then(|end| end.checked_next_multiple_of(PAGE_BYTES))
            .ok_or_else(|| damaged("it is shorter than it says"))?;
        let first = usize::try_from(start / PAGE_BYTES as u64).unwrap_or(usize::MAX);
        let checksums = self
            .checksums
            .get(first..)
            .and_then(|after| after.get(..whole / PAGE_BYTES))
            .ok_or_else(|| damaged("it is shorter than it says"))?;
        let mut bytes = vec![0; whole];
        self.file
            .read_exact_at(&mut bytes, start.saturating_add(PAGE_BYTES as u64))?;
        let pages = bytes.as_chunks::<PAGE_BYTES>().0;
        for (page, checksum) in pages.iter().zip(checksums) {
            if crc32c::crc32c(page) != *checksum {
                return Err(damaged("a page's checksum does not match"));
            }
        }
        bytes.truncate(within.saturating_add(count));
        bytes.drain(..within);
        Ok(bytes)
    }
}
