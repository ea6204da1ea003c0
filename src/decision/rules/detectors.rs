//! What a pack says of the detectors that look through the access log (`[[detector]]`). No check goes by it.

use std::time::Duration;

use super::table::IdSet;
use super::{Role, RuleSet};
use crate::domain::detector::{Detector, Thresholds};

/// What a detector goes by for people of some roles, where it is not its default.
#[derive(Debug, Clone)]
pub struct DetectorRule {
    /// Which one.
    pub detector: Detector,
    /// For people with one of these roles; `None` for whoever is in no other rule.
    pub roles: Option<IdSet<Role>>,
    /// It doesn't look.
    pub off: bool,
    /// From which robust z-score on, in tenths.
    pub score: Option<u16>,
    /// From how many on.
    pub least: Option<u64>,
    /// Within how long.
    pub within: Option<Duration>,
    /// Line in pack.toml.
    pub line: u32,
}

impl RuleSet {
    /// The rule that a detector goes by for a person with these roles: the first that names one of them, else the one for everybody.
    #[must_use]
    pub fn detector_rule(&self, detector: Detector, roles: &[&str]) -> Option<&DetectorRule> {
        let has = |named: &IdSet<Role>| {
            let mut ids = roles.iter().filter_map(|role| self.roles.id(role));
            ids.any(|role| named.contains(role))
        };
        let of_it = || {
            let rules = self.detectors.iter();
            rules.filter(|rule| rule.detector == detector)
        };
        of_it()
            .find(|rule| rule.roles.as_ref().is_some_and(has))
            .or_else(|| of_it().find(|rule| rule.roles.is_none()))
    }

    /// What a detector goes by for a person with these roles; `None` where it doesn't look.
    #[must_use]
    pub fn thresholds(&self, detector: Detector, roles: &[&str]) -> Option<Thresholds> {
        let defaults = detector.defaults();
        let Some(rule) = self.detector_rule(detector, roles) else {
            return Some(defaults);
        };
        (!rule.off || !detector.may_be_off()).then(|| Thresholds {
            score: rule.score.or(defaults.score),
            least: rule.least.or(defaults.least),
            within: rule.within.or(defaults.within),
        })
    }
}
