//! What a pack says, thing by thing. Each struct of the rules is taken apart by name, so that a field that is added can't be left
//! out here without the compiler saying so.

use super::facts::{Facts, Fields, Section, blocks, flag, length};
use crate::decision::rules::{
    Actions, BreakGlassRule, Category, CollectedRule, ConfidentialRule, ConsentRule, DetectorRule,
    Exceptions, Id, IdSet, IncidentClock, IncidentRules, IncompatibleRoles, KeepRule, Kind,
    LeastConsent, Limit, LogClass, LogRetention, Measure, MeasureKind, Network, NeverTogether,
    NoRecord, OutcomeRule, Party, Promise, Purpose, Recipient, ReferenceField, ReferenceRule,
    RetentionRule, ReviewSchedule, Reviews, Role, Route, RuleSet, SafeguardRule, SecondStepRule,
    Service, SuspensionRule, System, Table, When, Within,
};
use crate::domain::access::{Consent, LegalException};
use crate::domain::person::form::{Edge, optional};
use crate::domain::reference::ReferenceKind;
use crate::domain::time::Timestamp;

/// Everything but the grants, the lines and the revision.
pub(super) fn facts(rules: &RuleSet) -> Facts {
    let mut all = Telling {
        rules,
        facts: Facts::default(),
    };
    all.frame();
    all.callers();
    all.data();
    all.lawful();
    all.kept();
    all.measures();
    all.incidents();
    all.leaving();
    all.facts
}

struct Telling<'a> {
    rules: &'a RuleSet,
    facts: Facts,
}

fn join<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(", ")
}

fn boxed(texts: &[Box<str>]) -> String {
    join(texts.iter().map(|text| &**text))
}

fn actions(actions: Actions) -> String {
    join(actions.iter().map(crate::domain::access::Action::name))
}

fn exceptions(of: Exceptions) -> String {
    let all = LegalException::ALL.iter();
    let there = all.filter(|exception| of.contains(**exception));
    join(there.map(|exception| exception.name()))
}

fn routes(of: &[Route]) -> String {
    join(of.iter().map(|route| route.name()))
}

/// Names in their order.
fn names<T>(table: &Table<T>, ids: &[Id<T>]) -> String {
    let mut names: Vec<&str> = ids.iter().map(|id| table.name(*id)).collect();
    names.sort_unstable();
    names.join(", ")
}

/// The names in a set; `*` for all there are.
fn set<T>(table: &Table<T>, ids: &IdSet<T>) -> String {
    let in_it = table.iter().filter(|(id, _, _)| ids.contains(*id));
    let mut names: Vec<&str> = in_it.map(|(_, name, _)| name).collect();
    if names.len() == table.len() && !names.is_empty() {
        return "*".into();
    }
    names.sort_unstable();
    names.join(", ")
}

/// What a rule says that has no id: `field=value; field=value`, without what it doesn't say.
fn sentence(fields: Fields) -> String {
    let said = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let said: Vec<String> = said
        .map(|(field, value)| format!("{field}={value}"))
        .collect();
    said.join("; ")
}

impl Telling<'_> {
    fn tell(&mut self, section: Section, id: &str, fields: Fields) {
        self.facts.0.insert((section, id.to_owned()), fields);
    }

    /// One without an id: what it says is its name. Two that say the same are told apart by their number.
    fn tell_nameless(&mut self, section: Section, fields: Fields) {
        let says = sentence(fields);
        let mut key = (section, says.clone());
        let mut number = 1_u32;
        while self.facts.0.contains_key(&key) {
            number = number.saturating_add(1);
            key.1 = format!("{says} ({number})");
        }
        self.facts.0.insert(key, Fields::new());
    }

    /// What a thing promises, under its section and id.
    fn promise(&self, line: u32, fields: &mut Fields) {
        if let Some(promise) = self.rules.promises.at(line) {
            promise_of(promise, fields);
        }
    }

    /// Categories, the widest only: what they cover goes with them.
    fn categories(&self, ids: &IdSet<Category>) -> String {
        let table = &self.rules.categories;
        let all = table.iter().all(|(id, _, _)| ids.contains(id));
        if all && !table.is_empty() {
            return "*".into();
        }
        let widest = table.iter().filter(|(id, _, category)| {
            ids.contains(*id) && !category.parent.is_some_and(|parent| ids.contains(parent))
        });
        let mut names: Vec<&str> = widest.map(|(_, name, _)| name).collect();
        names.sort_unstable();
        names.join(", ")
    }

    fn when(&self, when: &When, fields: &mut Fields) {
        let When {
            kinds,
            purposes,
            except_purposes,
            actions: of_actions,
            except_actions,
            collected_via,
            automated_decision,
        } = when;
        if let Some(kinds) = kinds {
            fields.insert("kinds", set(&self.rules.kinds, kinds));
        }
        if let Some(purposes) = purposes {
            fields.insert("purposes", set(&self.rules.purposes, purposes));
        }
        fields.insert(
            "except_purposes",
            set(&self.rules.purposes, except_purposes),
        );
        if let Some(of_actions) = of_actions {
            fields.insert("actions", actions(*of_actions));
        }
        fields.insert("except_actions", actions(*except_actions));
        fields.insert("collected_via", boxed(collected_via));
        fields.insert("automated_decision", flag(*automated_decision));
    }

    fn frame(&mut self) {
        let rules = self.rules;
        let words = &rules.words;
        self.tell(
            Section::Pack,
            "",
            Fields::from([
                ("id", rules.pack.to_string()),
                ("title", words.title.to_string()),
                ("title_ja", words.title_ja.to_string()),
                ("utc_offset", rules.utc_offset.to_string()),
            ]),
        );
        if let Some((en, ja)) = &words.monitoring_notice {
            let notice = Fields::from([("en", en.to_string()), ("ja", ja.to_string())]);
            self.tell(Section::MonitoringNotice, "", notice);
        }
        let session = rules.session;
        let mut fields = Fields::from([
            ("absolute", length(session.absolute)),
            ("idle", length(session.idle)),
            ("max_concurrent", session.max_concurrent.to_string()),
        ]);
        self.promise(session.line, &mut fields);
        self.tell(Section::Session, "", fields);
        for rule in &rules.second_step {
            let SecondStepRule {
                categories,
                actions: of_actions,
                max_age,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("categories", self.categories(categories)),
                ("actions", actions(*of_actions)),
                ("max_age", length(*max_age)),
            ]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::SecondStep, fields);
        }
        let standing = rules.standing;
        let mut fields = Fields::from([
            ("training", standing.training.to_string()),
            ("pledge", standing.pledge.to_string()),
        ]);
        self.promise(standing.line, &mut fields);
        self.tell(Section::Standing, "", fields);
    }

    fn callers(&mut self) {
        let rules = self.rules;
        for (_, id, service) in rules.services.iter() {
            let Service {
                blocks: from,
                proxies,
                systems,
                dns_names,
                acts_for_people,
                workload_role,
                registers_subjects,
                exchanges_with,
                line,
            } = service;
            let role = workload_role.map_or("", |role| rules.roles.name(role));
            let mut fields = Fields::from([
                ("blocks", blocks(from)),
                ("proxies", blocks(proxies)),
                ("systems", boxed(systems)),
                ("dns_names", boxed(dns_names)),
                ("acts_for_people", flag(*acts_for_people)),
                ("workload_role", role.to_owned()),
                ("registers_subjects", flag(*registers_subjects)),
                ("exchanges_with", names(&rules.services, exchanges_with)),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::Service, id, fields);
        }
        for (_, id, network) in rules.networks.iter() {
            let Network {
                blocks: there,
                line,
            } = network;
            let mut fields = Fields::from([("blocks", blocks(there))]);
            self.promise(*line, &mut fields);
            self.tell(Section::Network, id, fields);
        }
        for (_, id, role) in rules.roles.iter() {
            let Role {
                networks,
                closure,
                reviews,
                administers,
                audits,
                line,
            } = role;
            let reviews = match reviews {
                Reviews::Nothing => "",
                Reviews::Department => "department",
                Reviews::Everything => "everything",
            };
            let inherited: Vec<Id<Role>> = closure.iter().skip(1).copied().collect();
            let mut fields = Fields::from([
                ("networks", names(&rules.networks, networks)),
                ("inherits", names(&rules.roles, &inherited)),
                ("reviews", reviews.to_owned()),
                ("administers", flag(*administers)),
                ("audits", flag(*audits)),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::Role, id, fields);
        }
        for rule in &rules.incompatible_roles {
            let IncompatibleRoles { roles, why, line } = rule;
            let mut fields = Fields::from([
                ("roles", names(&rules.roles, roles)),
                ("why", why.to_string()),
            ]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::IncompatibleRoles, fields);
        }
        for (_, id, system) in rules.systems.iter() {
            let System {
                title,
                title_ja,
                responsible,
                responsible_ja,
                department,
                country,
                coverage,
                line,
            } = system;
            let mut fields = Fields::from([
                ("title", title.to_string()),
                ("title_ja", title_ja.to_string()),
                ("responsible", responsible.to_string()),
                ("responsible_ja", responsible_ja.to_string()),
                ("department", department.to_string()),
                ("country", country.to_string()),
                ("coverage", coverage.name().to_owned()),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::System, id, fields);
        }
    }

    fn data(&mut self) {
        let rules = self.rules;
        for (_, id, kind) in rules.kinds.iter() {
            let Kind { line } = kind;
            let mut fields = Fields::new();
            self.promise(*line, &mut fields);
            self.tell(Section::Kind, id, fields);
        }
        for (_, id, category) in rules.categories.iter() {
            let Category {
                parent,
                special_care,
                masks,
                line,
            } = category;
            let own =
                |mask: &&crate::decision::rules::Mask| rules.categories.name(mask.category) == id;
            let mask = masks.iter().find(own);
            let mut fields = Fields::from([
                (
                    "in",
                    parent
                        .map_or("", |parent| rules.categories.name(parent))
                        .to_owned(),
                ),
                ("special_care", flag(*special_care)),
                // Masked for everybody is something else than not masked.
                (
                    "masked_except_to",
                    mask.map_or_else(String::new, |mask| {
                        format!("[{}]", set(&rules.roles, &mask.except_to))
                    }),
                ),
            ]);
            if parent.is_none() {
                self.promise(*line, &mut fields);
            }
            self.tell(Section::Category, id, fields);
        }
        for (_, id, purpose) in rules.purposes.iter() {
            let Purpose {
                kinds,
                categories,
                needs_case_ref,
                needs_exception,
                needs_subject_request,
                needs_reference,
                line,
            } = purpose;
            let mut fields = Fields::from([
                ("kinds", set(&rules.kinds, kinds)),
                ("categories", self.categories(categories)),
                ("needs_case_ref", flag(*needs_case_ref)),
                ("needs_exception", exceptions(*needs_exception)),
                ("needs_subject_request", flag(*needs_subject_request)),
                ("needs_reference", flag(*needs_reference)),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::Purpose, id, fields);
        }
        for rule in &rules.break_glass {
            let BreakGlassRule {
                roles,
                kinds,
                categories,
                actions: of_actions,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("roles", set(&rules.roles, roles)),
                ("kinds", set(&rules.kinds, kinds)),
                ("categories", self.categories(categories)),
                ("actions", actions(*of_actions)),
            ]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::BreakGlass, fields);
        }
    }

    fn lawful(&mut self) {
        let rules = self.rules;
        let mut fields = Fields::from([
            ("accepted", exceptions(rules.exceptions.accepted)),
            (
                "consent_difficult",
                exceptions(rules.exceptions.consent_difficult),
            ),
        ]);
        self.promise(rules.exceptions.line, &mut fields);
        self.tell(Section::Exceptions, "", fields);
        for rule in &rules.consents {
            let ConsentRule {
                when,
                special_care,
                routes: on_routes,
                least,
                denial,
                denial_if_withdrawn,
                exceptions: stand_in,
                exceptions_for,
                line,
            } = rule;
            let named = LeastConsent::ALL.iter().find(|(one, _)| one == least);
            let mut fields = Fields::from([
                ("special_care", flag(*special_care)),
                ("routes", routes(on_routes)),
                ("least", named.map_or("", |(_, name)| name).to_owned()),
                ("denial", denial.name().to_owned()),
                ("denial_if_withdrawn", denial_if_withdrawn.name().to_owned()),
                ("exceptions", exceptions(*stand_in)),
            ]);
            if let Some(of_actions) = exceptions_for {
                fields.insert("exceptions_for", actions(*of_actions));
            }
            self.when(when, &mut fields);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::Consent, fields);
        }
        for rule in &rules.suspensions {
            let SuspensionRule {
                hold,
                when,
                denial,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("hold", hold.to_string()),
                ("denial", denial.name().to_owned()),
            ]);
            self.when(when, &mut fields);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::Suspension, fields);
        }
        for rule in &rules.references {
            let ReferenceRule {
                id,
                when,
                categories,
                routes: on_routes,
                consents,
                exceptions: claimed,
                field,
                accepts,
                line,
            } = rule;
            let mut said = ReferenceField::ALL.iter();
            let said = said
                .find(|(one, _)| one == field)
                .map_or("", |(_, name)| name);
            let mut fields = Fields::from([
                ("categories", self.categories(categories)),
                ("routes", routes(on_routes)),
                (
                    "consents",
                    join(consents.iter().map(|consent| Consent::name(*consent))),
                ),
                ("exceptions", exceptions(*claimed)),
                ("field", said.to_owned()),
                (
                    "accepts",
                    join(accepts.iter().map(|kind| ReferenceKind::name(*kind))),
                ),
            ]);
            self.when(when, &mut fields);
            self.promise(*line, &mut fields);
            self.tell(Section::Reference, id, fields);
        }
        for rule in &rules.never_together {
            let NeverTogether { categories, line } = rule;
            let mut fields = Fields::from([("categories", self.categories(categories))]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::NeverTogether, fields);
        }
        for rule in &rules.collected {
            let CollectedRule {
                via,
                categories,
                purposes,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("via", via.to_string()),
                ("categories", self.categories(categories)),
                ("purposes", set(&rules.purposes, purposes)),
            ]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::Collected, fields);
        }
        for rule in &rules.confidential {
            let ConfidentialRule {
                categories,
                except_purposes,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("categories", self.categories(categories)),
                ("except_purposes", set(&rules.purposes, except_purposes)),
            ]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::Confidential, fields);
        }
    }

    fn kept(&mut self) {
        let rules = self.rules;
        for (section, table) in [(Section::Hold, &rules.holds), (Section::Date, &rules.dates)] {
            for (_, id, line) in table.iter() {
                let mut fields = Fields::new();
                self.promise(*line, &mut fields);
                self.tell(section, id, fields);
            }
        }
        for rule in &rules.retention {
            let RetentionRule {
                id,
                kinds,
                date,
                years,
                except_actions,
                except_purposes,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("kinds", set(&rules.kinds, kinds)),
                ("date", date.to_string()),
                ("years", years.to_string()),
                ("except_actions", actions(*except_actions)),
                ("except_purposes", set(&rules.purposes, except_purposes)),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::Retention, id, fields);
        }
        for rule in &rules.keep {
            let KeepRule {
                id,
                date,
                years,
                when,
                line,
            } = rule;
            let mut fields =
                Fields::from([("date", date.to_string()), ("years", years.to_string())]);
            self.when(when, &mut fields);
            self.promise(*line, &mut fields);
            self.tell(Section::Keep, id, fields);
        }
        for limit in &rules.limits {
            let Limit {
                id,
                actions: of_actions,
                people,
                window,
                line,
            } = limit;
            let mut fields = Fields::from([
                ("actions", actions(*of_actions)),
                ("people", people.to_string()),
                ("window", length(*window)),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::Limit, id, fields);
        }
        for rule in &rules.outcomes {
            let OutcomeRule {
                actions: of_actions,
                break_glass,
                within,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("actions", actions(*of_actions)),
                ("break_glass", flag(*break_glass)),
                ("within", length(*within)),
            ]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::Outcome, fields);
        }
        for schedule in &rules.review_schedules {
            let ReviewSchedule {
                id,
                every,
                roles,
                departments,
                due_in_days,
                confidence_percent,
                rate_percent,
                line,
            } = schedule;
            let mut fields = Fields::from([
                ("every", every.name().to_owned()),
                ("roles", flag(*roles)),
                ("departments", departments.join(", ")),
                ("due_in_days", due_in_days.to_string()),
                ("confidence_percent", confidence_percent.to_string()),
                ("rate_percent", rate_percent.to_string()),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::Review, id, fields);
        }
        for rule in &rules.detectors {
            let DetectorRule {
                detector,
                roles,
                off,
                score,
                least,
                within,
                line,
            } = rule;
            let number =
                |number: Option<u64>| number.map_or_else(String::new, |one| one.to_string());
            let mut fields = Fields::from([
                ("off", flag(*off)),
                (
                    "score",
                    score.map_or_else(String::new, |tenths| {
                        format!("{}.{}", tenths / 10, tenths % 10)
                    }),
                ),
                ("least", number(*least)),
                ("within", within.map_or_else(String::new, length)),
            ]);
            self.promise(*line, &mut fields);
            let word = detector.word();
            let id = match roles {
                Some(roles) => format!("{word}: {}", set(&rules.roles, roles)),
                None => word.to_owned(),
            };
            self.tell(Section::Detector, &id, fields);
        }
        let log = &rules.log_retention;
        let default = Fields::from([("period", log.default.to_string())]);
        self.tell(Section::LogRetention, LogRetention::DEFAULT, default);
        for class in log.classes() {
            let LogClass {
                id,
                period,
                categories,
                kinds,
                entries,
                line,
            } = class;
            let mut fields = Fields::from([
                ("period", period.to_string()),
                ("entries", join(entries.iter().map(|kind| kind.name()))),
            ]);
            if let Some(categories) = categories {
                fields.insert("categories", self.categories(categories));
            }
            if let Some(kinds) = kinds {
                fields.insert("kinds", set(&rules.kinds, kinds));
            }
            self.promise(*line, &mut fields);
            self.tell(Section::LogRetention, id, fields);
        }
    }

    fn measures(&mut self) {
        let rules = self.rules;
        for Measure {
            id,
            owner,
            kind,
            line,
        } in &rules.measures
        {
            let mut fields = Fields::from([
                ("owner", rules.roles.name(*owner).to_owned()),
                ("kind", kind.name().to_owned()),
            ]);
            if let Some(by) = kind.mechanism() {
                fields.insert("by", by.name().to_owned());
            }
            if let MeasureKind::Attested {
                every,
                asked_for,
                asked_for_ja,
            } = kind
            {
                fields.insert("every", every.to_string());
                fields.insert("reference", asked_for.to_string());
                fields.insert("reference_ja", asked_for_ja.to_string());
            }
            self.promise(*line, &mut fields);
            self.tell(Section::Measure, id, fields);
        }
    }

    fn incidents(&mut self) {
        let rules = self.rules;
        let IncidentRules {
            closed_days,
            property_damage,
            clocks,
            line,
        } = &rules.incident;
        let days: Vec<String> = closed_days.iter().map(ToString::to_string).collect();
        let mut fields = Fields::from([
            ("closed_days", days.join(", ")),
            ("property_damage", self.categories(property_damage)),
        ]);
        self.promise(*line, &mut fields);
        self.tell(Section::Incident, "", fields);
        for clock in clocks {
            let IncidentClock {
                id,
                kind,
                addressee,
                addressee_ja,
                within,
                within_malicious,
                moves,
                always,
                kinds,
                categories,
                systems,
                origin_countries,
                line,
            } = clock;
            let told =
                |within: &Option<Within>| within.map_or_else(String::new, |it| it.to_string());
            let mut fields = Fields::from([
                ("kind", kind.name().to_owned()),
                ("addressee", addressee.to_string()),
                ("addressee_ja", addressee_ja.to_string()),
                ("within", told(within)),
                ("within_malicious", told(within_malicious)),
                ("moves", moves.to_string()),
                ("always", always.to_string()),
                (
                    "systems",
                    join(systems.iter().map(|system| rules.systems.name(*system))),
                ),
                ("origin_countries", boxed(origin_countries)),
            ]);
            if let Some(kinds) = kinds {
                fields.insert("kinds", set(&rules.kinds, kinds));
            }
            if let Some(categories) = categories {
                fields.insert("categories", self.categories(categories));
            }
            self.promise(*line, &mut fields);
            self.tell(Section::IncidentClock, id, fields);
        }
    }

    fn leaving(&mut self) {
        let rules = self.rules;
        let day = |until: Option<Timestamp>| optional(until, Edge::End, rules.utc_offset);
        for (_, id, recipient) in rules.recipients.iter() {
            let Recipient {
                route,
                own_purpose_route,
                country,
                abroad: _, // follows from the country
                adequate,
                items,
                purposes,
                contract_until,
                inspected_until,
                equivalent_until,
                lapsed_counts_as_none,
                record_years,
                no_record,
                party:
                    Party {
                        name,
                        address,
                        representative,
                    },
                individual,
                named_by_request,
                stopped_by,
                line,
            } = recipient;
            let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
            let mut fields = Fields::from([
                ("route", route.name().to_owned()),
                (
                    "own_purpose_route",
                    own_purpose_route.map_or("", Route::name).to_owned(),
                ),
                ("country", country.to_string()),
                ("adequate_country", flag(*adequate)),
                ("items", self.categories(items)),
                ("purposes", set(&rules.purposes, purposes)),
                ("contract_until", day(*contract_until)),
                ("inspected_until", day(*inspected_until)),
                ("equivalent_until", day(*equivalent_until)),
                ("lapsed_counts_as_none", flag(*lapsed_counts_as_none)),
                (
                    "record_years",
                    record_years.map_or_else(String::new, |years| years.to_string()),
                ),
                ("no_record", no_record.map_or("", NoRecord::name).to_owned()),
                ("name", text(name)),
                ("address", text(address)),
                ("representative", text(representative)),
                ("individual", flag(*individual)),
                ("named_by_request", flag(*named_by_request)),
                ("stopped_by", text(stopped_by)),
            ]);
            self.promise(*line, &mut fields);
            self.tell(Section::Recipient, id, fields);
        }
        for rule in &rules.safeguards {
            let SafeguardRule {
                from,
                free_to,
                safeguards,
                needs_reference,
                line,
            } = rule;
            let mut fields = Fields::from([
                ("from", boxed(from)),
                ("free_to", boxed(free_to)),
                ("safeguards", boxed(safeguards)),
                ("needs_reference", flag(*needs_reference)),
            ]);
            self.promise(*line, &mut fields);
            self.tell_nameless(Section::Safeguard, fields);
        }
    }
}

fn promise_of(promise: &Promise, fields: &mut Fields) {
    fields.insert("promise", promise.text().to_owned());
    fields.insert("promise_ja", promise.text_ja().to_owned());
}
