//! What takes two, done by one alone and reviewed by nobody: resets, disposals, gaps, changes of people.

use std::collections::BTreeMap;

use crate::domain::ids::LogIndex;
use crate::proto::{StoredEntry, stored_change};
use crate::review::finding::Detector;
use crate::review::world::{ActorId, Day, Evidence, Noted, Notes};

#[derive(Debug)]
struct Done {
    actor: ActorId,
    day: Day,
    what: String,
    request: Option<LogIndex>,
}

#[derive(Debug, Default)]
pub(crate) struct DoneAlone {
    done: BTreeMap<LogIndex, Done>,
}

fn detail<'a>(entry: &'a StoredEntry, key: &str) -> Option<&'a str> {
    let found = entry.details.iter().find(|detail| detail.key == key);
    found.map(|detail| detail.value.as_str())
}

impl DoneAlone {
    /// Whether it was done by one alone. That it was only asked for is not yet done.
    pub(crate) fn is_of(entry: &StoredEntry) -> bool {
        let kind = entry
            .change
            .as_ref()
            .and_then(|change| change.kind.as_ref());
        detail(entry, "alone").is_some_and(|alone| alone == "true")
            && !matches!(kind, Some(stored_change::Kind::Ask(_)))
    }

    /// Notes what was done alone.
    pub(crate) fn done(&mut self, index: LogIndex, actor: ActorId, day: Day, entry: &StoredEntry) {
        let what = ["request", "change", "call"]
            .into_iter()
            .find_map(|key| detail(entry, key));
        let request = detail(entry, "request_entry").and_then(|text| text.parse().ok());
        let done = Done {
            actor,
            day,
            what: what.unwrap_or_default().to_owned(),
            request: request.map(LogIndex),
        };
        self.done.insert(index, done);
    }

    /// A later entry: what it reviews is no finding any more.
    pub(crate) fn reviewed(&mut self, entry: &StoredEntry) {
        let kind = entry
            .change
            .as_ref()
            .and_then(|change| change.kind.as_ref());
        if let Some(stored_change::Kind::Decline(reviewed)) = kind {
            let request = LogIndex(reviewed.request);
            self.done.remove(&request);
            self.done.retain(|_, done| done.request != Some(request));
        }
    }

    /// The log is read.
    pub(crate) fn finish(self, notes: &mut Notes) {
        let mut by_day: BTreeMap<(ActorId, Day), (Vec<String>, Evidence)> = BTreeMap::new();
        for (index, done) in self.done {
            let (what, evidence) = by_day.entry((done.actor, done.day)).or_default();
            evidence.add(index);
            if !done.what.is_empty() && !what.contains(&done.what) {
                what.push(done.what);
            }
        }
        for ((actor, day), (what, evidence)) in by_day {
            notes.tell(actor, day, || Noted {
                detector: Detector::DoneAlone,
                suffices: true,
                facts: vec![
                    ("times", evidence.count.to_string()),
                    ("what", what.join(", ")),
                ],
                evidence,
            });
        }
    }
}
