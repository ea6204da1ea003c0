//! A campaign and its items: which states there are, and who may do what in which of them.

use std::time::Duration;

use crate::domain::ids::Name;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignKind {
    /// Accesses, by day.
    Access,
    /// Who has which role (棚卸し).
    Entitlement,
}

impl CampaignKind {
    /// The API's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Access => 1,
            Self::Entitlement => 2,
        }
    }

    /// The kind of that number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Access, Self::Entitlement]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemState {
    /// Not looked at.
    Open,
    /// The person was asked.
    Asked,
    /// The person answered.
    Answered,
    /// In order.
    Justified,
    /// Not in order: an incident follows.
    Misuse,
    /// There was nobody who could have looked at it (留保付き).
    SelfUnreviewed,
    /// The role stays.
    Keep,
    /// The role is to be changed.
    Change,
    /// The role is to be taken away.
    Remove,
}

impl ItemState {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Open,
        Self::Asked,
        Self::Answered,
        Self::Justified,
        Self::Misuse,
        Self::SelfUnreviewed,
        Self::Keep,
        Self::Change,
        Self::Remove,
    ];

    /// The API's number, which the store keeps too.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Open => 1,
            Self::Asked => 2,
            Self::Answered => 3,
            Self::Justified => 4,
            Self::Misuse => 5,
            Self::SelfUnreviewed => 6,
            Self::Keep => 7,
            Self::Change => 8,
            Self::Remove => 9,
        }
    }

    /// The state of that number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Its word on entries and in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Asked => "asked",
            Self::Answered => "answered",
            Self::Justified => "justified",
            Self::Misuse => "misuse",
            Self::SelfUnreviewed => "self-unreviewed",
            Self::Keep => "keep",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }

    /// Whether it is done with.
    #[must_use]
    pub const fn is_judged(self) -> bool {
        !matches!(self, Self::Open | Self::Asked | Self::Answered)
    }

    /// Whether an item of such a campaign can come to be in it by a judgement.
    #[must_use]
    pub const fn is_judgement_of(self, kind: CampaignKind) -> bool {
        match (self, kind) {
            (Self::SelfUnreviewed, _) => true,
            (Self::Justified | Self::Misuse, kind) => matches!(kind, CampaignKind::Access),
            (Self::Keep | Self::Change | Self::Remove, kind) => {
                matches!(kind, CampaignKind::Entitlement)
            }
            (Self::Open | Self::Asked | Self::Answered, _) => false,
        }
    }
}

/// What is known of an item when somebody wants something of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The campaign's.
    pub kind: CampaignKind,
    /// The campaign is signed.
    pub signed: bool,
    /// Whose accesses, or role; empty for a service.
    pub person: &'a str,
    /// To whom it is assigned; `None` for nobody.
    pub reviewer: Option<&'a Name>,
    /// Where it stands.
    pub state: ItemState,
    /// Drawn, and nothing stood out in it.
    pub plain: bool,
    /// Where its present question is in the log.
    pub question: Option<u64>,
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing changes any more.
    Signed,
    /// Nobody judges their own accesses.
    Own,
    /// It is somebody else's.
    Anothers,
    /// It is done with.
    Judged,
    /// Something stood out in it, or it is of roles.
    OneByOne,
    /// There is no such judgement for it.
    OtherJudgement,
    /// Somebody could look at it.
    NotAlone,
    /// There is nobody to ask.
    NoPerson,
    /// The question is not there any more.
    Stale,
    /// It is not for them.
    NotAsked,
    /// It can't be signed yet.
    OpenItems,
}

impl Unfit {
    const ALL: [Self; 11] = [
        Self::Signed,
        Self::Own,
        Self::Anothers,
        Self::Judged,
        Self::OneByOne,
        Self::OtherJudgement,
        Self::NotAlone,
        Self::NoPerson,
        Self::Stale,
        Self::NotAsked,
        Self::OpenItems,
    ];

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Signed => "the campaign is signed: nothing of it is changed any more",
            Self::Own => {
                "these are your own accesses, or your own role: somebody else looks at them"
            }
            Self::Anothers => "the item is assigned to somebody else",
            Self::Judged => "the item is judged already",
            Self::OneByOne => {
                "only items that were drawn, and in which nothing stood out, are judged several at once"
            }
            Self::OtherJudgement => "items of this campaign are not judged so",
            Self::NotAlone => {
                "there is somebody who can look at it: self-unreviewed is for an item that nobody but the person themself could"
            }
            Self::NoPerson => "nobody is asked of what a service did by itself",
            Self::Stale => {
                "the question is stale: it was answered, the item was judged, or it was asked about anew"
            }
            Self::NotAsked => "the question is for somebody else",
            Self::OpenItems => {
                "items of the campaign are not judged yet: sekisho review items NUMBER --open tells which"
            }
        }
    }

    /// The same in Japanese.
    #[must_use]
    pub const fn words_ja(self) -> &'static str {
        match self {
            Self::Signed => "署名済みの確認は変更できません",
            Self::Own => "自分のアクセスまたは役割は、ほかの者が確認します",
            Self::Anothers => "この項目の担当はほかの者です",
            Self::Judged => "この項目は判断済みです",
            Self::OneByOne => "まとめて判断できるのは、抽出され、かつ要確認事項のない項目だけです",
            Self::OtherJudgement => "この確認の項目には使えない判断です",
            Self::NotAlone => {
                "確認できる者がいます: 留保付きで閉じられるのは、本人以外に確認できる者がいない項目だけです"
            }
            Self::NoPerson => "人によらないサービスの利用については照会できません",
            Self::Stale => {
                "この照会は古くなっています: 回答済み、判断済み、または新たに照会されています"
            }
            Self::NotAsked => "この照会はほかの者に対するものです",
            Self::OpenItems => {
                "未判断の項目があります: sekisho review items 番号 --open で確認してください"
            }
        }
    }

    /// Whatever the daemon said in these words.
    #[must_use]
    pub fn of_words(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.words() == words)
    }
}

/// Whether `by` may judge it so. `nobody_could`: nobody but the person could look at it now.
///
/// # Errors
/// Why not.
pub fn may_judge(
    item: &Seen<'_>,
    by: &str,
    judgement: ItemState,
    several: bool,
    nobody_could: bool,
) -> Result<(), Unfit> {
    if item.signed {
        return Err(Unfit::Signed);
    }
    if !judgement.is_judgement_of(item.kind) {
        return Err(Unfit::OtherJudgement);
    }
    if judgement == ItemState::SelfUnreviewed {
        if !nobody_could {
            return Err(Unfit::NotAlone);
        }
    } else if item.person == by {
        return Err(Unfit::Own);
    } else if item.reviewer.is_none_or(|reviewer| **reviewer != *by) {
        return Err(Unfit::Anothers);
    }
    if item.state.is_judged() {
        return Err(Unfit::Judged);
    }
    if several && !item.plain {
        return Err(Unfit::OneByOne);
    }
    Ok(())
}

/// Whether `by` may ask the person.
///
/// # Errors
/// Why not.
pub fn may_ask(item: &Seen<'_>, by: &str) -> Result<(), Unfit> {
    if item.signed {
        Err(Unfit::Signed)
    } else if item.person.is_empty() {
        Err(Unfit::NoPerson)
    } else if item.person == by {
        Err(Unfit::Own)
    } else if item.reviewer.is_none_or(|reviewer| **reviewer != *by) {
        Err(Unfit::Anothers)
    } else if item.state.is_judged() {
        Err(Unfit::Judged)
    } else {
        Ok(())
    }
}

/// Whether `by` may answer the question at `question`.
///
/// # Errors
/// Why not.
pub fn may_answer(item: &Seen<'_>, by: &str, question: u64) -> Result<(), Unfit> {
    if item.person.is_empty() || item.person != by {
        return Err(Unfit::NotAsked);
    }
    if item.signed || item.state != ItemState::Asked || item.question != Some(question) {
        return Err(Unfit::Stale);
    }
    Ok(())
}

/// Whether the item can be given to somebody else.
///
/// # Errors
/// Why not.
pub fn may_assign(by: Option<&Name>, item: &Seen<'_>) -> Result<(), Unfit> {
    if by.is_some_and(|by| **by == *item.person) {
        // Nobody chooses who looks at their own.
        Err(Unfit::Own)
    } else if item.signed {
        Err(Unfit::Signed)
    } else if item.state.is_judged() {
        Err(Unfit::Judged)
    } else {
        Ok(())
    }
}

/// Judged faster than this, one after the other, nobody read what they judged.
pub const LEAST_FOR_ONE: Duration = Duration::from_secs(10);

/// How fast somebody judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// How many items.
    pub items: u32,
    /// In how many decisions: several items of the sample may be judged in one.
    pub decisions: u32,
    /// How often the next decision came sooner than [`LEAST_FOR_ONE`] after the one before.
    pub too_fast: u32,
    /// The most items within any minute.
    pub most_in_a_minute: u32,
}

/// The pace of somebody's decisions: when each was made, in microseconds since the epoch, and of how many items.
#[must_use]
pub fn pace(decisions: &[(i64, u32)]) -> Pace {
    const MINUTE: i64 = 60_000_000;
    let mut sorted = decisions.to_vec();
    sorted.sort_unstable();
    let least = i64::try_from(LEAST_FOR_ONE.as_micros()).unwrap_or(i64::MAX);
    let apart = sorted.iter().zip(sorted.iter().skip(1));
    let too_fast = apart.filter(|(one, next)| next.0.saturating_sub(one.0) < least);
    let within = |from: i64| -> u32 {
        let of = sorted.iter();
        let of = of.filter(|(at, _)| (from..from.saturating_add(MINUTE)).contains(at));
        of.map(|(_, items)| *items).sum()
    };
    Pace {
        items: sorted.iter().map(|(_, items)| *items).sum(),
        decisions: u32::try_from(sorted.len()).unwrap_or(u32::MAX),
        too_fast: u32::try_from(too_fast.count()).unwrap_or(u32::MAX),
        most_in_a_minute: sorted.iter().map(|(at, _)| within(*at)).max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn seen(reviewer: &Name) -> Seen<'_> {
        Seen {
            kind: CampaignKind::Access,
            signed: false,
            person: "p-1",
            reviewer: Some(reviewer),
            state: ItemState::Open,
            plain: false,
            question: None,
        }
    }

    #[test]
    fn nobody_chooses_who_looks_at_their_own() {
        let reviewer = name("manager-1");
        let item = seen(&reviewer);
        assert_eq!(may_assign(Some(&name("security-1")), &item), Ok(()));
        assert_eq!(may_assign(None, &item), Ok(()));
        assert_eq!(may_assign(Some(&name("p-1")), &item), Err(Unfit::Own));
        let of_a_service = Seen { person: "", ..item };
        assert_eq!(may_assign(Some(&reviewer), &of_a_service), Ok(()));
    }

    #[test]
    fn an_item_is_judged_once_by_whom_it_is_assigned_to_and_never_by_the_person() {
        let reviewer = name("manager-1");
        let item = seen(&reviewer);
        let judge = |item: &Seen<'_>, by| may_judge(item, by, ItemState::Justified, false, false);
        assert_eq!(judge(&item, "manager-1"), Ok(()));
        assert_eq!(judge(&item, "security-1"), Err(Unfit::Anothers));
        assert_eq!(judge(&item, "p-1"), Err(Unfit::Own));
        let own = name("p-1");
        let own = Seen {
            reviewer: Some(&own),
            ..item
        };
        assert_eq!(judge(&own, "p-1"), Err(Unfit::Own));
        let judged = Seen {
            state: ItemState::Misuse,
            ..item
        };
        assert_eq!(judge(&judged, "manager-1"), Err(Unfit::Judged));
        let signed = Seen {
            signed: true,
            ..item
        };
        assert_eq!(judge(&signed, "manager-1"), Err(Unfit::Signed));
        let nobodys = Seen {
            reviewer: None,
            ..item
        };
        assert_eq!(judge(&nobodys, "manager-1"), Err(Unfit::Anothers));
    }

    #[test]
    fn what_stood_out_is_judged_one_by_one() {
        let reviewer = name("r");
        let flagged = seen(&reviewer);
        let several = |item: &Seen<'_>| may_judge(item, "r", ItemState::Justified, true, false);
        assert_eq!(several(&flagged), Err(Unfit::OneByOne));
        assert_eq!(
            several(&Seen {
                plain: true,
                ..flagged
            }),
            Ok(())
        );
    }

    #[test]
    fn only_what_nobody_could_look_at_is_closed_with_a_reservation() {
        let reviewer = name("r");
        let item = Seen {
            reviewer: None,
            ..seen(&reviewer)
        };
        let close = |nobody| may_judge(&item, "p-1", ItemState::SelfUnreviewed, false, nobody);
        assert_eq!(close(true), Ok(()));
        assert_eq!(close(false), Err(Unfit::NotAlone));
    }

    #[test]
    fn a_role_is_kept_changed_or_removed_and_an_access_is_not() {
        let reviewer = name("r");
        let access = seen(&reviewer);
        let role = Seen {
            kind: CampaignKind::Entitlement,
            ..access
        };
        for state in ItemState::ALL {
            let of = |item| may_judge(item, "r", state, false, true).is_ok();
            let (one, other) = (of(&access), of(&role));
            let both = state == ItemState::SelfUnreviewed;
            assert_eq!(one || other, state.is_judged(), "{state:?}");
            assert_eq!(one && other, both, "{state:?}");
        }
    }

    #[test]
    fn an_answer_is_for_the_question_that_stands() {
        let reviewer = name("r");
        let asked = Seen {
            state: ItemState::Asked,
            question: Some(7),
            ..seen(&reviewer)
        };
        assert_eq!(may_answer(&asked, "p-1", 7), Ok(()));
        assert_eq!(may_answer(&asked, "p-1", 6), Err(Unfit::Stale));
        assert_eq!(may_answer(&asked, "p-2", 7), Err(Unfit::NotAsked));
        let judged = Seen {
            state: ItemState::Justified,
            ..asked
        };
        assert_eq!(may_answer(&judged, "p-1", 7), Err(Unfit::Stale));
        assert_eq!(may_ask(&judged, "r"), Err(Unfit::Judged));
        let service = Seen {
            person: "",
            ..asked
        };
        assert_eq!(may_ask(&service, "r"), Err(Unfit::NoPerson));
        assert_eq!(may_answer(&service, "", 7), Err(Unfit::NotAsked));
    }

    #[test]
    fn the_pace_of_who_only_clicks_shows() {
        let at = |seconds: i64| seconds * 1_000_000;
        let calm = pace(&[(at(0), 1), (at(60), 1), (at(150), 20)]);
        assert_eq!((calm.items, calm.decisions, calm.too_fast), (22, 3, 0));
        let hasty: Vec<(i64, u32)> = (0..30).map(|one| (at(one * 2), 1)).collect();
        let hasty = pace(&hasty);
        assert_eq!((hasty.too_fast, hasty.most_in_a_minute), (29, 30));
        assert_eq!(pace(&[]), Pace::default());
    }

    #[test]
    fn a_state_reads_as_it_is_numbered() {
        for state in ItemState::ALL {
            assert_eq!(ItemState::from_number(state.number()), Some(state));
        }
        assert_eq!(ItemState::from_number(0), None);
    }
}
