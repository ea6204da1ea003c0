//! casbin, the judge of what the rules mean. Decisions are made by [`Grants`], which takes as many steps with any number of rules;
//! casbin walks them all. At load casbin reads the same files by itself, and on a sample of requests both must agree, else the
//! pack is refused: a mistake in one of the two then stops a pack instead of opening a door.
//!
//! Traps of casbin 2.20 that this room keeps away from it (each is refused before casbin sees it):
//! - an unknown sort of line is dropped, and so is the first line of a file with a byte order mark;
//! - a mistyped effect counts as no effect: a rule that denies is gone;
//! - an unknown policy effect in the model panics; unknown sections of a model are passed over;
//! - a cycle of roles is silently walked; inheritance over more than nine links is silently not seen;
//! - g and g2 share one role manager: a role and a category of one name inherit from each other's links;
//! - loading into an enforcer that is in use empties it first: a new one is made each time.
//!
//! casbin's types stay in this file.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use casbin::{CoreApi as _, DefaultModel, Enforcer, Model as _, StringAdapter};

use super::faults::FileFaults;
use super::kinds::Kind as Fault;
use super::model;
use super::resolve::Rule;
use super::rows::{ALWAYS, ON_REQUEST, PairRow, Rows};
use crate::decision::rules::{Category, GrantKey, Grants, Id, RuleSet, Table};
use crate::domain::access::Action;

/// Rules whose own requests are compared.
const SAMPLED_RULES_MAX: usize = 128;
/// Requests about one rule: its own and its neighbours'.
const REQUESTS_PER_RULE: usize = 10;
/// Rules that casbin matches for the whole sample, about a microsecond each.
const MATCHES_MAX: usize = 200_000;
/// Requests that are compared however many rules there are.
const REQUESTS_MIN: usize = 4;

/// Why casbin can't be asked about a pack, or reads it otherwise.
#[derive(Debug, thiserror::Error)]
pub(super) enum JudgeError {
    /// casbin itself failed.
    #[error("casbin refuses it: {0}")]
    Casbin(#[from] casbin::Error),
    /// Its adapter for text waited for something, which it never did.
    #[error("casbin did not finish reading")]
    Waits,
    /// It reads another model.
    #[error("casbin reads another model in model.conf")]
    Model,
    /// It reads other rows.
    #[error("casbin reads this line otherwise")]
    Row {
        /// The first line that differs; 0 when one of the two read more.
        line: u32,
    },
}

/// An enforcer over one pack.
pub(super) struct Judge {
    enforcer: Enforcer,
}

/// One request to the enforcer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) key: GrantKey,
    pub(super) action: Action,
    pub(super) on_request: bool,
}

impl Judge {
    /// Lets casbin read the two texts by itself and compares what it read.
    pub(super) fn new(model: &str, policy: &str, rows: &Rows<'_>) -> Result<Self, JudgeError> {
        let expected = at_once(DefaultModel::from_str(&model::expected()))??;
        let read = at_once(DefaultModel::from_str(model))??;
        if definitions(&read) != definitions(&expected) {
            return Err(JudgeError::Model);
        }
        let enforcer = at_once(Enforcer::new(read, StringAdapter::new(policy)))??;
        let judge = Self { enforcer };
        judge.reads_the_same(rows)?;
        Ok(judge)
    }

    fn reads_the_same(&self, rows: &Rows<'_>) -> Result<(), JudgeError> {
        let model = self.enforcer.get_model();
        let rules = rows.rules.iter().map(|row| (row.line, row.fields.to_vec()));
        same_rows(&model.get_policy("p", "p"), rules)?;
        let pairs = |rows: &[PairRow<'_>], sort| {
            let ours = rows
                .iter()
                .map(|row| (row.line, vec![row.inner, row.outer]));
            same_rows(&model.get_policy("g", sort), ours)
        };
        pairs(&rows.inherits, "g")?;
        pairs(&rows.covered_by, "g2")
    }

    /// What casbin decides.
    pub(super) fn allows(&self, request: Request, pack: &RuleSet) -> Result<bool, JudgeError> {
        let key = request.key;
        let condition = if request.on_request {
            ON_REQUEST
        } else {
            ALWAYS
        };
        Ok(self.enforcer.enforce((
            pack.roles.name(key.role),
            pack.kinds.name(key.kind),
            pack.categories.name(key.category),
            request.action.name(),
            pack.purposes.name(key.purpose),
            condition,
        ))?)
    }
}

/// casbin's calls are async for adapters that wait. With text in memory nothing does, so that a pack loads without a runtime.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, JudgeError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(JudgeError::Waits),
    }
}

fn definitions(model: &DefaultModel) -> Vec<(&str, &str, &str, &[String])> {
    let mut definitions: Vec<_> = model
        .get_model()
        .iter()
        .flat_map(|(section, assertions)| {
            assertions.iter().map(|(key, assertion)| {
                let value = assertion.value.as_str();
                (
                    section.as_str(),
                    key.as_str(),
                    value,
                    assertion.tokens.as_slice(),
                )
            })
        })
        .collect();
    definitions.sort_unstable();
    definitions
}

fn same_rows<'a>(
    casbins: &[Vec<String>],
    ours: impl ExactSizeIterator<Item = (u32, Vec<&'a str>)>,
) -> Result<(), JudgeError> {
    if casbins.len() != ours.len() {
        return Err(JudgeError::Row { line: 0 });
    }
    for (casbin, (line, fields)) in casbins.iter().zip(ours) {
        if *casbin != fields {
            return Err(JudgeError::Row { line });
        }
    }
    Ok(())
}

/// Compares the grants with casbin on a sample and tells every request on which they differ.
pub(super) fn cross_check(
    judge: &Judge,
    rules: &[Rule],
    pack: &RuleSet,
    grants: &Grants,
    faults: FileFaults<'_>,
) {
    let all = rules.len().max(1);
    let requests = (MATCHES_MAX / all).max(REQUESTS_MIN);
    let sampled = requests.min(SAMPLED_RULES_MAX).min(all);
    let of_each = (requests / sampled.max(1)).clamp(1, REQUESTS_PER_RULE);
    for (position, rule) in rules.iter().step_by(all.div_ceil(sampled)).enumerate() {
        // Where there is no time for all neighbours of a rule, the next rule goes on with the rest.
        let from = position * of_each % REQUESTS_PER_RULE;
        for request in around(rule, pack)
            .into_iter()
            .cycle()
            .skip(from)
            .take(of_each)
        {
            let ours = grants
                .allows(request.key, request.action, request.on_request)
                .is_some();
            match judge.allows(request, pack) {
                Ok(casbins) if casbins == ours => {}
                Ok(casbins) => {
                    let request = format!("{request:?}");
                    let kind = Fault::CasbinDiffers;
                    faults.tell(rule.line, kind, &[&casbins, &ours, &request]);
                }
                Err(error) => faults.tell(rule.line, Fault::CasbinRefuses, &[&error]),
            }
        }
    }
}

/// Requests that the rule decides, and others that differ from one in a single word.
fn around(rule: &Rule, pack: &RuleSet) -> Vec<Request> {
    let kind = rule.kind.or_else(|| first(&pack.kinds));
    let category = rule.category.or_else(|| first(&pack.categories));
    let (Some(kind), Some(category)) = (kind, category) else {
        return Vec::new();
    };
    let own = Request {
        key: GrantKey {
            role: rule.role,
            kind,
            category,
            purpose: rule.purpose,
        },
        action: rule.action,
        on_request: false,
    };
    let with = |change: &dyn Fn(&mut Request)| {
        let mut request = own;
        change(&mut request);
        request
    };
    let heir = pack
        .roles
        .iter()
        .find(|(id, _, role)| *id != rule.role && role.closure.contains(&rule.role))
        .map_or(rule.role, |(id, _, _)| id);
    let next_action = Action::ALL
        .iter()
        .copied()
        .find(|action| *action > rule.action)
        .unwrap_or(Action::Read);
    vec![
        own,
        with(&|request| request.on_request = true),
        with(&|request| request.key.role = heir),
        with(&|request| request.key.role = next(rule.role, &pack.roles)),
        with(&|request| request.key.kind = next(kind, &pack.kinds)),
        with(&|request| request.key.category = inside(category, pack)),
        with(&|request| request.key.category = outside(category, pack)),
        with(&|request| request.key.category = next(category, &pack.categories)),
        with(&|request| request.action = next_action),
        with(&|request| request.key.purpose = next(rule.purpose, &pack.purposes)),
    ]
}

fn first<T>(table: &Table<T>) -> Option<Id<T>> {
    table.iter().map(|(id, _, _)| id).next()
}

fn next<T>(id: Id<T>, table: &Table<T>) -> Id<T> {
    table
        .iter()
        .map(|(other, _, _)| other)
        .find(|other| *other > id)
        .or_else(|| first(table))
        .unwrap_or(id)
}

/// One that it covers, where it covers any.
fn inside(category: Id<Category>, pack: &RuleSet) -> Id<Category> {
    pack.categories
        .iter()
        .find(|(_, _, inner)| inner.parent == Some(category))
        .map_or(category, |(inner, _, _)| inner)
}

/// The one that covers it, where one does.
fn outside(category: Id<Category>, pack: &RuleSet) -> Id<Category> {
    pack.categories
        .get(category)
        .and_then(|category| category.parent)
        .unwrap_or(category)
}
