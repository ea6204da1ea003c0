//! What a finding says, as a sentence with its numbers, in English and in Japanese.

use super::finding::Detector;
use crate::report::Language;

/// Facts by name; one that is missing is told as a question mark, never left out.
struct Facts<'f, K, V>(&'f [(K, V)]);

impl<K: AsRef<str>, V: AsRef<str>> Facts<'_, K, V> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key.as_ref() == name)
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name) == "true"
    }

    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key.as_ref() == name);
        found.map_or("?", |(_, value)| value.as_ref())
    }
}

/// The sentence of a finding, from its detector and its facts: as [`Finding`](super::finding::Finding) has them, or as they were kept.
#[must_use]
pub fn sentence<K: AsRef<str>, V: AsRef<str>>(
    detector: Detector,
    facts: &[(K, V)],
    language: Language,
) -> String {
    let facts = Facts(facts);
    match language {
        Language::English => english(detector, &facts),
        Language::Japanese => japanese(detector, &facts),
    }
}

fn english<K: AsRef<str>, V: AsRef<str>>(detector: Detector, facts: &Facts<'_, K, V>) -> String {
    let f = |name| facts.get(name);
    let often = |name| match facts.get(name) {
        "1" => "once".to_owned(),
        count => format!("{count} times"),
    };
    let times = || often("times");
    let score = || {
        format!(
            "the median of {} days is {}, the spread {}: a score of {}, where {} stands out",
            f("days"),
            f("usual"),
            f("spread"),
            f("score"),
            f("threshold")
        )
    };
    match detector {
        Detector::BreakGlass => format!("Break glass was used {}.", times()),
        Detector::VolumeAboveOwn => format!(
            "Reached the records of {} people, more than on this actor's other days ({}).",
            f("value"),
            score()
        ),
        Detector::VolumeAboveRole => format!(
            "Reached the records of {} people, more than people of the same role do ({}).",
            f("value"),
            score()
        ),
        Detector::SubjectSeenByMany => format!(
            "Opened the data of somebody whom {} persons looked at within {} days without being in charge ({} stand out).",
            f("persons"),
            f("days"),
            f("least")
        ),
        Detector::ManySubjects => format!(
            "Looked at {} different people within seven days, more than in earlier weeks ({}).",
            f("value"),
            score()
        ),
        Detector::MachinePace => format!(
            "Opened {} people one after the other within {} seconds, each at most {} seconds after the last ({} in a row stand out).",
            f("subjects"),
            f("seconds"),
            f("within"),
            f("least")
        ),
        Detector::ChangedAfterDenial => format!(
            "Was denied and then allowed for the same person {} within {} minutes, after declaring something else (first: purpose {} in place of {}).",
            times(),
            f("minutes"),
            f("allowed"),
            f("denied")
        ),
        Detector::OutOfHours => {
            let day = if facts.is_true("weekend") {
                "weekends"
            } else {
                "working days"
            };
            format!(
                "Asked {} at hours at which this person is otherwise not at work on {day} (first at {}).",
                times(),
                f("hour")
            )
        }
        Detector::NewAddress => {
            let others = if facts.is_true("others") {
                "others were"
            } else {
                "nobody was"
            };
            format!(
                "Asked {} from {}, where this person was not seen in the last 91 days; {others} seen there.",
                times(),
                f("block")
            )
        }
        Detector::DormantReturns => format!(
            "The account was used again after {} days ({} stand out).",
            f("days"),
            f("least")
        ),
        Detector::ReviewOverdue => format!(
            "The review of {} was due on {} and is overdue.",
            f("what"),
            f("due")
        ),
        Detector::ExportBurst => format!(
            "Exported the records of {} people in {} exports, more than on this actor's other days ({}).",
            f("value"),
            f("exports"),
            score()
        ),
        Detector::NotAssigned if facts.has("score") => format!(
            "Looked {} at somebody whom they are not assigned to, more than on other days ({}).",
            often("value"),
            score()
        ),
        Detector::NotAssigned => format!(
            "Looked {} at somebody whom they are not assigned to; there is no past to compare with ({} stand out).",
            often("value"),
            f("least")
        ),
        Detector::OwnRecord => format!("Looked at their own record {}.", times()),
        Detector::ColleaguesRecord => format!(
            "Looked {} at records of colleagues ({} of them), which is not part of their daily work.",
            times(),
            f("persons")
        ),
        Detector::TwoPlaces => format!(
            "Was at {} and at {} in turn: came back {} within {} minutes ({} stand out).",
            f("block"),
            f("other"),
            times(),
            f("minutes"),
            f("least")
        ),
        Detector::OneAddress => format!(
            "All {} persons came from {}, though on {} of {} earlier days they came from several addresses: the service may tell its own.",
            f("persons"),
            f("address"),
            f("days"),
            f("past")
        ),
        Detector::RarePurpose => format!(
            "Declared the purpose {} {}, which people of this role have for {} of {} accesses ({} %).",
            f("purpose"),
            times(),
            f("past"),
            f("all"),
            f("share")
        ),
        Detector::NoOutcome if facts.has("due") => format!(
            "The service did not report the outcome of {} of {} allowances that were due.",
            f("missing"),
            f("due")
        ),
        Detector::NoOutcome => format!(
            "The outcome of {} allowances was due and never reported.",
            f("missing")
        ),
        Detector::OutcomeLarger => format!(
            "The records of {} people were read where {} were allowed ({} outcomes).",
            f("read"),
            f("allowed"),
            f("times")
        ),
        Detector::DoneAlone => format!(
            "Did alone what takes two, {}, and nobody reviewed it: {}.",
            times(),
            f("what")
        ),
        Detector::AttestationOverdue => format!(
            "What is attested for {} was due on {} and is overdue.",
            f("what"),
            f("due")
        ),
    }
}

fn japanese<K: AsRef<str>, V: AsRef<str>>(detector: Detector, facts: &Facts<'_, K, V>) -> String {
    let f = |name| facts.get(name);
    let score = || {
        format!(
            "過去 {} 日の中央値 {}、散らばり {}、スコア {}。{} 以上が要確認",
            f("days"),
            f("usual"),
            f("spread"),
            f("score"),
            f("threshold")
        )
    };
    match detector {
        Detector::BreakGlass => format!("緊急アクセスを {} 回使いました。", f("times")),
        Detector::VolumeAboveOwn => format!(
            "{} 人分の記録を扱いました。この利用者のふだんの日より多い件数です({})。",
            f("value"),
            score()
        ),
        Detector::VolumeAboveRole => format!(
            "{} 人分の記録を扱いました。同じ役割の人より多い件数です({})。",
            f("value"),
            score()
        ),
        Detector::SubjectSeenByMany => format!(
            "{1} 日間に担当外の {0} 人が閲覧した人の情報を開きました({2} 人以上が要確認)。",
            f("persons"),
            f("days"),
            f("least")
        ),
        Detector::ManySubjects => format!(
            "7 日間に {} 人の情報を閲覧しました。これまでの週より多い人数です({})。",
            f("value"),
            score()
        ),
        Detector::MachinePace => format!(
            "{} 人の情報を {} 秒間に次々と開きました。間隔はいずれも {} 秒以内です(連続 {} 人以上が要確認)。",
            f("subjects"),
            f("seconds"),
            f("within"),
            f("least")
        ),
        Detector::ChangedAfterDenial => format!(
            "拒否されたあと、{1} 分以内に申告を変えて同じ人の情報を得ることが {0} 回ありました(最初は利用目的を {2} から {3} へ)。",
            f("times"),
            f("minutes"),
            f("denied"),
            f("allowed")
        ),
        Detector::OutOfHours => {
            let day = if facts.is_true("weekend") {
                "土日"
            } else {
                "平日"
            };
            format!(
                "ふだん{day}に仕事をしていない時間帯に {} 回の要求がありました(最初は {} 台)。",
                f("times"),
                f("hour")
            )
        }
        Detector::NewAddress => {
            let others = if facts.is_true("others") {
                "ほかの人はここから使ったことがあります"
            } else {
                "ここから使った人はいません"
            };
            format!(
                "過去 91 日に使っていない {1} から {0} 回の要求がありました。{others}。",
                f("times"),
                f("block")
            )
        }
        Detector::DormantReturns => format!(
            "{} 日ぶりにアカウントが使われました({} 日以上が要確認)。",
            f("days"),
            f("least")
        ),
        Detector::ReviewOverdue => {
            format!("{} の確認が期限({})を過ぎています。", f("what"), f("due"))
        }
        Detector::ExportBurst => format!(
            "{1} 回の出力で {0} 人分の記録を出しました。ふだんの日より多い件数です({2})。",
            f("value"),
            f("exports"),
            score()
        ),
        Detector::NotAssigned if facts.has("score") => format!(
            "担当外の人の情報を {} 回閲覧しました。ふだんの日より多い回数です({})。",
            f("value"),
            score()
        ),
        Detector::NotAssigned => format!(
            "担当外の人の情報を {} 回閲覧しました。比べられる過去はまだありません({} 回以上が要確認)。",
            f("value"),
            f("least")
        ),
        Detector::OwnRecord => format!("自分自身の記録を {} 回閲覧しました。", f("times")),
        Detector::ColleaguesRecord => format!(
            "同僚 {1} 人の記録を {0} 回閲覧しました。日常の業務には含まれていません。",
            f("times"),
            f("persons")
        ),
        Detector::TwoPlaces => format!(
            "{} と {} から交互に使われ、{3} 分以内に {2} 回戻りました({4} 回以上が要確認)。",
            f("block"),
            f("other"),
            f("times"),
            f("minutes"),
            f("least")
        ),
        Detector::OneAddress => format!(
            "{0} 人全員が {1} から使いました。過去 {3} 日のうち {2} 日は複数のアドレスでした。サービスが自身のアドレスを伝えているおそれがあります。",
            f("persons"),
            f("address"),
            f("days"),
            f("past")
        ),
        Detector::RarePurpose => format!(
            "利用目的 {} を {} 回申告しました。この役割では {3} 件中 {2} 件({4} %)にとどまる目的です。",
            f("purpose"),
            f("times"),
            f("past"),
            f("all"),
            f("share")
        ),
        Detector::NoOutcome if facts.has("due") => format!(
            "結果の報告が必要な {1} 件のうち {0} 件について、サービスが報告していません。",
            f("missing"),
            f("due")
        ),
        Detector::NoOutcome => format!(
            "{} 件の許可について、期限までに結果が報告されていません。",
            f("missing")
        ),
        Detector::OutcomeLarger => format!(
            "許可は {1} 人分でしたが、{0} 人分の記録が読まれました(結果の報告 {2} 件)。",
            f("read"),
            f("allowed"),
            f("times")
        ),
        Detector::DoneAlone => format!(
            "二人で行うべきことを {} 回一人で行い、まだ誰も確認していません({})。",
            f("times"),
            f("what")
        ),
        Detector::AttestationOverdue => format!(
            "{} の実施の確認が期限({})を過ぎています。",
            f("what"),
            f("due")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detector_has_a_sentence_in_both_languages() {
        for detector in Detector::ALL {
            let none: [(&str, &str); 0] = [];
            let english = sentence(detector, &none, Language::English);
            let japanese = sentence(detector, &none, Language::Japanese);
            assert!(english.ends_with('.'), "{english}");
            assert!(japanese.ends_with('。'), "{japanese}");
            assert!(!japanese.is_ascii(), "{japanese}");
        }
    }

    #[test]
    fn a_sentence_tells_its_numbers() {
        let facts = [
            ("value", "130"),
            ("usual", "20.0"),
            ("spread", "4.0"),
            ("days", "60"),
            ("score", "18.5"),
            ("threshold", "3.5"),
        ];
        assert_eq!(
            sentence(Detector::VolumeAboveOwn, &facts, Language::English),
            "Reached the records of 130 people, more than on this actor's other days (the median of 60 days is 20.0, the spread 4.0: a score of 18.5, where 3.5 stands out)."
        );
        assert_eq!(
            sentence(Detector::VolumeAboveOwn, &facts, Language::Japanese),
            "130 人分の記録を扱いました。この利用者のふだんの日より多い件数です(過去 60 日の中央値 20.0、散らばり 4.0、スコア 18.5。3.5 以上が要確認)。"
        );
    }
}
