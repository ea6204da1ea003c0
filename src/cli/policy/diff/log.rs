//! The decisions of the last days, from the daemon's log, each decided anew under both packs. An ordinary client: the reviewer's own
//! ticket, `Search`, page by page; that they were read is itself logged.

use std::time::Duration;

use crate::cli::client::{Connection, with_proof};
use crate::cli::error::CliError;
use crate::cli::filter::wire;
use crate::cli::log::Reading;
use crate::decision::rules::RuleSet;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::export::decision_read;
use crate::policy::replay::Tally;
use crate::proto::{EntryKind, SearchRequest};

/// Entries that are asked for at once.
const PAGE: i32 = 1_000;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Decides them anew and counts what differs. Keeps no more than a page in memory.
pub(super) async fn replay(
    connection: &Connection,
    old: &RuleSet,
    new: &RuleSet,
    days: u32,
    now: Timestamp,
) -> Result<Tally, CliError> {
    let language = connection.language();
    let mut reading = Reading::open(connection, language).await?;
    let mut wanted = SearchRequest {
        from: Some(wire(now.minus(DAY.saturating_mul(days)))),
        kind: EntryKind::Decision.into(),
        page_size: PAGE,
        ..SearchRequest::default()
    };
    let mut tally = Tally::default();
    loop {
        let request = with_proof(wanted.clone(), &reading.kept, language)?;
        let found = reading
            .target
            .answer(reading.service.search(request))
            .await?;
        let mut found = found.into_inner();
        let mut next = String::new();
        while let Some(message) = reading.target.answer(found.message()).await? {
            if let Some(entry) = message.entry {
                let stored = decision_read(&entry);
                tally.take(old, new, LogIndex(entry.log_index), &stored);
            }
            next = message.next_page_token;
        }
        if next.is_empty() {
            return Ok(tally);
        }
        wanted.page_token = next;
    }
}
