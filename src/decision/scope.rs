//! What of a request is still to be allowed while the stages go on: with `allow_partial` a stage withholds a category or a
//! subject and the rest goes on.

use ipnet::IpNet;

use super::Failure;
use super::rules::{Category, Id, Network, Route, RuleSet};
use super::verdict::{Granted, Withheld};
use crate::domain::access::AccessRequest;
use crate::domain::reason::Reason;
use crate::domain::time::Timestamp;

/// The part of a request that is left, and what the stages found on the way.
#[derive(Debug, Default)]
pub(super) struct Scope {
    partial: bool,
    /// Positions in the request of the categories left, with their ids once known.
    pub(super) categories: Vec<(usize, Option<Id<Category>>)>,
    /// Positions in the request of the subjects left.
    pub(super) subjects: Vec<usize>,
    /// How many subjects the request names.
    named: usize,
    pub(super) withheld_categories: Vec<Withheld>,
    pub(super) withheld_subjects: Vec<Withheld>,
    /// What the first thing withheld failed by: the reason of the denial when nothing is left.
    first_withheld: Option<Failure>,
    /// The network that admitted the device.
    pub(super) network: Option<Id<Network>>,
    /// Or the block of a person's exception that did.
    pub(super) network_exception: Option<IpNet>,
    /// What grants each category.
    pub(super) granted: Vec<Granted>,
    /// On which ground data go out.
    pub(super) route: Option<Route>,
    /// Until when the registered references count that it rests on; `None` is without end.
    pub(super) references_until: Option<Timestamp>,
}

impl Scope {
    /// What the allowance of the categories left rests on: break glass where one of them needs it.
    pub(super) fn granted_by(&self) -> Option<Granted> {
        let mut left = self
            .granted
            .iter()
            .filter(|granted| {
                let mut left = self.categories.iter();
                left.any(|(position, _)| *position == granted.position)
            })
            .copied();
        let first = left.next()?;
        if first.by_break_glass {
            return Some(first);
        }
        Some(left.find(|granted| granted.by_break_glass).unwrap_or(first))
    }

    pub(super) fn of(rules: &RuleSet, request: &AccessRequest) -> Self {
        let named = request.subjects.named().len();
        Self {
            partial: request.allow_partial,
            categories: request
                .categories
                .iter()
                .map(|category| rules.categories.id(category))
                .enumerate()
                .collect(),
            subjects: (0..named).collect(),
            named,
            ..Self::default()
        }
    }

    /// The categories left that the pack knows.
    pub(super) fn known_categories(&self) -> impl Iterator<Item = Id<Category>> {
        self.categories.iter().filter_map(|(_, id)| *id)
    }

    /// Makes one check of every category left. Without `allow_partial` the first that fails fails the stage.
    pub(super) fn check_categories(
        &mut self,
        mut check: impl FnMut(usize, Option<Id<Category>>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut left = Vec::with_capacity(self.categories.len());
        for (position, id) in self.categories.iter().copied() {
            match check(position, id) {
                Ok(()) => left.push((position, id)),
                Err(failure) => withhold(
                    self.partial,
                    &mut self.withheld_categories,
                    &mut self.first_withheld,
                    position,
                    failure,
                )?,
            }
        }
        self.categories = left;
        self.anything_left()
    }

    /// Makes one check of every subject left. Without `allow_partial` the first that fails fails the stage.
    pub(super) fn check_subjects(
        &mut self,
        mut check: impl FnMut(usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut left = Vec::with_capacity(self.subjects.len());
        for position in self.subjects.iter().copied() {
            match check(position) {
                Ok(()) => left.push(position),
                Err(failure) => withhold(
                    self.partial,
                    &mut self.withheld_subjects,
                    &mut self.first_withheld,
                    position,
                    failure,
                )?,
            }
        }
        self.subjects = left;
        self.anything_left()
    }

    fn anything_left(&self) -> Result<(), Failure> {
        match &self.first_withheld {
            Some(failure) if !self.is_anything_left() => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// Whether a category is left, and a subject where subjects were named.
    pub(super) fn is_anything_left(&self) -> bool {
        !self.categories.is_empty() && (self.named == 0 || !self.subjects.is_empty())
    }
}

fn withhold(
    partial: bool,
    withheld: &mut Vec<Withheld>,
    first: &mut Option<Failure>,
    position: usize,
    failure: Failure,
) -> Result<(), Failure> {
    if !partial {
        return Err(failure);
    }
    if let Some(reason) = failure.reasons.first() {
        withheld.push(Withheld {
            position,
            reason: Reason::clone(reason),
        });
    }
    first.get_or_insert(failure);
    Ok(())
}
