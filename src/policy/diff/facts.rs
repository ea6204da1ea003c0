//! Everything that a pack says besides its grants, as facts under the names of pack.toml: so that what changed can be told without
//! forgetting a field.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use super::describe;
use crate::decision::rules::RuleSet;

macro_rules! sections {
    ($($variant:ident $name:literal $en:literal $ja:literal;)+) => {
        /// A section of pack.toml, in the order in which changes are told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // each says itself in `title`
        pub enum Section { $($variant,)+ }

        impl Section {
            /// All, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As pack.toml has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it is about.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $en,)+ }
            }

            /// The same in Japanese.
            #[must_use]
            pub const fn title_ja(self) -> &'static str {
                match self { $(Self::$variant => $ja,)+ }
            }
        }
    };
}

sections! {
    Pack "pack" "pack" "パック";
    MonitoringNotice "monitoring_notice" "notice of monitoring" "モニタリングの通知";
    Session "session" "session" "セッション";
    SecondStep "second_step" "age of the second step" "二段階目の経過時間";
    Standing "standing" "standing" "利用者の要件";
    Service "service" "service" "サービス";
    Network "network" "network" "ネットワーク";
    Role "role" "role" "役割";
    IncompatibleRoles "incompatible_roles" "incompatible roles" "兼ねられない役割";
    Kind "kind" "kind of person" "本人の区分";
    Category "category" "category" "情報の項目";
    Purpose "purpose" "purpose" "利用目的";
    BreakGlass "break_glass" "emergency access" "緊急アクセス";
    Exceptions "exceptions" "legal exceptions" "法令の例外";
    Consent "consent" "consent" "同意";
    Suspension "suspension" "hold that stops uses" "利用を止める保留";
    Reference "reference" "registered reference" "登録が必要な根拠";
    NeverTogether "never_together" "never together" "併せて扱えない項目";
    Collected "collected" "collected in a certain way" "取得方法による制限";
    Confidential "confidential" "confidential" "守秘";
    Hold "hold" "hold" "保留";
    Date "date" "date" "日付";
    Retention "retention" "retention" "保存期間";
    Keep "keep" "what must be kept" "保存義務";
    Recipient "recipient" "recipient" "提供先";
    Safeguard "safeguard" "safeguard" "保護措置";
    Limit "limit" "limit" "件数の上限";
    Outcome "outcome" "outcome to be reported" "結果の報告";
    Review "review" "campaign of review" "定期的な確認";
    System "system" "system" "システム";
    Measure "measure" "safety-management measure" "安全管理措置";
    Incident "incident" "incidents" "漏えい等";
    IncidentClock "incident_clock" "clock of an incident" "漏えい等の期限";
    LogRetention "log_retention" "period of the access log" "アクセスログの保存期間";
    Detector "detector" "what findings go by" "要確認事項の基準";
}

impl Section {
    /// The section of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }

    /// Whether what it says is about what no entry of the log holds: decisions of the log that are decided anew don't show what a
    /// change of it would do.
    #[must_use]
    pub const fn is_beyond_the_log(self) -> bool {
        matches!(
            self,
            Self::Session
                | Self::Standing
                | Self::Consent
                | Self::Suspension
                | Self::Reference
                | Self::Hold
                | Self::Date
                | Self::Retention
                | Self::Keep
                | Self::Limit
        )
    }
}

/// What changed and decisions of the log, decided anew, can't show; each section once.
#[must_use]
pub fn not_shown(changes: &[FactChange]) -> Vec<Section> {
    let sections = changes.iter().map(|change| change.section);
    let mut sections: Vec<Section> = sections
        .filter(|section| section.is_beyond_the_log())
        .collect();
    sections.sort_unstable();
    sections.dedup();
    sections
}

/// What a pack says of one thing: by the key of pack.toml.
pub(super) type Fields = BTreeMap<&'static str, String>;

/// What a pack says: by section and id. What has no id of its own is named by all that it says, and has no fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(pub(super) BTreeMap<(Section, String), Fields>);

/// One thing that is otherwise than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactChange {
    /// What it is.
    pub section: Section,
    /// Its id; what it says, where it has none; empty where there is one of its sort.
    pub id: String,
    /// What became of it.
    pub change: Became,
}

/// What became of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// It came.
    Added(Vec<(&'static str, String)>),
    /// It went.
    Removed(Vec<(&'static str, String)>),
    /// One field of it is another; empty stands for what is not said.
    Changed {
        /// The key in pack.toml.
        field: &'static str,
        /// What it was.
        old: String,
        /// What it is.
        new: String,
    },
}

/// What else differs, besides grants: by section, then by id.
#[must_use]
pub fn other_changes(old: &RuleSet, new: &RuleSet) -> Vec<FactChange> {
    let (old, new) = (describe::facts(old), describe::facts(new));
    let mut keys: Vec<&(Section, String)> = old.0.keys().chain(new.0.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut changes = Vec::new();
    for key in keys {
        let (section, id) = key;
        let mut tell = |change| {
            changes.push(FactChange {
                section: *section,
                id: id.clone(),
                change,
            });
        };
        let all = |fields: &Fields| {
            let said = fields.iter().filter(|(_, value)| !value.is_empty());
            said.map(|(field, value)| (*field, value.clone())).collect()
        };
        match (old.0.get(key), new.0.get(key)) {
            (None, Some(fields)) => tell(Became::Added(all(fields))),
            (Some(fields), None) => tell(Became::Removed(all(fields))),
            (Some(old), Some(new)) => {
                for (field, was) in old {
                    let is = new.get(field).map_or("", String::as_str);
                    if was != is {
                        tell(Became::Changed {
                            field,
                            old: was.clone(),
                            new: is.to_owned(),
                        });
                    }
                }
                for (field, is) in new {
                    if !old.contains_key(field) && !is.is_empty() {
                        tell(Became::Changed {
                            field,
                            old: String::new(),
                            new: is.clone(),
                        });
                    }
                }
            }
            (None, None) => {}
        }
    }
    changes
}

/// As pack.toml writes a length of time: the largest unit that is exact.
pub(super) fn length(of: Duration) -> String {
    let seconds = of.as_secs();
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

pub(super) fn blocks(blocks: &[IpNet]) -> String {
    let texts: Vec<String> = blocks.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

pub(super) fn flag(flag: bool) -> String {
    if flag { "true".into() } else { String::new() }
}
