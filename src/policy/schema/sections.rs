//! The sections of pack.toml and their keys, with what an editor says about each.

use crate::policy::kinds::{Words, words};

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Id,
    Text,
    Flag,
    Number(u32, u32),
    Decimal(u32, u32),
    Day,
    LengthOfTime,
    Period,
    Offset,
    Country,
    Countries,
    Ids,
    IdsOrAll,
    Categories,
    CategoriesOrAll,
    Texts,
    Blocks,
    Items,
    Reviews,
    Route,
    Routes,
    NoRecord,
    Actions,
    Least,
    Consents,
    Exceptions,
    ExceptionsOrAll,
    ConsentDenial,
    WithdrawnDenial,
    SuspensionDenial,
    Coverage,
    Every,
    Field,
    References,
    Entries,
    Detector,
    Warning,
    Days,
    Within,
    ClockKind,
    MeasureKind,
    Mechanism,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) required: bool,
    pub(super) about: Words,
}

/// One section.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    /// `[[name]]` instead of `[name]`.
    pub(super) many: bool,
    pub(super) required: bool,
    pub(super) about: Words,
    pub(super) keys: &'static [Key],
}

const fn must(name: &'static str, form: Form, en: &'static str, ja: &'static str) -> Key {
    Key {
        name,
        form,
        required: true,
        about: words(en, ja),
    }
}

const fn may(name: &'static str, form: Form, en: &'static str, ja: &'static str) -> Key {
    Key {
        name,
        form,
        required: false,
        about: words(en, ja),
    }
}

const fn one(name: &'static str, required: bool, about: Words, keys: &'static [Key]) -> Section {
    Section {
        name,
        many: false,
        required,
        about,
        keys,
    }
}

const fn many(name: &'static str, required: bool, about: Words, keys: &'static [Key]) -> Section {
    Section {
        name,
        many: true,
        required,
        about,
        keys,
    }
}

const ID: Key = must(
    "id",
    Form::Id,
    "id, unique among its sections",
    "同じ種類の中で一意の id",
);
const PROMISE: Key = may(
    "promise",
    Form::Text,
    "the sentence of the privacy policy that this rule keeps",
    "この規則が守るプライバシーポリシーの文",
);
const PROMISE_JA: Key = may(
    "promise_ja",
    Form::Text,
    "the same in Japanese",
    "promise の日本語",
);

const KINDS: Key = may(
    "kinds",
    Form::IdsOrAll,
    "only for these kinds of person",
    "この種類の本人に限る",
);
const PURPOSES: Key = may(
    "purposes",
    Form::IdsOrAll,
    "only for these purposes",
    "この利用目的に限る",
);
const EXCEPT_PURPOSES: Key = may(
    "except_purposes",
    Form::Ids,
    "but not for these purposes",
    "この利用目的を除く",
);
const ACTIONS: Key = may(
    "actions",
    Form::Actions,
    "only for these actions",
    "この操作に限る",
);
const EXCEPT_ACTIONS: Key = may(
    "except_actions",
    Form::Actions,
    "but not for these actions",
    "この操作を除く",
);
const COLLECTED_VIA: Key = may(
    "collected_via",
    Form::Texts,
    "only for what was collected so",
    "この方法で取得した情報に限る",
);
const AUTOMATED: Key = may(
    "automated_decision",
    Form::Flag,
    "only where a program alone decides",
    "プログラムだけで決定する場合に限る",
);
const EXCEPTIONS: Key = may(
    "exceptions",
    Form::ExceptionsOrAll,
    "the legal exceptions that stand in",
    "代わりとなる法令上の例外",
);
const ROUTES: Key = may(
    "routes",
    Form::Routes,
    "only on these routes",
    "この提供の方法に限る",
);

/// An item of a category in its long form.
pub(super) const ITEM: &[Key] = &[
    ID,
    may(
        "masked_except_to",
        Form::Ids,
        "masked for everybody but these roles",
        "この役割以外には伏せる",
    ),
    PROMISE,
    PROMISE_JA,
];

/// In the order in which a pack tells its story.
#[rustfmt::skip]
pub(super) const SECTIONS: &[Section] = &[
    one("pack", true, words("what this pack is", "このパックについて"), &[
        must("id", Form::Id, "id of the pack", "パックの id"),
        must("title", Form::Text, "title for people", "表示名"),
        must("title_ja", Form::Text, "the same in Japanese", "日本語の表示名"),
        must("utc_offset", Form::Offset, "where days begin and end, e.g. \"+09:00\"", "日付の区切りとなる時差。例 \"+09:00\""),
    ]),
    one("monitoring_notice", false, words("what people are told about being logged", "記録していることの通知"), &[
        must("en", Form::Text, "in English", "英語"),
        must("ja", Form::Text, "in Japanese", "日本語"),
    ]),
    one("session", true, words("how long a login lasts", "ログインの有効期間"), &[
        must("absolute", Form::LengthOfTime, "at most, e.g. \"8h\"", "最長。例 \"8h\""),
        must("idle", Form::LengthOfTime, "without use, e.g. \"15m\"", "操作がない場合。例 \"15m\""),
        may("max_concurrent", Form::Number(1, 1_000), "sessions of one person at a time", "一人の同時セッション数"),
        PROMISE, PROMISE_JA,
    ]),
    one("standing", true, words("what a person needs besides an account", "アカウントのほかに利用者に必要なもの"), &[
        must("training", Form::Flag, "current training", "有効な研修"),
        must("pledge", Form::Flag, "a pledge", "誓約"),
        PROMISE, PROMISE_JA,
    ]),
    one("exceptions", false, words("legal exceptions (APPI Art. 27(1))", "法令上の例外(個人情報保護法第27条第1項)"), &[
        must("accepted", Form::Exceptions, "those that count", "認めるもの"),
        may("consent_difficult", Form::Exceptions, "those that need consent to be difficult to obtain", "同意の取得が困難なときに限るもの"),
        PROMISE, PROMISE_JA,
    ]),
    one("abroad", false, words("transfer abroad (APPI Art. 28)", "外国への提供(個人情報保護法第28条)"), &[
        may("adequate_countries", Form::Countries, "countries that protect as Japan does", "日本と同等の水準の国"),
        may("lapsed_counts_as_none", Form::Flag, "a check that lapsed counts as none", "期限切れの確認は無いものとみなす"),
        PROMISE, PROMISE_JA,
    ]),
    many("system", false, words("a system that holds personal data", "個人データを保有するシステム"), &[
        ID,
        must("title", Form::Text, "title for people", "表示名"),
        must("title_ja", Form::Text, "the same in Japanese", "日本語の表示名"),
        must("responsible", Form::Text, "who answers for it: a post, not a name", "責任者(役職)"),
        may("responsible_ja", Form::Text, "the same in Japanese", "日本語の責任者"),
        must("department", Form::Text, "its department", "部署"),
        must("country", Form::Country, "where it is (ISO 3166-1 alpha-2)", "所在国(ISO 3166-1 alpha-2)"),
        must("coverage", Form::Coverage, "whether it asks before each access", "アクセス前に問い合わせるか"),
        PROMISE, PROMISE_JA,
    ]),
    many("service", true, words("an internal service that may call", "呼び出しを許すサービス"), &[
        ID,
        must("blocks", Form::Blocks, "where it connects from, address/prefix", "接続元。アドレス/プレフィックス長"),
        may("proxies", Form::Blocks, "proxies before it", "前段のプロキシ"),
        must("systems", Form::Ids, "the systems that it asks about", "問い合わせの対象システム"),
        may("dns_names", Form::Texts, "names in certificates without a SPIFFE id", "SPIFFE id のない証明書の名前"),
        may("acts_for_people", Form::Flag, "asks for people with tickets", "利用者のために問い合わせる"),
        may("workload_role", Form::Id, "the role in which it asks for itself", "自らのために問い合わせるときの役割"),
        may("registers_subjects", Form::Flag, "may register holds, dates, references", "保留・日付・参照文書を登録できる"),
        may("exchanges_with", Form::Ids, "services whose tickets it takes over", "チケットを引き継ぐサービス"),
        PROMISE, PROMISE_JA,
    ]),
    many("network", true, words("where people may work from", "利用者の接続元"), &[
        ID,
        must("blocks", Form::Blocks, "address/prefix, without host bits", "アドレス/プレフィックス長。ホスト部は 0"),
        PROMISE, PROMISE_JA,
    ]),
    many("role", true, words("a role; what it may do is in policy.csv", "役割。できることは policy.csv に書く"), &[
        ID,
        may("networks", Form::Ids, "where it may be used from", "利用できる接続元"),
        may("reviews", Form::Reviews, "what of the access log it reviews", "アクセスログの点検範囲"),
        may("administers", Form::Flag, "administers people and packs", "利用者とパックを管理する"),
        may("audits", Form::Flag, "audits", "監査する"),
        PROMISE, PROMISE_JA,
    ]),
    many("incompatible_roles", false, words("roles that nobody has together", "兼ねられない役割"), &[
        must("roles", Form::Ids, "two or more", "二つ以上"),
        must("why", Form::Text, "why", "理由"),
        PROMISE, PROMISE_JA,
    ]),
    many("kind", true, words("a kind of person whose data are guarded", "本人の種類"), &[ID, PROMISE, PROMISE_JA]),
    many("category", true, words("a category of data", "情報のカテゴリ"), &[
        ID,
        must("items", Form::Items, "what it covers: \"category.item\"", "含まれる項目。\"カテゴリ.項目\""),
        may("special_care", Form::Flag, "special care-required (APPI Art. 2(3))", "要配慮個人情報(個人情報保護法第2条第3項)"),
        PROMISE, PROMISE_JA,
    ]),
    many("purpose", true, words("a purpose of use", "利用目的"), &[
        ID,
        must("kinds", Form::IdsOrAll, "for which kinds of person", "対象となる本人の種類"),
        must("categories", Form::CategoriesOrAll, "for which categories", "対象となるカテゴリ"),
        may("needs_case_ref", Form::Flag, "needs a case reference", "案件番号が必要"),
        may("needs_exception", Form::ExceptionsOrAll, "needs one of these legal exceptions", "法令上の例外が必要"),
        may("needs_subject_request", Form::Flag, "only at the person's request", "本人の請求に限る"),
        may("needs_reference", Form::Flag, "needs a document (basis.reference)", "文書が必要(basis.reference)"),
        PROMISE, PROMISE_JA,
    ]),
    many("consent", false, words("where consent is asked", "同意が必要な場合"), &[
        must("denial", Form::ConsentDenial, "the reason of the denial", "拒否の理由"),
        may("denial_if_withdrawn", Form::WithdrawnDenial, "the reason where it was withdrawn", "撤回されている場合の理由"),
        must("least", Form::Least, "the least state that will do", "必要な同意の状態"),
        may("special_care", Form::Flag, "only for special care-required data", "要配慮個人情報に限る"),
        ROUTES, EXCEPTIONS,
        may("exceptions_for", Form::Actions, "the exceptions stand in only for these actions", "例外が代わりとなる操作"),
        KINDS, PURPOSES, EXCEPT_PURPOSES, ACTIONS, EXCEPT_ACTIONS, COLLECTED_VIA, AUTOMATED, PROMISE, PROMISE_JA,
    ]),
    many("suspension", false, words("a hold that stops uses", "利用を止める保留"), &[
        must("hold", Form::Id, "the hold", "保留"),
        must("denial", Form::SuspensionDenial, "the reason of the denial", "拒否の理由"),
        KINDS, PURPOSES, EXCEPT_PURPOSES, ACTIONS, EXCEPT_ACTIONS, COLLECTED_VIA, AUTOMATED, PROMISE, PROMISE_JA,
    ]),
    many("reference", false, words("a document that must be registered beforehand", "事前の登録が必要な文書"), &[
        ID,
        must("accepts", Form::References, "kinds of document", "文書の種類"),
        must("field", Form::Field, "where callers point to it", "参照に使うフィールド"),
        may("categories", Form::Categories, "only for these categories", "このカテゴリに限る"),
        ROUTES,
        may("consents", Form::Consents, "only where this consent is claimed", "この同意が主張された場合に限る"),
        EXCEPTIONS, KINDS, PURPOSES, EXCEPT_PURPOSES, ACTIONS, EXCEPT_ACTIONS, COLLECTED_VIA, AUTOMATED, PROMISE, PROMISE_JA,
    ]),
    many("never_together", false, words("categories that no request joins with others", "ほかと併せて扱わないカテゴリ"), &[
        must("categories", Form::CategoriesOrAll, "the categories", "カテゴリ"), PROMISE, PROMISE_JA,
    ]),
    many("collected", false, words("what was collected so is for these purposes only", "取得方法ごとの利用目的の制限"), &[
        must("via", Form::Text, "how it was collected", "取得の方法"),
        must("categories", Form::CategoriesOrAll, "the categories", "カテゴリ"),
        must("purposes", Form::IdsOrAll, "the purposes that are left", "残る利用目的"),
        PROMISE, PROMISE_JA,
    ]),
    many("confidential", false, words("what goes to nobody", "誰にも提供しない情報"), &[
        must("categories", Form::Categories, "the categories", "カテゴリ"),
        may("except_purposes", Form::Ids, "but for these purposes", "この利用目的を除く"),
        PROMISE, PROMISE_JA,
    ]),
    many("safeguard", false, words("what data from some countries need to leave for others", "国外移転の保護措置"), &[
        must("from", Form::Countries, "from these countries", "移転元の国"),
        must("free_to", Form::Countries, "free to go to these", "制限なく移転できる国"),
        must("safeguards", Form::Texts, "the safeguards that will do", "認める保護措置"),
        may("needs_reference", Form::Flag, "with its document", "文書が必要"),
        PROMISE, PROMISE_JA,
    ]),
    many("second_step", false, words("how old the second step may be", "二段階目の有効時間"), &[
        may("categories", Form::Categories, "for these categories", "このカテゴリ"),
        may("actions", Form::Actions, "for these actions", "この操作"),
        must("max_age", Form::LengthOfTime, "at most, e.g. \"5m\"", "最長。例 \"5m\""),
        PROMISE, PROMISE_JA,
    ]),
    many("break_glass", false, words("who may pass over a missing grant", "緊急アクセスを許す場合"), &[
        must("roles", Form::Ids, "these roles", "役割"),
        must("kinds", Form::IdsOrAll, "for these kinds of person", "本人の種類"),
        must("categories", Form::CategoriesOrAll, "these categories", "カテゴリ"),
        must("actions", Form::Actions, "these actions", "操作"),
        PROMISE, PROMISE_JA,
    ]),
    many("recipient", false, words("to whom data may go", "提供先"), &[
        ID,
        must("route", Form::Route, "on which ground", "提供の方法"),
        must("country", Form::Country, "where (ISO 3166-1 alpha-2)", "所在国(ISO 3166-1 alpha-2)"),
        must("items", Form::CategoriesOrAll, "what it takes", "提供する情報"),
        must("purposes", Form::IdsOrAll, "for what", "利用目的"),
        may("contract_until", Form::Day, "outsourcing: until when there is a contract", "委託: 契約の期限"),
        may("inspected_until", Form::Day, "outsourcing: until when the inspection holds", "委託: 点検の期限"),
        may("equivalent_until", Form::Day, "abroad: until when equivalent measures were checked", "外国: 相当措置の確認の期限"),
        may("own_purpose_route", Form::Route, "outsourcing: the ground on which it follows its own purpose", "委託: 自らの目的で使う場合の方法"),
        may("stopped_by", Form::Id, "the hold that stops it", "提供を止める保留"),
        may("record_years", Form::Number(1, 30), "how long the record of provision is kept (APPI Art. 29)", "記録の保存年数(個人情報保護法第29条)"),
        may("no_record", Form::NoRecord, "instead of record_years: why none is needed", "record_years の代わりに: 記録が要らない理由"),
        may("name", Form::Text, "its name, for the record", "名称(記録用)"),
        may("address", Form::Text, "its address, for the record", "住所(記録用)"),
        may("representative", Form::Text, "who represents it, for the record", "代表者(記録用)"),
        may("individual", Form::Flag, "is a person", "個人である"),
        may("named_by_request", Form::Flag, "the request says who it is", "要求のほうで示す"),
        PROMISE, PROMISE_JA,
    ]),
    many("hold", false, words("what can be registered to stop uses of a person's data", "利用や提供を止める登録"), &[ID, PROMISE, PROMISE_JA]),
    many("date", false, words("a date that can be registered for a person", "本人ごとに登録する日付"), &[ID, PROMISE, PROMISE_JA]),
    many("limit", false, words("how many people's data one person reads", "一人が扱える人数"), &[
        ID,
        must("actions", Form::Actions, "actions that share the count", "合わせて数える操作"),
        must("people", Form::Number(1, 1_000_000), "at most so many people", "人数の上限"),
        must("window", Form::LengthOfTime, "within, at most \"24h\"", "期間。\"24h\" まで"),
        PROMISE, PROMISE_JA,
    ]),
    many("retention", false, words("after a date only some uses are left", "保存期間の終わり"), &[
        ID,
        must("kinds", Form::IdsOrAll, "for these kinds of person", "本人の種類"),
        must("date", Form::Id, "the date", "日付"),
        must("years", Form::Number(0, 100), "so many years after it", "経過年数"),
        EXCEPT_ACTIONS, EXCEPT_PURPOSES, PROMISE, PROMISE_JA,
    ]),
    many("keep", false, words("until a date nothing of this is done", "日付まで行わない操作"), &[
        ID,
        must("date", Form::Id, "the date", "日付"),
        must("years", Form::Number(0, 100), "so many years after it", "経過年数"),
        must("actions", Form::Actions, "these actions", "操作"),
        KINDS, PURPOSES, EXCEPT_PURPOSES, EXCEPT_ACTIONS, COLLECTED_VIA, AUTOMATED, PROMISE, PROMISE_JA,
    ]),
    many("log_retention", false, words("how long the access log is kept", "アクセスログの保存期間"), &[
        ID,
        must("period", Form::Period, "\"3y\", \"18mo\" or \"90d\"", "\"3y\"、\"18mo\"、\"90d\" など"),
        may("categories", Form::CategoriesOrAll, "for these categories", "カテゴリ"),
        may("kinds", Form::IdsOrAll, "for these kinds of person", "本人の種類"),
        may("entries", Form::Entries, "for these kinds of entry", "記録の種類"),
        PROMISE, PROMISE_JA,
    ]),
    one("incident", false, words("incidents with personal data", "漏えい等"), &[
        may("closed_days", Form::Days, "national holidays, which move a last day", "国民の祝日(期限を延ばす休日)"),
        may("property_damage", Form::CategoriesOrAll, "categories whose misuse may damage property", "不正利用により財産的被害が生じるおそれのあるカテゴリ"),
        PROMISE, PROMISE_JA,
    ]),
    many("incident_clock", false, words("whom to tell of an incident by when", "漏えい等の報告先と期限"), &[
        ID,
        must("kind", Form::ClockKind, "what is told", "報告の種類"),
        must("addressee", Form::Text, "who is told", "報告先"),
        must("addressee_ja", Form::Text, "the same in Japanese", "addressee の日本語"),
        may("within", Form::Within, "within, e.g. \"30d\" or \"72h\"; without it promptly", "期限。例 \"30d\"、\"72h\"。なければ速やかに"),
        may("within_malicious", Form::Within, "where it may have been done with a wrongful purpose", "不正の目的によるおそれがある場合の期限"),
        may("moves", Form::Flag, "a last day that is closed becomes the next open one", "休日に当たる期限を翌開庁日とする"),
        may("always", Form::Flag, "whatever triggers apply", "報告対象事態でなくても"),
        KINDS,
        may("categories", Form::CategoriesOrAll, "only for these categories", "このカテゴリに限る"),
        may("systems", Form::Ids, "only for data in these systems", "このシステムのデータに限る"),
        may("origin_countries", Form::Countries, "only for data from these countries", "この国からのデータに限る"),
        PROMISE, PROMISE_JA,
    ]),
    many("measure", false, words("safety-management measures", "安全管理措置"), &[
        ID,
        must("promise", Form::Text, "what is promised", "約束"),
        must("promise_ja", Form::Text, "the same in Japanese", "promise の日本語"),
        must("owner", Form::Id, "the role that answers for it", "責任を負う役割"),
        must("kind", Form::MeasureKind, "how it is shown", "区分"),
        may("by", Form::Mechanism, "what enforces or records it", "実施・記録の方法"),
        may("every", Form::Period, "how often it is attested: \"1y\", \"6mo\"", "申告の間隔。\"1y\"、\"6mo\" など"),
        may("reference", Form::Text, "the document that is asked for", "求める資料"),
        may("reference_ja", Form::Text, "the same in Japanese", "reference の日本語"),
    ]),
    many("outcome", false, words("what became of it must be reported", "結果の報告が必要な場合"), &[
        may("actions", Form::Actions, "of these actions", "操作"),
        may("break_glass", Form::Flag, "of emergency access", "緊急アクセス"),
        must("within", Form::LengthOfTime, "within, e.g. \"24h\"", "期限。例 \"24h\""),
        PROMISE, PROMISE_JA,
    ]),
    many("review", false, words("when a campaign of review is opened", "定期的な確認を開始する時期"), &[
        ID,
        must("every", Form::Every, "of the day, the month or the quarter before", "前日、前月、前四半期"),
        may("roles", Form::Flag, "of who has which role, instead of accesses", "アクセスではなく役割の棚卸し"),
        may("departments", Form::Texts, "only of these departments", "この部門に限る"),
        may("due_in_days", Form::Number(1, 365), "in how many days it is due; 14", "期限までの日数。省略時 14"),
        may("confidence_percent", Form::Number(50, 99), "the sample: with this probability; 95", "抽出の確率。省略時 95"),
        may("rate_percent", Form::Number(1, 50), "a misuse in this share of days is in it; 5", "見つけるべき不正利用の割合。省略時 5"),
        PROMISE, PROMISE_JA,
    ]),
    many("detector", false, words("what findings of the periodic review go by, where it is not the default", "要確認事項の検出の基準(既定と異なる場合)"), &[
        must("id", Form::Detector, "which detector", "どの検出か"),
        may("roles", Form::IdsOrAll, "for people with one of these roles; for whoever is in no other rule", "役割。なければほかの規則にない利用者"),
        may("off", Form::Flag, "it doesn't look", "検出しない"),
        may("score", Form::Decimal(1, 100), "from which robust z-score on, e.g. 3.5", "頑健な z スコアの下限。例 3.5"),
        may("least", Form::Number(1, 1_000_000), "from how many on", "件数の下限"),
        may("within", Form::LengthOfTime, "within how long, or for how long", "期間"),
        PROMISE, PROMISE_JA,
    ]),
    many("accept_warning", false, words("warnings that are not told, since what they are about is kept on purpose", "意図して残すため表示しない警告"), &[
        must("code", Form::Warning, "the code of the warning", "警告のコード"),
        must("purposes", Form::IdsOrAll, "of rules for these purposes", "規則の利用目的"),
        must("why", Form::Text, "why such a rule is kept", "残す理由"),
    ]),
];
