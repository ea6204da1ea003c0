//! What the command line says, in English and in Japanese. Words that a filter takes (kinds, actions, reasons) stay as the API
//! spells them in both, so that what is read in a table can be typed as a filter.

use std::ffi::OsString;

use crate::domain::text::fill;
use crate::report;

/// The language of heads, labels, prompts and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Language {
    /// English.
    #[value(name = "en")]
    English,
    /// 日本語
    #[value(name = "ja")]
    Japanese,
}

impl Language {
    /// The one asked for, else the environment's: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is not empty (POSIX,
    /// 8.2); English when that is neither.
    pub(super) fn choose(
        given: Option<Self>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        given.unwrap_or_else(|| {
            let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
                .into_iter()
                .filter_map(environment)
                .find(|locale| !locale.is_empty());
            match locale {
                Some(locale) if locale.as_encoded_bytes().starts_with(b"ja") => Self::Japanese,
                _ => Self::English,
            }
        })
    }

    /// That of a report.
    pub(super) const fn of_reports(self) -> report::Language {
        match self {
            Self::English => report::Language::English,
            Self::Japanese => report::Language::Japanese,
        }
    }
}

macro_rules! words {
    ($($name:ident: $en:literal, $ja:literal;)+) => {
        /// A word or a sentence. `{0}`, `{1}` stand for what [`Word::fill`] puts in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Word { $($name,)+ }

        impl Word {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// As it is written.
            pub(super) const fn text(self, language: Language) -> &'static str {
                match language {
                    Language::English => match self { $(Self::$name => $en,)+ },
                    Language::Japanese => match self { $(Self::$name => $ja,)+ },
                }
            }
        }
    };
}

impl Word {
    /// The sentence with `values` in its places. What a value contains is never taken for a place itself.
    pub(super) fn fill(self, language: Language, values: &[&str]) -> String {
        fill(self.text(language), |place| values.get(place).copied())
    }
}

words! {
    // Measures.
    NoMeasures: "the pack lists no measures", "ポリシーパックに措置の一覧がありません";
    MeasureAttested: "attested: {0}, entry {1}; next by {2}", "申告しました: {0}、記録番号 {1}。次回期限 {2}";
    MeasureId: "MEASURE", "措置";
    MeasureKind: "SHOWN BY", "区分";
    MeasureOwner: "OWNER", "責任者";
    MeasureNext: "NEXT", "次回期限";
    MeasureNever: "never attested", "未申告";
    MeasurePromise: "PROMISE", "約束";
    MeasureEvidence: "EVIDENCE", "根拠";
    // Incidents.
    NoIncidents: "no incident is open", "対応中の漏えい等はありません";
    IncidentIsOpen: "incident {0} is open", "漏えい等 {0} を登録しました";
    IncidentRecordedStep: "recorded: incident {0}, entry {1}", "記録しました: 漏えい等 {0}、記録番号 {1}";
    IncidentSoFar: "{0} accesses fit so far", "該当する取扱い: 現在 {0} 件";
    IncidentScoped: "the scope of incident {0}, entry {1}:", "漏えい等 {0} の影響範囲(記録番号 {1}):";
    IncidentSame:
        "{0} people in {1} accesses: the same as was recorded",
        "本人 {0} 人、取扱い {1} 件。記録した影響範囲と一致します";
    IncidentNotSame:
        "{0} people in {1} accesses: NOT what was recorded; entries were disposed of since",
        "本人 {0} 人、取扱い {1} 件。記録した影響範囲と一致しません。その後に記録が廃棄されています";
    IncidentMissing: "nobody has said anything of: {0}", "未入力の事項: {0}";
    IncidentNumber: "INCIDENT", "番号";
    IncidentAware: "BECAME KNOWN", "発覚日時";
    IncidentOpened: "opened", "登録";
    IncidentDepartment: "DEPARTMENT", "部門";
    IncidentPeople: "PEOPLE", "本人の数";
    IncidentReported: "TO BE REPORTED", "報告対象";
    IncidentDue: "DUE", "期限";
    IncidentNext: "NEXT", "次の報告";
    IncidentClosed: "closed", "終結";
    IncidentAbout: "about", "関係者";
    IncidentCampaign: "campaign", "点検";
    IncidentReviewItem: "item", "点検項目";
    IncidentCase: "case", "要確認事項";
    IncidentScopeHead: "SCOPE", "影響範囲";
    IncidentNoScope: "not looked for yet: `sekisho incident scope`", "未調査(`sekisho incident scope`)";
    IncidentTriggersHead: "TRIGGERS", "報告対象事態";
    IncidentClocksHead: "CLOCKS", "報告先と期限";
    IncidentTimelineHead: "TIME LINE", "経過";
    IncidentLookedFor: "looked for", "条件";
    IncidentAccesses: "accesses", "取扱いの件数";
    IncidentUnnamed: "records that name nobody", "本人の記録がない件数";
    IncidentPeriod: "period", "期間";
    IncidentPersons: "persons", "利用者";
    IncidentServices: "services", "サービス";
    IncidentCategories: "categories", "項目";
    IncidentPurposes: "purposes", "利用目的";
    IncidentSystems: "systems", "システム";
    IncidentKinds: "kinds of person", "本人の種類";
    IncidentCountries: "countries", "データの取得国";
    IncidentRecipients: "recipients", "提供先";
    IncidentLog: "log, size, root hash", "ログ、件数、ルートハッシュ";
    IncidentTrigger: "TRIGGER", "事態";
    IncidentVerdict: "VERDICT", "判定";
    IncidentOfLog: "FROM THE LOG", "ログによる判定";
    IncidentJudged: "JUDGED BY", "判断";
    IncidentWhy: "WHY", "理由";
    IncidentClock: "CLOCK", "期限の種類";
    IncidentAddressee: "ADDRESSEE", "報告先";
    IncidentReport: "REPORT", "報告";
    IncidentState: "STATE", "状態";
    IncidentRecorded: "RECORDED", "記録";
    IncidentWhen: "WHEN", "日時";
    IncidentWhat: "WHAT", "内容";
    IncidentOn: "ABOUT", "対象";
    IncidentWho: "WHO", "担当";
    IncidentText: "WORDS", "記載";
    IncidentEntry: "ENTRY", "記録番号";
    // Connecting.
    NoData:
        "{0} is not given, and there is no data directory to take it from: give {0}, or --data DIR (or SEKISHO_DATA)",
        "{0} の指定がなく、データディレクトリもありません。{0} か --data DIR(または SEKISHO_DATA)を指定してください";
    NoServer:
        "--server is not given, and {0} is not there to tell it: give --server ADDRESS:PORT",
        "--server の指定がなく、{0} もありません。--server アドレス:ポート を指定してください";
    BadEndpoints:
        "{0}: tells no address of the server: {1}",
        "{0}: サーバーのアドレスを読み取れません: {1}";
    BadServer:
        "--server {0}: is not ADDRESS:PORT",
        "--server {0}: アドレス:ポート の形ではありません";
    CantRead:
        "{0}: can't read: {1}",
        "{0}: 読めません: {1}";
    MadeByInit:
        "{0}: is not there; `sekisho init` makes it",
        "{0}: ありません。`sekisho init` で作られます";
    FileTooLarge:
        "{0}: is over {1} bytes",
        "{0}: {1} バイトを超えています";
    BadCertificates:
        "the certificates can't be used: {0}",
        "証明書を使えません: {0}";
    CantConnect:
        "can't connect to {0}: {1}",
        "{0} に接続できません: {1}";
    TooSlow:
        "{0} gave no answer within {1} s",
        "{0} から {1} 秒以内に応答がありません";
    ConnectionEnded:
        "the connection ended (does the daemon accept this certificate?): {0}",
        "接続が切れました(この証明書は受け入れられていますか): {0}";
    StreamEnded:
        "the daemon ended the stream",
        "サーバーがストリームを終了しました";
    CutShort:
        "the stream ended before its end: what came is not the whole; nothing is kept in a file, ask again",
        "ストリームが途中で終了しました。受信した内容は全体ではなく、ファイルは作成されません。もう一度実行してください";

    // What the daemon refused.
    RequestRefused:
        "the daemon can't take this:",
        "サーバーはこの指定を受け付けません:";
    RetryIn:
        "try again in {0} s",
        "{0} 秒後にもう一度試してください";
    LogInAgain:
        "log in again: sekisho login",
        "もう一度ログインしてください: sekisho login";
    NotAuthorised:
        "your roles do not allow this",
        "あなたの役割では、この操作はできません";
    NotGenuine:
        "the ID, the password or the code is not right",
        "ID、パスワード、または確認コードが正しくありません";
    NotFound:
        "there is no such entry, or it is not for you to see",
        "該当する記録がないか、閲覧できません";
    DisposedOf:
        "it was disposed of when its time was over",
        "保存期間が過ぎたため、廃棄されました";
    Busy:
        "the daemon has too much to do",
        "サーバーが混み合っています";
    LogUnavailable:
        "the access log can't be written, so nothing is answered",
        "アクセスログに書き込めないため、応答できません";
    StoreUnavailable:
        "the daemon can't use its store",
        "サーバーがデータベースを使えません";
    Internal:
        "internal error of the daemon",
        "サーバーの内部エラーです";
    AlreadyThere: "it is there already", "すでに登録されています";
    ChangedMeanwhile:
        "it was changed meanwhile: look at it again",
        "その間に変更されました。もう一度確認してください";
    NotSupportedYet:
        "not supported yet",
        "まだ対応していません";
    Throttled:
        "too many wrong codes",
        "確認コードの誤りが続いたため、しばらく受け付けません";
    MustChangePassword:
        "the password was set by an administrator and must be changed first: sekisho password",
        "管理者が設定したパスワードです。先に変更してください: sekisho password";
    AlreadyEnrolled:
        "a second factor is enrolled already",
        "二段階認証はすでに登録されています";
    SecondStepFirst:
        "this takes a fresh second step",
        "新しい確認コードの入力が必要です";
    NotEnrolled:
        "no second factor is enrolled",
        "二段階認証が登録されていません";

    // Logging in and out.
    AskPerson: "ID: ", "ID: ";
    AskPassword: "Password: ", "パスワード: ";
    AskCode: "Code (or a recovery code): ", "確認コード(または回復コード): ";
    InputEnded:
        "standard input ended where \"{0}\" was asked for",
        "標準入力が「{0}」の前で終わりました";
    InputUnreadable:
        "can't read what was typed: {0}",
        "入力を読めません: {0}";
    InputTooLong:
        "a line of the input is over {0} bytes",
        "入力の行が {0} バイトを超えています";
    EnrolmentRequired:
        "{0} has to enrol a second factor first: sekisho enroll",
        "{0} は先に二段階認証の登録が必要です: sekisho enroll";
    PasswordChangeRequired:
        "{0} has to change the password first: sekisho password",
        "{0} は先にパスワードの変更が必要です: sekisho password";
    NoMethod:
        "none of the second steps that the daemon offers is supported yet: {0}",
        "サーバーの求める二段階目の認証方法にはまだ対応していません: {0}";
    TryCodeAgain:
        "that was not right; wait for the next code if you used this one",
        "確認コードが正しくありません。使用済みの場合は、次のコードを待ってください";
    LoggedIn: "logged in as {0} until {1}", "{0} としてログインしました(期限 {1})";
    LoggedOut: "logged out", "ログアウトしました";
    WasNotLoggedIn: "you were not logged in", "ログインしていません";
    NotLoggedIn: "not logged in: sekisho login", "ログインしていません: sekisho login";
    TicketExpired:
        "the login of {0} ended at {1}; log in again: sekisho login",
        "{0} のログインは {1} に期限が切れました。もう一度ログインしてください: sekisho login";
    TicketElsewhere:
        "the login is for {0}, not for {1}; log in again: sekisho login",
        "ログイン先は {0} であり、{1} ではありません。もう一度ログインしてください: sekisho login";
    NoHome:
        "no place to keep the login: set SEKISHO_TICKET_FILE, XDG_STATE_HOME or HOME",
        "ログインを保存する場所がありません。SEKISHO_TICKET_FILE、XDG_STATE_HOME、HOME のいずれかを設定してください";
    BadTicketFile:
        "{0}: is no login that was kept here; log in again: sekisho login",
        "{0}: 保存されたログインとして読めません。もう一度ログインしてください: sekisho login";
    NoRandom: "the system gives no random numbers: {0}", "乱数を得られません: {0}";

    // One's own password and second factor.
    AskNewPassword: "New password: ", "新しいパスワード: ";
    AskNewPasswordAgain: "New password again: ", "新しいパスワード(もう一度): ";
    PasswordsDiffer: "the two new passwords differ", "新しいパスワードが一致しません";
    PasswordChanged:
        "the password is changed; all other sessions have ended",
        "パスワードを変更しました。ほかのセッションはすべて終了しました";
    NextCode:
        "a code is good once: wait for the next one for what follows, or use another recovery code",
        "確認コードは一度しか使えません。このあとは次のコードを待って入力するか、別の回復コードを使ってください";
    AskEnrollmentCode:
        "Enrolment code from an administrator (empty if none was given): ",
        "管理者から受け取った登録コード(なければ空のまま): ";
    AskNoticeRead:
        "Have you read the notice above? (yes/no): ",
        "上の通知を読みましたか(はい/いいえ): ";
    NoticeNotRead:
        "{0} has not said to have read the notice: nothing was enrolled",
        "{0} が通知を読んだことを確認できないため、登録しませんでした";
    AskNewCode:
        "Code that your new authenticator shows: ",
        "新しい認証アプリに表示されたコード: ";
    Enrolled:
        "enrolled; the code was used by it, so log in with the next one",
        "登録しました。いまのコードは使用済みです。ログインには次のコードを使ってください";
    RecoveryCodes:
        "recovery codes, each good once in place of a code; write them down, they are not shown again:",
        "回復コード(確認コードの代わりに一度ずつ使えます。再表示されないので書き留めてください):";
    PictureWritten:
        "the QR code is in {0}; delete it when you have read it in",
        "QR コードを {0} に書き込みました。読み取ったら削除してください";

    // Other people's.
    PasswordDrawn:
        "password of {0}, to be changed at the first login, shown once: {1}",
        "{0} のパスワード(最初のログインで変更が必要です。再表示されません): {1}";
    EnrollmentCodeIssued:
        "enrolment code of {0}, good once until {2}: {1}",
        "{0} の登録コード({2} まで一度だけ使えます): {1}";
    TokensImported: "{0} tokens imported:", "トークン {0} 個を取り込みました:";
    TokensWouldBeImported:
        "{0} tokens would be imported:",
        "トークン {0} 個を取り込めます:";
    AskTokenCode: "Code that the token shows: ", "トークンに表示されたコード: ";
    TokenAssigned:
        "token {0} is the second factor of {1}",
        "トークン {0} を {1} の二段階認証に割り当てました";

    // Backup and restore.
    RecoveryKeyMade:
        "made the recovery key {0}\n  {1}: opens the keys of every backup; keep it offline, apart from the backups, in two places\n  {2}: seals them; put it where backups are made",
        "復元鍵 {0} を作りました\n  {1}: すべてのバックアップの鍵を開けます。バックアップとは別の場所に、オフラインで2か所に保管してください\n  {2}: 鍵を封印するだけです。バックアップを取る機械に置いてください";
    NoRecoveryKey:
        "no recovery key to seal the keys to: give --to-key FILE, or backup.recovery_key in {0}; `sekisho backup new-recovery-key` makes one",
        "鍵を封印する復元鍵がありません。--to-key ファイル、または {0} の backup.recovery_key を指定してください。`sekisho backup new-recovery-key` で作れます";
    BackedUp:
        "backed up {0}: {1} entries, {2} files, {3} bytes; keys sealed to the recovery key {4}",
        "{0} をバックアップしました: {1} 件、{2} ファイル、{3} バイト。鍵は復元鍵 {4} で封印しました";
    NotCopied:
        "not copied, since this version does not know it: {0}",
        "このバージョンでは扱えないため、含めていません: {0}";
    RestoredFrom:
        "restored {0}: {1} entries, as of {2}",
        "{0} を復元しました: {1} 件、{2} 時点";
    DeclareNext:
        "what came after is lost, and the daemon does not start before that is declared:\n  sekisho restore --declare-gap --data {0} --reason \"...\"",
        "それより後の記録は失われています。申告するまでサーバーは起動しません:\n  sekisho restore --declare-gap --data {0} --reason \"...\"";
    AtLeastLost:
        "the checkpoint shows that at least {0} entries are lost",
        "チェックポイントによると、少なくとも {0} 件が失われています";
    ShowsNothing:
        "the log contains the checkpoint; no checkpoint can show that nothing came after it",
        "ログはこのチェックポイントを含みます。ただし、その後に記録がなかったことは、チェックポイントでは確かめられません";
    AnotherLog:
        "the checkpoint is not one of this log, or the log was rewritten: what was restored must not be used",
        "チェックポイントがこのログのものでないか、ログが書き換えられています。復元したものは使えません";
    StoreFilled:
        "the database was empty: {0} now holds what the backup's store held",
        "データベースが空だったため、バックアップの内容を入れました: {0}";
    NotRestored:
        "{0}: was not restored, or the daemon has started on it since: there is no gap to declare",
        "{0}: 復元されたものではないか、復元後にすでに起動しています。申告する欠落はありません";
    GapAlready:
        "the gap is declared already, by entry {0}",
        "欠落はすでに {0} 番の記録で申告されています";
    GapIntroduction:
        "{0} was restored from a backup of {1} with {2} entries. To declare the gap ends every session and spends every code until now.\nEach administrator passes both steps; a code must be the one that is shown now.",
        "{0} は {1} のバックアップ({2} 件)から復元されました。欠落を申告すると、すべてのセッションが終わり、現在までのコードはすべて使用済みになります。\n管理者はそれぞれ二段階で確認します。コードは現在表示されているものに限ります。";
    NotOfLostPart:
        "{0}: is no checkpoint of this log, or contradicts what was restored: no gap can name it",
        "{0}: このログのチェックポイントでないか、復元した内容と矛盾します。欠落として申告できません";
    NamesLost:
        "{0}: shows {1} entries more than the backup has; the declaration names it as lost",
        "{0}: バックアップより {1} 件多い記録を示しています。失われたものとして申告します";
    NamesNothing:
        "{0}: the log contains it, or a gap names it already: nothing to declare of it",
        "{0}: ログに含まれているか、すでに欠落として申告されています。これについて申告することはありません";
    WitnessNotRead:
        "{0}: can't be read, so the declaration doesn't name what it holds: {1}",
        "{0}: 読めないため、その内容は申告に含まれません: {1}";
    AskAdministrator: "Administrator's ID: ", "管理者のID: ";
    PassedBothSteps:
        "{0} has passed both steps",
        "{0} の二段階の確認が済みました";
    NotThisOne:
        "{0}; once more",
        "{0}。もう一度入力してください";
    GapDeclared:
        "the gap is declared, by entry {0}: start the daemon, and redo what was changed after the backup",
        "欠落を {0} 番の記録で申告しました。サーバーを起動し、バックアップより後の変更をやり直してください";
    GapDeclaredAlone:
        "the gap is declared by one person alone, by entry {0}: the daemon serves from {1} on",
        "欠落を {0} 番の記録で一人で申告しました。サーバーは {1} から起動できます";

    // Filters.
    BadMoment:
        "{0} {1}: is no time: write 2026-01-31T09:00:00+09:00, a date such as 2026-01-31 (in UTC) or 2026-01-31+09:00, or how long ago: 30m, 2h, 7d",
        "{0} {1}: 時刻として読めません。2026-01-31T09:00:00+09:00、日付 2026-01-31(UTC)または 2026-01-31+09:00、あるいは 30m、2h、7d のように指定してください";
    BadName:
        "{0} {1}: is none of {2}",
        "{0} {1}: 次のいずれでもありません: {2}";
    BadReason:
        "{0} {1}: is no reason code, such as IP_NOT_ALLOWED or 21",
        "{0} {1}: 理由コード(IP_NOT_ALLOWED や 21 など)ではありません";
    BadEntry:
        "{0}: is neither an index (42) nor a decision's id (a UUID)",
        "{0}: 番号(42 など)でも判断の ID(UUID)でもありません";

    // Output.
    CantWrite: "can't write the output: {0}", "出力に書き込めません: {0}";
    NothingFits: "no entry fits", "該当する記録はありません";
    MoreFollow:
        "more entries fit; --limit 0 prints all",
        "該当する記録はほかにもあります。--limit 0 ですべて表示します";

    // The index.
    // Subjects.
    SubjectHoldAdded:
        "registered the hold {0} (entry {1})",
        "ホールド {0} を登録しました(記録 {1})";
    SubjectHoldReleased:
        "released the hold {0} (entry {1})",
        "ホールド {0} を解除しました(記録 {1})";
    SubjectDateSet:
        "set the date {0} to {1} (entry {2})",
        "期日 {0} を {1} に設定しました(記録 {2})";
    ReferenceRegistered:
        "registered the reference {0} (entry {1})",
        "根拠 {0} を登録しました(記録 {1})";
    ReferenceWithdrawn:
        "withdrew the reference {0} (entry {1})",
        "根拠 {0} を撤回しました(記録 {1})";
    NothingRegistered:
        "nothing is registered",
        "登録はありません";
    HeadReference: "REFERENCE", "根拠";
    HeadPurposes: "PURPOSES", "利用目的";
    HeadUntil: "UNTIL", "期限";
    HeadStateOfReference: "STATE", "状態";
    StateInForce: "in force", "有効";
    StateEnded: "ended", "期限切れ";
    StateWithdrawn: "withdrawn", "撤回";
    NobodyHeld:
        "none of them is held",
        "該当する人はいません";
    NobodyMatched:
        "none of the {0} ids is meant",
        "{0} 件の ID に該当はありません";
    MatchedOf:
        "{0} of {1} pseudonyms are among the {2} ids (entry {3})",
        "仮名 {1} 件のうち {0} 件が、ID {2} 件の中にありました(記録 {3})";
    BadKindOfReference:
        "{0}: is none of {1}",
        "{0}: {1} のいずれでもありません";
    BadPseudonym:
        "{0}, line {1}: is no pseudonym (64 hexadecimal digits)",
        "{0} の {1} 行目: 仮名(16 進 64 桁)ではありません";
    NoPseudonyms:
        "give --pseudonym or --pseudonyms",
        "--pseudonym か --pseudonyms を指定してください";
    NothingOverdue:
        "nobody's retention is over",
        "保存期間を過ぎた人はいません";
    HeadPseudonym: "PSEUDONYM", "仮名";
    HeadRetention: "RETENTION", "保存の規則";
    HeadOver: "OVER SINCE", "満了";
    SubjectsReading:
        "read {0} rows, {1} % of the file",
        "{0} 行を読み込み({1} %)";
    SubjectsStaging:
        "laid ready {0} of {1} rows ({2} %)",
        "{1} 行中 {0} 行を準備({2} %)";
    SubjectsPlacing:
        "in force; put in place {0} of {1} rows ({2} %)",
        "有効になりました。{1} 行中 {0} 行を配置({2} %)";
    SubjectsImportError:
        "line {0}: {1}",
        "{0} 行目: {1}";
    SubjectsImported:
        "registered {0} holds, {1} dates and {2} references (entry {3})",
        "ホールド {0} 件、期日 {1} 件、根拠 {2} 件を登録しました(記録 {3})";
    SubjectsWouldImport:
        "would register {0} holds, {1} dates and {2} references; {3} errors",
        "登録されるのはホールド {0} 件、期日 {1} 件、根拠 {2} 件、誤りは {3} 件です";
    Reindexing:
        "{0} of {1} entries ({2} %), {3} a second",
        "{1} 件中 {0} 件({2} %)、毎秒 {3} 件";
    Reindexed:
        "made the index of {0} closed segments anew: {1} entries, {2} KiB",
        "閉じたセグメント {0} 個の索引を作り直しました: {1} 件、{2} KiB";
    NotIndexed:
        "a segment has no index, so searches read all of it: {0}",
        "索引を作れないセグメントがあります。検索はその全体を読みます: {0}";
    NoSessions:
        "nobody is logged in",
        "ログイン中の人はいません";
    SessionsRevoked:
        "ended {0} sessions (entry {1}); their tickets are refused from now on",
        "セッション {0} 件を終了しました(記録 {1})。以後その券は拒否されます";
    KeyringUnusable:
        "the keyring can't be used: {0}",
        "鍵束を使えません: {0}";
    ResetAsked:
        "asked for the reset of {0}'s second factor; another administrator must approve it until {2}: sekisho reset second-factor {0} --approve {1} --reason ...",
        "{0} の第二要素のリセットを申請しました。{2} までに別の管理者の承認が必要です: sekisho reset second-factor {0} --approve {1} --reason ...";
    ResetDone:
        "{0} has no second factor and no session any more (entry {1}); the person enrols anew",
        "{0} の第二要素とセッションをすべて取り消しました(記録 {1})。本人が登録し直します";
    ResetLater:
        "asked for by one person alone (entry {1}): {0}'s second factor is reset once the daemon has served for 24 hours, at {2} at the earliest; until it was reviewed it stays marked",
        "一人による申請です(記録 {1})。{0} の第二要素は、デーモンが 24 時間稼働した後(早くて {2})にリセットされ、確認されるまで印が残ります";
    ResetDeclined:
        "declined request {0} (entry {1})",
        "申請 {0} を取り下げました(記録 {1})";
    ResetReviewed:
        "reset {0} is reviewed (entry {1})",
        "リセット {0} を確認済みにしました(記録 {1})";
    SecondApproves:
        "this takes two administrators, and is asked for (request {0}): another approves it until {1} by the same command with --approve {0}",
        "管理者二人が必要な操作です。申請しました(申請 {0})。{1} までに別の管理者が同じコマンドに --approve {0} を付けて承認します";
    AloneLater:
        "this takes two administrators, and there is no other: it is asked for (request {0}); carry it out from {2} until {1} by the same command with --approve {0}; until it was reviewed it stays marked",
        "管理者二人が必要な操作ですが、ほかに管理者がいません。申請しました(申請 {0})。{2} から {1} までに同じコマンドに --approve {0} を付けて実行してください。確認されるまで印が残ります";
    DoneAlone:
        "done by one administrator ALONE: until it was reviewed it stays marked",
        "管理者一人による操作です。確認されるまで印が残ります";
    RecordAt: "TIME", "日時";
    RecordStatusHead: "STATUS", "状態";
    RecordParty: "PARTY", "提供先・提供元";
    RecordRoute: "ROUTE", "区分";
    RecordItems: "ITEMS", "項目";
    RecordPeople: "PEOPLE", "人数";
    RecordKeepUntil: "KEEP UNTIL", "保存期限";
    RecordIdHead: "RECORD", "記録";
    RecordsExported:
        "{0} records",
        "記録 {0} 件";
    ReceiptRegistered:
        "recorded: {0} (entry {1}), kept until {2}",
        "記録しました: {0}(ログ {1})、保存期限 {2}";
    NoRequests:
        "no request waits",
        "待っている申請はありません";
    RequestReviewed:
        "request {0} is reviewed (entry {1})",
        "申請 {0} を確認済みにしました(記録 {1})";
    TakesTwo: "takes a second administrator", "別の管理者の承認が必要";
    AskedOther: "something else", "その他";
    AskedDispose: "disposal of the log", "ログの廃棄";
    AskedReleaseLogHold: "release of a hold of the log", "ログの保全の解除";
    AskedReset: "reset of a second factor", "第二要素のリセット";
    AskedChangePeople: "role that administers, audits or reviews", "管理・監査・確認を行う役割の付与";
    AskedSetPassword: "new password", "パスワードの再設定";
    AskedEnrollmentCode: "enrolment code", "登録コードの発行";
    AskedAssignToken: "hardware token", "トークンの割り当て";
    AskedActivatePolicy: "another policy", "ポリシーの切り替え";
    TheDaemonItself: "the daemon itself", "デーモン自身";
    PolicyInForce:
        "in force: {0}, revision {1}, since {2}, put in force by {3}",
        "適用中: {0}、リビジョン {1}、{2} から、適用者 {3}";
    PolicySignedBy: "  signed by {0}", "  署名者 {0}";
    PolicyCandidate:
        "candidate: {0}, revision {1}",
        "候補: {0}、リビジョン {1}";
    FolderInForce:
        "the pack's folder holds what is in force",
        "フォルダーの内容は適用中のものです";
    FolderCandidate:
        "the pack's folder holds a candidate: `sekisho policy shadow` tells what it would change, `sekisho policy activate` puts it in force",
        "フォルダーには候補があります。違いは `sekisho policy shadow`、適用は `sekisho policy activate`";
    FolderSetAside:
        "the pack's folder holds what was set aside when another revision was activated",
        "フォルダーの内容は、別のリビジョンの適用により外されたものです";
    FolderRefused:
        "the pack in the folder is refused, and what is in force stays so:",
        "フォルダーのパックは受け付けられません。適用中のものが続きます:";
    PolicyByHand:
        "a changed folder waits to be activated",
        "フォルダーの変更は手動で適用します";
    PolicyNeedsTwo:
        "activating takes two administrators",
        "適用には管理者二名が必要です";
    PolicySignatureRequired:
        "a pack without a signature that counts is refused",
        "有効な署名のないパックは受け付けません";
    PolicyRevisionInForce: "in force: revision {0}", "適用中: リビジョン {0}";
    PolicyActivated:
        "revision {0} is in force (entry {1})",
        "リビジョン {0} を適用しました(記録 {1})";
    PolicyRevision: "revision", "リビジョン";
    PolicyPack: "pack", "パック";
    PolicyLoadedAt: "loaded", "読込日時";
    PolicyState: "state", "状態";
    PolicyStateInForce: "in force", "適用中";
    StateCandidate: "candidate", "候補";
    NoRevisions: "nothing is kept", "保存されたリビジョンはありません";
    NoSuchRevision:
        "{0} is not the beginning of exactly one kept revision (at least eight digits): `sekisho policy revisions` lists them",
        "{0} に当てはまるリビジョンが一つに決まりません(8桁以上)。`sekisho policy revisions` で一覧できます";
    NoShadow: "there is no candidate", "候補はありません";
    ShadowCounts:
        "candidate {0}, since {1}: {2} decisions decided anew, {3} would differ, {4} can't be repeated exactly",
        "候補 {0}、{1} から: 判定し直した数 {2}、異なるもの {3}、正確に再現できないもの {4}";
    ShadowRead:
        "read from entry {0} of the access log up to before entry {1}",
        "アクセスログの記録 {0} から、記録 {1} の前まで読み込み済み";
    PolicyFaultsMore: "and {0} more", "ほか {0} 件";
    ShadowCount: "count", "件数";
    ShadowChange: "becomes", "変化";
    ShadowWhat: "what", "対象";
    ShadowEntries: "entries", "記録";
    ShadowMore: "and {0} more decisions that differ", "ほかに異なる判定 {0} 件";
    NoResets:
        "no reset waits",
        "待っているリセットはありません";
    ResetSeenWaits:
        "{0}: {1}, asked for by {2}, to be approved until {3}",
        "{0}: {1}、申請者 {2}、承認期限 {3}";
    ResetSeenAlone:
        "{0}: {1}, asked for by {2} ALONE, carried out at {3} at the earliest",
        "{0}: {1}、申請者 {2}(一人による)、早くて {3} に実行";
    ResetSeenAloneDone:
        "{0}: {1}, asked for by {2} ALONE, carried out at {3}, NOT REVIEWED",
        "{0}: {1}、申請者 {2}(一人による)、{3} に実行済み、未確認";
    KeyInUse:
        "in use",
        "使用中";
    KeyOlder:
        "opens what was made before",
        "以前に作ったものを開くだけ";
    KeyRotated:
        "the new key for {0} is {1}; a daemon takes it up at its next start",
        "{0} の新しい鍵は {1} です。デーモンは次の起動から使います";
    MasterKeyRotated:
        "the keyring is wrapped by the master key {0}; those before stay in the file: rotate every data directory that shares it, then take them out with --forget",
        "鍵束はマスターキー {0} で保護されています。以前のマスターキーはファイルに残ります。ファイルを共有するすべてのデータディレクトリで実行してから、--forget で取り除いてください";
    MasterKeysForgotten:
        "the master key {0} is the only one in the file now",
        "ファイルに残るマスターキーは {0} だけになりました";
    ShowWhich:
        "say which entry: an index, a decision's id, or --subject ID for all that concern a person",
        "どの記録か指定してください。番号、判断の ID、または本人に関するすべての記録を表す --subject ID です";

    // Proofs.
    NotProved:
        "NOT proved: {0}",
        "証明できません: {0}";
    Continues:
        "proved: the log of {1} entries continues the checkpoint of {0}",
        "証明済み: {1} 件のログは、{0} 件のチェックポイントの続きです";
    Included:
        "proved: entry {0} is among the {1} that the checkpoint commits to",
        "証明済み: 番号 {0} の記録は、チェックポイントの {1} 件に含まれています";
    // Exports.
    OnlyTimeOffline:
        "--directory takes no filter but --from and --until: the others are the daemon's to look up",
        "--directory と併用できる条件は --from と --until だけです。ほかの条件はサーバーでの検索が必要です";
    CantReadLog: "can't read the access log: {0}", "アクセスログを読めません: {0}";
    Exporting: "{0} entries", "{0} 件";
    Exported: "{0} entries exported", "{0} 件を出力しました";
    NoFormat: "give --format or --tlog-tiles", "--format か --tlog-tiles を指定してください";
    TilesAreWhole:
        "--tlog-tiles takes no filter: tiles are of a whole log",
        "--tlog-tiles に条件は付けられません。タイルはログ全体を表します";
    ExportedTiles:
        "{0} entries exported to {1}; `sekisho log verify {1}` and other transparency-log tools verify it",
        "{0} 件を {1} に出力しました。`sekisho log verify {1}` や他の透明性ログのツールで検証できます";
    CantExport: "can't export the log: {0}", "ログを出力できません: {0}";
    NotEmpty:
        "{0}: is not empty; an export is only made into a new or an empty directory",
        "{0}: 空ではありません。出力先は新しいディレクトリか空のディレクトリに限ります";

    // Verifying.
    EntriesOf: "{0} of {1} entries", "{0} / {1} 件";
    NotALog: "{0}: is not an access log: {1}", "{0}: アクセスログではありません: {1}";
    LogDamaged: "the log is NOT whole: {0}: {1}", "ログに異常があります: {0}: {1}";
    LogNotKept:
        "the log does NOT hold what was kept of it: {0}: {1}",
        "保管されていたチェックポイントとログが一致しません: {0}: {1}";
    LogWhole:
        "whole: log {0}, {1} entries, segments or tiles: {2}, checkpoints: {3}",
        "異常なし: ログ {0}、{1} 件、セグメントまたはタイル {2}、チェックポイント {3}";
    LogRoot: "root hash {0}", "ルートハッシュ {0}";
    LogUnsigned:
        "the last {0} entries are not signed yet",
        "末尾の {0} 件はまだ署名されていません";
    LogDisposed:
        "disposed of: entries {0} to {1}, on {2}, under the rule: {3}",
        "廃棄済み: エントリ {0} から {1}、{2}、規則: {3}";
    LogKept:
        "the kept checkpoint of {0} entries is a prefix of it",
        "保管されていた {0} 件のチェックポイントは、このログの先頭部分です";
    LogKeyGiven: "signed by {0}", "署名鍵 {0}";
    LogKeyBeside:
        "signed by {0}, as the log's own directory says: compare it with the key that you kept, or give that with --key",
        "署名鍵 {0}(ログのディレクトリにあるもの。保管している鍵と照合するか、--key で指定してください)";
    AtEntryAndOffset: "entry {0} ({1} at offset {2})", "エントリ {0}({1} オフセット {2})";
    AtEntry: "entry {0} ({1})", "エントリ {0}({1})";
    AtOffset: "{0} at offset {1}", "{0} オフセット {1}";
    WrongHeader: "the segment's header is wrong: {0}", "セグメントのヘッダーが正しくありません: {0}";
    WrongFrame: "the entry is not whole: {0}", "エントリが壊れています: {0}";
    WrongNotAnEntry: "the bytes are not an entry", "エントリとして読めません";
    WrongRest:
        "there are bytes behind the last entry that no write explains",
        "最後のエントリの後に、書き込みの跡とは考えられないデータがあります";
    WrongEntry: "the entry is not the one that was signed", "署名されたエントリではありません";
    WrongDiffers:
        "the entry is not the one whose hash is stored",
        "保存されているハッシュと一致しないエントリです";
    WrongHash:
        "the stored hash is not that of the entries",
        "保存されているハッシュがエントリのものではありません";
    WrongNoHash: "a stored hash is missing", "保存されているはずのハッシュがありません";
    WrongTree:
        "the tree in the header is not that of the entries before it",
        "ヘッダーのハッシュ木が、それまでのエントリのものではありません";
    WrongCheckpoint:
        "the checkpoint commits to other entries than the log has from here up to entry {0}",
        "ここからエントリ {0} までのどれかが、チェックポイントで署名されたものと異なります";
    WrongNote:
        "the checkpoint can't be relied on: {0}",
        "チェックポイントを信頼できません: {0}";
    WrongSize:
        "it commits to {0} entries, and the segment ends after {1}",
        "{0} 件を示していますが、セグメントは {1} 件で終わっています";
    WrongMissing: "the file is missing", "ファイルがありません";
    WrongCutOff:
        "the log ends after {0} entries, yet its checkpoint commits to {1}: its end was cut off",
        "ログは {0} 件で終わっていますが、チェックポイントは {1} 件を示しています。末尾が切り取られています";
    WrongKey: "there is no key to verify with: {0}", "検証に使う鍵がありません: {0}";
    WrongKeptOther:
        "the kept checkpoint of {0} entries commits to other entries: the log was replaced, or changed and signed anew",
        "保管されていた {0} 件のチェックポイントは別の内容を示しています。ログが差し替えられたか、書き換えて署名し直されています";
    WrongKeptBeyond:
        "the kept checkpoint commits to {0} entries, and the log has {1}: its end was cut off, or it was replaced by an older one",
        "保管されていたチェックポイントは {0} 件を示していますが、ログは {1} 件です。末尾が切り取られたか、古いものに差し替えられています";
    WrongKeptNote:
        "the kept checkpoint is not one of this log, or the log was replaced: {0}",
        "保管されていたチェックポイントがこのログのものではないか、ログが差し替えられています: {0}";
    WrongDisposal:
        "what was disposed of is not told: {0}",
        "廃棄の記録が正しくありません: {0}";
    WrongTile: "the tile is wrong: {0}", "タイルが正しくありません: {0}";

    // Disposal and holds.
    Gone:
        "disposed of: {0} segments with {1} entries, {2} keys",
        "廃棄しました: セグメント {0} 個(記録 {1} 件)、鍵 {2} 個";
    WouldGo:
        "would be disposed of: {0} segments with {1} entries, {2} keys",
        "廃棄の対象: セグメント {0} 個(記録 {1} 件)、鍵 {2} 個";
    NothingToDispose: "nothing to dispose of", "廃棄の対象はありません";
    MoreToDispose:
        "there is more to dispose of: run this again",
        "廃棄の対象はほかにもあります。もう一度実行してください";
    EntriesFromTo: "entries {0} to {1}", "記録 {0} から {1} まで";
    KeyOf: "key of class {0} for {1}", "区分 {0} の {1} の鍵";
    Withheld: "kept all the same: {0} ({1})", "廃棄しません: {0}({1})";
    AnotherApproves:
        "another administrator must approve until {0}: {1}",
        "{0} までに別の管理者の承認が必要です: {1}";
    HoldPlaced: "hold {0} placed", "保全 {0} を設定しました";
    HoldReleased: "hold {0} released", "保全 {0} を解除しました";
    NoHolds: "no holds of the log", "ログの保全はありません";
    HoldLine:
        "hold {0}: from {1} until {2}, by {3} on {4}: {5}",
        "保全 {0}: {1} から {2} まで、{3} が {4} に設定: {5}";

    // People.
    PersonAdded: "added {0} (entry {1})", "{0} を登録しました(記録 {1})";
    PersonChanged: "changed {0} (entry {1})", "{0} を変更しました(記録 {1})";
    PersonDisabled: "disabled {0} (entry {1})", "{0} を無効にしました(記録 {1})";
    PersonEnabled: "enabled {0} (entry {1})", "{0} を有効にしました(記録 {1})";
    EmploymentEnds:
        "the employment of {0} ends: {2} (entry {1})",
        "{0} の雇用の終了日: {2}(記録 {1})";
    PersonUnchanged: "nothing to change: {0} is so already", "変更はありません: {0} はすでにその状態です";
    SessionsEnded: "every session of theirs ended", "すべてのセッションを終了しました";
    NobodyFits: "nobody fits", "該当する利用者はいません";
    LineAdds: "line {0}: adds {1}", "{0} 行目: {1} を登録";
    LineChanges: "line {0}: changes {1}", "{0} 行目: {1} を変更";
    LineWrong: "line {0}: {1}", "{0} 行目: {1}";
    WouldImport:
        "would add {0} and change {1}; {2} unchanged, {3} errors",
        "登録 {0} 件、変更 {1} 件の予定。変更なし {2} 件、エラー {3} 件";
    Imported:
        "added {0} and changed {1}; {2} unchanged, {3} errors",
        "登録 {0} 件、変更 {1} 件。変更なし {2} 件、エラー {3} 件";
    ImportHasErrors:
        "the file has {0} errors: nothing would be imported",
        "ファイルに {0} 件のエラーがあります。取り込みは行われません";
    ImportCutShort:
        "the daemon's answer ended before it was whole: look whether the import's entry is in the log (sekisho log search), and import the file again if not",
        "デーモンの応答が途中で切れました。取り込みの記録がログにあるか確認し（sekisho log search）、なければもう一度取り込んでください";
    PeopleExported: "exported to {0}", "{0} に出力しました";
    StateActive: "active", "有効";
    StateDisabled: "disabled", "無効";
    StateInactive: "inactive", "休職・終了";
    HeadId: "ID", "ID";
    HeadName: "NAME", "氏名";
    HeadDepartments: "DEPARTMENTS", "部署";
    HeadEmployment: "EMPLOYMENT", "雇用区分";
    HeadRoles: "ROLES", "役割";
    HeadState: "STATE", "状態";
    FieldEmployer: "employer", "雇用元";
    FieldEmploymentEnd: "employment ends", "雇用の終了日";
    FieldLeave: "leave", "休職";
    FieldExceptions: "network exception", "ネットワークの例外";
    FieldTrained: "trained until", "研修の有効期限";
    FieldPledge: "pledge", "誓約";
    FieldRevision: "revision", "版";
    FieldOwnSubject: "own data (pseudonym)", "自身のデータ(仮名)";

    // Policy packs.
    ScenariosPlayed:
        "{0}: {1} scenarios as expected, {2} otherwise, {3} not for the decision alone",
        "{0}: 期待どおり {1} 件、不一致 {2} 件、判断だけでは確認できないもの {3} 件";
    ScenariosLeft: "{0}: {1}", "{0} 件: {1}";
    LeftNotARequest:
        "refused before there is a request to decide; takes a daemon",
        "判断の前に拒否されるもの(サーバーが必要)";
    LeftAtTheLogin:
        "refused at the login; takes a daemon",
        "ログインで拒否されるもの(サーバーが必要)";
    LeftRepeated:
        "answered without deciding again; takes a daemon",
        "再び判断せずに回答されるもの(サーバーが必要)";
    ScenarioFailed: "FAILED {0}: {1}", "不一致 {0}: {1}";
    ScenariosFailed:
        "{0} scenarios came out otherwise than expected",
        "{0} 件のシナリオが期待と異なります";
    Reached: "{0}: {1} of {2} reached ({3} %)", "{0}: {2} 件中 {1} 件に到達({3} %)";
    NotReached: "not reached", "未到達";
    NotAllReached:
        "{0} rules and reasons are not reached by any scenario",
        "どのシナリオも到達しない規則・理由が {0} 件あります";
    OutOfReach:
        "{0} rows and rules can't be reached: a purpose doesn't extend to them, an earlier row grants the same, or nothing leads there:",
        "到達できない行・規則が {0} 件あります(利用目的が及ばない、前の行がすでに同じものを許可している、またはそこに至る規則がない):";
    Unforeseen:
        "{0} was given, but no rule of the pack leads there: a mistake of sekisho",
        "{0} が返されましたが、パックのどの規則からも生じないはずのものです(関所の不具合)";
    HeadSort: "SORT", "種類";
    HeadRule: "RULE", "規則";
    HeadAt: "AT", "位置";
    HeadReachedBy: "REACHED BY", "到達したシナリオ";
    StagePassed: "passed", "通過";
    StageFailed: "FAILED", "拒否";
    StageNotAsked: "not evaluated: an earlier stage failed", "未評価(前の段階で拒否)";
    Promise: "promise: \"{0}\"", "約束: 「{0}」";
    WouldBeAllowed:
        "would be allowed (policy {0}, entry {1})",
        "許可されます(ポリシー {0}、記録 {1})";
    WouldBeDenied:
        "would be denied (policy {0}, entry {1})",
        "拒否されます(ポリシー {0}、記録 {1})";
    WithheldCategory: "withheld: {0} ({1})", "除外される項目: {0}({1})";
    WithheldSubject: "withheld: subject {0} ({1})", "除外される本人: {0} 番目({1})";
    NoRequest:
        "{0}: is no request (CheckRequest as JSON): {1}",
        "{0}: 要求(JSON の CheckRequest)として読めません: {1}";
    PackNotInOrder: "the pack is not in order:\n{0}", "パックに誤りがあります:\n{0}";
    PackFindings: "errors: {0}, warnings: {1}", "エラー {0} 件、警告 {1} 件";
    PackInOrder:
        "{0}: {1} systems, {2} services, {3} networks, {4} roles, {5} kinds, {6} categories, {7} purposes, {8} recipients, {9} grants, {10} promises, {11} warnings",
        "{0}: システム {1}、サービス {2}、ネットワーク {3}、役割 {4}、本人の種類 {5}、カテゴリ {6}、利用目的 {7}、提供先 {8}、許可 {9}、約束 {10}、警告 {11}";
    PackRevision: "revision {0}", "リビジョン {0}";
    PackHasNone: "{0}: the pack has no {1}", "{0}: パックに {1} はありません";
    NothingAllowed: "nothing could be allowed", "許可されるものはありません";
    OnRequest: "on request", "本人の求め";
    HeadWhen: "WHEN", "条件";
    // Findings.
    HeadDay: "DAY", "日付";
    HeadDepartment: "DEPARTMENT", "部署";
    HeadDetector: "DETECTOR", "検出";
    HeadSays: "WHAT STOOD OUT", "要確認事項";
    LookedThrough: "{0} of {1} entries looked at", "{1} 件中 {0} 件を確認しました";
    NoFindings: "nothing stood out that is for you to see", "閲覧できる要確認事項はありません";
    OwnFindings: "(about yourself: somebody else reviews what you did)", "(あなた自身に関するものです。ほかの人が確認します)";
    CasesOf: "{0} cases, as of {1} entries of the log", "{0} 件(アクセスログ {1} 件の時点)";
    RestsOn: "entries ({0} in all): {1}", "根拠の記録 {0} 件: {1}";
    FromScore: "from a score of {0} on", "スコア {0} 以上";
    FromLeast: "from {0} on", "{0} 以上";
    WithinSeconds: "within {0} s", "{0} 秒以内";
    AnyTime: "every time", "すべて";
    ByDefault: "by default", "既定";
    HeadPromise: "PROMISE", "約束";
    HeadCategory: "CATEGORY", "項目";
    RegisterWritten:
        "the register as of {1} is in {0}",
        "{1} 時点の一覧を {0} に書き込みました";

    // Heads of the table.
    CantMake: "{0}: can't be made: {1}", "{0}: 作れません: {1}";
    NotASigningKey: "{0}: is not a key that `sekisho policy keygen` made", "{0}: `sekisho policy keygen` で作った鍵ではありません";
    NotASignersName: "--name {0}: a signer's name has no space and no plus sign", "--name {0}: 署名者の名前に空白や + は使えません";
    PackNotEmpty: "{0}: is there and not empty", "{0}: 空でないフォルダーがすでにあります";
    NewPack: "{0}: a pack to start from; try `sekisho policy check {0}` and `sekisho policy test {0}`", "{0}: ひな型を作りました。`sekisho policy check {0}` と `sekisho policy test {0}` で試せます";
    FmtChanged: "{0}: formatted; the revision is another, the rules are the same", "{0}: 整形しました。版の値は変わりますが、規則は同じです";
    FmtWouldChange: "{0}: is not in its canonical form", "{0}: 標準の書式ではありません";
    // What a change of a pack means.
    DiffSame: "The packs mean the same.", "二つのパックの意味は同じです。";
    DiffTuples: "{0}: {1} of (role, kind of person, category, action, purpose)", "{0}: (役割・本人の区分・項目・操作・利用目的)の組 {1} 件";
    DiffRowsLeft: "… and {0} rows more (--limit 0 shows all)", "… ほか {0} 行(--limit 0 ですべて表示)";
    DiffTouches: "It touches {0} of {1} people:", "影響を受ける利用者: {1} 人中 {0} 人";
    DiffTouchesNobody: "It touches none of {0} people.", "利用者 {0} 人のうち、影響を受ける人はいません。";
    DiffNobody: "No people were given to look at (people.csv, --people or --directory).", "対象の利用者がありません(people.csv、--people、--directory)。";
    DiffMayNotWork: "may not work", "業務不可";
    DiffElse: "What else changes:", "そのほかの変更:";
    DiffAdded: "{0} {1}: new", "{0} {1}: 追加";
    DiffRemoved: "{0} {1}: gone", "{0} {1}: 削除";
    DiffChanged: "{0} {1}: {2}: {3} → {4}", "{0} {1}: {2}: {3} → {4}";
    DiffNotSaid: "(not said)", "(指定なし)";
    HowAllowed: "allowed", "許可";
    HowAllowedOnRequest: "allowed on request", "請求時に許可";
    HowAllowedAlways: "allowed always", "常に許可";
    HowDenied: "denied", "拒否";
    HowOnRequestOnly: "on request only", "請求時のみ";
    HowRuledOut: "ruled out", "明示的に拒否";
    HowNotRuledOut: "not ruled out", "明示的な拒否の解除";
    HeadChange: "CHANGE", "変更";
    HeadRole: "ROLE", "役割";
    HeadOldRule: "WAS AT", "旧の位置";
    HeadNewRule: "IS AT", "新の位置";
    HeadGains: "GAINS", "増";
    HeadLoses: "LOSES", "減";
    HeadForExample: "FOR EXAMPLE", "例";
    HeadCount: "COUNT", "件数";
    HeadOldReason: "WAS", "旧";
    HeadNewReason: "IS", "新";
    HeadEntries: "ENTRIES", "記録番号";
    ReplayAllowed: "now allowed", "許可に変わる";
    ReplayDenied: "now denied", "拒否に変わる";
    ReplayOtherTerms: "other terms", "条件が変わる";
    ReplayOtherReason: "other reason", "理由が変わる";
    ReplayHead: "Decisions of the last {0} days: {1} in the log, {2} would be as they were, {3} would differ.", "直近 {0} 日間の判断 {1} 件: 同じ {2} 件、変わる {3} 件";
    ReplayLacking: "{0} can't be replayed exactly: {1}", "{0} 件は正確に再現できません: {1}";
    ReplayRepeats: "{0} answered as another had been, and were not decided", "{0} 件は繰り返しの問い合わせで、判断していません";
    ReplayUnreadable: "{0} can't be read: what they were sealed under is destroyed", "{0} 件は、封じた鍵が廃棄されているため読めません";
    ReplayUngrouped: "… and {0} that differ in other ways", "… ほか {0} 件";
    ReplayNotShown: "Not shown by it, because an entry does not hold what they look at: changes of {0}", "記録に含まれない事項によるため、再現に現れない変更: {0}";
    HeadIndex: "INDEX", "番号";
    HeadTime: "TIME", "日時";
    HeadKind: "KIND", "種別";
    HeadWho: "WHO", "利用者";
    HeadAction: "ACTION", "操作";
    HeadSubjectKind: "OF WHOM", "本人の区分";
    HeadCategories: "CATEGORIES", "項目";
    HeadPurpose: "PURPOSE", "利用目的";
    HeadDecision: "DECISION", "判断";
    HeadReason: "REASON", "理由";

    // Periodic review.
    ReviewOpened:
        "campaign {0} is open: {1} items, due {2}; `sekisho review items {0}` lists them",
        "確認 {0} を開始しました: {1} 件、期限 {2}。一覧は `sekisho review items {0}`";
    ReviewNone: "there is no campaign of review", "確認はありません";
    ReviewNoItems: "no item fits", "該当する項目はありません";
    ReviewNoQuestions: "you are asked nothing", "照会はありません";
    ReviewAsked: "asked (entry {0})", "照会しました(記録 {0})";
    ReviewAnswered: "answered (entry {0})", "回答しました(記録 {0})";
    ReviewJudged: "judged (entry {0})", "判断を記録しました(記録 {0})";
    ReviewAssigned: "{0} looks at it from now on (entry {1})", "担当を {0} に変更しました(記録 {1})";
    ReviewSigned:
        "campaign {0} is signed (entry {1}); the report's digest is {2}",
        "確認 {0} に署名しました(記録 {1})。報告書のダイジェスト: {2}";
    ReviewReportWritten: "{0}: the report of campaign {1}", "{0}: 確認 {1} の報告書";
    ReviewSame:
        "the same {0} days are drawn by root {1} of {2} entries",
        "ルート {1}({2} 件)から同じ {0} 日が抽出されました";
    ReviewNotSame: "NOT the same: {0}", "一致しません: {0}";
    ReviewScope:
        "{0} – {1}; {2} decisions within {3} entries, root {4}",
        "{0} – {1}、判定 {2} 件(ログ {3} 件、ルート {4})";
    ReviewStands:
        "{0} items, {1} not judged; opened by {2}, due {3}",
        "{0} 件(未判断 {1} 件)、開始者 {2}、期限 {3}";
    ReviewIsOverdue: "OVERDUE", "期限超過";
    ReviewDraft: "not signed", "未署名";
    ReviewSignedBy: "signed by {0} at {1} (entry {2}), digest {3}", "署名 {0} {1}(記録 {2})、ダイジェスト {3}";
    ReviewStratum: "{0}: {1} drawn of {2} days", "{0}: {2} 日のうち {1} 日を抽出";
    ReviewDrawn: "drawn by the root hash", "ルートハッシュによる抽出";
    ReviewNobody: "nobody else could look at it", "本人以外に確認できる者がいない";
    ReviewHeadNumber: "NUMBER", "番号";
    ReviewHeadKind: "KIND", "種類";
    ReviewHeadDays: "DAYS", "期間";
    ReviewHeadOpen: "OPEN", "未判断";
    ReviewHeadItems: "ITEMS", "件数";
    ReviewHeadDue: "DUE", "期限";
    ReviewHeadSigned: "SIGNED", "署名";
    ReviewHeadState: "STATE", "状態";
    ReviewHeadWhose: "WHOSE", "対象";
    ReviewHeadDay: "DAY", "日付";
    ReviewHeadWhat: "WHAT", "要確認事項";
    ReviewHeadReviewer: "REVIEWER", "担当";
    ReviewKindAccess: "accesses", "アクセス";
    ReviewKindRoles: "roles", "役割";
    ReviewQuestionOf: "campaign {0}, item {1} ({2}), question {3}: {4}", "確認 {0} の {1} 番({2})、照会 {3}: {4}";
    ReviewLabelReviewer: "reviewer: {0}", "担当: {0}";
    ReviewLabelEntries: "  entries: {0} ({1} in all)", "  記録: {0}(全 {1} 件)";
    ReviewLabelQuestion: "question (entry {0}): {1}", "照会(記録 {0}): {1}";
    ReviewLabelAnswer: "answer (entry {0}): {1}", "回答(記録 {0}): {1}";
    ReviewLabelJudged: "judged by {0} at {1} (entry {2}): {3}", "判断 {0} {1}(記録 {2}): {3}";
    ReviewLabelRole: "role {0}, approved by {1} {2}", "役割 {0}、承認 {1} {2}";
    ReviewLabelLastUse: "last use: {0}", "最終利用: {0}";
    ReviewLabelLeaver: "employment ends {0}; disabled: {1} {2}", "雇用の終了 {0}、無効: {1} {2}";
}

/// Labels of an entry's fields, by their name in JSON.
const LABELS: [(&str, &str, &str); 72] = [
    ("logIndex", "index", "番号"),
    ("time", "time", "日時"),
    ("kind", "kind", "種別"),
    ("decisionId", "decision id", "判断の ID"),
    ("requestId", "request id", "要求の ID"),
    ("log", "log", "ログ"),
    ("caller", "calling service", "呼出元サービス"),
    ("callerIp", "its address", "呼出元アドレス"),
    ("person", "person", "利用者"),
    ("roles", "roles", "役割"),
    ("department", "department", "部署"),
    ("furtherDepartments", "further departments", "兼務先の部署"),
    ("clientIp", "device address", "端末アドレス"),
    ("amr", "authentication methods", "認証方法"),
    (
        "secondStepAgeSeconds",
        "age of second step (s)",
        "二段階目からの秒数",
    ),
    ("network", "network", "ネットワーク"),
    ("session", "session", "セッション"),
    ("action", "action", "操作"),
    ("system", "system", "システム"),
    ("subjectKind", "kind of person", "本人の区分"),
    ("subjectPseudonyms", "subjects (pseudonyms)", "本人(仮名)"),
    ("categories", "categories", "項目"),
    ("recordCount", "records", "件数"),
    ("purpose", "purpose of use", "利用目的"),
    ("caseRef", "case", "案件番号"),
    ("consent", "consent", "同意"),
    ("exception", "legal exception", "法令の例外"),
    ("recipient", "recipient", "提供先"),
    ("provisionRoute", "route of provision", "提供の区分"),
    ("basisReference", "reference of basis", "根拠の番号"),
    (
        "basisReferenceStanding",
        "reference of basis is",
        "根拠の番号の登録",
    ),
    ("caseRefStanding", "case is", "案件番号の登録"),
    ("subjectRequest", "asked by the subject", "本人の請求"),
    ("consentDifficult", "consent difficult", "同意取得が困難"),
    ("collectedVia", "collected via", "取得方法"),
    ("originCountry", "country of origin", "取得元の国"),
    ("safeguard", "safeguard", "保護措置"),
    (
        "recipientOwnPurpose",
        "recipient's own purpose",
        "提供先自身の目的",
    ),
    ("automatedDecision", "automated decision", "自動的な決定"),
    ("allowPartial", "part allowed", "一部のみの許可も可"),
    ("decision", "decision", "判断"),
    ("reasons", "reasons", "理由"),
    ("obligations", "obligations", "義務"),
    ("policyRevision", "policy revision", "ポリシーの版"),
    ("rule", "rule", "規則"),
    ("breakGlass", "break glass", "緊急アクセス"),
    (
        "breakGlassReason",
        "reason for break glass",
        "緊急アクセスの理由",
    ),
    ("recordsAccessed", "records accessed", "実際の件数"),
    ("relation", "relation", "本人との関係"),
    ("details", "details", "詳細"),
    ("leafHash", "leaf hash", "リーフハッシュ"),
    // Of a record of provision or of receipt.
    ("recordId", "record", "記録"),
    ("status", "status", "状態"),
    ("at", "time", "日時"),
    ("keepUntil", "keep until", "保存期限"),
    ("name", "name of the other party", "提供先・提供元の名称"),
    ("address", "address", "住所"),
    ("representative", "representative", "代表者"),
    ("country", "country", "国"),
    ("route", "route", "提供の区分"),
    ("receiptBasis", "ground of the receipt", "受領の根拠"),
    (
        "acquisition",
        "how the provider acquired it",
        "提供元の取得の経緯",
    ),
    ("people", "people", "人数"),
    ("subjectRefs", "people (ids)", "本人(ID)"),
    ("unreadable", "can't be read", "読み取れない理由"),
    ("closedAt", "outcome reported", "結果の報告日時"),
    ("closedIndex", "entry of the outcome", "結果の記録番号"),
    ("recordsProvided", "records provided", "提供した件数"),
    (
        "peopleUndecided",
        "people whom no decision allowed",
        "判定のない本人の人数",
    ),
    // Further facts that have a name of their own.
    (
        "details.further_reasons",
        "further reasons",
        "そのほかの理由",
    ),
    ("details.repeat_of", "repeat of", "繰り返し元"),
    ("details.sum_of", "sum of", "まとめた件数"),
];

/// The label of a field; its own name where it has none.
pub(super) fn label(field: &str, language: Language) -> &str {
    LABELS
        .iter()
        .find(|(name, ..)| *name == field)
        .map_or(field, |(_, english, japanese)| match language {
            Language::English => english,
            Language::Japanese => japanese,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn places(text: &str) -> BTreeSet<&str> {
        text.split('{')
            .skip(1)
            .filter_map(|piece| piece.split_once('}'))
            .map(|(place, _)| place)
            .collect()
    }

    #[test]
    fn both_languages_have_the_same_places() {
        for word in Word::ALL {
            let english = places(word.text(Language::English));
            assert_eq!(english, places(word.text(Language::Japanese)), "{word:?}");
            let last = english.len().to_string();
            assert!(!english.contains(last.as_str()), "{word:?} counts from 0");
        }
    }

    #[test]
    fn a_value_is_never_taken_for_a_place() {
        let filled = Word::TicketElsewhere.fill(Language::English, &["{1}", "b"]);
        assert!(
            filled.starts_with("the login is for {1}, not for b;"),
            "{filled}"
        );
    }

    #[test]
    fn every_field_of_an_entry_has_a_label() {
        use crate::export::{EntryFields, fields::tests::full};
        for (field, _) in EntryFields::of(&full()).0 {
            let labelled = LABELS.iter().any(|(name, ..)| *name == field);
            assert!(labelled, "{field} has no label");
        }
    }

    #[test]
    fn the_first_locale_that_is_set_chooses_the_language() {
        let with = |all: &'static str, lang: &'static str| {
            Language::choose(None, move |name| match name {
                "LC_ALL" => Some(all.into()),
                "LANG" => Some(lang.into()),
                _ => None,
            })
        };
        assert_eq!(with("", "ja_JP.UTF-8"), Language::Japanese);
        assert_eq!(with("C.UTF-8", "ja_JP.UTF-8"), Language::English);
        assert_eq!(Language::choose(None, |_| None), Language::English);
        let given = Language::choose(Some(Language::English), |_| Some("ja".into()));
        assert_eq!(given, Language::English);
    }
}
