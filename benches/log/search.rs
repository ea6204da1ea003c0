//! Pages of a hundred by each filter, as `Search` looks for them: candidates of the index, each read from the log and judged.

use std::time::Instant;

use sekisho::domain::access::{Action, SubjectRef};
use sekisho::domain::ids::{LogIndex, Name};
use sekisho::domain::subject::Pseudonym;
use sekisho::domain::time::Timestamp;
use sekisho::gate::{EntryFilter, Sieve};
use sekisho::index::{Index, Order, Walk};
use sekisho::log::LogReader;
use sekisho::proto::{Decision, EntryKind, ReasonCode};

use super::entries::{
    House, PERSONS, PURPOSES, SUBJECTS, address, category, department, person, subject,
};
use super::measure::quantile;
use super::numbers::Numbers;
use super::{Outcome, tell};

const PAGE: usize = 100;
const SEARCHES: usize = 60;
const GOAL_US: f64 = 100_000.0;

/// One filter, of values that are drawn anew for each search.
type Draw<'a> = Box<dyn Fn(&mut Numbers) -> Outcome<Sieve> + 'a>;

fn name(text: &str) -> Outcome<Option<Name>> {
    Ok(Some(Name::parse(text)?))
}

fn plain(filter: EntryFilter) -> Outcome<Sieve> {
    Ok(Sieve::new(filter, None, None))
}

/// All filters, one by one and together.
pub(crate) fn all(reader: &LogReader, index: &Index, entries: u64, house: House) -> Outcome<()> {
    tell(&format!(
        "\nsearch, pages of {PAGE}, {SEARCHES} searches for each line:"
    ));
    tell(
        "  filter                                     found   median       95th        slowest   all p95 <= 100 ms",
    );
    let mut numbers = Numbers(1);
    let mut worst = 0.0_f64;
    for (what, draw) in filters(entries, house) {
        let mut latencies = Vec::new();
        let mut found = 0;
        for search in 0..SEARCHES {
            let sieve = draw(&mut numbers)?;
            let order = if search % 2 == 0 {
                Order::NewestFirst
            } else {
                Order::OldestFirst
            };
            let began = Instant::now();
            found += page(reader, index, &sieve, order)?;
            latencies.push(began.elapsed());
        }
        let slowest = quantile(&mut latencies, 100)?;
        let (median, high) = (quantile(&mut latencies, 50)?, quantile(&mut latencies, 95)?);
        worst = worst.max(high);
        tell(&format!(
            "  {what:<42} {:>5} {median:>9.0} µs {high:>9.0} µs {slowest:>9.0} µs   {}",
            found / SEARCHES,
            if high <= GOAL_US { "yes" } else { "NO" }
        ));
    }
    tell(&format!("  slowest 95th of all: {:.1} ms", worst / 1_000.0));
    Ok(())
}

/// How many a page has.
fn page(reader: &LogReader, index: &Index, sieve: &Sieve, order: Order) -> Outcome<usize> {
    let from = LogIndex(match order {
        Order::OldestFirst => 0,
        Order::NewestFirst => u64::MAX,
    });
    let (query, period) = (sieve.query(), sieve.period());
    let mut found = 0;
    for kept in Walk::new(reader.clone(), Some(index), query, period, from, order) {
        let entry = kept?.entry()?;
        if sieve.fits(&entry) {
            found += 1;
        }
        // One more tells whether another page follows.
        if found > PAGE {
            break;
        }
    }
    Ok(found.min(PAGE))
}

fn filters(entries: u64, house: House) -> Vec<(&'static str, Draw<'static>)> {
    let default = EntryFilter::default;
    let at = move |n: u64| Some(Timestamp::from_micros(house.time_us(n)));
    let mut all: Vec<(&'static str, Draw<'static>)> = Vec::new();
    let mut add = |what, draw: Draw<'static>| all.push((what, draw));
    add("none", Box::new(move |_| plain(default())));
    add(
        "person",
        Box::new(move |n| {
            plain(EntryFilter {
                person: name(&person(n.below(PERSONS)))?,
                ..default()
            })
        }),
    );
    add("subject", Box::new(move |n| of_subject(n.below(SUBJECTS))));
    add(
        "category",
        Box::new(move |n| {
            plain(EntryFilter {
                category: name(&category(n.below(60)))?,
                ..default()
            })
        }),
    );
    add(
        "category that covers five",
        Box::new(move |n| {
            plain(EntryFilter {
                category: name(&format!("group-{}", n.below(12)))?,
                ..default()
            })
        }),
    );
    add(
        "purpose",
        Box::new(move |n| {
            plain(EntryFilter {
                purpose: name(&format!("purpose-{}", n.below(PURPOSES)))?,
                ..default()
            })
        }),
    );
    add(
        "action",
        Box::new(move |_| {
            plain(EntryFilter {
                action: Some(Action::Provide),
                ..default()
            })
        }),
    );
    add(
        "decision",
        Box::new(move |_| {
            plain(EntryFilter {
                decision: Some(Decision::Deny.into()),
                ..default()
            })
        }),
    );
    add(
        "reason",
        Box::new(move |_| {
            plain(EntryFilter {
                reason: Some(ReasonCode::TicketExpired.into()),
                ..default()
            })
        }),
    );
    add(
        "caller",
        Box::new(move |n| {
            plain(EntryFilter {
                caller: name(&format!("service-{}", n.below(6)))?,
                ..default()
            })
        }),
    );
    add(
        "system",
        Box::new(move |n| {
            plain(EntryFilter {
                system: name(&format!("system-{}", n.below(3)))?,
                ..default()
            })
        }),
    );
    add(
        "subject kind",
        Box::new(move |_| {
            plain(EntryFilter {
                subject_kind: name("job-seeker")?,
                ..default()
            })
        }),
    );
    add(
        "department",
        Box::new(move |n| {
            plain(EntryFilter {
                department: name(&department(n.below(PERSONS)))?,
                ..default()
            })
        }),
    );
    add(
        "reader of one department",
        Box::new(move |n| {
            Ok(Sieve::new(
                default(),
                None,
                name(&department(n.below(PERSONS)))?.map(|own| vec![own]),
            ))
        }),
    );
    add(
        "recipient",
        Box::new(move |n| {
            plain(EntryFilter {
                recipient: name(&format!("client-{}", n.below(300)))?,
                ..default()
            })
        }),
    );
    add(
        "case",
        Box::new(move |n| {
            plain(EntryFilter {
                case_ref: name(&format!("case-{}", n.below(entries) / 8))?,
                ..default()
            })
        }),
    );
    add(
        "break glass",
        Box::new(move |_| {
            plain(EntryFilter {
                break_glass_only: true,
                ..default()
            })
        }),
    );
    add(
        "kind of entry",
        Box::new(move |_| {
            plain(EntryFilter {
                kind: Some(EntryKind::Decision.into()),
                ..default()
            })
        }),
    );
    add(
        "one address",
        Box::new(move |n| {
            plain(EntryFilter {
                client_ip: Some(format!("{}/32", address(n.below(PERSONS))).parse()?),
                ..default()
            })
        }),
    );
    add(
        "a block of 256 addresses",
        Box::new(move |n| {
            plain(EntryFilter {
                client_ip: Some(format!("10.10.{}.0/24", n.below(4)).parse()?),
                ..default()
            })
        }),
    );
    add(
        "time: a thousandth of it",
        Box::new(move |n| {
            let from = n.below(entries);
            plain(EntryFilter {
                from: at(from),
                until: at(from + entries / 1_000),
                ..default()
            })
        }),
    );
    add(
        "person within a tenth of the time",
        Box::new(move |n| {
            let from = n.below(entries);
            plain(EntryFilter {
                person: name(&person(n.below(PERSONS)))?,
                from: at(from),
                until: at(from + entries / 10),
                ..default()
            })
        }),
    );
    add(
        "nothing: person",
        Box::new(move |n| {
            plain(EntryFilter {
                person: name(&format!("nobody-{}", n.below(1_000)))?,
                ..default()
            })
        }),
    );
    add(
        "nothing: subject",
        Box::new(move |n| of_subject(SUBJECTS + n.below(SUBJECTS))),
    );
    add(
        "nothing: kind of entry",
        Box::new(move |_| {
            plain(EntryFilter {
                kind: Some(EntryKind::Incident.into()),
                ..default()
            })
        }),
    );
    add(
        "nothing: block of addresses",
        Box::new(move |_| {
            plain(EntryFilter {
                client_ip: Some("192.0.2.0/24".parse()?),
                ..default()
            })
        }),
    );
    add(
        "nothing: time before the log",
        Box::new(move |_| {
            plain(EntryFilter {
                until: at(0),
                ..default()
            })
        }),
    );
    add(
        "two frequent, together hardly ever",
        Box::new(move |n| {
            plain(EntryFilter {
                caller: name(&format!("service-{}", n.below(2)))?,
                subject_kind: name("employee")?,
                ..default()
            })
        }),
    );
    add(
        "a frequent one and half of the addresses",
        Box::new(move |n| {
            plain(EntryFilter {
                department: name(&department(n.below(PERSONS / 2)))?,
                client_ip: Some("10.128.0.0/9".parse()?),
                ..default()
            })
        }),
    );
    add(
        "five frequent ones",
        Box::new(move |n| {
            plain(EntryFilter {
                caller: name("service-5")?,
                purpose: name(&format!("purpose-{}", n.below(PURPOSES)))?,
                subject_kind: name("contact")?,
                decision: Some(Decision::Deny.into()),
                action: Some(Action::Update),
                ..default()
            })
        }),
    );
    all
}

fn of_subject(number: u64) -> Outcome<Sieve> {
    let filter = EntryFilter {
        subject: Some(SubjectRef::new(&Name::parse("by pseudonym")?)),
        ..EntryFilter::default()
    };
    Ok(Sieve::new(filter, Some(Pseudonym(subject(number))), None))
}
