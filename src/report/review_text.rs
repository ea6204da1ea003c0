//! The report of a campaign as a page that prints, as CSV for spreadsheets and as JSON.

use std::collections::BTreeMap;

use prost_types::Timestamp as Instant;
use serde_json::{Value, json};

use super::Language;
use super::page::{Cell, Page};
use super::review::{ReportedItem, ReviewReport, Total};
use super::systems::{self, Audience};
use super::told::Telling;
use crate::domain::time::Timestamp;
use crate::export::cell;
use crate::proto::{Finding, StoredEntitlement};
use crate::review::campaign::{ItemState, LEAST_FOR_ONE};
use crate::review::sample::needed;
use crate::review::sentence;

const BYTE_ORDER_MARK: char = '\u{feff}';
const BETWEEN: &str = ", ";
const CSV_BETWEEN: &str = ";";
/// How many entries of a finding are named; the file as JSON names more.
const ENTRIES_NAMED: usize = 8;

const COLUMNS: [&str; 27] = [
    "item",
    "person",
    "workload",
    "department",
    "day",
    "sampled",
    "findings",
    "sentences",
    "log_indexes",
    "role",
    "approved_by",
    "request",
    "last_use",
    "employment_end",
    "disabled",
    "disabled_at",
    "reviewer",
    "escalated",
    "state",
    "question",
    "answer",
    "answered_at",
    "judged_by",
    "judged_at",
    "why",
    "judgement_log_index",
    "to_do",
];

/// A state in words.
pub(super) const fn state(state: ItemState, language: Language) -> &'static str {
    let (english, japanese) = match state {
        ItemState::Open => ("open", "未確認"),
        ItemState::Asked => ("person asked", "本人に照会中"),
        ItemState::Answered => ("person answered", "回答あり"),
        ItemState::Justified => ("justified", "正当"),
        ItemState::Misuse => ("misuse", "不正利用"),
        ItemState::SelfUnreviewed => (
            "closed with a reservation: nobody else could look at it",
            "留保付き(本人以外に確認できる者がいない)",
        ),
        ItemState::Keep => ("role kept", "継続"),
        ItemState::Change => ("role to be changed", "変更"),
        ItemState::Remove => ("role to be removed", "削除"),
    };
    language.of(english, japanese)
}

fn instant(at: Timestamp) -> Instant {
    Instant {
        seconds: at.seconds(),
        nanos: 0,
    }
}

struct Writer<'a> {
    report: &'a ReviewReport,
    telling: Telling,
    language: Language,
}

impl ReviewReport {
    /// A page that prints.
    #[must_use]
    pub fn html(&self, language: Language) -> String {
        let offset = self.content.opened.utc_offset_seconds;
        let writer = Writer {
            report: self,
            telling: Telling::new(language, offset),
            language,
        };
        writer.page()
    }

    /// One object; the digest is that of its `content`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "title": self.titles.0,
            "titleJa": self.titles.1,
            "madeAt": self.made_at.to_string(),
            "systems": systems::json(&self.systems, Audience::Company),
            "content": self.content.json(),
            "digest": data_encoding::HEXLOWER.encode(&self.content.digest()),
            "signature": self.signature.as_ref().map(|signature| json!({
                "by": signature.by,
                "at": signature.at.to_string(),
                "logIndex": signature.index,
                "digest": data_encoding::HEXLOWER.encode(&signature.digest),
            })),
        })
    }

    /// A line for each item.
    #[must_use]
    pub fn csv(&self, language: Language) -> String {
        let mut csv = String::from(BYTE_ORDER_MARK);
        csv.push_str(&COLUMNS.join(","));
        csv.push_str("\r\n");
        for item in &self.content.items {
            let values = columns(item, language);
            let cells: Vec<String> = values.iter().map(|value| cell(value)).collect();
            csv.push_str(&cells.join(","));
            csv.push_str("\r\n");
        }
        csv
    }
}

/// As [`COLUMNS`] has them.
fn columns(item: &ReportedItem, language: Language) -> Vec<String> {
    let case = item.item.case.clone().unwrap_or_default();
    let role = item.item.entitlement.clone().unwrap_or_default();
    let at = |micros: Option<i64>| {
        micros.map_or_else(String::new, |at| Timestamp::from_micros(at).to_string())
    };
    let yes = |flag: bool| if flag { "yes" } else { "" }.to_owned();
    let (question, answer, judged) = (&item.question, &item.answer, &item.judgement);
    let text = |said: &Option<super::review::Said>| {
        said.as_ref()
            .map_or_else(String::new, |said| said.text.clone())
    };
    let of_answer = answer.as_ref().map(|said| said.at.to_string());
    let sentences = case.findings.iter();
    let sentences: Vec<String> = sentences.map(|one| told(one, language)).collect();
    let indexes = case.findings.iter().flat_map(|one| &one.log_indexes);
    let indexes: Vec<String> = indexes.map(ToString::to_string).collect();
    vec![
        item.item.item.to_string(),
        case.person,
        case.workload,
        case.department,
        case.day,
        yes(item.item.sampled),
        item.detectors().join(CSV_BETWEEN),
        sentences.join(" "),
        indexes.join(CSV_BETWEEN),
        role.role.clone(),
        role.approved_by.clone(),
        role.request.clone(),
        at(role.last_use_us),
        at(role.employment_end_us),
        yes(role.disabled),
        at(role.disabled_us),
        item.reviewer.clone(),
        yes(item.escalated),
        item.state.word().to_owned(),
        text(question),
        text(answer),
        of_answer.unwrap_or_default(),
        judged
            .as_ref()
            .map_or_else(String::new, |said| said.by.clone()),
        judged
            .as_ref()
            .map_or_else(String::new, |said| said.at.to_string()),
        text(judged),
        judged
            .as_ref()
            .map_or_else(String::new, |said| said.index.to_string()),
        to_do(item, language),
    ]
}

/// What follows from a judgement.
fn to_do(item: &ReportedItem, language: Language) -> String {
    let case = item.item.case.as_ref();
    let person = case.map_or("", |case| &*case.person);
    let role = item.item.entitlement.as_ref();
    let role = role.map_or("", |entitlement| &*entitlement.role);
    match item.state {
        ItemState::Misuse => language
            .of("an incident follows", "インシデントとして対応する")
            .to_owned(),
        ItemState::Remove => match language {
            Language::English => format!("an administrator takes the role {role} from {person}"),
            Language::Japanese => format!("管理者が {person} の役割 {role} を外す"),
        },
        ItemState::Change => match language {
            Language::English => format!("an administrator changes the role {role} of {person}"),
            Language::Japanese => format!("管理者が {person} の役割 {role} を変更する"),
        },
        _ => String::new(),
    }
}

/// A finding as a sentence with its numbers; its word and its facts where this version doesn't know the detector.
fn told(finding: &Finding, language: Language) -> String {
    let facts = finding.facts.iter();
    let facts: Vec<(&str, &str)> = facts.map(|fact| (&*fact.name, &*fact.value)).collect();
    match crate::review::finding::Detector::parse(&finding.detector) {
        Some(detector) => sentence(detector, &facts, language),
        None => {
            let facts: Vec<String> = facts
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{}: {}", finding.detector, facts.join(BETWEEN))
        }
    }
}

impl Writer<'_> {
    const fn of<'a>(&self, english: &'a str, japanese: &'a str) -> &'a str {
        self.language.of(english, japanese)
    }

    fn moment(&self, at: Timestamp) -> String {
        self.telling.moment(&instant(at))
    }

    fn page(&self) -> String {
        let content = &self.report.content;
        let of_roles = content.is_of_roles();
        let title = match (of_roles, self.language) {
            (false, Language::English) => "Periodic review of the access log",
            (false, Language::Japanese) => "アクセスログの定期的な確認の報告書",
            (true, Language::English) => "Periodic review of roles",
            (true, Language::Japanese) => "アクセス権限の棚卸しの報告書",
        };
        let mut page = Page::new(title, self.language);
        page.sheet(|page| {
            page.heading(1, title);
            page.paragraph(self.of(&self.report.titles.0, &self.report.titles.1));
            if self.report.signature.is_none() {
                page.note(self.of(
                    "Draft: this campaign is not signed yet.",
                    "案: この確認はまだ署名されていません。",
                ));
            }
            systems::listed(page, &self.report.systems, self.language, Audience::Company);
            self.scope(page);
        });
        self.counts(&mut page);
        self.reservations(&mut page);
        if !of_roles {
            self.proves(&mut page);
            self.detectors(&mut page);
        }
        self.items(&mut page);
        self.follow_up(&mut page);
        self.paces(&mut page);
        self.proofs(&mut page);
        page.finish()
    }

    fn facts(page: &mut Page, rows: &[(&str, String)]) {
        let rows: Vec<Vec<Cell>> = rows
            .iter()
            .map(|(name, value)| vec![Cell::new(*name), Cell::new(value.as_str())])
            .collect();
        page.table(&["", ""], &rows);
    }

    fn scope(&self, page: &mut Page) {
        let content = &self.report.content;
        let opened = &content.opened;
        page.heading(2, self.of("Scope", "対象の範囲"));
        let departments = if opened.departments.is_empty() {
            self.of(
                "all, and services that act for nobody",
                "すべて(人によらないサービスを含む)",
            )
            .to_owned()
        } else {
            opened.departments.join(BETWEEN)
        };
        let by = if opened.schedule.is_empty() {
            opened.by.clone()
        } else {
            opened.schedule.clone()
        };
        let at = Timestamp::from_micros;
        let mut rows = vec![
            (self.of("Number", "番号"), content.review.to_string()),
            (
                self.of("Days", "期間"),
                format!("{} – {}", opened.from_day, opened.until_day),
            ),
            (self.of("Departments", "部門"), departments),
            (self.of("Access log", "アクセスログ"), content.log.clone()),
            (
                self.of(
                    "Entries of the log, and root hash",
                    "ログの件数とルートハッシュ",
                ),
                format!(
                    "{}, {}",
                    opened.log_size,
                    data_encoding::HEXLOWER.encode(&opened.root)
                ),
            ),
            (
                self.of("Decisions within it", "対象となった判定の件数"),
                opened.decisions.to_string(),
            ),
            (
                self.of("Opened", "開始"),
                format!("{} ({by})", self.moment(at(opened.opened_us))),
            ),
            (self.of("Due", "期限"), self.moment(at(opened.due_us))),
            (
                self.of("This report made", "この報告書の作成"),
                self.moment(self.report.made_at),
            ),
        ];
        rows.push(match &self.report.signature {
            Some(signature) => (
                self.of("Signed", "署名"),
                format!(
                    "{} ({}, {} {})",
                    signature.by,
                    self.moment(signature.at),
                    self.of("entry", "記録番号"),
                    signature.index
                ),
            ),
            None => (
                self.of("Signed", "署名"),
                self.of("not yet", "未了").to_owned(),
            ),
        });
        Self::facts(page, &rows);
        let opened_at = at(opened.opened_us);
        if self.telling.iso_day(&instant(opened_at)) == opened.until_day {
            page.note(self.of(
                "The last day was not over when it was opened: what came after the entries that are counted here is not part of it.",
                "開始時に最終日が終わっていなかったため、上記の件数より後の記録は含まれません。",
            ));
        }
    }

    fn counts(&self, page: &mut Page) {
        let content = &self.report.content;
        page.heading(2, self.of("What it came to", "結果"));
        let rows: Vec<Vec<Cell>> = ItemState::ALL
            .into_iter()
            .map(|one| (one, content.count(one)))
            .filter(|(_, count)| *count > 0)
            .map(|(one, count)| {
                let words = state(one, self.language);
                let warns = matches!(one, ItemState::Misuse | ItemState::SelfUnreviewed)
                    || !one.is_judged();
                let words = if warns {
                    Cell::warning(words)
                } else {
                    Cell::new(words)
                };
                vec![words, Cell::new(count.to_string())]
            })
            .collect();
        page.table(&[self.of("State", "状態"), self.of("Items", "件数")], &rows);
        let all = content.items.len();
        let flagged = content.items.iter();
        let flagged = flagged.filter(|item| !item.detectors().is_empty()).count();
        let sampled = content.items.iter();
        let sampled = sampled.filter(|item| item.item.sampled).count();
        page.note(&match (content.is_of_roles(), self.language) {
            (true, Language::English) => format!("{all} items: every role that somebody of these departments had at the opening."),
            (true, Language::Japanese) => format!("全 {all} 件: 開始時点で対象部門の者が持っていたすべての役割。"),
            (false, Language::English) => format!("{all} items: {flagged} in which something stood out or break glass was used, {sampled} that were drawn; one can be both."),
            (false, Language::Japanese) => format!("全 {all} 件: 要確認事項または緊急アクセスのあるもの {flagged} 件、抽出されたもの {sampled} 件(重複あり)。"),
        });
    }

    /// What nobody could look at.
    fn reservations(&self, page: &mut Page) {
        let count = self.report.content.count(ItemState::SelfUnreviewed);
        if count == 0 {
            return;
        }
        page.heading(2, self.of("Reservations", "留保"));
        page.paragraph(&match self.language {
            Language::English => format!(
                "{count} items were closed without anybody but the person themself having been able to look at them. They are NOT reviewed."
            ),
            Language::Japanese => format!(
                "{count} 件は、本人以外に確認できる者がいないまま閉じられました。これらは確認されていません。"
            ),
        });
    }

    fn proves(&self, page: &mut Page) {
        let opened = &self.report.content.opened;
        page.heading(
            2,
            self.of(
                "What the sample proves, and what not",
                "抽出による確認が示すこと・示さないこと",
            ),
        );
        for workloads in [false, true] {
            let total = Total::of(&opened.populations, workloads);
            page.paragraph(&self.proved(total, workloads));
        }
        let rows: Vec<Vec<Cell>> = opened
            .populations
            .iter()
            .map(|stratum| {
                let of = if stratum.workloads {
                    self.of("service", "サービス")
                } else {
                    self.of("department", "部門")
                };
                vec![
                    Cell::new(of),
                    Cell::new(stratum.stratum.as_str()),
                    Cell::new(stratum.population.to_string()),
                    Cell::new(stratum.drawn.to_string()),
                ]
            })
            .collect();
        page.table(
            &[
                self.of("Stratum", "層"),
                self.of("Name", "名称"),
                self.of("Days", "対象の日数"),
                self.of("Drawn", "抽出数"),
            ],
            &rows,
        );
        page.note(self.of(
            "Drawn are the days whose SHA-256 comes first within their stratum, of five lines without a last line feed: the root hash, person or workload, the stratum, the id, the day. The root hash is of the whole log at the opening, so that anybody who has the log draws the same (sekisho review redraw). Whoever opens a campaign of the same days again gets another draw: the log and sekisho review list tell of each.",
            "各層で、次の五行(末尾の改行なし)の SHA-256 が小さい順に抽出します: ルートハッシュ、person または workload、層、ID、日付。ルートハッシュは開始時のログ全体から定まり、ログがあれば誰でも同じ抽出を再現できます(sekisho review redraw)。同じ期間の点検を再度開始すると別の抽出になりますが、いずれもログと sekisho review list に残ります。",
        ));
    }

    fn proved(&self, total: Total, workloads: bool) -> String {
        let opened = &self.report.content.opened;
        let (confidence, rate) = (opened.confidence_percent, opened.rate_percent);
        let least = needed(confidence, rate);
        let Total { population, drawn } = total;
        let open = self.report.content.items.iter().filter(|item| {
            let case = item.item.case.as_ref();
            let of_workload = case.is_some_and(|case| !case.workload.is_empty());
            let looked_at = matches!(item.state, ItemState::Justified | ItemState::Misuse);
            item.item.sampled && of_workload == workloads && !looked_at
        });
        let open = open.count();
        let (days, days_ja) = if workloads {
            (
                "days of services that act for nobody",
                "人によらないサービスの利用日",
            )
        } else {
            ("days of people", "利用者の利用日")
        };
        match (population, self.language) {
            (0, Language::English) => format!("There were no {days} to draw from."),
            (0, Language::Japanese) => format!("{days_ja}は対象にありませんでした。"),
            (_, Language::English) if open > 0 => format!(
                "{drawn} of {population} {days} were drawn, and {open} of them were looked at by nobody else: nothing is proved of the rest."
            ),
            (_, Language::Japanese) if open > 0 => format!(
                "{days_ja} {population} 日のうち {drawn} 日を抽出しましたが、{open} 日は本人以外の者が確認していません。残りについて示せることはありません。"
            ),
            (_, Language::English) if drawn == population => {
                format!("All {population} {days} were looked at, so nothing is left to chance.")
            }
            (_, Language::Japanese) if drawn == population => format!(
                "{days_ja} {population} 日のすべてを確認しました。抽出による不確実さはありません。"
            ),
            (_, Language::English) => format!(
                "{drawn} of {population} {days} were drawn (at least {least} are needed). A misuse rate of {rate} % or more would have been found with {confidence} % probability; rarer misuse may not."
            ),
            (_, Language::Japanese) => format!(
                "{days_ja} {population} 日のうち {drawn} 日を抽出しました(必要数 {least})。不正利用が {rate} % 以上あれば {confidence} % の確率で見つかったはずです。それより稀な不正利用は見つからないことがあります。"
            ),
        }
    }

    fn detectors(&self, page: &mut Page) {
        let mut by: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
        for item in &self.report.content.items {
            for detector in item.detectors() {
                let [all, misuse, open] = by.entry(detector).or_default();
                *all = all.saturating_add(1);
                *misuse = misuse.saturating_add(usize::from(item.state == ItemState::Misuse));
                *open = open.saturating_add(usize::from(!item.state.is_judged()));
            }
        }
        page.heading(2, self.of("What stood out", "要確認事項"));
        let rows: Vec<Vec<Cell>> = by
            .into_iter()
            .map(|(detector, counts)| {
                let counts = counts.map(|count| Cell::new(count.to_string()));
                std::iter::once(Cell::new(detector)).chain(counts).collect()
            })
            .collect();
        page.table(
            &[
                self.of("Detector", "検出項目"),
                self.of("Items", "件数"),
                self.of("Judged misuse", "不正利用と判断"),
                self.of("Not judged", "未判断"),
            ],
            &rows,
        );
    }

    fn items(&self, page: &mut Page) {
        page.heading(2, self.of("Items", "確認項目"));
        let of_roles = self.report.content.is_of_roles();
        let what = if of_roles {
            self.of("Role", "役割")
        } else {
            self.of("What stood out", "要確認事項")
        };
        page.begin_table(&[
            self.of("No.", "番号"),
            self.of("Whose", "対象"),
            what,
            self.of("Question and answer", "照会と回答"),
            self.of("Decision", "判断"),
        ]);
        for item in &self.report.content.items {
            page.row(&self.item(item));
        }
        page.end_table();
    }

    fn item(&self, item: &ReportedItem) -> Vec<Cell> {
        let case = item.item.case.clone().unwrap_or_default();
        let whose = [case.person, case.workload, case.department, case.day];
        let mut whose: Vec<String> = whose.into_iter().filter(|text| !text.is_empty()).collect();
        if item.item.sampled {
            whose.push(self.of("drawn", "抽出").to_owned());
        }
        let mut what: Vec<String> = Vec::new();
        for finding in &case.findings {
            what.push(told(finding, self.language));
            let named: Vec<String> = finding
                .log_indexes
                .iter()
                .take(ENTRIES_NAMED)
                .map(ToString::to_string)
                .collect();
            what.push(format!(
                "{}: {} ({})",
                self.of("entries", "記録"),
                named.join(BETWEEN),
                finding.entries
            ));
        }
        if let Some(role) = &item.item.entitlement {
            what.extend(self.role(role));
        }
        let said = [("Q", &item.question), ("A", &item.answer)];
        let said = said.into_iter().filter_map(|(mark, said)| {
            let said = said.as_ref()?;
            Some(format!(
                "{mark}: {} ({}, {})",
                said.text,
                said.by,
                self.moment(said.at)
            ))
        });
        let mut decision = vec![state(item.state, self.language).to_owned()];
        match &item.judgement {
            Some(said) => decision.push(format!(
                "{} ({}, {}, {} {})",
                said.text,
                said.by,
                self.moment(said.at),
                self.of("entry", "記録"),
                said.index
            )),
            None if item.reviewer.is_empty() => decision.push(
                self.of("nobody could look at it", "確認できる者がいない")
                    .to_owned(),
            ),
            None => decision.push(item.reviewer.clone()),
        }
        if item.escalated {
            decision.push(
                self.of("went up: not judged in time", "期限超過により上位者へ")
                    .to_owned(),
            );
        }
        let warns = matches!(item.state, ItemState::Misuse | ItemState::SelfUnreviewed);
        let decision = if warns {
            Cell::warning(decision.join(" — "))
        } else {
            Cell::lines(decision)
        };
        vec![
            Cell::new(item.item.item.to_string()),
            Cell::lines(whose),
            Cell::lines(what),
            Cell::lines(said.collect()),
            decision,
        ]
    }

    fn role(&self, role: &StoredEntitlement) -> Vec<String> {
        let at = |micros: i64| self.moment(Timestamp::from_micros(micros));
        let mut lines = vec![role.role.clone()];
        let approved = match (&*role.approved_by, &*role.request) {
            ("", "") => self.of("approval not noted", "承認の記録なし").to_owned(),
            (by, request) => format!("{}: {by} {request}", self.of("approved", "承認")),
        };
        lines.push(approved);
        let last = role.last_use_us.map(at);
        lines.push(match last {
            Some(last) => format!("{}: {last}", self.of("last use", "最終利用")),
            None => self
                .of("not used in these days", "期間中の利用なし")
                .to_owned(),
        });
        if let Some(end) = role.employment_end_us {
            lines.push(format!(
                "{}: {}",
                self.of("employment ends", "雇用の終了"),
                at(end)
            ));
            if let Some(last) = role.last_use_us.filter(|last| *last > end) {
                lines.push(format!(
                    "{}: {}",
                    self.of("USED AFTER THE EMPLOYMENT ENDED", "雇用終了後の利用あり"),
                    at(last)
                ));
            }
        }
        if role.disabled {
            let when = role.disabled_us.map(at).unwrap_or_default();
            lines.push(format!(
                "{}: {when}",
                self.of("disabled, by", "無効化(遅くとも)")
            ));
            if let (Some(end), Some(disabled)) = (role.employment_end_us, role.disabled_us) {
                let days = disabled.saturating_sub(end) / 86_400_000_000;
                if days > 0 {
                    lines.push(match self.language {
                        Language::English => format!("{days} days after the employment ended"),
                        Language::Japanese => format!("雇用終了から {days} 日後"),
                    });
                }
            }
        }
        lines
    }

    fn follow_up(&self, page: &mut Page) {
        let rows: Vec<Vec<Cell>> = self
            .report
            .content
            .items
            .iter()
            .map(|item| (item.item.item, to_do(item, self.language)))
            .filter(|(_, what)| !what.is_empty())
            .map(|(number, what)| vec![Cell::new(number.to_string()), Cell::new(what)])
            .collect();
        if rows.is_empty() {
            return;
        }
        page.heading(2, self.of("What is to be done", "対応すべきこと"));
        page.table(&[self.of("Item", "番号"), self.of("What", "内容")], &rows);
    }

    fn paces(&self, page: &mut Page) {
        page.heading(2, self.of("Pace", "確認の速さ"));
        let rows: Vec<Vec<Cell>> = self
            .report
            .content
            .paces()
            .into_iter()
            .map(|(who, pace)| {
                let fast = pace.too_fast.to_string();
                vec![
                    Cell::new(who),
                    Cell::new(pace.items.to_string()),
                    Cell::new(pace.decisions.to_string()),
                    Cell::new(pace.most_in_a_minute.to_string()),
                    if pace.too_fast > 0 {
                        Cell::warning(fast)
                    } else {
                        Cell::new(fast)
                    },
                ]
            })
            .collect();
        page.table(
            &[
                self.of("Reviewer", "確認者"),
                self.of("Items", "件数"),
                self.of("Decisions", "判断の回数"),
                self.of("Most items in a minute", "一分間の最多件数"),
                self.of("Too fast", "速すぎる判断"),
            ],
            &rows,
        );
        let seconds = LEAST_FOR_ONE.as_secs();
        page.note(&match self.language {
            Language::English => format!(
                "Too fast: the next decision came less than {seconds} seconds after the one before."
            ),
            Language::Japanese => {
                format!("速すぎる判断: 前の判断から {seconds} 秒未満で次の判断をしたもの。")
            }
        });
    }

    fn proofs(&self, page: &mut Page) {
        let content = &self.report.content;
        page.heading(2, self.of("Proofs", "証明"));
        page.paragraph(self.of(
            "The scope is the log up to the checkpoint below: no entry of it can be added, changed or taken away without another root hash.",
            "対象は下のチェックポイントまでのログです。記録を加え、変え、または除けば、ルートハッシュが変わります。",
        ));
        let lines = content.opened.checkpoint.lines();
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        page.table(
            &[self.of(
                "Signed checkpoint (C2SP tlog-checkpoint)",
                "署名付きチェックポイント(C2SP tlog-checkpoint)",
            )],
            &[vec![Cell::lines(lines)]],
        );
        let digest = content.digest();
        let mut rows = vec![(
            self.of("SHA-256 of the content", "内容の SHA-256"),
            data_encoding::HEXLOWER.encode(&digest),
        )];
        if let Some(signature) = &self.report.signature {
            rows.push((
                self.of("Digest that was signed", "署名されたダイジェスト"),
                data_encoding::HEXLOWER.encode(&signature.digest),
            ));
            let same = if digest == signature.digest {
                self.of("the same", "一致")
            } else {
                self.of(
                    "another: text that was sealed in the log has been disposed of since; the file that was kept when it was signed has it",
                    "不一致: 封印された文章がその後廃棄されています。署名時に保存されたファイルを参照してください",
                )
            };
            rows.push((self.of("Comparison", "照合"), same.to_owned()));
        }
        Self::facts(page, &rows);
        page.note(self.of(
            "The digest is that of \"content\" in the report as JSON: jq -cjS .content report.json | sha256sum",
            "ダイジェストは JSON の報告書の \"content\" のものです: jq -cjS .content report.json | sha256sum",
        ));
    }
}
