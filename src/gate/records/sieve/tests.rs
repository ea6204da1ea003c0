//! A search by the index finds what a look at every entry finds, in the same order, whatever state the index is in.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::ids::LogIndex;
use crate::index::{Index, IndexConfig, Order, Walk, plain};
use crate::log::{AccessLog, LogConfig, LogReader, SigningSeed};
use crate::proto::StoredReason;

const NAMES: [&str; 4] = ["a", "a.b", "a.b.c", "b"];
const ADDRESSES: [&str; 6] = [
    "10.0.0.1",
    "10.0.1.1",
    "192.0.2.9",
    "2001:db8::1",
    "",
    "unix",
];
const BLOCKS: [&str; 6] = [
    "10.0.0.0/24",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::/0",
    "198.51.100.0/24",
];

fn one_of() -> impl Strategy<Value = String> {
    select(&NAMES[..]).prop_map(str::to_owned)
}

fn some_entry() -> impl Strategy<Value = StoredEntry> {
    let texts = prop::collection::vec(prop_oneof![Just(String::new()), one_of()], 8);
    let lists = (
        prop::collection::vec(one_of(), 0..3),
        prop::collection::vec(0..3_u8, 0..3),
        prop::collection::vec(0..4, 0..3),
    );
    let numbers = (0..3, 0..3, 0..3, any::<bool>(), 0..1_000_i64);
    (texts, lists, numbers, select(&ADDRESSES[..])).prop_map(
        |(
            texts,
            (categories, subjects, reasons),
            (kind, decision, action, glass, time),
            address,
        )| {
            let mut texts = texts.into_iter();
            let mut text = || texts.next().unwrap();
            let reason = |code: &i32| StoredReason {
                code: *code,
                about: String::new(),
            };
            StoredEntry {
                time_us: time,
                kind,
                decision,
                action,
                break_glass: glass,
                person: text(),
                department: text(),
                caller: text(),
                system: text(),
                subject_kind: text(),
                purpose: text(),
                recipient: text(),
                case_ref: text(),
                categories,
                subjects: subjects.into_iter().map(|n| vec![n; 32]).collect(),
                reasons: reasons.iter().take(1).map(reason).collect(),
                further_reasons: reasons.iter().skip(1).map(reason).collect(),
                client_ip: address.to_owned(),
                ..StoredEntry::default()
            }
        },
    )
}

/// Few conditions at once, so that something fits now and then.
fn some_sieve() -> impl Strategy<Value = Sieve> {
    let condition = (
        0..18_usize,
        one_of(),
        0..4_i32,
        0..1_000_i64,
        select(&BLOCKS[..]),
    );
    prop::collection::vec(condition, 0..4).prop_map(|conditions| {
        let mut filter = EntryFilter::default();
        let (mut subject, mut only_departments) = (None, None);
        for (which, text, number, time, block) in conditions {
            let name = Some(Name::parse(&text).unwrap());
            match which {
                0 => filter.person = name,
                1 => filter.department = name,
                2 => filter.caller = name,
                3 => filter.system = name,
                4 => filter.subject_kind = name,
                5 => filter.purpose = name,
                6 => filter.recipient = name,
                7 => filter.case_ref = name,
                8 => filter.category = name,
                9 => filter.kind = Some(number),
                10 => filter.decision = Some(number),
                11 => filter.reason = Some(number),
                12 => filter.break_glass_only = true,
                13 => filter.client_ip = Some(block.parse().unwrap()),
                14 => filter.from = Some(Timestamp::from_micros(time)),
                15 => filter.until = Some(Timestamp::from_micros(time)),
                16 => only_departments = name.map(|name| vec![name]),
                _ => {
                    filter.subject = Some(SubjectRef::new(&Name::parse("someone").unwrap()));
                    subject = Some(Pseudonym([u8::try_from(number).unwrap(); 32]));
                }
            }
        }
        Sieve::new(filter, subject, only_departments)
    })
}

fn open(home: &Path) -> AccessLog {
    let config = LogConfig {
        segment_bytes: 96 << 10,
        deadline: Duration::from_secs(60),
        ..LogConfig::new(home.join("log"), SigningSeed::new(&[7; 32]))
    };
    AccessLog::open(config, "log.example").unwrap().log
}

fn index(home: &Path, log: &AccessLog) -> Index {
    let config = IndexConfig {
        directory: home.join("index"),
        spare_bytes: 0,
    };
    Index::start(config, log.reader(), plain())
}

fn caught_up(index: &Index) {
    for _ in 0..6_000 {
        if index.lag() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the index doesn't catch up: {:?}", index.status());
}

/// Page by page.
fn found(
    reader: &LogReader,
    index: Option<&Index>,
    sieve: &Sieve,
    order: Order,
    size: usize,
) -> Vec<u64> {
    let mut all = Vec::new();
    let mut next = Some(LogIndex(match order {
        Order::OldestFirst => 0,
        Order::NewestFirst => u64::MAX,
    }));
    while let Some(from) = next {
        let (query, period) = (sieve.query(), sieve.period());
        let mut walk = Walk::new(reader.clone(), index, query, period, from, order);
        let fitting = walk
            .by_ref()
            .map(Result::unwrap)
            .filter(|kept| sieve.fits(&kept.entry().unwrap()));
        all.extend(fitting.take(size).map(|kept| kept.index.0));
        next = walk.position();
    }
    all
}

fn by_looking(reader: &LogReader, sieve: &Sieve, order: Order) -> Vec<u64> {
    let mut all: Vec<u64> = reader
        .forward(LogIndex(0))
        .map(Result::unwrap)
        .filter(|kept| sieve.fits(&kept.entry().unwrap()))
        .map(|kept| kept.index.0)
        .collect();
    if order == Order::NewestFirst {
        all.reverse();
    }
    all
}

fn agree(
    reader: &LogReader,
    index: &Index,
    sieves: &[Sieve],
    state: &str,
) -> Result<(), TestCaseError> {
    for sieve in sieves {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let expected = by_looking(reader, sieve, order);
            for size in [3, 1_000] {
                let found = found(reader, Some(index), sieve, order, size);
                prop_assert_eq!(&found, &expected, "{} {:?} {:?}", state, order, sieve);
            }
            prop_assert_eq!(&found(reader, None, sieve, order, 7), &expected);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_search_by_the_index_finds_what_a_look_at_every_entry_finds(
        some in prop::collection::vec(some_entry(), 20..80),
        sieves in prop::collection::vec(some_sieve(), 8),
        victim in 0..100_usize,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let home = tempfile::tempdir().unwrap();
        let append = |log: &AccessLog| for _ in 0..8 {
            for entries in some.chunks(37) {
                let appending = log.append(entries).unwrap();
                runtime.block_on(appending).unwrap();
            }
        };
        let log = open(home.path());
        let reader = log.reader();
        let begun = index(home.path(), &log);
        append(&log);
        agree(&reader, &begun, &sieves, "half built")?;
        caught_up(&begun);
        agree(&reader, &begun, &sieves, "whole")?;
        append(&log);
        append(&log);
        caught_up(&begun);
        agree(&reader, &begun, &sieves, "rolled")?;
        drop(begun);
        append(&log);
        log.close();
        drop(log);

        let log = open(home.path());
        let reader = log.reader();
        let sidecars: Vec<_> = std::fs::read_dir(home.path().join("index")).unwrap().map(|item| item.unwrap().path()).collect();
        let sidecars: Vec<_> = sidecars.iter().filter(|path| path.extension().is_some_and(|it| it == "index")).collect();
        if let Some(victim) = sidecars.get(victim % sidecars.len().max(1)) {
            let mut bytes = std::fs::read(victim).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            #[allow(clippy::disallowed_methods, reason = "damage needs no care")]
            std::fs::write(victim, bytes).unwrap();
        }
        let again = index(home.path(), &log);
        agree(&reader, &again, &sieves, "taken up")?;
        caught_up(&again);
        agree(&reader, &again, &sieves, "mended")?;
    }
}
