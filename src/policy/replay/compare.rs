//! One entry under two sets of rules.

use super::facts::{Logged, redecide};
use super::outcome::{Change, Outcome};
use crate::decision::rules::RuleSet;
use crate::domain::reason::{ReasonCode, Stage};

/// What came of comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// Decided alike.
    Alike,
    /// Decided otherwise.
    Differs(Box<Difference>),
    /// The first rules don't come to what the log recorded: the entry doesn't hold all that was known then.
    NotExactly(NotExactly),
}

/// How a decision would have differed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In which way.
    pub change: Change,
    /// Under the first rules, as recorded.
    pub old: Outcome,
    /// Under the second.
    pub new: Outcome,
}

/// What an entry lacks that would be needed to decide it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotExactly {
    /// It was decided under another revision of the pack, which is not at hand.
    OtherRevision,
    /// What became of the session until then.
    Session,
    /// The person's standing.
    Standing,
    /// What was registered for the people it is about: holds, dates, consents, references.
    Registered,
    /// How much had been counted.
    Counts,
    /// What was told of the recipient.
    Recipient,
    /// Which service it was: one of sekisho's own programs, or one whose certificate did not count.
    Caller,
    /// A stranger's lists, which are not logged.
    Stranger,
    /// Something else.
    Otherwise,
}

impl NotExactly {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::OtherRevision,
        Self::Session,
        Self::Standing,
        Self::Registered,
        Self::Counts,
        Self::Recipient,
        Self::Caller,
        Self::Stranger,
        Self::Otherwise,
    ];

    /// As programs read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherRevision => "other-revision",
            Self::Session => "session",
            Self::Standing => "standing",
            Self::Registered => "registered",
            Self::Counts => "counts",
            Self::Recipient => "recipient",
            Self::Caller => "caller",
            Self::Stranger => "stranger",
            Self::Otherwise => "otherwise",
        }
    }

    /// In a sentence.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::OtherRevision => "decided under another revision of the pack",
            Self::Session => "an entry does not hold what became of the session",
            Self::Standing => "an entry does not hold the person's standing",
            Self::Registered => {
                "an entry does not hold what was registered for the people it is about"
            }
            Self::Counts => "an entry does not hold what had been counted",
            Self::Recipient => "an entry does not hold all that was told of the recipient",
            Self::Caller => {
                "the caller was sekisho's own program, or its certificate did not count"
            }
            Self::Stranger => "what a stranger lists is not logged",
            Self::Otherwise => "something that an entry does not hold",
        }
    }

    /// The same in Japanese.
    #[must_use]
    pub const fn message_ja(self) -> &'static str {
        match self {
            Self::OtherRevision => "ポリシーの別の版で判断されています",
            Self::Session => "セッションの経過は記録に含まれません",
            Self::Standing => "利用者の在籍・研修などの状態は記録に含まれません",
            Self::Registered => "本人について登録されていた事項は記録に含まれません",
            Self::Counts => "それまでに数えた件数は記録に含まれません",
            Self::Recipient => "提供先について伝えられた事項の一部は記録に含まれません",
            Self::Caller => {
                "呼び出し元が sekisho 自身のプログラムか、有効でない証明書によるものです"
            }
            Self::Stranger => "未登録の呼び出し元が列挙した項目は記録されません",
            Self::Otherwise => "記録に含まれない事項によります",
        }
    }
}

/// Decides an entry anew under `old` and under `new`. `old` should be the rules that it was decided under: where they don't come to
/// what was recorded, that is told, and `new` is not asked.
#[must_use]
pub fn compare(old: &RuleSet, new: &RuleSet, logged: &Logged) -> Compared {
    if logged.request.categories.is_empty() {
        return Compared::NotExactly(NotExactly::Stranger);
    }
    let was = Outcome::of(&redecide(old, logged), logged.at());
    if !was.is_recorded_as(&logged.recorded) {
        return Compared::NotExactly(lacking(old, logged, &was));
    }
    let is = Outcome::of(&redecide(new, logged), logged.at());
    match was.change_to(&is) {
        None => Compared::Alike,
        Some(change) => Compared::Differs(Box::new(Difference {
            change,
            old: was,
            new: is,
        })),
    }
}

/// What is the likeliest that the entry lacks.
fn lacking(old: &RuleSet, logged: &Logged, was: &Outcome) -> NotExactly {
    let code = logged.recorded.reason.filter(|_| !logged.recorded.allowed);
    if code.is_some_and(|code| code.stage() == Stage::Limits) {
        return NotExactly::Counts;
    }
    if *logged.revision != old.revision {
        return NotExactly::OtherRevision;
    }
    let request = &logged.request;
    if code.is_some() && request.allow_partial && !request.subjects.named().is_empty() {
        // Nothing was left of it, and the reason told is that of the first thing withheld, which may have been a category.
        return NotExactly::Registered;
    }
    let Some(code) = code.or(was.reason) else {
        return NotExactly::Otherwise;
    };
    match code {
        ReasonCode::RecipientUnknown | ReasonCode::RecordFieldsMissing => NotExactly::Recipient,
        ReasonCode::ProvisionStopped
        | ReasonCode::OptedOutOfSaleOrSharing
        | ReasonCode::ThirdPartyConsentRequired
        | ReasonCode::ForeignConsentRequired => NotExactly::Registered,
        _ => match code.stage() {
            Stage::Caller => NotExactly::Caller,
            Stage::TwoStep => NotExactly::Session,
            Stage::Person => NotExactly::Standing,
            Stage::Subject => NotExactly::Registered,
            Stage::Limits => NotExactly::Counts,
            Stage::Network | Stage::Grant | Stage::Provision => NotExactly::Otherwise,
        },
    }
}
