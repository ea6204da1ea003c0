//! The notice of monitoring (Guidelines on the Act on the Protection of Personal Information, 10-5, and the answers on monitoring
//! of employees in its Q&A): people are told what of their work is logged, why, and who reads it, before they begin.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::decision::rules::PackWords;

/// The notice, in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// In English.
    pub english: String,
    /// In Japanese.
    pub japanese: String,
    /// SHA-256 of both with their lengths, 64 hexadecimal digits: names what was read.
    pub digest: String,
}

impl Notice {
    /// The pack's own notice, or one that says what this program does.
    pub(in crate::gate) fn of(words: &PackWords) -> Self {
        let (english, japanese) = match &words.monitoring_notice {
            Some((english, japanese)) => (english.to_string(), japanese.to_string()),
            None => (
                ENGLISH.replace("{0}", &words.title),
                JAPANESE.replace("{0}", &words.title_ja),
            ),
        };
        let mut hash = Sha256::new();
        for text in [&english, &japanese] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Self {
            digest: HEXLOWER.encode(&hash.finalize()),
            english,
            japanese,
        }
    }
}

const ENGLISH: &str = "\
Your use of personal data is logged ({0}).
What: each time you log in, and each time a system asks whether you may see, change or pass on personal data: who you are, your \
role and department, your device's address, the time, which kinds of data, a pseudonym of whose they are, for which purpose, and \
whether it was allowed. The data themselves, your password and your codes are not logged.
Why: to keep personal data safe, as the Act on the Protection of Personal Information asks of us, and to find out what happened \
if something goes wrong. It is not used for anything else.
Who reads it: the security managers, who review it regularly, the head of your department for its own people where the rules say \
so, and auditors. Reading the log is logged, too. Nobody reviews their own accesses.
It is kept for as long as the rules say, and then disposed of.";

const JAPANESE: &str = "\
個人データの取扱いは記録されます({0})。
記録する内容:ログインのたび、および個人データの閲覧・変更・提供の可否をシステムが確認するたびに、利用者のID、役割、部署、端末のアドレス、\
日時、データの項目、本人の仮名、利用目的、可否の結果を記録します。個人データの中身、パスワード、確認コードは記録しません。
目的:個人情報保護法が求める安全管理措置として個人データを守り、問題が起きたときに経緯を確かめるためです。ほかの目的には使いません。
閲覧する者:定期的に点検するセキュリティ管理者、規程がある場合は部署の責任者(自部署の分のみ)、および監査人です。記録の閲覧も記録されます。\
自分の記録を自分で点検することはありません。
保存期間は規程のとおりで、過ぎたものは廃棄します。";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notice_says_what_why_and_who_in_both_languages() {
        let words = PackWords {
            title: "Recruitment".into(),
            title_ja: "人材紹介".into(),
            monitoring_notice: None,
        };
        let notice = Notice::of(&words);
        assert!(notice.english.contains("(Recruitment)"));
        assert!(notice.japanese.contains("(人材紹介)"));
        for (english, japanese) in [
            ("What:", "内容"),
            ("Why:", "目的"),
            ("Who reads it:", "閲覧する者"),
        ] {
            assert!(notice.english.contains(english) && notice.japanese.contains(japanese));
        }
        assert_eq!(notice.digest.len(), 64);
    }

    #[test]
    fn another_text_has_another_digest() {
        let of = |english: &str, japanese: &str| {
            let own = Some((english.into(), japanese.into()));
            Notice::of(&PackWords {
                monitoring_notice: own,
                ..PackWords::default()
            })
        };
        let notice = of("ab", "c");
        assert_eq!((&*notice.english, &*notice.japanese), ("ab", "c"));
        assert_ne!(notice.digest, of("a", "bc").digest);
    }
}
