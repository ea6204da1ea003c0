//! Why a decision is what it is: the reason codes of the API with the stage that gives them and what they say.

use std::fmt;

/// The eight stages, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The calling service.
    Caller,
    /// The person's device.
    Network,
    /// The ticket and its second step.
    TwoStep,
    /// The standing of the account.
    Person,
    /// Role x kind x category x action x purpose.
    Grant,
    /// The person the data are about.
    Subject,
    /// Data leave the company.
    Provision,
    /// How much has been read lately.
    Limits,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 8] = [
        Self::Caller,
        Self::Network,
        Self::TwoStep,
        Self::Person,
        Self::Grant,
        Self::Subject,
        Self::Provision,
        Self::Limits,
    ];
}

/// One reason: its code, and the category, purpose, recipient, network or limit id that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The code.
    pub code: ReasonCode,
    /// What it is about; empty where the code says all.
    pub about: Box<str>,
}

impl Reason {
    /// A reason about `about`.
    #[must_use]
    pub fn new(code: ReasonCode, about: &str) -> Self {
        Self {
            code,
            about: about.into(),
        }
    }
}

macro_rules! reason_codes {
    ($($variant:ident = $number:literal, $stage:ident, $name:literal, $en:literal, $ja:literal;)+) => {
        /// A reason code; the numbers are the API's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        #[allow(missing_docs)] // each says itself in `message`
        pub enum ReasonCode { $($variant = $number,)+ }

        impl ReasonCode {
            /// Every code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// From the API's number.
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// The API's name without its prefix, e.g. `IP_NOT_ALLOWED`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The stage that gives it.
            #[must_use]
            pub const fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)+ }
            }

            /// One sentence in English, free of personal data.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $en,)+ }
            }

            /// The same in Japanese.
            #[must_use]
            pub const fn message_ja(self) -> &'static str {
                match self { $(Self::$variant => $ja,)+ }
            }
        }
    };
}

impl ReasonCode {
    /// The API's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

reason_codes! {
    CallerUnknown = 10, Caller, "CALLER_UNKNOWN",
        "The client certificate names no service that the policy knows.",
        "クライアント証明書の示すサービスは、ポリシーに登録されていません。";
    CallerNetworkNotAllowed = 11, Caller, "CALLER_NETWORK_NOT_ALLOWED",
        "The service called from an address outside its own blocks.",
        "サービスの接続元アドレスが、許可された範囲の外です。";
    CallerSystemNotAllowed = 12, Caller, "CALLER_SYSTEM_NOT_ALLOWED",
        "The service may not ask for this system; name one of its own in data.system.",
        "このサービスは、指定されたシステムを扱えません。data.system に許可されたシステムを指定してください。";
    CallerMayNotActForPeople = 13, Caller, "CALLER_MAY_NOT_ACT_FOR_PEOPLE",
        "The service may only act for itself, as a workload.",
        "このサービスは、利用者に代わって問い合わせることができません。";
    ClientIpMissing = 20, Network, "CLIENT_IP_MISSING",
        "The address of the person's device is missing; send it in actor.client_ip.",
        "利用者の端末のアドレスがありません。actor.client_ip に指定してください。";
    IpNotAllowed = 21, Network, "IP_NOT_ALLOWED",
        "The person's device is in no network that their role may work from.",
        "利用者の端末は、その役割に許可されたネットワークの中にありません。";
    ClientIpIsProxy = 22, Network, "CLIENT_IP_IS_PROXY",
        "The address is one of the service's own proxies, not the person's device.",
        "指定されたアドレスはサービスの中継サーバーのもので、利用者の端末ではありません。";
    TicketMissing = 30, TwoStep, "TICKET_MISSING",
        "No session ticket: the person must log in by both steps first.",
        "セッションチケットがありません。利用者は先に二段階認証でログインしてください。";
    TicketInvalid = 31, TwoStep, "TICKET_INVALID",
        "The session ticket is not genuine: the person must log in again.",
        "セッションチケットが正しくありません。利用者はもう一度ログインしてください。";
    TicketExpired = 32, TwoStep, "TICKET_EXPIRED",
        "The session has ended or was idle for too long: the person must log in again or step up.",
        "セッションの期限が切れたか、一定時間使われませんでした。利用者はもう一度認証してください。";
    TicketRevoked = 33, TwoStep, "TICKET_REVOKED",
        "The session was ended: the person must log in again.",
        "セッションは終了しています。利用者はもう一度ログインしてください。";
    TicketBindingMismatch = 34, TwoStep, "TICKET_BINDING_MISMATCH",
        "The ticket was given to another service, device address or session.",
        "セッションチケットは、別のサービス・端末アドレス・セッションに発行されたものです。";
    SecondStepRequired = 35, TwoStep, "SECOND_STEP_REQUIRED",
        "The person has not passed the second step.",
        "利用者は二段階目の認証を済ませていません。";
    StepUpRequired = 36, TwoStep, "STEP_UP_REQUIRED",
        "The second step is too old for this: ask the person for a fresh code.",
        "二段階目の認証から時間が経っています。利用者に新しい確認コードの入力を求めてください。";
    AccountDisabled = 40, Person, "ACCOUNT_DISABLED",
        "The person's account is disabled.",
        "利用者のアカウントは無効です。";
    AccountLocked = 41, Person, "ACCOUNT_LOCKED",
        "The person's second factor is disabled until an administrator resets it.",
        "利用者の二段階認証は停止されています。管理者による再設定が必要です。";
    EmploymentEnded = 42, Person, "EMPLOYMENT_ENDED",
        "The person's employment has ended.",
        "利用者の雇用は終了しています。";
    TrainingNotCurrent = 43, Person, "TRAINING_NOT_CURRENT",
        "The person's training on personal data is not current.",
        "利用者の個人情報保護研修の有効期限が切れています。";
    ConfidentialityPledgeMissing = 44, Person, "CONFIDENTIALITY_PLEDGE_MISSING",
        "The person has not given the confidentiality pledge.",
        "利用者の秘密保持の誓約がありません。";
    OutsideHours = 45, Person, "OUTSIDE_HOURS",
        "The person may not work at this time.",
        "利用者に許可された時間帯の外です。";
    WorkloadNotAllowed = 46, Person, "WORKLOAD_NOT_ALLOWED",
        "The service has no workload role: a person must ask.",
        "このサービスには単独で動作する役割がありません。利用者として問い合わせてください。";
    PurposeMissing = 50, Grant, "PURPOSE_MISSING",
        "No purpose of use was given.",
        "利用目的が指定されていません。";
    PurposeNotSpecified = 51, Grant, "PURPOSE_NOT_SPECIFIED",
        "The purpose is none of those that the policy specifies.",
        "指定された利用目的は、ポリシーで特定された利用目的ではありません。";
    PurposeNotForSubjectKind = 52, Grant, "PURPOSE_NOT_FOR_SUBJECT_KIND",
        "The purpose does not extend to this kind of person.",
        "この利用目的は、この区分の本人には及びません。";
    PurposeNotForCategory = 53, Grant, "PURPOSE_NOT_FOR_CATEGORY",
        "The purpose does not extend to this category of data.",
        "この利用目的は、この項目の個人データには及びません。";
    SubjectKindUnknown = 54, Grant, "SUBJECT_KIND_UNKNOWN",
        "The policy knows no such kind of person.",
        "本人の区分がポリシーに登録されていません。";
    CategoryUnknown = 55, Grant, "CATEGORY_UNKNOWN",
        "The policy knows no such category of data.",
        "個人データの項目がポリシーに登録されていません。";
    CategoryNotPermitted = 56, Grant, "CATEGORY_NOT_PERMITTED",
        "None of the actor's roles may use this category of this kind of person for this purpose.",
        "この役割では、この利用目的でこの項目の個人データを扱えません。";
    ActionNotPermitted = 57, Grant, "ACTION_NOT_PERMITTED",
        "The actor's roles may use this category for this purpose, but not by this action.",
        "この役割では、この項目の個人データにこの操作を行えません。";
    CaseRefRequired = 58, Grant, "CASE_REF_REQUIRED",
        "This purpose needs a case reference; send it in case_ref.",
        "この利用目的には案件番号が必要です。case_ref に指定してください。";
    PersonRelatedLinkage = 59, Grant, "PERSON_RELATED_LINKAGE",
        "These categories may not be joined, because together they would identify a person.",
        "これらの項目を合わせると個人が識別されるため、一緒に扱うことはできません。";
    SpecialCareConsentRequired = 70, Subject, "SPECIAL_CARE_CONSENT_REQUIRED",
        "Special care-required personal information needs the person's prior consent or a legal exception.",
        "要配慮個人情報には、本人の事前の同意または法令の例外が必要です。";
    ConsentRequired = 71, Subject, "CONSENT_REQUIRED",
        "This use needs the person's consent.",
        "この利用には本人の同意が必要です。";
    ConsentWithdrawn = 72, Subject, "CONSENT_WITHDRAWN",
        "The person has withdrawn their consent.",
        "本人が同意を撤回しています。";
    ConsentObtainable = 73, Subject, "CONSENT_OBTAINABLE",
        "This legal exception holds only where consent is difficult to obtain; say so in basis.consent_difficult.",
        "この例外は、本人の同意を得ることが困難な場合に限られます。basis.consent_difficult で示してください。";
    LegalBasisRefRequired = 74, Subject, "LEGAL_BASIS_REF_REQUIRED",
        "A legal exception and the document behind it are needed; send them in basis.exception and basis.reference.",
        "法令の例外とその根拠となる書面が必要です。basis.exception と basis.reference に指定してください。";
    UseSuspended = 75, Subject, "USE_SUSPENDED",
        "Use of this person's data is suspended.",
        "この本人の個人データは利用停止中です。";
    RetentionExpired = 76, Subject, "RETENTION_EXPIRED",
        "The retention period of this person's data is over.",
        "この本人の個人データは保存期間を過ぎています。";
    RetentionRequired = 77, Subject, "RETENTION_REQUIRED",
        "This person's data must still be kept.",
        "この本人の個人データは、まだ保存しなければなりません。";
    LegalHold = 78, Subject, "LEGAL_HOLD",
        "This person's data are under a legal hold.",
        "この本人の個人データは、法的な保全の対象です。";
    AutomatedDecisionForbidden = 79, Subject, "AUTOMATED_DECISION_FORBIDDEN",
        "A decision by a program alone needs the person's explicit consent.",
        "プログラムのみによる決定には、本人の明示的な同意が必要です。";
    SubjectUnverified = 80, Subject, "SUBJECT_UNVERIFIED",
        "The person's request and their verified identity are needed; send basis.subject_request and basis.reference.",
        "本人の請求とその本人確認が必要です。basis.subject_request と basis.reference に指定してください。";
    ReferenceUnknown = 81, Subject, "REFERENCE_UNKNOWN",
        "The reference is not registered.",
        "指定された根拠の番号は登録されていません。";
    SubjectsIncomplete = 82, Subject, "SUBJECTS_INCOMPLETE",
        "What is registered of people is incomplete until the operators import again what is missing.",
        "本人についての登録内容が一部失われています。運用担当者が再登録するまで利用できません。";
    RecipientUnknown = 90, Provision, "RECIPIENT_UNKNOWN",
        "The recipient is none of those that the policy names.",
        "提供先がポリシーに登録されていません。";
    ThirdPartyConsentRequired = 91, Provision, "THIRD_PARTY_CONSENT_REQUIRED",
        "Provision to this third party needs the person's prior consent.",
        "この第三者への提供には、本人の事前の同意が必要です。";
    ProvisionStopped = 92, Provision, "PROVISION_STOPPED",
        "The person asked that provision to third parties stop.",
        "本人の求めにより、第三者への提供は停止されています。";
    ItemNotListed = 93, Provision, "ITEM_NOT_LISTED",
        "This item or purpose is not among those provided to this recipient.",
        "この項目または利用目的は、この提供先への提供の対象ではありません。";
    SharedUseItemNotListed = 94, Provision, "SHARED_USE_ITEM_NOT_LISTED",
        "This item is not among those announced for shared use.",
        "この項目は、公表された共同利用の項目ではありません。";
    SharedUsePurposeNotListed = 95, Provision, "SHARED_USE_PURPOSE_NOT_LISTED",
        "This purpose is not among those announced for shared use.",
        "この利用目的は、公表された共同利用の目的ではありません。";
    OutsourceeNoContract = 96, Provision, "OUTSOURCEE_NO_CONTRACT",
        "There is no contract in force with this outsourcee.",
        "この委託先との契約は有効ではありません。";
    OutsourceeInspectionOverdue = 97, Provision, "OUTSOURCEE_INSPECTION_OVERDUE",
        "The inspection of this outsourcee is overdue.",
        "この委託先の点検は期限を過ぎています。";
    OutsourcingBeyondScope = 98, Provision, "OUTSOURCING_BEYOND_SCOPE",
        "This goes beyond what was outsourced to this recipient.",
        "この委託先への委託の範囲を超えています。";
    ForeignConsentRequired = 99, Provision, "FOREIGN_CONSENT_REQUIRED",
        "Provision to this recipient abroad needs the person's consent to a transfer abroad.",
        "外国にあるこの提供先への提供には、本人の同意が必要です。";
    SafeguardRequired = 100, Provision, "SAFEGUARD_REQUIRED",
        "This transfer needs a safeguard and the document behind it.",
        "この移転には、保護措置とその根拠となる書面が必要です。";
    EquivalentMeasuresReviewOverdue = 101, Provision, "EQUIVALENT_MEASURES_REVIEW_OVERDUE",
        "The review of the recipient's equivalent measures abroad is overdue.",
        "外国にある提供先の相当措置の確認は期限を過ぎています。";
    OptedOutOfSaleOrSharing = 102, Provision, "OPTED_OUT_OF_SALE_OR_SHARING",
        "The person opted out of sale or sharing of their data.",
        "本人が個人データの販売・共有を拒否しています。";
    ConfidentialityDuty = 103, Provision, "CONFIDENTIALITY_DUTY",
        "The duty of confidentiality forbids this; it yields to law alone.",
        "守秘義務により提供できません。法令に基づく場合を除きます。";
    RecordFieldsMissing = 104, Provision, "RECORD_FIELDS_MISSING",
        "Items that the record of provision needs are missing.",
        "第三者提供の記録に必要な事項が不足しています。";
    OptOutSpecialCareForbidden = 105, Provision, "OPT_OUT_SPECIAL_CARE_FORBIDDEN",
        "Special care-required personal information may not be provided by opt-out.",
        "要配慮個人情報は、オプトアウトによって提供できません。";
    BulkLimitExceeded = 120, Limits, "BULK_LIMIT_EXCEEDED",
        "The person would pass their limit of people's records within the window.",
        "一定時間に扱える本人の数の上限を超えます。";
    RateLimitExceeded = 121, Limits, "RATE_LIMIT_EXCEEDED",
        "The person asks more often than their role allows.",
        "問い合わせの回数が、役割に許可された上限を超えています。";
    BreakGlassUsed = 130, Grant, "BREAK_GLASS_USED",
        "Emergency access was used; it will be reviewed.",
        "緊急アクセスが使われました。後日、確認の対象になります。";
    BreakGlassReasonRequired = 131, Grant, "BREAK_GLASS_REASON_REQUIRED",
        "Emergency access needs a reason of at least 20 characters.",
        "緊急アクセスには20文字以上の理由が必要です。";
    BreakGlassNotPermitted = 132, Grant, "BREAK_GLASS_NOT_PERMITTED",
        "The actor's roles may not use emergency access for this.",
        "この役割では、この操作に緊急アクセスを使えません。";
    BreakGlassReviewOverdue = 133, Grant, "BREAK_GLASS_REVIEW_OVERDUE",
        "An earlier emergency access still waits for its review.",
        "以前の緊急アクセスの確認が済んでいません。";
}
