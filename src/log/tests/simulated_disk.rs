//! A disk that holds, after a power failure, only what it must: all that was synced, and of the rest any part, torn at
//! sectors. Beside it the page cache, as real files, which outlives a killed process.
//!
//! What is modelled: contents page by page (4,096 bytes are written back together, sectors of 512 bytes tear), lengths and
//! names each for themselves; a sync that failed drops the pages it could not write and counts them as clean.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use super::*;

const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;

/// SplitMix64: seeded, so that a failing seed can be played again.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0, below `end`, which is at least 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// How a life of the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is killed in the middle of a call; what the page cache holds stays.
    Kill,
    /// A sync fails; the pages are lost, and the process must end by itself.
    FailedSync,
    /// It ends in order.
    Never,
}

/// A change of a file that was not synced.
#[derive(Debug, Clone)]
enum Change {
    Pages { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Default)]
struct Inode {
    /// What a read sees.
    cache: Vec<u8>,
    disk: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            Self::Put(path, _) | Self::Rename(_, path, _) | Self::Remove(path) => path,
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Put(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

#[derive(Debug)]
struct World {
    random: Random,
    /// Durable to begin with; what is made in it is not.
    root: PathBuf,
    inodes: Vec<Inode>,
    cached_names: BTreeMap<PathBuf, usize>,
    names: BTreeMap<PathBuf, usize>,
    /// With the life they were made in.
    pending_names: Vec<(usize, NameChange)>,
    directories: BTreeSet<PathBuf>,
    life: usize,
    opening: bool,
    /// Calls count only after the start.
    not_before_opened: bool,
    calls: usize,
    /// The call at which the life ends.
    end_at: usize,
    end: End,
    dead: bool,
    /// Per cent of the calls that are refused for want of space.
    refusing: usize,
    refused: bool,
    /// The sync that does nothing.
    dropped: Option<String>,
    /// All syncs that had something to do.
    syncs: BTreeSet<String>,
    broken_rule: Option<String>,
}

/// What becomes of a call.
enum Fate {
    Done,
    /// The process dies meanwhile: done in part, and never returned to.
    Dying,
    /// The pages are lost.
    SyncFails,
}

#[derive(Debug, Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<World>>, Arc<Mutex<()>>);

impl SimulatedDisk {
    /// An empty disk in the directory `root`.
    pub(super) fn new(root: &Path, random: Random) -> Self {
        Self(
            Arc::new(Mutex::new(World {
                random,
                root: root.to_owned(),
                inodes: Vec::new(),
                cached_names: BTreeMap::new(),
                names: BTreeMap::new(),
                pending_names: Vec::new(),
                directories: BTreeSet::from([root.to_owned()]),
                life: 0,
                opening: false,
                not_before_opened: false,
                calls: 0,
                end_at: 0,
                end: End::Never,
                dead: false,
                refusing: 0,
                refused: false,
                dropped: None,
                syncs: BTreeSet::new(),
                broken_rule: None,
            })),
            Arc::default(),
        )
    }

    /// Holds up who looks at a file, until the answer is dropped.
    pub(super) fn hold(&self) -> std::sync::MutexGuard<'_, ()> {
        self.1.lock().unwrap()
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// One of [`Self::syncs`] does nothing from now on, and says that it did.
    pub(super) fn drop_sync(&self, sync: Option<&str>) {
        self.world().dropped = sync.map(str::to_owned);
    }

    pub(super) fn syncs(&self) -> BTreeSet<String> {
        self.world().syncs.clone()
    }

    /// A process begins, and ends at its call number `end_at`: of its start too, or of what it does then.
    pub(super) fn begin(&self, end: End, end_at: usize, at_the_start: bool, refusing: usize) {
        let mut world = self.world();
        world.life += 1;
        (world.calls, world.dead, world.refused) = (0, false, false);
        (world.end, world.end_at, world.refusing) = (end, end_at, refusing);
        (world.opening, world.not_before_opened) = (true, !at_the_start);
    }

    /// It has taken up the log.
    pub(super) fn opened(&self) {
        let mut world = self.world();
        (world.opening, world.not_before_opened) = (false, false);
    }

    /// Whether the life ended as planned.
    pub(super) fn is_dead(&self) -> bool {
        self.world().dead
    }

    /// Whether a call was refused in this life.
    pub(super) fn has_refused(&self) -> bool {
        self.world().refused
    }

    /// A rule that can't be seen in what is left.
    pub(super) fn broken_rule(&self) -> Option<String> {
        self.world().broken_rule.clone()
    }

    /// The power fails: in the place of the files comes what the disk may hold.
    pub(super) fn cut_power(&self) {
        self.world().cut_power();
    }
}

impl World {
    fn fate(&mut self, call: Call) -> io::Result<Fate> {
        let lost = || io::Error::other("the process is gone");
        if self.dead {
            return Err(lost());
        }
        self.calls += usize::from(!self.not_before_opened);
        let ends = self.calls >= self.end_at && !self.not_before_opened;
        match self.end {
            End::Kill if ends => {
                self.dead = true;
                return Ok(Fate::Dying);
            }
            End::FailedSync
                if ends && matches!(call, Call::SyncAll | Call::SyncData | Call::SyncDirectory) =>
            {
                // Once: whoever tried again would be told that all is well.
                self.end = End::Never;
                self.dead = true;
                return Ok(Fate::SyncFails);
            }
            _ => {}
        }
        let can_be_full = matches!(
            call,
            Call::Create | Call::Allocate | Call::Write | Call::Rename
        );
        if can_be_full && self.refusing > 0 && self.random.percent(self.refusing) {
            self.refused = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Fate::Done)
    }

    fn name(&mut self, change: NameChange) {
        change.apply(&mut self.cached_names);
        self.pending_names.push((self.life, change));
    }

    /// Whether a sync is to be done, and not one that is dropped.
    fn is_done(&mut self, what: String) -> bool {
        let phase = if self.opening {
            "at the start"
        } else {
            "while serving"
        };
        let sync = format!("{what}, {phase}");
        let done = self.dropped.as_ref() != Some(&sync);
        self.syncs.insert(sync);
        done
    }

    fn name_of(&self, inode: usize) -> PathBuf {
        let found = self.cached_names.iter().find(|(_, of)| **of == inode);
        found.map(|(path, _)| path.clone()).unwrap_or_default()
    }

    fn sync_file(&mut self, call: Call, inode: usize) -> io::Result<()> {
        let fate = self.fate(call)?;
        match fate {
            Fate::Dying => return Err(io::ErrorKind::Interrupted.into()),
            Fate::SyncFails => {
                let file = &mut self.inodes[inode];
                let pending = std::mem::take(&mut file.pending);
                for change in pending {
                    match change {
                        Change::Pages { .. } if self.random.percent(60) => {}
                        Change::Pages { .. } => change.apply(&mut file.disk),
                        Change::Length(_) => file.pending.push(change),
                    }
                }
                return Err(io::Error::other("input/output error"));
            }
            Fate::Done => {}
        }
        if self.inodes[inode].pending.is_empty() {
            return Ok(());
        }
        let kind = kind_of(&self.name_of(inode));
        if self.is_done(format!("{call:?} of {kind}")) {
            let file = &mut self.inodes[inode];
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.disk);
            }
        }
        Ok(())
    }

    fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        match self.fate(Call::SyncDirectory)? {
            Fate::Dying => return Err(io::ErrorKind::Interrupted.into()),
            Fate::SyncFails => return Err(io::Error::other("input/output error")),
            Fate::Done => {}
        }
        let made: Vec<_> = std::fs::read_dir(path)?
            .map(|item| item.unwrap().path())
            .filter(|item| item.is_dir() && !self.directories.contains(item))
            .collect();
        let news = self.news(path);
        if made.is_empty() && news.is_empty() {
            return Ok(());
        }
        let what = if made.is_empty() {
            format!("SyncDirectory of names: {}", news.join(" and "))
        } else {
            "SyncDirectory of a new directory".to_owned()
        };
        if self.is_done(what) {
            self.directories.extend(made);
            let (now, later) = std::mem::take(&mut self.pending_names)
                .into_iter()
                .partition(|(_, change)| change.path().parent() == Some(path));
            self.pending_names = later;
            let now: Vec<_> = now;
            for (_, change) in now {
                change.apply(&mut self.names);
            }
        }
        Ok(())
    }

    /// What the names in a directory that were not synced are about.
    fn news(&self, directory: &Path) -> Vec<String> {
        let mut kinds = BTreeSet::new();
        for (life, change) in &self.pending_names {
            if change.path().parent() != Some(directory) {
                continue;
            }
            let when = if *life == self.life {
                ""
            } else {
                " of an earlier life"
            };
            let kind = kind_of(change.path());
            // Lost or kept: a file without its last name is rubbish, and a start that finds a torn tail keeps it once more.
            if kind.ends_with("to be moved")
                || kind == "a new segment"
                || (kind == "a torn tail" && *life != self.life)
            {
                continue;
            }
            kinds.insert(format!("{kind}{when}"));
        }
        kinds.into_iter().collect()
    }

    fn write(&mut self, inode: usize, bytes: &[u8], at: usize) {
        let path = self.name_of(inode);
        self.check_kept_aside(&path, inode, bytes, at);
        let file = &mut self.inodes[inode];
        let end = at + bytes.len();
        if file.cache.len() < end {
            file.cache.resize(end, 0);
            file.pending.push(Change::Length(end));
        }
        file.cache[at..end].copy_from_slice(bytes);
        let from = at / PAGE_BYTES * PAGE_BYTES;
        let to = end.next_multiple_of(PAGE_BYTES).min(file.cache.len());
        let bytes = file.cache[from..to].to_vec();
        file.pending.push(Change::Pages { at: from, bytes });
    }

    /// Before a start writes over what a segment holds, that must be durable elsewhere.
    fn check_kept_aside(&mut self, path: &Path, inode: usize, bytes: &[u8], at: usize) {
        if !self.opening || kind_of(path) != "a segment" {
            return;
        }
        let there = self.inodes[inode].cache.get(at..).unwrap_or_default();
        let pairs = || there.iter().zip(bytes);
        if pairs().all(|(old, new)| *old == 0 || old == new) {
            return;
        }
        let last = pairs().rposition_of(|(old, _)| *old != 0);
        let old = &there[..=last];
        let kept = self.names.iter().any(|(path, inode)| {
            let found = self.inodes[*inode].disk.windows(old.len());
            kind_of(path) == "a torn tail" && found.into_iter().any(|part| part == old)
        });
        if !kept {
            self.broken_rule = Some(format!(
                "{} bytes of a torn tail were erased before they were durable elsewhere",
                old.len()
            ));
        }
    }

    /// Before a segment's checkpoint is there, the hashes that it commits to must be durable: when the segment is disposed of,
    /// nothing else is left of it.
    fn check_hashes(&mut self, to: &Path) {
        if kind_of(to) != "a segment's checkpoint" {
            return;
        }
        for (path, inode) in &self.cached_names {
            let durable = self.names.contains_key(path) && self.inodes[*inode].pending.is_empty();
            if kind_of(path) == "hashes of the tree" && !durable {
                self.broken_rule =
                    Some("a segment was committed to before its hashes were durable".to_owned());
            }
        }
    }

    fn cut_power(&mut self) {
        let pending = std::mem::take(&mut self.pending_names);
        let whole = match self.random.below(3) {
            0 => 0,
            1 => pending.len(),
            _ => self.random.below(pending.len() + 1),
        };
        for (n, (_, change)) in pending.iter().enumerate() {
            if n < whole || self.random.percent(30) {
                change.apply(&mut self.names);
            }
        }
        let gone: Vec<_> = directories_in(&self.root)
            .into_iter()
            .filter(|path| !self.directories.contains(path))
            .collect();
        for path in directories_in(&self.root).iter().rev() {
            std::fs::remove_dir_all(path).unwrap();
        }
        for path in gone {
            // It may be there all the same, with what it held.
            if self.random.percent(50) {
                self.directories.insert(path);
            }
        }
        for path in std::mem::take(&mut self.directories) {
            // What lies in one that is gone is gone.
            let is_root = path == self.root;
            if is_root || self.directories.contains(path.parent().unwrap()) {
                if !is_root {
                    std::fs::create_dir(&path).unwrap();
                }
                self.directories.insert(path);
            }
        }
        let directories = &self.directories;
        self.names
            .retain(|path, _| directories.contains(path.parent().unwrap()));
        let mut inodes = Vec::new();
        for (path, inode) in &mut self.names {
            let disk = self.inodes[*inode].survivors(&mut self.random);
            let mut file = File::options()
                .create_new(true)
                .write(true)
                .open(path)
                .unwrap();
            file.write_all(&disk).unwrap();
            *inode = inodes.len();
            inodes.push(Inode {
                cache: disk.clone(),
                disk,
                pending: Vec::new(),
            });
        }
        self.inodes = inodes;
        self.cached_names = self.names.clone();
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length, 0),
            Self::Pages { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Inode {
    /// What the disk may hold: the first changes whole, of the others any sectors, and any of the lengths.
    fn survivors(&self, random: &mut Random) -> Vec<u8> {
        let mut content = self.disk.clone();
        let whole = match random.below(4) {
            0 => 0,
            1 => self.pending.len(),
            _ => random.below(self.pending.len() + 1),
        };
        let (first, rest) = self.pending.split_at(whole);
        for change in first {
            change.apply(&mut content);
        }
        let mut lengths = vec![content.len()];
        let chance = [0, 10, 50, 90][random.below(4)];
        for change in rest {
            match change {
                Change::Length(length) => lengths.push(*length),
                Change::Pages { at, bytes } => {
                    for (n, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if random.percent(chance) {
                            let at = at + n * SECTOR_BYTES;
                            let bytes = sector.to_vec();
                            Change::Pages { at, bytes }.apply(&mut content);
                        }
                    }
                }
            }
        }
        content.resize(lengths[random.below(lengths.len())], 0);
        content
    }
}

/// All directories below `root`, parents first.
fn directories_in(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(root).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.push(path.clone());
            found.extend(directories_in(&path));
        }
    }
    found
}

/// What a file of the log is, by its name.
fn kind_of(path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ending = |ending: &str| name.ends_with(ending);
    if name.contains(".torn-") && ending(".new") {
        "a torn tail to be moved"
    } else if name.contains(".torn-") {
        "a torn tail"
    } else if ending(".segment.new") {
        "a new segment"
    } else if ending(".segment") {
        "a segment"
    } else if ending(".new") {
        "a file to be moved"
    } else if ending(".checkpoint") {
        "a segment's checkpoint"
    } else if name == "checkpoint" {
        "the newest checkpoint"
    } else if name == "log.vkey" {
        "the verifier key"
    } else if path.parent().is_some_and(|folder| folder.ends_with("tree")) {
        "hashes of the tree"
    } else {
        "another file"
    }
}

trait LastPosition: Iterator + Sized {
    /// Of the last item that `is_it`; 0 when none is.
    fn rposition_of(self, is_it: impl Fn(Self::Item) -> bool) -> usize {
        let mut last = 0;
        for (n, item) in self.enumerate() {
            if is_it(item) {
                last = n;
            }
        }
        last
    }
}

impl<I: Iterator> LastPosition for I {}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        let dying = matches!(world.fate(Call::Create)?, Fate::Dying);
        if dying && world.random.percent(50) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let real = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let inode = match world.cached_names.get(path) {
            Some(inode) => {
                let inode = *inode;
                world.inodes[inode].cache.clear();
                world.inodes[inode].pending.push(Change::Length(0));
                inode
            }
            None => {
                world.inodes.push(Inode::default());
                let inode = world.inodes.len() - 1;
                world.name(NameChange::Put(path.to_owned(), inode));
                inode
            }
        };
        if dying {
            return Err(io::ErrorKind::Interrupted.into());
        }
        drop(world);
        let disk = self.clone();
        Ok(Box::new(SimulatedFile { disk, inode, real }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        if let Fate::Dying = world.fate(Call::Open)? {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let inode = *world
            .cached_names
            .get(path)
            .ok_or(io::ErrorKind::NotFound)?;
        drop(world);
        Ok(Box::new(SimulatedFile {
            disk: self.clone(),
            inode,
            real: File::options().write(true).open(path)?,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        let dying = matches!(world.fate(Call::Rename)?, Fate::Dying);
        if !dying || world.random.percent(50) {
            let inode = *world
                .cached_names
                .get(from)
                .ok_or(io::ErrorKind::NotFound)?;
            world.check_hashes(to);
            std::fs::rename(from, to)?;
            world.name(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        }
        if dying {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let dying = matches!(world.fate(Call::Remove)?, Fate::Dying);
        if !dying || world.random.percent(50) {
            std::fs::remove_file(path)?;
            world.name(NameChange::Remove(path.to_owned()));
        }
        if dying {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.world().sync_directory(path)
    }

    fn volume(&self, _: &Path) -> io::Result<Volume> {
        Ok(Volume {
            free: u64::MAX,
            read_only: false,
        })
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
    real: File,
}

impl SimulatedFile {
    fn set_length(&self, call: Call, length: u64, only_longer: bool) -> io::Result<()> {
        let mut world = self.disk.world();
        let dying = matches!(world.fate(call)?, Fate::Dying);
        let to = usize::try_from(length).unwrap();
        let done = !dying || world.random.percent(50);
        let file = &mut world.inodes[self.inode];
        if done && !(only_longer && file.cache.len() >= to) {
            file.cache.resize(to, 0);
            file.pending.push(Change::Length(to));
            self.real.set_len(length)?;
        }
        if dying {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.set_length(Call::Allocate, length, true)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_length(Call::Truncate, length, false)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let at = usize::try_from(offset).unwrap();
        let (written, outcome) = match world.fate(Call::Write) {
            Ok(Fate::Done | Fate::SyncFails) => (bytes.len(), Ok(())),
            // As much as was done by then.
            Ok(Fate::Dying) => {
                let written = world.random.below(bytes.len() + 1);
                (written, Err(io::ErrorKind::Interrupted.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                (world.random.below(bytes.len() + 1), Err(error))
            }
            Err(error) => return Err(error),
        };
        let bytes = &bytes[..written];
        if !bytes.is_empty() {
            world.write(self.inode, bytes, at);
            self.real.write_all_at(bytes, offset)?;
        }
        outcome
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.world().sync_file(Call::SyncData, self.inode)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.disk.world().sync_file(Call::SyncAll, self.inode)
    }

    fn is_linked(&self) -> io::Result<bool> {
        drop(self.disk.hold());
        let mut world = self.disk.world();
        if let Fate::Dying = world.fate(Call::Look)? {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let inode = self.inode;
        Ok(world.cached_names.values().any(|named| *named == inode))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        // Asked by the clock and not by what is written, so it is no call at which a life ends.
        Ok(self.disk.world().cached_names.get(path) == Some(&self.inode))
    }
}
