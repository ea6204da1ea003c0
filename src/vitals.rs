//! What the parts of the daemon tell operators: warnings for `/readyz`, numbers for `/metrics`. One way for all of them, so
//! that a new part needs a line where it is joined, and none where pages are written.

use std::fmt::Write as _;

/// A part that tells operators how it is doing. Asked at every look at a page: MUST be quick and MUST NOT block on a disk or
/// a network.
pub trait Vitals: Send + Sync {
    /// What operators should know although calls are answered: a line each, without line ends. Empty when all is well. No
    /// personal data, no secrets.
    fn warnings(&self) -> Vec<String>;

    /// What is counted or measured.
    fn metrics(&self) -> Vec<Metric>;
}

/// What a number is (Prometheus text format).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, until the next start.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A number with its name. The same name may come with several labels, and MUST then have the same kind and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// `sekisho_…`.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: MetricKind,
    /// One sentence, on one line.
    pub help: &'static str,
    /// Which one of several, as label and value.
    pub label: Option<(&'static str, String)>,
    /// The number.
    pub value: u64,
}

impl Metric {
    /// A number that only grows.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            name,
            kind: MetricKind::Counter,
            help,
            label: None,
            value,
        }
    }

    /// A number that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self {
            name,
            kind: MetricKind::Gauge,
            help,
            label: None,
            value,
        }
    }

    /// The same for one of several.
    #[must_use]
    pub fn of(mut self, label: &'static str, which: impl Into<String>) -> Self {
        self.label = Some((label, which.into()));
        self
    }
}

/// The Prometheus text of all numbers, those of one name together.
#[must_use]
pub fn prometheus(mut metrics: Vec<Metric>) -> String {
    metrics.sort_by(|a, b| a.name.cmp(b.name));
    let mut text = String::new();
    let mut before = "";
    for metric in &metrics {
        let Metric {
            name, help, value, ..
        } = metric;
        // Writing to a string does not fail.
        if *name != before {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            before = name;
        }
        let _ = match &metric.label {
            None => writeln!(text, "{name} {value}"),
            Some((label, which)) => {
                let which = which
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                writeln!(text, "{name}{{{label}=\"{which}\"}} {value}")
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_name_stand_together_under_one_head_and_labels_are_escaped() {
        let behind = |which: &str, value| Metric::gauge("b", "Behind.", value).of("of", which);
        let text = prometheus(vec![
            behind("one", 1),
            Metric::counter("a_total", "All.", 7),
            behind("t\"w\\o\n", 2),
        ]);
        assert_eq!(
            text,
            "# HELP a_total All.\n# TYPE a_total counter\na_total 7\n\
             # HELP b Behind.\n# TYPE b gauge\nb{of=\"one\"} 1\nb{of=\"t\\\"w\\\\o\\n\"} 2\n"
        );
    }
}
