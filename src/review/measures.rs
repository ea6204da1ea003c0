//! What there is for a safety-management measure: derived from the rules in force and the log, so that nobody declares what isn't so.

use std::collections::BTreeSet;
use std::time::Duration;

use time::UtcOffset;

use super::incident::Told;
use crate::decision::rules::{MeasureKind, Mechanism, RuleSet};
use crate::domain::access::Action;
use crate::domain::calendar::Period;
use crate::domain::time::Timestamp;

/// How the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFacts {
    /// How many entries it has had.
    pub entries: u64,
    /// How many of them the newest signed checkpoint commits to.
    pub signed: u64,
    /// How many of them a witness has signed too; `None` where none has.
    pub witnessed: Option<u64>,
}

/// What shows a measure now; of an attestation nothing, since that is in the store.
#[must_use]
pub fn evidence(kind: &MeasureKind, rules: &RuleSet, log: LogFacts) -> Vec<Told> {
    match kind {
        MeasureKind::Enforced(by) | MeasureKind::Recorded(by) => match by {
            Mechanism::Networks => networks(rules),
            Mechanism::TwoStep => two_step(rules),
            Mechanism::Categories => categories(rules),
            Mechanism::Standing => standing(rules),
            Mechanism::Limits => limits(rules),
            Mechanism::Log => of_log(log),
        },
        MeasureKind::Attested { .. } => Vec::new(),
        MeasureKind::Outside => vec![Told::new(
            "sekisho neither enforces this nor sees it.",
            "関所が実施も記録もしていない措置です。",
        )],
    }
}

/// Until when what was done at `last` is to be done again, and whether that is over, or it was never done.
#[must_use]
pub fn due(
    last: Option<Timestamp>,
    every: Period,
    now: Timestamp,
    offset: UtcOffset,
) -> (Option<Timestamp>, bool) {
    let next = last.map(|last| every.after(last, offset));
    (next, next.is_none_or(|next| now > next))
}

/// In the largest unit that it is whole in.
fn length(of: Duration) -> Told {
    let seconds = of.as_secs();
    let (number, en, ja) = match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(3_600) => (seconds / 3_600, "h", "時間"),
        _ if seconds > 0 && seconds.is_multiple_of(60) => (seconds / 60, "min", "分"),
        _ => (seconds, "s", "秒"),
    };
    Told::new(format!("{number} {en}"), format!("{number} {ja}"))
}

fn networks(rules: &RuleSet) -> Vec<Told> {
    let blocks: usize = rules
        .networks
        .iter()
        .map(|(_, _, network)| network.blocks.len())
        .sum();
    let names: Vec<&str> = rules.networks.iter().map(|(_, name, _)| name).collect();
    let (count, names) = (names.len(), names.join(", "));
    let services = rules.services.len();
    let from: usize = rules
        .services
        .iter()
        .map(|(_, _, service)| service.blocks.len())
        .sum();
    vec![
        Told::new(
            format!(
                "People work from {count} networks of {blocks} blocks of addresses: {names}. From any other address they are refused."
            ),
            format!(
                "利用者が利用できるのは {count} のネットワーク({blocks} のアドレス範囲: {names})からに限り、ほかのアドレスからは拒否します。"
            ),
        ),
        Told::new(
            format!(
                "{services} services ask, each with a certificate of its own, from {from} blocks."
            ),
            format!(
                "問い合わせるサービスは {services}、それぞれの証明書と {from} のアドレス範囲に限ります。"
            ),
        ),
    ]
}

fn two_step(rules: &RuleSet) -> Vec<Told> {
    let (absolute, idle) = (length(rules.session.absolute), length(rules.session.idle));
    let mut told = vec![Told::new(
        format!(
            "Every person passes a password and a one-time code; a login ends after {}, or {} without use.",
            absolute.en, idle.en
        ),
        format!(
            "利用者はパスワードとワンタイムコードの二段階で認証します。ログインは {} まで、{} 使わなければ終わります。",
            absolute.ja, idle.ja
        ),
    )];
    for rule in &rules.second_step {
        let of = rules
            .categories
            .iter()
            .filter(|(id, _, category)| category.parent.is_none() && rule.categories.contains(*id))
            .map(|(_, name, _)| name.to_owned());
        let actions = rule.actions.iter().map(|action| action.name().to_owned());
        let of: Vec<String> = of.chain(actions).collect();
        let (of, age) = (of.join(", "), length(rule.max_age));
        told.push(Told::new(
            format!("For {of} the code is not older than {}.", age.en),
            format!("{of} では、コードの入力から {} 以内に限ります。", age.ja),
        ));
    }
    told
}

fn categories(rules: &RuleSet) -> Vec<Told> {
    let grants = rules.grants.len();
    let roles: BTreeSet<_> = rules.grants.iter().map(|grant| grant.key.role).collect();
    let roles = roles.len();
    let categories = rules.categories.len();
    let purposes = rules.purposes.len();
    let special = rules
        .categories
        .iter()
        .filter(|(_, _, category)| category.special_care)
        .count();
    vec![Told::new(
        format!(
            "{roles} roles see what {grants} grants name, of {categories} categories and items ({special} of special care) for {purposes} purposes. What no grant names is refused."
        ),
        format!(
            "{roles} の役割に、{categories} の項目(うち要配慮個人情報 {special})と {purposes} の利用目的について {grants} 件の許可を定めています。定めのないものは拒否します。"
        ),
    )]
}

fn standing(rules: &RuleSet) -> Vec<Told> {
    let mut told = Vec::new();
    if rules.standing.training {
        told.push(Told::new(
            "Whose training is not current is refused.",
            "研修が有効期間内でない利用者は拒否します。",
        ));
    }
    if rules.standing.pledge {
        told.push(Told::new(
            "Who gave no confidentiality pledge is refused.",
            "秘密保持の誓約をしていない利用者は拒否します。",
        ));
    }
    told
}

fn limits(rules: &RuleSet) -> Vec<Told> {
    let limits = rules.limits.iter().map(|limit| {
        let actions: Vec<&str> = limit.actions.iter().map(Action::name).collect();
        let (actions, people, window) = (actions.join(", "), limit.people, length(limit.window));
        Told::new(
            format!(
                "{actions}: one person reaches the records of {people} people within {}.",
                window.en
            ),
            format!(
                "{actions}: 一人の利用者が扱えるのは {} に {people} 人分までです。",
                window.ja
            ),
        )
    });
    limits.collect()
}

fn of_log(log: LogFacts) -> Vec<Told> {
    let LogFacts {
        entries,
        signed,
        witnessed,
    } = log;
    let mut told = vec![Told::new(
        format!(
            "No answer leaves before its entry is on the disk: {entries} entries, {signed} of them under a signed checkpoint."
        ),
        format!(
            "記録がディスクに書かれるまで応答しません。記録は {entries} 件、うち {signed} 件が署名済みです。"
        ),
    )];
    told.push(match witnessed {
        Some(witnessed) => Told::new(
            format!("A witness has signed the first {witnessed} entries too."),
            format!("先頭から {witnessed} 件は、第三者(ウィットネス)も署名しています。"),
        ),
        None => Told::new(
            "No witness has signed it: that its owner replaced the whole log would not be seen.",
            "第三者(ウィットネス)の署名はありません。管理者がログ全体を差し替えても分かりません。",
        ),
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::offset;

    #[test]
    fn what_is_enforced_is_told_by_the_rules_and_not_by_who_wrote_the_register() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment");
        let mut rules = crate::policy::load(&folder).unwrap().rules;
        let log = LogFacts {
            entries: 7,
            signed: 5,
            witnessed: None,
        };
        let told = |by, rules: &RuleSet| {
            let evidence = evidence(&MeasureKind::Enforced(by), rules, log);
            let lines: Vec<String> = evidence.into_iter().map(|told| told.en).collect();
            lines.join(" ")
        };
        let networks = told(Mechanism::Networks, &rules);
        assert!(
            networks.contains("2 networks of 3 blocks of addresses: office, vpn"),
            "{networks}"
        );
        let two_step = told(Mechanism::TwoStep, &rules);
        assert!(
            two_step.contains("ends after 8 h, or 15 min without use"),
            "{two_step}"
        );
        assert!(
            two_step.contains("For special the code is not older than 5 min"),
            "{two_step}"
        );
        let limits = told(Mechanism::Limits, &rules);
        assert!(
            limits.contains("EXPORT: one person reaches the records of 50 people within 1 h"),
            "{limits}"
        );
        let of_log = told(Mechanism::Log, &rules);
        assert!(
            of_log.contains("7 entries, 5 of them") && of_log.contains("No witness"),
            "{of_log}"
        );
        rules.limits.truncate(1);
        assert!(!told(Mechanism::Limits, &rules).contains("EXPORT"));
    }

    #[test]
    fn what_was_never_attested_is_overdue_and_the_rest_on_the_same_day() {
        let every = Period::parse("1y").unwrap();
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let now = at("2026-11-28T12:00:00+09:00");
        assert_eq!(due(None, every, now, offset!(+9)), (None, true));
        let last = at("2025-11-28T12:00:00+09:00");
        assert_eq!(due(Some(last), every, now, offset!(+9)), (Some(now), false));
        let later = now.plus(Duration::from_secs(1));
        assert!(due(Some(last), every, later, offset!(+9)).1);
    }
}
