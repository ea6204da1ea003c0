//! Which reasons a pack can give. A code that no rule of it leads to is none that its scenarios have to show; all others they must.

use crate::decision::rules::{
    Category, ConsentRule, Id, Kind, LeastConsent, Network, Purpose, Recipient, Route, RuleSet,
    Service, When,
};
use crate::domain::access::Action;
use crate::domain::reason::{ReasonCode, Stage};

/// A use that some role is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Use {
    kind: Id<Kind>,
    category: Id<Category>,
    purpose: Id<Purpose>,
    action: Action,
}

/// The codes that can be the answer to some request under these rules, by number.
pub(super) fn reasons(rules: &RuleSet) -> Vec<ReasonCode> {
    let reach = Reach::of(rules);
    let codes = ReasonCode::ALL.iter().copied();
    codes.filter(|code| reach.can_give(*code)).collect()
}

struct Reach<'a> {
    rules: &'a RuleSet,
    /// What roles are granted, each once whichever role it is.
    uses: Vec<Use>,
}

impl<'a> Reach<'a> {
    fn of(rules: &'a RuleSet) -> Self {
        let granted = rules.grants.iter().map(|granted| Use {
            kind: granted.key.kind,
            category: granted.key.category,
            purpose: granted.key.purpose,
            action: granted.action,
        });
        let extends = |used: &Use| {
            rules.purposes.get(used.purpose).is_some_and(|purpose| {
                purpose.kinds.contains(used.kind) && purpose.categories.contains(used.category)
            })
        };
        let uses: std::collections::HashSet<Use> = granted.filter(extends).collect();
        Self {
            rules,
            uses: uses.into_iter().collect(),
        }
    }

    fn can_give(&self, code: ReasonCode) -> bool {
        match code.stage() {
            Stage::Caller | Stage::Network | Stage::TwoStep | Stage::Person => self.coming_in(code),
            Stage::Grant => self.grant(code),
            Stage::Subject => self.subject(code),
            Stage::Provision => self.provision(code),
            Stage::Limits => code == ReasonCode::BulkLimitExceeded && !self.rules.limits.is_empty(),
        }
    }

    fn any_service(&self, is: impl Fn(&Service) -> bool) -> bool {
        self.rules
            .services
            .iter()
            .any(|(_, _, service)| is(service))
    }

    fn coming_in(&self, code: ReasonCode) -> bool {
        let people = self.any_service(|service| service.acts_for_people);
        match code {
            ReasonCode::CallerUnknown
            | ReasonCode::CallerNetworkNotAllowed
            | ReasonCode::CallerSystemNotAllowed => true,
            ReasonCode::CallerMayNotActForPeople => {
                self.any_service(|service| !service.acts_for_people)
            }
            ReasonCode::ClientIpMissing
            | ReasonCode::IpNotAllowed
            | ReasonCode::TicketMissing
            | ReasonCode::TicketInvalid
            | ReasonCode::TicketExpired
            | ReasonCode::TicketRevoked
            | ReasonCode::TicketBindingMismatch
            | ReasonCode::AccountDisabled
            | ReasonCode::AccountLocked
            | ReasonCode::EmploymentEnded => people,
            ReasonCode::ClientIpIsProxy => {
                self.any_service(|service| self.has_inner_proxy(service))
            }
            ReasonCode::StepUpRequired => people && !self.rules.second_step.is_empty(),
            ReasonCode::TrainingNotCurrent => people && self.rules.standing.training,
            ReasonCode::ConfidentialityPledgeMissing => people && self.rules.standing.pledge,
            ReasonCode::WorkloadNotAllowed => {
                self.any_service(|service| service.workload_role.is_none())
            }
            // No ticket is given before the second step, and no rule has hours yet.
            _ => false,
        }
    }

    /// A proxy of a service whose address is in a network that people may work from: else it is in no network at all.
    fn has_inner_proxy(&self, service: &Service) -> bool {
        let networks = self.rules.networks.iter();
        let blocks: Vec<_> = networks
            .flat_map(|(_, _, Network { blocks, .. })| blocks)
            .collect();
        service.acts_for_people
            && service.proxies.iter().any(|proxy| {
                let overlaps =
                    |block: &&&ipnet::IpNet| block.contains(proxy) || proxy.contains(**block);
                blocks.iter().any(|block| overlaps(&block))
            })
    }

    fn grant(&self, code: ReasonCode) -> bool {
        let rules = self.rules;
        let purposes = || rules.purposes.iter().map(|(_, _, purpose)| purpose);
        match code {
            ReasonCode::PurposeMissing
            | ReasonCode::PurposeNotSpecified
            | ReasonCode::SubjectKindUnknown
            | ReasonCode::CategoryUnknown
            | ReasonCode::BreakGlassNotPermitted => true,
            ReasonCode::PurposeNotForSubjectKind => purposes().any(|purpose| {
                let mut kinds = rules.kinds.iter();
                kinds.any(|(kind, _, _)| !purpose.kinds.contains(kind))
            }),
            ReasonCode::PurposeNotForCategory => {
                let narrower = purposes().any(|purpose| {
                    let mut categories = rules.categories.iter();
                    categories.any(|(category, _, _)| !purpose.categories.contains(category))
                });
                narrower || !rules.collected.is_empty()
            }
            ReasonCode::CategoryNotPermitted => self.something_is_not_granted(),
            ReasonCode::ActionNotPermitted => self.some_action_is_not_granted(),
            ReasonCode::CaseRefRequired => purposes().any(|purpose| purpose.needs_case_ref),
            ReasonCode::PersonRelatedLinkage => !rules.never_together.is_empty(),
            ReasonCode::BreakGlassUsed | ReasonCode::BreakGlassReasonRequired => {
                !rules.break_glass.is_empty()
            }
            // No rule asks for reviews yet.
            _ => false,
        }
    }

    /// Whether there is a role, and a use within some purpose, that goes to it by no action.
    fn something_is_not_granted(&self) -> bool {
        use crate::decision::rules::GrantKey;
        let rules = self.rules;
        let within = || {
            rules.purposes.iter().flat_map(|(id, _, purpose)| {
                let kinds = rules.kinds.iter().map(|(kind, _, _)| kind);
                let kinds = kinds.filter(|kind| purpose.kinds.contains(*kind));
                kinds.flat_map(move |kind| {
                    let categories = rules.categories.iter().map(|(category, _, _)| category);
                    let categories =
                        categories.filter(|category| purpose.categories.contains(*category));
                    categories.map(move |category| (kind, category, id))
                })
            })
        };
        rules.roles.iter().any(|(role, _, _)| {
            within().any(|(kind, category, purpose)| {
                let key = GrantKey {
                    role,
                    kind,
                    category,
                    purpose,
                };
                !rules.grants.any_action(key, true)
            })
        })
    }

    fn some_action_is_not_granted(&self) -> bool {
        let grants = &self.rules.grants;
        grants.iter().any(|granted| {
            let mut actions = Action::ALL.iter();
            actions.any(|action| grants.allows(granted.key, *action, false).is_none())
        })
    }

    /// Whether a rule counts for something that is granted.
    fn counts(&self, when: &When) -> bool {
        self.uses.iter().any(|used| counts_for(when, *used))
    }

    fn subject(&self, code: ReasonCode) -> bool {
        let rules = self.rules;
        let granted = |purpose: Id<Purpose>| self.uses.iter().any(|used| used.purpose == purpose);
        match code {
            ReasonCode::SpecialCareConsentRequired
            | ReasonCode::ConsentRequired
            | ReasonCode::ConsentWithdrawn
            | ReasonCode::AutomatedDecisionForbidden => rules
                .consents
                .iter()
                .any(|rule| denies_with(rule, code) && self.is_asked(rule)),
            ReasonCode::ConsentObtainable => !rules.exceptions.consent_difficult.is_empty(),
            ReasonCode::LegalBasisRefRequired => !rules.exceptions.accepted.is_empty(),
            ReasonCode::UseSuspended | ReasonCode::LegalHold => rules
                .suspensions
                .iter()
                .any(|rule| rule.denial == code && self.counts(&rule.when)),
            ReasonCode::RetentionExpired => rules.retention.iter().any(|rule| {
                self.uses.iter().any(|used| {
                    rule.kinds.contains(used.kind)
                        && !rule.except_actions.contains(used.action)
                        && !rule.except_purposes.contains(used.purpose)
                })
            }),
            ReasonCode::RetentionRequired => rules.keep.iter().any(|rule| self.counts(&rule.when)),
            ReasonCode::SubjectUnverified => rules.purposes.iter().any(|(id, _, purpose)| {
                (purpose.needs_subject_request || purpose.needs_reference) && granted(id)
            }),
            ReasonCode::ReferenceUnknown => {
                rules.references.iter().any(|rule| self.counts(&rule.when))
            }
            _ => false,
        }
    }

    /// Whether consent is asked by a rule of the subject stage for something that is granted.
    fn is_asked(&self, rule: &ConsentRule) -> bool {
        self.uses.iter().any(|used| {
            let special = self
                .rules
                .categories
                .get(used.category)
                .is_some_and(|category| category.special_care);
            (special || !rule.special_care) && counts_for(&rule.when, *used)
        })
    }

    fn provision(&self, code: ReasonCode) -> bool {
        match code {
            // Whoever may provide anything can name one that is not there.
            ReasonCode::RecipientUnknown => self.provided().next().is_some(),
            ReasonCode::ConfidentialityDuty => self.rules.confidential.iter().any(|rule| {
                self.provided().any(|used| {
                    rule.categories.contains(used.category)
                        && !rule.except_purposes.contains(used.purpose)
                })
            }),
            _ => self.rules.recipients.iter().any(|(_, _, recipient)| {
                let routes = [Some(recipient.route), recipient.own_purpose_route];
                let mut routes = routes.into_iter().flatten();
                routes.any(|route| self.by_recipient(code, recipient, route))
            }),
        }
    }

    /// What may be provided to anybody at all.
    fn provided(&self) -> impl Iterator<Item = &Use> {
        self.uses
            .iter()
            .filter(|used| used.action == Action::Provide)
    }

    /// What may be provided and is not confidential.
    fn leaves(&self) -> impl Iterator<Item = &Use> {
        self.provided().filter(|used| {
            let mut rules = self.rules.confidential.iter();
            !rules.any(|rule| {
                rule.categories.contains(used.category)
                    && !rule.except_purposes.contains(used.purpose)
            })
        })
    }

    fn by_recipient(&self, code: ReasonCode, to: &Recipient, route: Route) -> bool {
        if route == Route::SameLegalEntity {
            return false; // nothing is asked
        }
        let has = |used: &&Use| to.items.contains(used.category);
        let listed = || {
            self.leaves()
                .filter(has)
                .filter(|used| to.purposes.contains(used.purpose))
        };
        let item_missing = || self.leaves().any(|used| !to.items.contains(used.category));
        let purpose_missing = || {
            self.leaves()
                .filter(has)
                .any(|used| !to.purposes.contains(used.purpose))
        };
        let goes = || listed().next().is_some();
        match code {
            ReasonCode::SharedUseItemNotListed => route == Route::SharedUse && item_missing(),
            ReasonCode::SharedUsePurposeNotListed => route == Route::SharedUse && purpose_missing(),
            ReasonCode::ItemNotListed => {
                !matches!(route, Route::SharedUse | Route::Outsourcing)
                    && (item_missing() || purpose_missing())
            }
            ReasonCode::OutsourcingBeyondScope => {
                let own_purpose = to.own_purpose_route.is_none() && goes();
                route == Route::Outsourcing && (item_missing() || purpose_missing() || own_purpose)
            }
            ReasonCode::OutsourceeNoContract => route == Route::Outsourcing && goes(),
            ReasonCode::OutsourceeInspectionOverdue => {
                route == Route::Outsourcing && to.inspected_until < to.contract_until && goes()
            }
            ReasonCode::OptOutSpecialCareForbidden => {
                let special = |used: &Use| {
                    let category = self.rules.categories.get(used.category);
                    category.is_some_and(|category| category.special_care)
                };
                route == Route::ThirdPartyStopsOnRequest && listed().any(special)
            }
            ReasonCode::ProvisionStopped => route == Route::ThirdPartyStopsOnRequest && goes(),
            ReasonCode::OptedOutOfSaleOrSharing => {
                route == Route::ThirdPartySaleOrSharing && goes()
            }
            ReasonCode::ThirdPartyConsentRequired => {
                let asked = |rule: &ConsentRule| {
                    denies_with(rule, code)
                        && (rule.routes.is_empty() || rule.routes.contains(&route))
                        && listed().any(|used| counts_for(&rule.when, *used))
                };
                self.rules.consents.iter().any(asked)
            }
            ReasonCode::ForeignConsentRequired => {
                to.abroad
                    && !to.adequate
                    && (to.equivalent_until.is_none() || to.lapsed_counts_as_none)
                    && goes()
            }
            ReasonCode::EquivalentMeasuresReviewOverdue => {
                to.abroad
                    && !to.adequate
                    && to.equivalent_until.is_some()
                    && !to.lapsed_counts_as_none
                    && goes()
            }
            ReasonCode::SafeguardRequired => {
                let mut rules = self.rules.safeguards.iter();
                goes() && rules.any(|rule| !rule.free_to.contains(&to.country))
            }
            ReasonCode::RecordFieldsMissing => {
                let recorded = to.record_years.is_some()
                    && match route {
                        Route::SharedUse | Route::Outsourcing => to.abroad && !to.adequate,
                        Route::ThirdPartyByLaw | Route::SameLegalEntity => false,
                        Route::ThirdPartyConsent
                        | Route::ThirdPartyStopsOnRequest
                        | Route::ThirdPartySaleOrSharing => true,
                    };
                (recorded || to.named_by_request) && goes()
            }
            _ => false,
        }
    }
}

/// Whether a rule counts for a use. How data were collected and who decides is the request's to say, so it can be anything.
fn counts_for(when: &When, used: Use) -> bool {
    let of = |among: Option<bool>| among.unwrap_or(true);
    of(when.kinds.as_ref().map(|kinds| kinds.contains(used.kind)))
        && of(when
            .purposes
            .as_ref()
            .map(|purposes| purposes.contains(used.purpose)))
        && !when.except_purposes.contains(used.purpose)
        && of(when.actions.map(|actions| actions.contains(used.action)))
        && !when.except_actions.contains(used.action)
}

/// Whether a rule that asks for consent can deny with this code: with the one of a withdrawn consent always, with its own only
/// where less than a withdrawal denies.
fn denies_with(rule: &ConsentRule, code: ReasonCode) -> bool {
    rule.denial_if_withdrawn == code
        || (rule.denial == code && rule.least != LeastConsent::NotWithdrawn)
}
