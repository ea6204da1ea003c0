//! Which rules and reasons of a pack its scenarios reach, rule by rule.

use std::collections::{HashMap, HashSet};

use super::reach;
use super::{Came, Decided, Tested};
use crate::decision::rules::{Granting, RuleSet};
use crate::decision::{ObligationKind, RuleLine, StageVerdict, Verdict, Withheld};
use crate::domain::access::Action;
use crate::domain::reason::{ReasonCode, Stage};
use crate::policy::Pack;

/// What sort of thing is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// A row of policy.csv: something was granted by it, whatever came later, or denied by one that denies.
    Grant,
    /// A purpose: something was allowed for it.
    Purpose,
    /// A recipient: its turn settled the decision, or data would go there.
    Recipient,
    /// A network: somebody was let in from there.
    Network,
    /// A service: something was allowed that it asked for.
    Service,
    /// A system that asks: something was allowed of it.
    System,
    /// A `[[consent]]` that denied.
    Consent,
    /// A `[[suspension]]` that denied.
    Suspension,
    /// A `[[reference]]` that denied.
    Reference,
    /// A `[[retention]]` that denied.
    Retention,
    /// A `[[keep]]` that denied.
    Keep,
    /// A `[[never_together]]` that denied.
    NeverTogether,
    /// A `[[collected]]` that denied.
    Collected,
    /// A `[[confidential]]` that denied.
    Confidential,
    /// A `[[safeguard]]` that denied.
    Safeguard,
    /// A `[[second_step]]` that asked for a fresh one.
    SecondStep,
    /// A `[[break_glass]]` that passed over a missing grant.
    BreakGlass,
    /// A `[[limit]]` that denied.
    Limit,
    /// An `[[outcome]]` to be reported.
    Outcome,
    /// An item that was masked.
    Mask,
    /// A code that the rules can give: it was the answer, or why something was withheld.
    Reason,
}

impl Sort {
    /// All, in the order of the report.
    pub const ALL: [Self; 21] = [
        Self::Grant,
        Self::Purpose,
        Self::Recipient,
        Self::Network,
        Self::Service,
        Self::System,
        Self::Consent,
        Self::Suspension,
        Self::Reference,
        Self::Retention,
        Self::Keep,
        Self::NeverTogether,
        Self::Collected,
        Self::Confidential,
        Self::Safeguard,
        Self::SecondStep,
        Self::BreakGlass,
        Self::Limit,
        Self::Outcome,
        Self::Mask,
        Self::Reason,
    ];

    /// As it is called in reports and in JSON: for a section of pack.toml its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Purpose => "purpose",
            Self::Recipient => "recipient",
            Self::Network => "network",
            Self::Service => "service",
            Self::System => "system",
            Self::Consent => "consent",
            Self::Suspension => "suspension",
            Self::Reference => "reference",
            Self::Retention => "retention",
            Self::Keep => "keep",
            Self::NeverTogether => "never_together",
            Self::Collected => "collected",
            Self::Confidential => "confidential",
            Self::Safeguard => "safeguard",
            Self::SecondStep => "second_step",
            Self::BreakGlass => "break_glass",
            Self::Limit => "limit",
            Self::Outcome => "outcome",
            Self::Mask => "mask",
            Self::Reason => "reason",
        }
    }
}

/// One thing that can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What sort of thing.
    pub sort: Sort,
    /// Which.
    pub name: String,
    /// Where it stands; a reason stands nowhere.
    pub rule: Option<RuleLine>,
    /// The first scenario that reaches it.
    pub hit_by: Option<String>,
}

/// What the scenarios of a pack reach.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// Everything that can be reached, by sort.
    pub items: Vec<Item>,
    /// Rows of policy.csv that nothing is ever granted by: their purpose extends to nothing of them, or an earlier row grants the
    /// same to everybody who has them; and consent that is asked for what can't happen.
    pub out_of_reach: Vec<Item>,
    /// Reasons that were given although no rule was thought to lead there: a mistake of this room.
    pub unforeseen: Vec<ReasonCode>,
}

impl Coverage {
    /// Of these scenarios. One that came out otherwise reaches nothing.
    #[must_use]
    pub fn of(pack: &Pack, tested: &[Tested]) -> Self {
        let rules = &pack.rules;
        let granting = granting(rules);
        let reasons = reach::reasons(rules);
        let asks_in_vain = |line: u32| {
            let mut asking = rules.consents.iter().filter(|rule| rule.line == line);
            asking.any(|rule| {
                !reasons.contains(&rule.denial) && !reasons.contains(&rule.denial_if_withdrawn)
            })
        };
        let denies = |item: &Item| {
            let mut rows = pack.rows.iter();
            rows.any(|row| item.rule == Some(RuleLine::Grants(row.line)) && row.denies())
        };
        let (items, out_of_reach) = items(pack).into_iter().partition(|item| match item.rule {
            Some(RuleLine::Grants(line)) => granting.contains(&line) || denies(item),
            Some(RuleLine::Pack(line)) => !asks_in_vain(line),
            None => true,
        });
        let mut coverage = Self {
            items,
            out_of_reach,
            unforeseen: Vec::new(),
        };
        let mut places = HashMap::new();
        for (position, item) in coverage.items.iter().enumerate() {
            places.insert((item.sort, item.name.clone()), position);
        }
        for one in tested {
            let Came::AsExpected(decided) = &one.came else {
                continue;
            };
            for hit in hits(&pack.rules, decided) {
                coverage.hit(&places, hit, &one.name);
            }
        }
        coverage
    }

    fn hit(&mut self, places: &HashMap<(Sort, String), usize>, hit: Hit, by: &str) {
        match hit {
            Hit::Named(sort, name) => {
                let place = places.get(&(sort, name));
                if let Some(item) = place.and_then(|place| self.items.get_mut(*place)) {
                    item.hit_by.get_or_insert_with(|| by.to_owned());
                }
            }
            Hit::Line(line) => {
                let settles = |item: &&mut Item| {
                    item.rule == Some(line)
                        && !matches!(
                            item.sort,
                            Sort::Purpose
                                | Sort::Network
                                | Sort::Service
                                | Sort::System
                                | Sort::Mask
                        )
                };
                for item in self.items.iter_mut().filter(settles) {
                    item.hit_by.get_or_insert_with(|| by.to_owned());
                }
            }
            Hit::Reason(code) => {
                let place = places.get(&(Sort::Reason, code.name().to_owned()));
                match place.and_then(|place| self.items.get_mut(*place)) {
                    Some(item) => {
                        item.hit_by.get_or_insert_with(|| by.to_owned());
                    }
                    None if self.unforeseen.contains(&code) => {}
                    None => self.unforeseen.push(code),
                }
            }
        }
    }

    /// Of one sort: how many are reached, of how many.
    #[must_use]
    pub fn total(&self, sort: Sort) -> (usize, usize) {
        let of_sort = || self.items.iter().filter(|item| item.sort == sort);
        let hit = of_sort().filter(|item| item.hit_by.is_some()).count();
        (hit, of_sort().count())
    }

    /// What is not reached.
    pub fn missed(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.hit_by.is_none())
    }
}

/// The rows of policy.csv that something can be granted by.
fn granting(rules: &RuleSet) -> HashSet<u32> {
    let extends = |granting: &Granting| {
        let key = granting.key;
        rules.purposes.get(key.purpose).is_some_and(|purpose| {
            purpose.kinds.contains(key.kind) && purpose.categories.contains(key.category)
        })
    };
    let rows = rules.grants.iter().filter(extends);
    rows.map(|granting| granting.line).collect()
}

/// Everything of a pack that a scenario can reach, and rows that none can.
fn items(pack: &Pack) -> Vec<Item> {
    let rules = &pack.rules;
    let mut items = Vec::new();
    let mut add = |sort: Sort, name: String, rule: Option<RuleLine>| {
        items.push(Item {
            sort,
            name,
            rule,
            hit_by: None,
        });
    };
    let at = |line: u32| Some(RuleLine::Pack(line));
    for row in &pack.rows {
        add(
            Sort::Grant,
            row.to_string(),
            Some(RuleLine::Grants(row.line)),
        );
    }
    for (_, name, purpose) in rules.purposes.iter() {
        add(Sort::Purpose, name.into(), at(purpose.line));
    }
    for (_, name, recipient) in rules.recipients.iter() {
        add(Sort::Recipient, name.into(), at(recipient.line));
    }
    for (_, name, network) in rules.networks.iter() {
        add(Sort::Network, name.into(), at(network.line));
    }
    for (_, name, service) in rules.services.iter() {
        if service.acts_for_people || service.workload_role.is_some() {
            add(Sort::Service, name.into(), at(service.line));
        }
    }
    for (_, name, system) in rules.systems.iter() {
        if system.coverage != crate::decision::rules::Coverage::Uncovered {
            add(Sort::System, name.into(), at(system.line));
        }
    }
    for rule in &rules.consents {
        add(Sort::Consent, rule.denial.name().into(), at(rule.line));
    }
    for rule in &rules.suspensions {
        add(Sort::Suspension, rule.hold.to_string(), at(rule.line));
    }
    for rule in &rules.references {
        add(Sort::Reference, rule.id.to_string(), at(rule.line));
    }
    for rule in &rules.retention {
        add(Sort::Retention, rule.id.to_string(), at(rule.line));
    }
    for rule in &rules.keep {
        add(Sort::Keep, rule.id.to_string(), at(rule.line));
    }
    for rule in &rules.never_together {
        add(Sort::NeverTogether, String::new(), at(rule.line));
    }
    for rule in &rules.collected {
        add(Sort::Collected, rule.via.to_string(), at(rule.line));
    }
    for rule in &rules.confidential {
        add(Sort::Confidential, String::new(), at(rule.line));
    }
    for rule in &rules.safeguards {
        add(Sort::Safeguard, rule.safeguards.join(", "), at(rule.line));
    }
    for rule in &rules.second_step {
        let name = format!("{} s", rule.max_age.as_secs());
        add(Sort::SecondStep, name, at(rule.line));
    }
    for rule in &rules.break_glass {
        add(Sort::BreakGlass, String::new(), at(rule.line));
    }
    for rule in &rules.limits {
        add(Sort::Limit, rule.id.to_string(), at(rule.line));
    }
    for rule in &rules.outcomes {
        let name = format!("{} s", rule.within.as_secs());
        add(Sort::Outcome, name, at(rule.line));
    }
    for (id, name, category) in rules.categories.iter() {
        if category.masks.iter().any(|mask| mask.category == id) {
            add(Sort::Mask, name.into(), at(category.line));
        }
    }
    for code in reach::reasons(rules) {
        add(Sort::Reason, code.name().into(), None);
    }
    items
}

/// What one decision reaches.
enum Hit {
    Named(Sort, String),
    /// The rule on this line, of whatever sort.
    Line(RuleLine),
    Reason(ReasonCode),
}

fn hits(rules: &RuleSet, decided: &Decided) -> Vec<Hit> {
    let mut hits = Vec::new();
    let request = &decided.request;
    let trace = decided.verdict.trace();
    let recipient = (request.action == Action::Provide)
        .then_some(request.provision.recipient.as_deref())
        .flatten();
    let failed = trace
        .stages
        .iter()
        .find(|stage| stage.passed == Some(false));
    // What was granted was, also where a later stage denied.
    if failed.is_none_or(|failed| failed.stage > Stage::Grant) {
        hits.extend(trace.granted.iter().map(|granted| Hit::Line(granted.rule)));
    }
    match &decided.verdict {
        Verdict::Allow(permit) => {
            let mut named = |sort, name: Option<&str>| {
                hits.extend(name.map(|name| Hit::Named(sort, name.to_owned())));
            };
            named(Sort::Purpose, request.purpose.as_deref());
            named(Sort::Recipient, recipient);
            named(
                Sort::Network,
                trace.network.map(|id| rules.networks.name(id)),
            );
            named(Sort::Service, decided.service.as_deref());
            named(Sort::System, request.system.as_deref());
            for obligation in &permit.obligations {
                match obligation {
                    ObligationKind::Mask(items) => {
                        let items = items.iter().map(ToString::to_string);
                        hits.extend(items.map(|item| Hit::Named(Sort::Mask, item)));
                    }
                    ObligationKind::ReportOutcomeBy(_) => hits.extend(outcomes(rules, decided)),
                    ObligationKind::ProvisionRecord { .. } | ObligationKind::ExcludeHeld(_) => {}
                }
            }
            let reasons = permit.remarks.iter().map(|remark| remark.code);
            hits.extend(reasons.map(Hit::Reason));
            let codes = |withheld: &Withheld| Hit::Reason(withheld.reason.code);
            hits.extend(permit.withheld_categories.iter().map(codes));
            hits.extend(permit.withheld_subjects.iter().map(codes));
        }
        Verdict::Deny(denial) => {
            let reasons = denial.reasons.iter().map(|reason| reason.code);
            hits.extend(reasons.map(Hit::Reason));
            if let Some(StageVerdict { stage, rule, .. }) = failed {
                hits.extend(rule.map(Hit::Line));
                if *stage == Stage::Provision {
                    let name = recipient.unwrap_or_default().to_owned();
                    hits.push(Hit::Named(Sort::Recipient, name));
                }
            }
        }
    }
    hits
}

/// The rules by which an outcome must be reported.
fn outcomes(rules: &RuleSet, decided: &Decided) -> Vec<Hit> {
    let broke_glass = decided.verdict.trace().break_glass;
    let action = decided.request.action;
    rules
        .outcomes
        .iter()
        .filter(|rule| rule.actions.contains(action) || (rule.break_glass && broke_glass))
        .map(|rule| Hit::Line(RuleLine::Pack(rule.line)))
        .collect()
}
