//! The stages of a decision as lines, whether they were played here or explained by the daemon.

use serde_json::{Value, json};

use crate::cli::words::{Language, Word};
use crate::decision::rules::RuleSet;
use crate::decision::{RuleLine, StageVerdict, passed_by};
use crate::domain::reason::{ReasonCode, Stage};
use crate::policy::scenarios::Decided;

/// What one stage said, for people.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) stage: Stage,
    /// `None` where what it asks about was not known.
    pub(super) passed: Option<bool>,
    /// Code and what it is about.
    pub(super) reasons: Vec<(ReasonCode, String)>,
    /// `file:line`; empty for none.
    pub(super) rule: String,
    /// The promise that the rule keeps, in English and in Japanese.
    pub(super) promise: Option<(String, String)>,
}

impl Shown {
    /// As it was decided here; a stage that passed tells by which rule, too.
    pub(super) fn of(rules: &RuleSet, decided: &Decided, verdict: &StageVerdict) -> Self {
        let request = &decided.request;
        let passed = || {
            let service = decided.service.as_deref();
            let service = service.and_then(|id| rules.services.get(rules.services.id(id)?));
            let trace = decided.verdict.trace();
            (verdict.passed == Some(true))
                .then(|| passed_by(rules, service, request, trace, verdict.stage))
                .flatten()
        };
        let rule = verdict.rule.or_else(passed);
        let purpose = request.purpose.as_deref();
        let promise = match rule {
            Some(RuleLine::Pack(line)) => rules.promises.at(line),
            Some(RuleLine::Grants(_)) => purpose
                .and_then(|purpose| rules.purposes.id(purpose))
                .and_then(|purpose| rules.promise_of_grant(None, purpose)),
            None => None,
        };
        Self {
            stage: verdict.stage,
            passed: verdict.passed,
            reasons: verdict
                .reasons
                .iter()
                .map(|reason| (reason.code, reason.about.to_string()))
                .collect(),
            rule: rule.map_or_else(String::new, |rule| rule.to_string()),
            promise: promise
                .map(|promise| (promise.text().to_owned(), promise.text_ja().to_owned())),
        }
    }

    /// A line for the stage, and one for each reason and for the promise.
    pub(super) fn lines(&self, language: Language) -> Vec<String> {
        let state = match self.passed {
            Some(true) => Word::StagePassed,
            Some(false) => Word::StageFailed,
            None => Word::StageNotAsked,
        };
        let name = name(self.stage);
        let mut first = format!("{name:<10} {}", state.text(language));
        if !self.rule.is_empty() {
            first.push_str("  ");
            first.push_str(&self.rule);
        }
        let mut lines = vec![first];
        for (code, about) in &self.reasons {
            let about = if about.is_empty() {
                String::new()
            } else {
                format!(" ({about})")
            };
            lines.push(format!("    {code}{about}"));
            let message = match language {
                Language::English => code.message(),
                Language::Japanese => code.message_ja(),
            };
            lines.push(format!("    {message}"));
        }
        if let Some((en, ja)) = &self.promise {
            let promise = match language {
                Language::English => en,
                Language::Japanese => ja,
            };
            lines.push(format!("    {}", Word::Promise.fill(language, &[promise])));
        }
        lines
    }

    /// With the names that grpcurl shows.
    pub(super) fn json(&self) -> Value {
        let mut value = json!({
            "stage": format!("STAGE_{}", name(self.stage).to_uppercase()),
            "passed": self.passed == Some(true),
            "notEvaluated": self.passed.is_none(),
            "reasons": self.reasons.iter().map(|(code, about)| json!({
                "code": format!("REASON_CODE_{code}"),
                "about": about,
                "message": code.message(),
                "messageJa": code.message_ja(),
            })).collect::<Vec<_>>(),
            "rule": self.rule,
        });
        if let (Some((en, ja)), Value::Object(fields)) = (&self.promise, &mut value) {
            fields.insert("promise".into(), en.clone().into());
            fields.insert("promiseJa".into(), ja.clone().into());
        }
        value
    }
}

/// As the API and the documents call it.
pub(super) const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Caller => "caller",
        Stage::Network => "network",
        Stage::TwoStep => "two_step",
        Stage::Person => "person",
        Stage::Grant => "grant",
        Stage::Subject => "subject",
        Stage::Provision => "provision",
        Stage::Limits => "limits",
    }
}
