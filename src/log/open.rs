//! Takes up a log where it was left: checks every header and the whole last segment, and keeps a torn tail aside.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use uuid::Uuid;

use super::catalog::{self, Catalog, Closed, Segment};
use super::cosigned::Cosigned;
use super::dispose;
use super::durable::{self, Disk, Step};
use super::error::{OpenError, ReadError};
use super::footing::{Damage, Footing};
use super::keeper::{Bell, Keeper};
use super::merkle::CompactRange;
use super::note::SigningKey;
use super::queue::Queue;
use super::read::LogReader;
use super::scan::{self, ScanError, Tail};
use super::segment::{self, HEADER_BYTES, Header, Times};
use super::writer::{self, Scratch, Writer};
use super::{
    AccessLog, Evidence, Followers, LogConfig, LogHealth, LogState, Opened, Running, Shared,
    TornTail,
};
use crate::domain::ids::Name;

/// Smaller segments are made this large.
const SEGMENT_BYTES_MIN: u64 = 8 << 10;
/// How often a log without a lock is looked at before it counts as damaged: its writer may be writing just there.
const LOOKS: usize = 3;

/// A log's segments as they were found.
pub(super) struct Found {
    pub(super) closed: Vec<Closed>,
    /// Of the last segment.
    pub(super) header: Header,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) tail: Tail,
}

impl Found {
    pub(super) fn into_catalog(self, directory: &Path) -> Catalog {
        let seed = self.header.seed();
        let live = Segment::new(self.path, seed, self.file, self.tail.blocks);
        Catalog::new(directory, &self.header.name, self.closed, live)
    }
}

/// Opens the log for writing, or makes it.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    config: &LogConfig,
    name: &str,
) -> Result<Opened, OpenError> {
    let directory = config.directory.as_path();
    let segment_bytes = config.segment_bytes.max(SEGMENT_BYTES_MIN);
    durable::create_directory(&*disk, directory)?;
    // Before the lock: a file of ours doesn't belong into a directory of something else.
    list(directory)?;
    let Some(lock) = durable::lock(directory)? else {
        return Err(OpenError::InUse {
            directory: directory.to_owned(),
        });
    };
    let listed = list(directory)?;
    for path in &listed.leftovers {
        disk.remove(path).map_err(durable::at(Step::Create, path))?;
    }
    let created = listed.segments.is_empty();
    let segments = if created {
        create(&*disk, directory, name, segment_bytes)?;
        vec![0]
    } else {
        listed.segments
    };
    let mut found = take_up(directory, &segments, &listed.disposed)?;
    let file = disk
        .open(&found.path)
        .map_err(durable::at(Step::Open, &found.path))?;
    file.allocate(segment_bytes)
        .map_err(durable::at(Step::Allocate, &found.path))?;
    let mut torn_tails = untold(directory, &listed.torn, &found);
    torn_tails.extend(mend(&*disk, directory, &found, &*file)?);
    let capacity = found
        .file
        .metadata()
        .map_err(|source| OpenError::io(&found.path, source))?
        .len();

    let header = found.header.clone();
    let tree = std::mem::take(&mut found.tail.tree);
    let (end, next_index) = (found.tail.blocks.end(), found.tail.blocks.next_index());
    let (path, next_batch) = (found.path.clone(), found.tail.next_batch);
    let day = Some(found.tail.blocks.times())
        .filter(|times| *times != Times::NONE)
        .map(|times| writer::day_of(times.latest));
    let catalog = Arc::new(found.into_catalog(directory));
    let key =
        SigningKey::new(&header.name, &config.signing_seed.0).map_err(|_| OpenError::Name {
            name: header.name.clone(),
        })?;
    let reader = LogReader::new(Arc::clone(&catalog));
    let verifier_key = key.verifier_key().clone();
    let keeper = Keeper::open(Arc::clone(&disk), directory, reader, key, &tree)?;
    let scrub_every = config.scrub_every;
    let evidence = Evidence {
        signed: keeper.signed().subscribe(),
        nodes: keeper.nodes(),
        key: verifier_key,
        cosigned: Cosigned::new(Arc::clone(&disk), directory),
    };
    let room = writer::usable(segment_bytes).saturating_sub(HEADER_BYTES as u64);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let queue = Arc::new(Queue::new(config.queue_entries, room, config.deadline));
    let state = watch::Sender::new(LogState {
        durable: next_index,
        health: LogHealth::Writing,
        warning: None,
    });
    let followers = Followers::default();
    let shared_disk = Arc::clone(&disk);
    let told_tree = Arc::new(Mutex::new(tree.clone()));
    let damage = Arc::new(Damage::default());
    let writer = Writer {
        disk,
        directory: directory.to_owned(),
        catalog: Arc::clone(&catalog),
        queue: Arc::clone(&queue),
        state: state.clone(),
        followers: followers.clone(),
        segment_bytes,
        header,
        path,
        file,
        capacity,
        end,
        next_index,
        next_batch,
        told_tree: Arc::clone(&told_tree),
        tree,
        footing: Footing::new(config.space, Arc::clone(&damage)),
        day,
        at_the_disk: Arc::default(),
        scratch: Scratch::default(),
    };
    let at_the_disk = Arc::clone(&writer.at_the_disk);
    let bell = Arc::new(Bell::default());
    let rung = Arc::clone(&bell);
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let failed = |source| OpenError::io(directory, source);
    let keeper = thread("log-keeper")
        .spawn(move || keeper.run(&rung, &told_tree, &damage, scrub_every))
        .map_err(failed)?;
    let writer = thread("access-log")
        .spawn(move || writer.run())
        .inspect_err(|_| bell.ring())
        .map_err(failed)?;
    let running = Running {
        writer,
        keeper,
        bell,
        _lock: lock,
    };
    let shared = Shared {
        disk: shared_disk,
        catalog,
        queue,
        state,
        followers,
        evidence,
        at_the_disk,
        deadline: config.deadline,
        running: Mutex::new(Some(running)),
    };
    Ok(Opened {
        log: AccessLog {
            shared: Arc::new(shared),
        },
        created,
        torn_tails,
    })
}

/// Makes the first segment.
fn create(
    disk: &dyn Disk,
    directory: &Path,
    name: &str,
    segment_bytes: u64,
) -> Result<(), OpenError> {
    if Name::parse(name).is_err() || name.chars().any(char::is_control) {
        return Err(OpenError::Name {
            name: name.to_owned(),
        });
    }
    let header = Header {
        log_id: Uuid::new_v4(),
        name: name.to_owned(),
        first_index: 0,
        previous_first: None,
        first_batch: 0,
        previous_times: Times::NONE,
        tree: CompactRange::default(),
    };
    durable::publish_segment(disk, directory, 0, &header.encode(), segment_bytes)?;
    Ok(())
}

/// Makes sure that what is about to be told is what the disk holds, and clears away a torn tail.
fn mend(
    disk: &dyn Disk,
    directory: &Path,
    found: &Found,
    file: &dyn durable::DiskFile,
) -> Result<Option<TornTail>, OpenError> {
    let offset = found.tail.last_batch.end;
    let torn = offset..found.tail.torn_until;
    let mut torn_tail = None;
    if !torn.is_empty() {
        // First aside, durably; only then is it erased.
        let stem = format!("{:020}.torn-{offset}", found.header.first_index);
        let kept_in = durable::keep_aside(disk, &found.file, torn.clone(), directory, &stem)?;
        durable::erase(file, torn.clone(), &found.path)?;
        torn_tail = Some(TornTail {
            segment: found.path.clone(),
            offset,
            bytes: torn.end.saturating_sub(offset),
            kept_in,
        });
    }
    // All batches but the last were synced before the next was written.
    let last = found.tail.last_batch.clone();
    durable::write_again(&found.file, file, last, &found.path)?;
    Ok(torn_tail)
}

/// The torn tails that were kept aside and of which no entry can say so: nothing was written since where they were.
fn untold(directory: &Path, torn: &[Torn], found: &Found) -> Vec<TornTail> {
    let header = &found.header;
    let is_empty = found.tail.blocks.next_index() == header.first_index;
    let before = header.previous_first.filter(|_| is_empty);
    let before = before.map(|first| {
        // A closed segment is cut to what it holds.
        let length = std::fs::metadata(segment::path_of(directory, first));
        (first, length.map_or(0, |found| found.len()))
    });
    let live = (header.first_index, found.tail.last_batch.end);
    torn.iter()
        .filter(|torn| {
            let place = (torn.first_index, torn.offset);
            place == live || Some(place) == before
        })
        .filter_map(|torn| {
            let bytes = std::fs::metadata(&torn.path).ok()?.len();
            Some(TornTail {
                segment: segment::path_of(directory, torn.first_index),
                offset: torn.offset,
                bytes,
                kept_in: torn.path.clone(),
            })
        })
        .collect()
}

/// A torn tail that was kept aside, whole.
struct Torn {
    path: PathBuf,
    first_index: u64,
    offset: u64,
}

impl Torn {
    /// `<first index>.torn-<offset>-<number>`; `None` for other files.
    fn of(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (first_index, place) = name.split_once(".torn-")?;
        let first_index = segment::first_index_of(&format!("{first_index}.segment"))?;
        let (offset, number) = place.split_once('-')?;
        let offset = offset.parse().ok()?;
        number.parse::<u32>().ok()?;
        Some(Self {
            path,
            first_index,
            offset,
        })
    }
}

/// What a directory holds.
pub(super) struct Listed {
    /// First indexes, in order; those that were disposed of too.
    pub(super) segments: Vec<u64>,
    /// Those that were disposed of.
    disposed: BTreeSet<u64>,
    /// What never came to be part of the log.
    leftovers: Vec<PathBuf>,
    /// Torn tails that were kept aside.
    torn: Vec<Torn>,
}

/// Lists the segments.
///
/// # Errors
/// `NotALog` for a directory that holds other things and no segment.
pub(super) fn list(directory: &Path) -> Result<Listed, OpenError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => OpenError::NotALog {
            path: directory.to_owned(),
            what: "there is no such directory".to_owned(),
        },
        _ => OpenError::io(directory, source),
    };
    let mut listed = Listed {
        segments: Vec::new(),
        disposed: BTreeSet::new(),
        leftovers: Vec::new(),
        torn: Vec::new(),
    };
    let mut foreign = None;
    for item in std::fs::read_dir(directory).map_err(failed)? {
        let item = item.map_err(failed)?;
        let file_name = item.file_name();
        let file_name = file_name.to_string_lossy();
        if let Some(first_index) = segment::first_index_of(&file_name) {
            listed.segments.push(first_index);
        } else if let Some(first_index) = dispose::first_index_of(&file_name) {
            listed.disposed.insert(first_index);
        } else if file_name.strip_suffix(".new").is_some_and(|name| {
            segment::first_index_of(name)
                .or_else(|| dispose::first_index_of(name))
                .is_some()
                || Torn::of(PathBuf::from(name)).is_some()
        }) {
            listed.leftovers.push(item.path());
        } else if let Some(torn) = Torn::of(item.path()) {
            foreign = Some(file_name.into_owned());
            listed.torn.push(torn);
        } else if !matches!(&*file_name, "lock" | "lost+found") {
            foreign = Some(file_name.into_owned());
        }
    }
    listed.segments.extend(&listed.disposed);
    listed.segments.sort_unstable();
    listed.segments.dedup();
    listed.torn.sort_by(|one, other| one.path.cmp(&other.path));
    match foreign {
        Some(foreign) if listed.segments.is_empty() => Err(OpenError::NotALog {
            path: directory.to_owned(),
            what: format!("it holds {foreign:?} and no segment"),
        }),
        _ => Ok(listed),
    }
}

/// Reads a log that another process may be writing to.
pub(super) fn look(directory: &Path) -> Result<Found, OpenError> {
    let mut looks = 1;
    loop {
        let listed = list(directory)?;
        if listed.segments.is_empty() {
            return Err(OpenError::NotALog {
                path: directory.to_owned(),
                what: "it holds no segment".to_owned(),
            });
        }
        match take_up(directory, &listed.segments, &listed.disposed) {
            Err(OpenError::Damaged { .. }) if looks < LOOKS => looks += 1,
            outcome => return outcome,
        }
    }
}

/// Checks all headers and the whole last segment. Changes nothing.
fn take_up(
    directory: &Path,
    segments: &[u64],
    disposed: &BTreeSet<u64>,
) -> Result<Found, OpenError> {
    let mut closed = Vec::new();
    let mut gone_until = None;
    let mut before: Option<Header> = None;
    let mut last = None;
    for first_index in segments {
        let (path, file, header, gone) = look_at(directory, *first_index, disposed)?;
        if let Some(what) = breach(*first_index, &header, before.as_ref()) {
            let damage = ScanError::Damaged { offset: 0, what };
            return Err(scan_failed(&path, damage));
        }
        if let Some(before) = before {
            if gone_until.is_some_and(|until| until != header.first_index) {
                let what = "it does not follow what was disposed of before it".to_owned();
                return Err(scan_failed(&path, ScanError::Damaged { offset: 0, what }));
            }
            closed.push(Closed {
                first_index: before.first_index,
                next_first: header.first_index,
                times: header.previous_times,
                disposed: gone_until.is_some(),
            });
        }
        gone_until = gone;
        last = file.map(|file| (path, file));
        before = Some(header);
    }
    let (Some(header), Some((path, file))) = (before, last) else {
        return Err(OpenError::NotALog {
            path: directory.to_owned(),
            what: "it holds no segment that can be written to".to_owned(),
        });
    };
    let tail = scan::scan_tail(&file, &header).map_err(|error| scan_failed(&path, error))?;
    Ok(Found {
        closed,
        header,
        path,
        file,
        tail,
    })
}

/// One place of the log: its file and header, or what stands there instead and up to where.
type Place = (PathBuf, Option<File>, Header, Option<u64>);

fn look_at(
    directory: &Path,
    first_index: u64,
    disposed: &BTreeSet<u64>,
) -> Result<Place, OpenError> {
    if disposed.contains(&first_index) {
        let path = dispose::path_of(directory, first_index);
        let found = dispose::read(&path).map_err(|error| match error {
            ReadError::Io { path, source } => OpenError::io(&path, source),
            ReadError::Damaged { offset, what, .. } => {
                scan_failed(&path, ScanError::Damaged { offset, what })
            }
            error => {
                let what = error.to_string();
                scan_failed(&path, ScanError::Damaged { offset: 0, what })
            }
        })?;
        return Ok((path, None, found.header, Some(found.next)));
    }
    let path = segment::path_of(directory, first_index);
    let file = File::open(&path).map_err(|source| OpenError::io(&path, source))?;
    let header = catalog::read_header(&file).map_err(|error| scan_failed(&path, error))?;
    Ok((path, Some(file), header, None))
}

/// What is wrong with a segment that follows the one with header `before`.
pub(super) fn breach(first_index: u64, header: &Header, before: Option<&Header>) -> Option<String> {
    let previous = before.map(|before| before.first_index);
    if header.first_index != first_index {
        return Some(format!("it is the segment of index {}", header.first_index));
    }
    if header.previous_first != previous {
        return Some(match header.previous_first {
            Some(first) => format!("the segment before it, of index {first}, is missing"),
            None => "it is the first segment, yet another lies before it".to_owned(),
        });
    }
    let before = before?;
    if (header.log_id, &header.name) != (before.log_id, &before.name) {
        return Some("it is a segment of another log".to_owned());
    }
    (header.first_batch <= before.first_batch)
        .then(|| "its first batch is not after those of the segment before".to_owned())
}

fn scan_failed(path: &Path, error: ScanError) -> OpenError {
    match error {
        ScanError::Io(source) => OpenError::io(path, source),
        ScanError::Damaged { offset, what } => OpenError::Damaged {
            path: path.to_owned(),
            offset,
            what,
        },
    }
}
