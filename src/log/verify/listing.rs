//! What a log's directory holds, by its names and headers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::tree_check::read_up_to;
use super::{Finding, Signatures, VerifyError, Wrong};
use crate::log::dispose::{self, DisposedSegment};
use crate::log::error::ReadError;
use crate::log::note::Checkpoint;
use crate::log::open;
use crate::log::segment::{self, HEADER_BYTES, Header};

/// What the names in a log's directory say.
pub(super) struct Listed {
    /// First indexes; those that were disposed of too.
    segments: BTreeSet<u64>,
    /// Those that were disposed of.
    disposed: BTreeSet<u64>,
    /// First indexes of segments that a checkpoint commits to.
    closings: BTreeSet<u64>,
}

pub(super) fn list(directory: &Path) -> Result<Listed, VerifyError> {
    let not_a_log = |what: &str| VerifyError::NotALog {
        path: directory.to_owned(),
        what: what.to_owned(),
    };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => not_a_log("there is no such directory"),
        io::ErrorKind::NotADirectory => not_a_log("it is not a directory"),
        _ => VerifyError::io(directory)(error),
    };
    let mut listed = Listed {
        segments: BTreeSet::new(),
        disposed: BTreeSet::new(),
        closings: BTreeSet::new(),
    };
    for item in std::fs::read_dir(directory).map_err(failed)? {
        let name = item.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        listed.segments.extend(segment::first_index_of(&name));
        listed.disposed.extend(dispose::first_index_of(&name));
        if let Some(stem) = name.strip_suffix(".checkpoint") {
            let first = segment::first_index_of(&format!("{stem}.segment"));
            listed.closings.extend(first);
        }
    }
    listed.segments.extend(&listed.disposed);
    if listed.segments.is_empty() {
        return Err(not_a_log("it holds no segment"));
    }
    Ok(listed)
}

/// A segment that is to be read, or what stands in its place.
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) header: Header,
    pub(super) disposed: Option<DisposedSegment>,
}

/// The segments up to the first that has no good header, or is missing, and what was found then.
pub(super) fn parts(
    directory: &Path,
    listed: Listed,
    signatures: &Signatures,
) -> Result<(Vec<Part>, Option<Finding>), VerifyError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut closings = listed.closings.into_iter().peekable();
    for first in listed.segments {
        if let Some(orphan) = closings.next_if(|closing| *closing < first) {
            return Ok((parts, Some(missing(directory, orphan))));
        }
        closings.next_if_eq(&first);
        let (path, found) = if listed.disposed.contains(&first) {
            let path = dispose::path_of(directory, first);
            let found = disposed(&path)?;
            (path, found)
        } else {
            let path = segment::path_of(directory, first);
            let found = header(&path)?.map(|header| (header, None));
            (path, found)
        };
        let linked = found.and_then(|(header, disposed)| {
            match breach(first, &header, parts.last(), &signatures.newest) {
                Some(what) => Err(Wrong::Header(what)),
                None => Ok((header, disposed)),
            }
        });
        match linked {
            Ok((header, disposed)) => parts.push(Part {
                path,
                header,
                disposed,
            }),
            Err(wrong) => {
                let finding = Finding::new(&path, wrong);
                return Ok((parts, Some(finding.entry(first).at(0))));
            }
        }
    }
    let orphan = closings.next();
    // What is written to is never disposed of.
    let live = parts.last().and_then(|part| part.disposed.as_ref());
    let live = live.map(|gone| gone.next);
    let missing = orphan.or(live).map(|first| missing(directory, first));
    Ok((parts, missing))
}

/// Reads what stands in the place of a segment.
fn disposed(path: &Path) -> Result<Result<(Header, Option<DisposedSegment>), Wrong>, VerifyError> {
    match dispose::read(path) {
        Ok(gone) => Ok(Ok((gone.header.clone(), Some(gone)))),
        Err(ReadError::Io { path, source }) => Err(VerifyError::Io { path, source }),
        Err(error) => Ok(Err(Wrong::Disposal(error.to_string()))),
    }
}

fn missing(directory: &Path, first: u64) -> Finding {
    Finding::new(&segment::path_of(directory, first), Wrong::Missing).entry(first)
}

/// Reads a header; the inner error says what is wrong with it.
fn header(path: &Path) -> Result<Result<Header, Wrong>, VerifyError> {
    let mut bytes = vec![0; HEADER_BYTES];
    let read = File::open(path).and_then(|file| read_up_to(&file, &mut bytes, 0));
    bytes.truncate(read.map_err(VerifyError::io(path))?);
    Ok(match Header::decode(&bytes) {
        Err(what) => Err(Wrong::Header(what.to_owned())),
        Ok(header) if header.encode() != bytes => {
            Err(Wrong::Header("bytes are set that must be zero".to_owned()))
        }
        Ok(header) => Ok(header),
    })
}

/// What is wrong with a segment that follows `before`.
fn breach(
    first: u64,
    header: &Header,
    before: Option<&Part>,
    newest: &Checkpoint,
) -> Option<String> {
    if header.name != newest.origin {
        return Some(format!("it is a segment of the log {:?}", header.name));
    }
    let gone = before.and_then(|before| before.disposed.as_ref());
    if gone.is_some_and(|gone| gone.next != first) {
        return Some("it does not follow what was disposed of before it".to_owned());
    }
    open::breach(first, header, before.map(|before| &before.header))
}

/// The segments that were disposed of.
pub(super) fn gone(parts: &[Part]) -> impl Iterator<Item = (&Part, &DisposedSegment)> {
    parts
        .iter()
        .filter_map(|part| Some((part, part.disposed.as_ref()?)))
}
