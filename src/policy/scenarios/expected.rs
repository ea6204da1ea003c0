//! What a scenario expects against what was answered, whichever way it was played.

use std::collections::BTreeMap;

use super::form::Expect;

/// An answer in the words in which scenarios expect one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// Whether it is an allowance.
    pub allowed: bool,
    /// Reasons or remarks: code and what it is about, in the answer's order.
    pub reasons: Vec<(String, String)>,
    /// "kind" or "kind:a,b" of each obligation.
    pub obligations: Vec<String>,
    /// How fresh a second step would do, in seconds; `None` where none is offered.
    pub step_up_seconds: Option<u64>,
    /// Categories that are withheld, each with its code.
    pub withheld_categories: BTreeMap<String, String>,
    /// Positions of subjects that are withheld, each with its code.
    pub withheld_subjects: BTreeMap<String, String>,
}

impl Expect {
    /// What of an answer differs, each in a sentence; empty when nothing does.
    #[must_use]
    pub fn differs(&self, answer: &Answered) -> Vec<String> {
        if let Some(error) = &self.error {
            return vec![format!("expected {error}, got an answer: {answer:?}")];
        }
        let mut problems = Vec::new();
        let mut differs = |what: &str, expected: String, got: String| {
            if expected != got {
                problems.push(format!("{what}: expected {expected}, got {got}"));
            }
        };
        let decision = self.decision.as_deref().unwrap_or_default();
        let got = if answer.allowed { "ALLOW" } else { "DENY" };
        differs("decision", decision.into(), got.into());
        if let Some(expected) = &self.obligations {
            let expected = sorted(expected);
            let got = sorted(&answer.obligations);
            differs("obligations", format!("{expected:?}"), format!("{got:?}"));
        }
        // Where nothing is said of a denial, it may offer one or not; an allowance never does.
        let expected = match self.step_up_seconds {
            Some(0) => Some(None),
            Some(seconds) => Some(Some(seconds)),
            None => (decision == "ALLOW").then_some(None),
        };
        if let Some(expected) = expected {
            let got = answer.step_up_seconds;
            differs("step_up", format!("{expected:?}"), format!("{got:?}"));
        }
        for (what, expected, got) in [
            (
                "withheld categories",
                &self.withheld_categories,
                &answer.withheld_categories,
            ),
            (
                "withheld subjects",
                &self.withheld_subjects,
                &answer.withheld_subjects,
            ),
        ] {
            if let Some(expected) = expected {
                differs(what, format!("{expected:?}"), format!("{got:?}"));
            }
        }
        problems.extend(self.reasons_differ(answer));
        problems
    }

    fn reasons_differ(&self, answer: &Answered) -> Vec<String> {
        let mut problems = Vec::new();
        let codes: Vec<&str> = answer.reasons.iter().map(|(code, _)| &**code).collect();
        let withholds = self.withheld_categories.is_some() || self.withheld_subjects.is_some();
        match (&self.reason, self.decision.as_deref()) {
            (Some(reason), _) if codes.first() != Some(&reason.as_str()) => {
                problems.push(format!("first reason: expected {reason}, got {codes:?}"));
            }
            (None, Some("ALLOW")) if answer.allowed && !withholds && !codes.is_empty() => {
                problems.push(format!("allowed with the remarks {codes:?}"));
            }
            _ => {}
        }
        if let Some(expected) = &self.reasons
            && *expected != codes
        {
            problems.push(format!("reasons: expected {expected:?}, got {codes:?}"));
        }
        if let Some(expected) = &self.about {
            let got = answer.reasons.first().map_or("", |(_, about)| about);
            if expected != got {
                problems.push(format!("about: expected {expected:?}, got {got:?}"));
            }
        }
        problems
    }
}

/// Obligations sorted, and the names in each.
fn sorted(obligations: &[String]) -> Vec<String> {
    let mut all: Vec<String> = obligations
        .iter()
        .map(|obligation| match obligation.split_once(':') {
            Some((kind, names)) => {
                let mut names: Vec<&str> = names.split(',').collect();
                names.sort_unstable();
                format!("{kind}:{}", names.join(","))
            }
            None => obligation.clone(),
        })
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(code: &str) -> Answered {
        Answered {
            reasons: vec![(code.into(), "contact".into())],
            ..Answered::default()
        }
    }

    fn expecting(toml: &str) -> Expect {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn what_is_expected_is_no_difference_and_everything_else_is() {
        let expect = expecting("decision = \"DENY\"\nreason = \"A\"\nabout = \"contact\"");
        assert_eq!(expect.differs(&denied("A")), [""; 0]);
        assert_eq!(expect.differs(&denied("B")).len(), 1);
        let allowed = Answered {
            allowed: true,
            ..denied("A")
        };
        assert_eq!(expect.differs(&allowed).len(), 1);
        let about = expecting("decision = \"DENY\"\nreason = \"A\"\nabout = \"career\"");
        assert_eq!(about.differs(&denied("A")).len(), 1);
        let step_up = expecting("decision = \"DENY\"\nreason = \"A\"\nstep_up_seconds = 300");
        assert_eq!(step_up.differs(&denied("A")).len(), 1);
        let error = expecting("error = \"INVALID_ARGUMENT\"");
        assert_eq!(error.differs(&denied("A")).len(), 1);
    }

    #[test]
    fn an_allowance_has_no_remark_that_nobody_expects() {
        let expect = expecting("decision = \"ALLOW\"");
        let mut answer = Answered {
            allowed: true,
            ..Answered::default()
        };
        assert_eq!(expect.differs(&answer), [""; 0]);
        answer.step_up_seconds = Some(5);
        assert_eq!(expect.differs(&answer).len(), 1);
        answer.step_up_seconds = None;
        answer
            .reasons
            .push(("BREAK_GLASS_USED".into(), String::new()));
        assert_eq!(expect.differs(&answer).len(), 1);
    }

    #[test]
    fn obligations_are_a_set_and_so_are_their_names() {
        let expect =
            expecting("decision = \"ALLOW\"\nobligations = [\"mask:b,a\", \"report_outcome\"]");
        let mut answer = Answered {
            allowed: true,
            obligations: vec!["report_outcome".into(), "mask:a,b".into()],
            ..Answered::default()
        };
        assert_eq!(expect.differs(&answer), [""; 0]);
        answer.obligations.pop();
        assert_eq!(expect.differs(&answer).len(), 1);
    }
}
