//! Everything that can be wrong with a pack: a code that programs know it by, and a sentence in English and in Japanese. A code is
//! never given another meaning; `{0}`, `{1}` stand for what the place says.

use std::fmt::Display;

use crate::domain::text::fill;

/// Whether a pack can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pack is refused.
    Error,
    /// The pack is used. What it says can't be meant so, or is said for nothing.
    Warning,
}

impl Severity {
    /// As programs read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Both {
    pub(super) en: String,
    pub(super) ja: String,
}

/// A word in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) en: &'static str,
    pub(super) ja: &'static str,
}

pub(super) const fn words(en: &'static str, ja: &'static str) -> Words {
    Words { en, ja }
}

/// What a sentence's place can be filled with.
pub(super) trait Said {
    fn said(&self) -> Both;
}

/// What the pack itself says is the same in both languages.
impl<T: Display> Said for T {
    fn said(&self) -> Both {
        let text = self.to_string();
        Both {
            en: text.clone(),
            ja: text,
        }
    }
}

impl Said for Words {
    fn said(&self) -> Both {
        Both {
            en: self.en.to_owned(),
            ja: self.ja.to_owned(),
        }
    }
}

impl Said for Both {
    fn said(&self) -> Both {
        self.clone()
    }
}

macro_rules! kinds {
    ($($name:ident: $severity:ident $code:literal, $en:literal, $ja:literal;)+) => {
        /// What is wrong. Several kinds may share a code where a program has no use for the difference.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind { $($name,)+ }

        impl Kind {
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub(super) const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            pub(super) const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            const fn words(self) -> Words {
                match self { $(Self::$name => words($en, $ja),)+ }
            }
        }
    };
}

impl Kind {
    /// Whether it may be so only because a section of pack.toml could not be read.
    pub(super) const fn rests_on_other_sections(self) -> bool {
        matches!(
            self,
            Self::MissingSection
                | Self::ExceptionNotAccepted
                | Self::NoExceptionAccepted
                | Self::CoverageUnused
                | Self::RoleWithoutNetwork
                | Self::NeedsNoException
                | Self::SpecialCareWithoutConsent
                | Self::RowWithoutConsent
                | Self::AbroadWithoutConsent
                | Self::RecipientWithoutConsent
        )
    }

    /// The sentence with `values` in its places. What a value contains is never taken for a place itself.
    pub(super) fn fill(self, values: &[&dyn Said]) -> Both {
        let values: Vec<Both> = values.iter().map(|value| value.said()).collect();
        let words = self.words();
        Both {
            en: fill(words.en, |place| values.get(place).map(|both| &*both.en)),
            ja: fill(words.ja, |place| values.get(place).map(|both| &*both.ja)),
        }
    }
}

kinds! {
    // Files.
    FileMissing: Error "file-missing", "is missing", "ありません";
    FileUnreadable: Error "file-unreadable", "can't be read: {0}", "読めません: {0}";
    FileNotPlain: Error "file-not-plain", "is not a plain file", "通常のファイルではありません";
    FileOutside: Error "file-outside",
        "leads out of the directory of the pack", "パックのディレクトリの外を指しています";
    FileTooLarge: Error "file-too-large", "is over {0} MiB", "{0} MiB を超えています";
    FileEmpty: Error "file-empty", "is empty", "空です";
    ByteOrderMark: Error "byte-order-mark",
        "begins with a byte order mark, which makes casbin drop the first line: save as UTF-8 without it",
        "バイト順マークで始まっています。casbin が先頭行を読み落とすため、BOM なしの UTF-8 で保存してください";
    NotUtf8: Error "not-utf8", "is not UTF-8", "UTF-8 ではありません";
    MoreFaults: Error "more-faults",
        "{0} more faults are left out here", "ほかに {0} 件の誤りがありますが、ここでは省きます";
    MoreWarnings: Warning "more-faults",
        "{0} more warnings are left out here", "ほかに {0} 件の警告がありますが、ここでは省きます";

    // The form of pack.toml.
    NotToml: Error "not-toml", "is not TOML: {0}", "TOML として読めません: {0}";
    DuplicateKey: Error "duplicate-key", "is not TOML: {0}", "TOML として読めません(キーの重複): {0}";
    Expected: Error "wrong-value", "{0}: expected {1}, found {2}", "{0}: {1}が必要ですが、{2}があります";
    OutOfRange: Error "out-of-range",
        "{0}: expected a whole number from {1} to {2}", "{0}: {1} から {2} までの整数が必要です";
    MissingKey: Error "missing-key", "{0} is missing", "{0} がありません";
    MissingSection: Error "missing-section", "{0} is missing", "{0} がありません";
    MisplacedKey: Error "misplaced-key", "{0}: {1}", "{0}: {1}";
    EmptyList: Error "empty-list", "{0}: the list is empty", "{0}: リストが空です";
    SectionTwice: Error "duplicate",
        "says the same as the section on line {0}", "{0} 行目のセクションと同じ内容です";
    Twice: Error "duplicate", "{0}: {1} is there twice", "{0}: {1} が二度あります";
    Unknown: Error "unknown-word", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownKey: Error "unknown-key", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownSection: Error "unknown-section", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownId: Error "unknown-id", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownAction: Error "unknown-action", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownEffect: Error "unknown-effect", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownCondition: Error "unknown-condition", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownLine: Error "unknown-line", "unknown {0} {1}", "{1} という{0}はありません";
    UnknownColumn: Error "unknown-column", "unknown {0} {1}", "{1} という{0}はありません";
    BadId: Error "bad-id",
        "{0} {1}: an id is lower-case letters and digits with single hyphens between them, at most 128 bytes",
        "{0} {1}: id は英小文字と数字を単独のハイフンでつないだもので、128 バイトまでです";
    BadItem: Error "bad-item",
        "item {0} is not in the form \"{1}.item\"", "項目 {0} が \"{1}.項目\" の形ではありません";
    BadName: Error "bad-text", "{0} {1}", "{0} {1}";
    BadText: Error "bad-text", "{0} is not of 1 to {1} bytes", "{0} は 1 から {1} バイトまでです";
    BadSentence: Error "bad-text",
        "{0}: expected one line of 1 to {1} bytes", "{0}: 1 から {1} バイトまでの一行が必要です";
    BlankText: Error "bad-text", "{0}: a blank text", "{0}: 空白だけの文字列です";
    DuplicateId: Error "duplicate-id", "{0} is there already", "{0} はすでにあります";
    IdOfAnother: Error "duplicate-id", "{0} is a [[{1}]] already", "{0} はすでに [[{1}]] にあります";
    TooManyRows: Error "too-many",
        "{0} is one more than the 65,535 that a pack may have", "{0} で、パックの上限 65,535 件を超えます";
    TooManySections: Error "too-many",
        "a pack has at most {0} sections [[{1}]]", "[[{1}]] は一つのパックに {0} 件までです";
    TooManyCategories: Error "too-many",
        "a pack has at most {0} categories and items", "カテゴリと項目は一つのパックに {0} 件までです";
    PromiseSharesLine: Error "promise-shares-line",
        "promise: two rules are on this line: a rule with a promise takes a line of its own",
        "promise: この行に二つの規則があります。promise のある規則は一行に一つだけ書いてください";
    PromiseJaAlone: Error "promise-ja-alone",
        "promise_ja: is the Japanese of a promise, and there is none",
        "promise_ja: promise の日本語ですが、promise がありません";

    // Callers.
    IdleOverAbsolute: Error "idle-over-absolute",
        "idle is longer than absolute", "idle が absolute より長くなっています";
    AlwaysAdministers: Error "administrator-administers", "always administers", "この役割は常に管理者です";
    OneRole: Error "too-few",
        "roles: names one role: it takes two", "roles: 役割が一つだけです。二つ以上必要です";
    ReservedId: Error "reserved-id",
        "ids that begin with \"{0}\" are reserved", "\"{0}\" で始まる id は予約されています";
    ServiceWithoutUse: Error "service-without-use",
        "may do nothing: it needs acts_for_people, workload_role or registers_subjects",
        "何もできません。acts_for_people、workload_role、registers_subjects のいずれかが必要です";
    ExchangesWithItself: Error "exchanges-with-itself",
        "exchanges tickets with itself", "自分自身とチケットを交換することになっています";
    ExchangesWithoutPeople: Error "exchanges-without-people",
        "exchanges tickets, which are people's, but doesn't act for people",
        "チケットは利用者のものですが、このサービスは利用者のために動作しません(acts_for_people)";
    WorkloadAdministrator: Error "workload-administrator",
        "workload_role: \"{0}\" is for people only", "workload_role: \"{0}\" は利用者専用です";
    BadDnsName: Error "bad-dns-name",
        "dns_names: {0} is not a DNS name in lower case without wildcard",
        "dns_names: {0} はワイルドカードのない小文字の DNS 名ではありません";
    DuplicateDnsName: Error "duplicate-dns-name",
        "dns_names: {0} stands for service {1} already", "dns_names: {0} はすでにサービス {1} の名前です";
    BadBlock: Error "bad-block",
        "{0}: {1} is not a block in the form address/prefix", "{0}: {1} は「アドレス/プレフィックス長」の形ではありません";
    HostBits: Error "host-bits",
        "{0}: {1} has host bits set: the network is {2}",
        "{0}: {1} はホスト部のビットが立っています。ネットワークは {2} です";
    RoleWithoutNetwork: Error "role-without-network",
        "networks is missing: only the workload_role of a service may be without",
        "networks がありません。なくてもよいのはサービスの workload_role だけです";

    // What is asked, and what makes a use lawful.
    ExceptionNotAccepted: Error "exception-not-accepted",
        "{0}: {1} is not among those that [exceptions] accepts", "{0}: {1} は [exceptions] の accepted にありません";
    NoExceptionAccepted: Error "exception-not-accepted",
        "{0}: [exceptions] accepts none", "{0}: [exceptions] に accepted がありません";
    RuleWithoutScope: Error "rule-without-scope", "needs {0}", "{0}が必要です";
    WindowTooLong: Error "out-of-range", "window is longer than 24h", "window が 24h を超えています";
    CoverageUntrue: Error "coverage-untrue",
        "coverage: is uncovered, but service {0} asks about it",
        "coverage: uncovered とありますが、サービス {0} が問い合わせています";
    CoverageUnused: Error "coverage-untrue",
        "coverage: no service asks about it: it is uncovered",
        "coverage: 問い合わせるサービスがないため uncovered です";
    OwnPurposeRoute: Error "misplaced-key",
        "own_purpose_route: is \"third-party-consent\" or \"third-party-by-law\"",
        "own_purpose_route: \"third-party-consent\" か \"third-party-by-law\" です";
    RecordNeeds: Error "record-needs",
        "{0} is missing: the record of provision needs it (record_years)",
        "{0} がありません。第三者提供の記録に必要です(record_years)";
    RecordMissing: Error "missing-key",
        "record_years is missing: APPI Art. 29(1) asks for a record on this route, to be kept for 3 years, or for 1 where a contract or the like stands for it; or no_record says why this recipient needs none ({0})",
        "record_years がありません。この方法では個人情報保護法第 29 条第 1 項の記録が要ります。保存期間は 3 年、契約書などで代える場合は 1 年です。記録が要らない提供先では、その理由を no_record に書きます({0})";
    NeedsNoException: Error "no-record-untrue",
        "no_record: purpose {0} needs no legal exception",
        "no_record: 利用目的 {0} は法令上の例外を必要としません(needs_exception)";
    ClassOfRecords: Error "reserved-id",
        "{0} is the class of records that are kept so long: choose another id",
        "{0} はその期間保存する記録の区分です。別の id にしてください";
    SpecialCareWithoutConsent: Error "special-care-without-consent",
        "category {0} is special_care, and no [[consent]] has special_care = true",
        "カテゴリ {0} は special_care ですが、special_care = true の [[consent]] がありません";
    RowWithoutConsent: Error "special-care-without-consent",
        "allows {0} of {1} without consent: no [[consent]] with special_care = true asks for it for {2} for purpose {3}",
        "{1} の {0} が同意なしに許されます。利用目的 {3} の {2} で同意を求める special_care = true の [[consent]] がありません";
    AbroadWithoutConsent: Error "recipient-without-consent",
        "recipient {0} is abroad without equivalent_until, and no [[consent]] has denial = \"{1}\"",
        "提供先 {0} は外国にあり equivalent_until がありませんが、denial = \"{1}\" の [[consent]] がありません";
    RecipientWithoutConsent: Error "recipient-without-consent",
        "recipient {0} takes consent, and no [[consent]] has denial = \"{1}\"",
        "提供先 {0} には同意が必要ですが、denial = \"{1}\" の [[consent]] がありません";
    GoTogether: Error "keys-go-together",
        "{0} = true and denial = \"{1}\" go together", "{0} = true と denial = \"{1}\" は必ず一緒に書きます";

    // policy.csv, with pack.toml.
    Quote: Error "quote",
        "has a quote: fields stand between commas as they are",
        "引用符があります。項目はコンマの間にそのまま書きます";
    ControlCharacter: Error "control-character", "has a control character", "制御文字があります";
    NoRule: Error "no-rule",
        "has no rule (a line that begins with \"p\")", "規則(\"p\" で始まる行)がありません";
    DuplicateLine: Error "duplicate-line", "is the same as line {0}", "{0} 行目と同じです";
    ContradictsLine: Error "contradicting-line",
        "contradicts line {0}, which says {1}", "{0} 行目({1})と矛盾しています";
    WrongColumns: Error "wrong-columns",
        "expected {0} columns ({1}), found {2}", "{0} 列({1})が必要ですが、{2} 列あります";
    EmptyField: Error "empty-field", "{0} is empty", "{0} が空です";
    DenyOnRequest: Error "deny-on-request",
        "a rule that denies has the condition \"always\": whoever may not, may not on request either",
        "拒否する規則の条件は \"always\" です。本人の請求があっても許されません";
    RoleAndCategory: Error "role-and-category",
        "role {0}: there is a category of this id", "役割 {0}: 同じ id のカテゴリがあります";
    RoleContradictsItself: Error "role-contradicts-itself",
        "incompatible_roles: role {0} has two of them by itself",
        "incompatible_roles: 役割 {0} は一人で二つを兼ねています";
    MissingG2: Error "missing-g2",
        "item {0}: policy.csv has no line \"{1}\"", "項目 {0}: policy.csv に \"{1}\" の行がありません";
    G2NotInPack: Error "g2-not-in-pack",
        "pack.toml doesn't say that {0} covers {1}", "pack.toml では {0} は {1} を含みません";
    RoleCycle: Error "role-cycle",
        "role {0} inherits from itself, through {1}", "役割 {0} が {1} を経て自分自身を継承しています";
    CategoryCycle: Error "category-cycle",
        "category {0} covers itself, through {1}", "カテゴリ {0} が {1} を経て自分自身を含んでいます";
    InheritsTooFar: Error "inherits-too-far",
        "role {0} inherits over {1} steps: casbin sees {2}",
        "役割 {0} の継承は {1} 段あります。casbin が見るのは {2} 段までです";
    TooManyTuples: Error "too-many",
        "up to here the rules resolve to more than {0} tuples", "ここまでの規則が {0} 組を超えます";
    UnreachableSubject: Warning "unreachable-grant",
        "allows nothing: purpose {0} is not for kind {1}", "何も許しません。利用目的 {0} は {1} を対象としません";
    UnreachableCategory: Warning "unreachable-grant",
        "allows nothing: purpose {0} is not for category {1}",
        "何も許しません。利用目的 {0} はカテゴリ {1} を対象としません";
    UnreachableRecipient: Warning "unreachable-grant",
        "allows nothing: no recipient takes {0} for purpose {1}",
        "何も許しません。利用目的 {1} で {0} を受け取る提供先がありません";
    ShadowedRule: Warning "shadowed-rule",
        "decides nothing: line {0} decides the same in all its cases", "何も決めません。すべて {0} 行目が同じに決めます";
    DeniedRule: Warning "shadowed-rule",
        "allows nothing: line {0} denies all of it", "何も許しません。すべて {0} 行目が拒否します";
    ShadowedTogether: Warning "shadowed-rule",
        "decides nothing: lines {0} together decide the same in all its cases",
        "何も決めません。すべて {0} 行目のいずれかが同じに決めます";
    DeniedTogether: Warning "shadowed-rule",
        "allows nothing: lines {0} together deny all of it", "何も許しません。すべて {0} 行目のいずれかが拒否します";
    AcceptsNothing: Warning "accepts-nothing",
        "there is no warning {0} for its purposes", "挙げた利用目的に {0} の警告はありません";
    DeniesNothing: Warning "denies-nothing",
        "denies nothing: no line allows any of it", "何も拒否しません。これを許す行がありません";
    UnusedPurpose: Warning "unused-purpose",
        "purpose {0}: no rule of policy.csv allows anything for it",
        "利用目的 {0}: policy.csv に許す規則がありません";

    // casbin.
    NotAModelLine: Error "not-a-model-line",
        "expected key = value, found {0}", "「キー = 値」が必要ですが、{0} があります";
    OtherModel: Error "other-model",
        "[{0}] {1}: the model of every pack has {1} = {2}", "[{0}] {1}: どのパックでも {1} = {2} です";
    ModelTwice: Error "duplicate", "[{0}] {1} is there twice", "[{0}] {1} が二度あります";
    ModelMissing: Error "missing-key", "[{0}] {1} is missing", "[{0}] {1} がありません";
    CasbinDiffers: Error "casbin-differs",
        "casbin decides {0}, the index {1}: {2}", "casbin の判定は {0}、索引の判定は {1} です: {2}";
    CasbinRefuses: Error "casbin-refuses", "{0}", "casbin で読めません: {0}";

    // people.csv.
    NoHeader: Error "wrong-header", "has no header", "見出しの行がありません";
    WrongHeader: Error "wrong-header", "expected the header {0}", "見出しは {0} です";
    ColumnTwice: Error "wrong-header", "column {0} is there twice", "列 {0} が二度あります";
    WrongPersonColumns: Error "wrong-columns",
        "expected {0} columns, found {1}", "{0} 列が必要ですが、{1} 列あります";
    TooManyPeople: Error "too-many",
        "is one more than the {0} samples that a pack may have", "見本の利用者は {0} 人までです";
    LooksLike: Error "looks-like", "id {0} looks like {1}", "id {0} は {1} と見分けがつきません";
    Incompatible: Error "incompatible-roles",
        "roles: {0} and {1} are incompatible: {2}", "roles: {0} と {1} は兼ねられません: {2}";
    BadPerson: Error "bad-person", "{0}: {1}", "{0}: {1}";
}

/// What an unknown word should have been.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sort {
    kind: Kind,
    words: Words,
}

impl Sort {
    const fn new(kind: Kind, en: &'static str, ja: &'static str) -> Self {
        Self {
            kind,
            words: words(en, ja),
        }
    }

    pub(super) const fn kind(self) -> Kind {
        self.kind
    }

    /// Whether it is known by what pack.toml declares.
    pub(super) const fn is_of_ids(self) -> bool {
        matches!(self.kind, Kind::UnknownId)
    }

    pub(super) const SECTION: Self = Self::new(Kind::UnknownSection, "section", "セクション");
    pub(super) const KEY: Self = Self::new(Kind::UnknownKey, "key", "キー");
    pub(super) const NETWORK: Self = Self::new(Kind::UnknownId, "network", "ネットワーク");
    pub(super) const ROLE: Self = Self::new(Kind::UnknownId, "role", "役割");
    pub(super) const SERVICE: Self = Self::new(Kind::UnknownId, "service", "サービス");
    pub(super) const SYSTEM: Self = Self::new(Kind::UnknownId, "system", "システム");
    pub(super) const KIND: Self = Self::new(Kind::UnknownId, "kind", "本人の種類");
    pub(super) const CATEGORY: Self = Self::new(Kind::UnknownId, "category", "カテゴリ");
    pub(super) const PURPOSE: Self = Self::new(Kind::UnknownId, "purpose", "利用目的");
    pub(super) const HOLD: Self = Self::new(Kind::UnknownId, "hold", "保留");
    pub(super) const DATE: Self = Self::new(Kind::UnknownId, "date", "日付");
    pub(super) const ACTION: Self = Self::new(Kind::UnknownAction, "action", "操作");
    pub(super) const CONDITION: Self = Self::new(Kind::UnknownCondition, "condition", "条件");
    pub(super) const EFFECT: Self = Self::new(Kind::UnknownEffect, "effect", "効果");
    pub(super) const LINE: Self = Self::new(Kind::UnknownLine, "sort of line", "行の種類");
    pub(super) const COLUMN: Self = Self::new(Kind::UnknownColumn, "column", "列");
    pub(super) const REVIEWS: Self = Self::new(Kind::Unknown, "extent of reviews", "点検の範囲");
    pub(super) const EXCEPTION: Self = Self::new(Kind::Unknown, "legal exception", "法令上の例外");
    pub(super) const DENIAL: Self = Self::new(Kind::Unknown, "denial", "拒否理由");
    pub(super) const CONSENT: Self = Self::new(Kind::Unknown, "state of consent", "同意の状態");
    pub(super) const ROUTE: Self = Self::new(Kind::Unknown, "route", "提供の方法");
    pub(super) const REASON: Self = Self::new(Kind::Unknown, "reason", "理由");
    pub(super) const FIELD: Self = Self::new(Kind::Unknown, "field", "フィールド");
    pub(super) const REFERENCE: Self =
        Self::new(Kind::Unknown, "kind of reference", "参照文書の種類");
    pub(super) const ENTRY: Self = Self::new(Kind::Unknown, "kind of entry", "記録の種類");
    pub(super) const EVERY: Self = Self::new(Kind::Unknown, "interval", "周期");
    pub(super) const DETECTOR: Self = Self::new(Kind::Unknown, "detector", "検出");
    pub(super) const WARNING: Self = Self::new(Kind::Unknown, "code of a warning", "警告のコード");
    pub(super) const COVERAGE: Self = Self::new(Kind::Unknown, "coverage", "適用の度合い");
    pub(super) const MEASURE: Self = Self::new(Kind::Unknown, "kind of measure", "措置の区分");
    pub(super) const MECHANISM: Self = Self::new(Kind::Unknown, "mechanism", "実施の方法");
    pub(super) const CLOCK: Self = Self::new(Kind::Unknown, "kind of clock", "期限の種類");
}

impl Said for Sort {
    fn said(&self) -> Both {
        self.words.said()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_places_and_codes_are_plain_words() {
        for kind in Kind::ALL {
            let Words { en, ja } = kind.words();
            for place in ["{0}", "{1}", "{2}", "{3}"] {
                assert_eq!(en.contains(place), ja.contains(place), "{kind:?} {place}");
            }
            assert!(!ja.is_empty() && !ja.ends_with('。'), "{kind:?}");
            assert!(super::super::words::is_id(kind.code()), "{kind:?}");
        }
    }

    #[test]
    fn a_value_is_never_taken_for_a_place() {
        let filled = Kind::Twice.fill(&[&"{1}", &"{0}"]);
        assert_eq!(filled.en, "{1}: {0} is there twice");
    }
}
