//! The register as a page that prints, as CSV for spreadsheets and as JSON.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Language;
use super::page::{Cell, Page};
use super::register::{RecipientRow, Register, RoleRow};
use super::systems::{self, Audience};
use crate::domain::access::Action;
use crate::export::cell;

/// How many people are named beside an access; all of them stand in the table of roles.
const NAMED_MAX: usize = 12;
/// Between the values of one cell.
const BETWEEN: &str = ", ";
const CSV_BETWEEN: &str = ";";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The columns of the CSV, and what stands in them for each part.
const COLUMNS: [&str; 17] = [
    "part",
    "id",
    "title",
    "title_ja",
    "responsible",
    "responsible_ja",
    "department",
    "country",
    "coverage",
    "services",
    "people",
    "subject_kind",
    "categories",
    "actions",
    "purposes",
    "rules",
    "promise",
];

const fn action(action: Action, language: Language) -> &'static str {
    match language {
        Language::English => action.name(),
        Language::Japanese => match action {
            Action::Read => "閲覧",
            Action::Search => "検索",
            Action::Export => "出力",
            Action::Create => "取得",
            Action::Update => "訂正",
            Action::Delete => "消去",
            Action::Provide => "提供",
        },
    }
}

fn route(recipient: &RecipientRow, language: Language) -> String {
    match (&*recipient.route, language) {
        (route, Language::English) => route,
        ("shared-use", Language::Japanese) => "共同利用",
        ("outsourcing", Language::Japanese) => "委託",
        ("third-party-consent", Language::Japanese) => "第三者提供(同意)",
        ("third-party-stops-on-request", Language::Japanese) => "第三者提供(求めにより停止)",
        ("third-party-by-law", Language::Japanese) => "第三者提供(法令)",
        ("third-party-sale-or-sharing", Language::Japanese) => "第三者への販売・共有",
        ("same-legal-entity", Language::Japanese) => "同一の法人",
        (other, Language::Japanese) => other,
    }
    .to_owned()
}

/// How long the record of a provision is kept, or why there is none.
fn record(recipient: &RecipientRow, language: Language) -> String {
    let (english, japanese) = match (recipient.record_years, &*recipient.no_record) {
        (0, "") => ("", ""),
        (0, "public-body") => ("none: public body", "なし(国の機関・地方公共団体等)"),
        (0, "legal-exception") => ("none: legal exception", "なし(法第27条第1項各号)"),
        (0, "on-behalf-of-the-person") => {
            ("none: on behalf of the person", "なし(本人に代わる提供)")
        }
        (0, "to-the-person") => ("none: to the person", "なし(本人と一体の受領者)"),
        (0, other) => (other, other),
        (years, _) => return format!("{years}{}", language.of(" years", "年")),
    };
    language.of(english, japanese).to_owned()
}

fn promise(promise: Option<&(String, String)>, language: Language) -> String {
    promise.map_or_else(String::new, |(en, ja)| language.of(en, ja).to_owned())
}

/// Who has a role: people, then services; not more than so many by name.
fn who(role: Option<&RoleRow>, language: Language) -> String {
    let Some(role) = role else {
        return String::new();
    };
    let all = || role.people.iter().chain(&role.services);
    let named: Vec<&str> = all().take(NAMED_MAX).map(String::as_str).collect();
    let more = all().count().saturating_sub(named.len());
    let mut who = named.join(BETWEEN);
    if more > 0 {
        let more = more.to_string();
        who.push_str(language.of(" and ", " ほか"));
        who.push_str(&more);
        who.push_str(language.of(" more", "名"));
    }
    who
}

impl Register {
    /// A page that prints: the systems on the first sheet, then roles, access and recipients.
    #[must_use]
    pub fn html(&self, language: Language) -> String {
        let heading = language.of(
            "Register of who has access to personal data",
            "個人データの取扱状況の一覧",
        );
        let title = format!("{heading}: {}", language.of(&self.title, &self.title_ja));
        let mut page = Page::new(&title, language);
        page.sheet(|page| {
            page.heading(1, &title);
            let as_of = language.of("As of", "基準日時");
            let pack = language.of("policy pack", "ポリシーパック");
            page.paragraph(&format!("{as_of}: {}", self.at));
            page.paragraph(&format!("{pack}: {} ({})", self.pack, self.revision));
            systems::listed(page, &self.systems, language, Audience::Company);
        });
        page.heading(2, language.of("Roles", "役割"));
        self.roles(&mut page, language);
        page.heading(
            2,
            language.of("Who has access to what", "だれが何を取り扱えるか"),
        );
        page.note(language.of(
            "By their role, and only from a network of theirs, after both steps, within the purpose and as far as consent, holds and limits allow.",
            "役割に基づく権限です。実際の取扱いには、許可されたネットワーク、二段階認証、利用目的、同意・利用停止・件数の上限の確認が必要です。",
        ));
        self.access(&mut page, language);
        page.heading(2, language.of("Recipients", "提供先"));
        self.recipients(&mut page, language);
        page.finish()
    }

    fn roles(&self, page: &mut Page, language: Language) {
        let rows: Vec<Vec<Cell>> = self
            .roles
            .iter()
            .map(|role| {
                vec![
                    Cell::new(&*role.role),
                    Cell::new(role.people.join(BETWEEN)),
                    Cell::new(role.services.join(BETWEEN)),
                ]
            })
            .collect();
        let heads = match language {
            Language::English => ["Role", "People who may work now", "Services by themselves"],
            Language::Japanese => ["役割", "現在取り扱える利用者", "単独で動作するサービス"],
        };
        page.table(&heads, &rows);
    }

    fn by_role(&self) -> HashMap<&str, &RoleRow> {
        let roles = self.roles.iter();
        roles.map(|role| (&*role.role, role)).collect()
    }

    fn access(&self, page: &mut Page, language: Language) {
        let roles = self.by_role();
        let rows: Vec<Vec<Cell>> = self
            .access
            .iter()
            .map(|access| {
                let actions = access.actions.iter();
                let actions: Vec<&str> = actions.map(|one| action(*one, language)).collect();
                let mut actions = actions.join(BETWEEN);
                if access.on_request {
                    actions
                        .push_str(language.of(" (on request of the person)", "(本人の求めによる)"));
                }
                vec![
                    Cell::new(&*access.role),
                    Cell::new(who(roles.get(&*access.role).copied(), language)),
                    Cell::new(&*access.subject_kind),
                    Cell::new(access.categories.join(BETWEEN)),
                    Cell::new(actions),
                    Cell::new(&*access.purpose),
                    Cell::new(access.rules.join(BETWEEN)),
                    Cell::new(promise(access.promise.as_ref(), language)),
                ]
            })
            .collect();
        let heads = match language {
            Language::English => [
                "Role",
                "Who",
                "Of whom",
                "Which data",
                "How",
                "Purpose",
                "Rule",
                "Promise",
            ],
            Language::Japanese => [
                "役割",
                "利用者",
                "本人の区分",
                "項目",
                "操作",
                "利用目的",
                "規則",
                "約束",
            ],
        };
        page.table(&heads, &rows);
    }

    fn recipients(&self, page: &mut Page, language: Language) {
        let rows: Vec<Vec<Cell>> = self
            .recipients
            .iter()
            .map(|recipient| {
                vec![
                    Cell::new(&*recipient.id),
                    Cell::new(route(recipient, language)),
                    Cell::new(&*recipient.country),
                    Cell::new(recipient.items.join(BETWEEN)),
                    Cell::new(recipient.purposes.join(BETWEEN)),
                    Cell::new(&*recipient.contract_until),
                    Cell::new(&*recipient.inspected_until),
                    Cell::new(&*recipient.equivalent_until),
                    Cell::new(record(recipient, language)),
                    Cell::new(&*recipient.rule),
                    Cell::new(promise(recipient.promise.as_ref(), language)),
                ]
            })
            .collect();
        let heads = match language {
            Language::English => [
                "Recipient",
                "Route",
                "Country",
                "Items",
                "Purposes",
                "Contract until",
                "Inspected until",
                "Equivalent measures until",
                "Record of provision",
                "Rule",
                "Promise",
            ],
            Language::Japanese => [
                "提供先",
                "根拠",
                "国",
                "項目",
                "利用目的",
                "契約期限",
                "点検期限",
                "相当措置の確認期限",
                "提供の記録",
                "規則",
                "約束",
            ],
        };
        page.table(&heads, &rows);
    }

    /// CSV (RFC 4180) with a column for each field, harmless in a spreadsheet: systems, then access, then recipients.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut csv = String::from(BYTE_ORDER_MARK);
        let mut line = |part: &str, values: &[(&str, String)]| {
            let cells: Vec<String> = COLUMNS
                .iter()
                .map(|column| {
                    let value = values.iter().find(|(name, _)| name == column);
                    match (*column, value) {
                        ("part", _) => cell(part),
                        (_, Some((_, value))) if !value.is_empty() => cell(value),
                        _ => String::new(),
                    }
                })
                .collect();
            csv.push_str(&cells.join(","));
            csv.push_str("\r\n");
        };
        let heads: Vec<(&str, String)> = COLUMNS
            .iter()
            .map(|column| (*column, (*column).to_owned()))
            .collect();
        line("part", &heads);
        for system in &self.systems {
            line(
                "system",
                &[
                    ("id", system.id.clone()),
                    ("title", system.title.clone()),
                    ("title_ja", system.title_ja.clone()),
                    ("responsible", system.responsible.clone()),
                    ("responsible_ja", system.responsible_ja.clone()),
                    ("department", system.department.clone()),
                    ("country", system.country.clone()),
                    ("coverage", system.coverage.clone()),
                    ("services", system.services.join(CSV_BETWEEN)),
                ],
            );
        }
        let roles = self.by_role();
        for access in &self.access {
            let role = roles.get(&*access.role);
            let actions = access.actions.iter().map(|action| action.name());
            let mut actions = actions.collect::<Vec<_>>().join(CSV_BETWEEN);
            if access.on_request {
                actions.push_str(" on-request");
            }
            line(
                "access",
                &[
                    ("id", access.role.clone()),
                    (
                        "services",
                        role.map_or_else(String::new, |role| role.services.join(CSV_BETWEEN)),
                    ),
                    (
                        "people",
                        role.map_or_else(String::new, |role| role.people.join(CSV_BETWEEN)),
                    ),
                    ("subject_kind", access.subject_kind.clone()),
                    ("categories", access.categories.join(CSV_BETWEEN)),
                    ("actions", actions),
                    ("purposes", access.purpose.clone()),
                    ("rules", access.rules.join(CSV_BETWEEN)),
                    ("promise", both(access.promise.as_ref())),
                ],
            );
        }
        for recipient in &self.recipients {
            line(
                "recipient",
                &[
                    ("id", recipient.id.clone()),
                    ("title", recipient.route.clone()),
                    ("country", recipient.country.clone()),
                    ("categories", recipient.items.join(CSV_BETWEEN)),
                    ("purposes", recipient.purposes.join(CSV_BETWEEN)),
                    ("rules", recipient.rule.clone()),
                    ("promise", both(recipient.promise.as_ref())),
                ],
            );
        }
        csv
    }

    /// One object, with the names that the API's JSON has.
    #[must_use]
    pub fn json(&self) -> Value {
        let promised = |promise: Option<&(String, String)>| {
            let (en, ja) = promise.cloned().unwrap_or_default();
            (en, ja)
        };
        json!({
            "pack": self.pack,
            "title": self.title,
            "titleJa": self.title_ja,
            "policyRevision": self.revision,
            "at": self.at,
            "systems": systems::json(&self.systems, Audience::Company),
            "roles": self.roles.iter().map(|role| json!({
                "role": role.role,
                "people": role.people,
                "services": role.services,
            })).collect::<Vec<_>>(),
            "access": self.access.iter().map(|access| {
                let (promise, promise_ja) = promised(access.promise.as_ref());
                json!({
                    "role": access.role,
                    "subjectKind": access.subject_kind,
                    "categories": access.categories,
                    "actions": access.actions.iter().map(|action| format!("ACTION_{action}")).collect::<Vec<_>>(),
                    "purpose": access.purpose,
                    "onRequest": access.on_request,
                    "rules": access.rules,
                    "promise": promise,
                    "promiseJa": promise_ja,
                })
            }).collect::<Vec<_>>(),
            "recipients": self.recipients.iter().map(|recipient| {
                let (promise, promise_ja) = promised(recipient.promise.as_ref());
                json!({
                    "id": recipient.id,
                    "route": recipient.route,
                    "country": recipient.country,
                    "items": recipient.items,
                    "purposes": recipient.purposes,
                    "contractUntil": recipient.contract_until,
                    "inspectedUntil": recipient.inspected_until,
                    "equivalentUntil": recipient.equivalent_until,
                    "recordYears": recipient.record_years,
                    "noRecord": recipient.no_record,
                    "rule": recipient.rule,
                    "promise": promise,
                    "promiseJa": promise_ja,
                })
            }).collect::<Vec<_>>(),
        })
    }
}

/// A promise in one cell: both languages, once where they are the same.
fn both(promise: Option<&(String, String)>) -> String {
    match promise {
        None => String::new(),
        Some((en, ja)) if en == ja => en.clone(),
        Some((en, ja)) => format!("{en} / {ja}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn register() -> Register {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        let pack = crate::policy::load(&folder).unwrap();
        Register::of(
            &pack.rules,
            &pack.people,
            |_| false,
            Timestamp::from_seconds(1_800_000_000),
        )
    }

    #[test]
    fn the_page_has_the_systems_first_and_everything_in_both_languages() {
        let register = register();
        for (language, heads) in [
            (
                Language::English,
                ["Systems that hold", "Who has access to what", "Recipients"],
            ),
            (
                Language::Japanese,
                [
                    "個人データを取り扱うシステム",
                    "だれが何を取り扱えるか",
                    "提供先",
                ],
            ),
        ] {
            let page = register.html(language);
            let places = heads.map(|head| page.find(head).unwrap_or_else(|| panic!("no {head}")));
            assert!(places.is_sorted(), "{places:?}");
            assert!(page.find("uncovered").is_some() || page.contains("対象外"));
        }
        assert!(
            register
                .html(Language::Japanese)
                .contains("求職者・取引先管理システム")
        );
        assert!(register.html(Language::Japanese).contains("二段階認証"));
    }

    #[test]
    fn a_role_has_what_it_inherits_and_people_who_may_work() {
        let register = register();
        let role = |id: &str| register.roles.iter().find(|role| role.role == id).unwrap();
        // Lapsed training, an employment that ended, no pledge: they could be allowed nothing. A newcomer without a second factor
        // can enrol one by themselves.
        assert_eq!(
            role("career-adviser").people,
            ["adviser-1", "adviser-2", "newcomer-1"]
        );
        assert_eq!(role("notice-mailer").services, ["notice-mailer"]);
        let of = |role: &str, purpose: &str| {
            let rows = register.access.iter();
            rows.filter(|row| row.role == role && row.purpose == purpose)
                .cloned()
                .collect::<Vec<_>>()
        };
        let inherited = of("career-adviser", "inquiry-response");
        assert_eq!(inherited.len(), 1);
        assert_eq!(inherited[0].subject_kind, "inquirer");
        assert_eq!(inherited[0].categories, ["identity", "contact", "inquiry"]);
        assert_eq!(
            inherited[0].actions,
            [Action::Read, Action::Create, Action::Update]
        );
        assert!(
            inherited[0]
                .rules
                .iter()
                .all(|rule| rule.starts_with("policy.csv:"))
        );
        let (promise, _) = inherited[0].promise.clone().unwrap();
        assert_eq!(promise, "responding to your inquiry");
        assert!(of("security-manager", "inquiry-response").is_empty());
    }

    #[test]
    fn a_table_for_spreadsheets_has_no_formula_and_a_cell_for_each_column() {
        let mut register = register();
        register.systems[0].title = "=1+1".into();
        register.access[0].purpose = "@x".into();
        let csv = register.csv();
        assert!(csv.contains("\"'=1+1\"") && csv.contains("\"'@x\""));
        for line in csv.trim_end().split("\r\n") {
            // Nothing in this register has a comma or a quote within a cell but between its quotes.
            let mut quoted = false;
            let commas = line.chars().filter(|character| {
                quoted ^= *character == '"';
                *character == ',' && !quoted
            });
            assert_eq!(commas.count(), COLUMNS.len() - 1, "{line}");
        }
        let parts = ["\"system\"", "\"access\"", "\"recipient\""];
        let places = parts.map(|part| csv.find(part).unwrap());
        assert!(places.is_sorted());
    }

    #[test]
    fn json_has_the_names_of_the_api() {
        let json = register().json();
        assert_eq!(json["systems"][0]["coverage"], "enforced");
        assert_eq!(json["recipients"][0]["route"], "shared-use");
        assert_eq!(json["access"][0]["actions"][0], "ACTION_READ");
    }
}
