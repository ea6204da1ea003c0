//! A code is good once, for its step, and for nothing but its exact digits.

use std::thread;
use std::time::Duration;

use sekisho::domain::time::Timestamp;
use sekisho::identity::totp::{Hash, Parameters, Seed};
use serde_json::json;

use crate::site::{Site, not_genuine};
use crate::support::play::Door;

const STEP: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_code_and_every_older_one_is_refused_like_a_wrong_one() {
    let mut site = Site::open();
    let before = site.code("adviser-1");
    site.next_code();
    let code = site.code("adviser-1");
    site.try_code("adviser-1", &code).unwrap();
    // 1: the same code again. 2: the code of the step before, after a newer one. Both are right by the clock.
    not_genuine(site.try_code("adviser-1", &code));
    assert_eq!(site.last_why(), "used code");
    not_genuine(site.try_code("adviser-1", &before));
    assert_eq!(site.last_why(), "used code");
    not_genuine(site.try_code("adviser-1", &site.wrong_code("adviser-1")));
    assert_eq!(site.last_why(), "wrong code");
    // A kill forgets nothing of it.
    site.kill_and_start();
    not_genuine(site.try_code("adviser-1", &code));
    site.advance(STEP);
    site.try_code("adviser-1", &site.code("adviser-1")).unwrap();
}

#[test]
fn what_is_not_exactly_the_digits_is_told_so_and_charged() {
    let mut site = Site::open();
    let six = site.code("adviser-1");
    for (round, bad) in [
        format!(" {six}"),
        format!("{six} "),
        "+23456".to_owned(),
        "１２３４５６".to_owned(),
        six[..5].to_owned(),
        format!("{six}0"),
        format!("{six}00"),
        String::new(),
    ]
    .iter()
    .enumerate()
    {
        if round > 0 && round % 4 == 0 {
            // Before the fifth in a row there is no wait.
            site.advance(STEP);
            site.try_code("adviser-1", &site.code("adviser-1")).unwrap();
        }
        let error = site.try_code("adviser-1", bad).unwrap_err();
        assert_eq!(error.code, "INVALID_ARGUMENT", "{bad:?}: {error}");
        assert_eq!(error.fields(), ["totp"], "{bad:?}");
    }
    assert_eq!(site.attempts(), [1, 2, 3, 4, 5, 1, 2, 3, 4]);
}

#[test]
fn of_fifty_uses_of_one_code_at_once_one_succeeds() {
    let mut site = Site::open();
    let challenges: Vec<_> = (0..10).map(|_| site.first_step("adviser-1")).collect();
    site.next_code();
    let code = site.code("adviser-1");
    let site = &site;
    let code = &code;
    let won: usize = thread::scope(|scope| {
        let uses: Vec<_> = challenges
            .iter()
            .cycle()
            .take(50)
            .map(|challenge| scope.spawn(move || site.second_step(challenge, code)))
            .collect();
        let answers = uses.into_iter().map(|one| one.join().unwrap());
        answers
            .filter(|answer| match answer {
                Ok(_) => true,
                // Refused like a wrong code, or not looked at since so many are under way.
                Err(error) => {
                    assert!(
                        ["UNAUTHENTICATED", "RESOURCE_EXHAUSTED"].contains(&&*error.code),
                        "{error}"
                    );
                    false
                }
            })
            .count()
    });
    assert_eq!(won, 1);
    let logged = site.entries();
    let steps = logged
        .iter()
        .filter(|entry| crate::site::detail(entry, "time_step").is_some());
    assert_eq!(steps.count(), 1);
}

#[test]
fn with_the_clock_set_back_codes_are_refused_until_it_is_past_the_last_one() {
    let mut site = Site::open();
    site.advance(2 * HOUR);
    site.next_code();
    let used = site.code("adviser-1");
    site.try_code("adviser-1", &used).unwrap();
    site.set_back(HOUR);
    not_genuine(site.try_code("adviser-1", &site.code("adviser-1")));
    assert!(site.last_why().starts_with("the clock was set back"));
    site.advance(HOUR);
    // In the step of the last used code.
    not_genuine(site.try_code("adviser-1", &used));
    assert_eq!(site.last_why(), "used code");
    site.advance(2 * STEP);
    site.try_code("adviser-1", &site.code("adviser-1")).unwrap();
}

/// Two people's seeds: whoever can write the store can't make one person's authenticator another's.
#[test]
fn sealed_seeds_that_were_swapped_in_the_store_open_for_nobody_and_raise_an_alarm() {
    let site = Site::open();
    let of_the_other = site.code("adviser-2");
    // By way of a third.
    for statement in [
        "UPDATE second_factors SET sealed_seed = (SELECT sealed_seed FROM second_factors WHERE person = 'adviser-1')
         WHERE person = 'adviser-3'",
        "UPDATE second_factors SET sealed_seed = (SELECT sealed_seed FROM second_factors WHERE person = 'adviser-2')
         WHERE person = 'adviser-1'",
        "UPDATE second_factors SET sealed_seed = (SELECT sealed_seed FROM second_factors WHERE person = 'adviser-3')
         WHERE person = 'adviser-2'",
    ] {
        site.sql(statement);
    }
    not_genuine(site.try_code("adviser-1", &of_the_other));
    not_genuine(site.try_code("adviser-1", &site.code("adviser-1")));
    not_genuine(site.try_code("adviser-2", &site.code("adviser-1")));
    let entries = site.entries();
    let alarms: Vec<_> = entries
        .iter()
        .filter(|entry| crate::site::detail(entry, "alarm").is_some())
        .map(|entry| crate::site::detail(entry, "of").unwrap())
        .collect();
    assert_eq!(alarms, ["adviser-1", "adviser-1", "adviser-2"]);
}

#[test]
fn codes_are_those_of_rfc_4226_and_rfc_6238_for_all_three_hashes() {
    let key = |length: usize| -> Vec<u8> {
        let digits = b"1234567890".iter().copied();
        digits.cycle().take(length).collect()
    };
    let at = |seconds: i64| Timestamp::from_seconds(seconds);
    let six = Seed::from_bytes(&key(20), Parameters::default()).unwrap();
    let counted = [
        "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
        "520489",
    ];
    for (count, expected) in (0..).zip(counted) {
        assert_eq!(six.code_at(at(count * 30)), expected);
    }
    for (hash, length, codes) in [
        (
            Hash::Sha1,
            20,
            [
                "94287082", "07081804", "14050471", "89005924", "69279037", "65353130",
            ],
        ),
        (
            Hash::Sha256,
            32,
            [
                "46119246", "68084774", "67062674", "91819424", "90698825", "77737706",
            ],
        ),
        (
            Hash::Sha512,
            64,
            [
                "90693936", "25091201", "99943326", "93441116", "38618901", "47863826",
            ],
        ),
    ] {
        let eight = Parameters::new(hash, 8, 30).unwrap();
        let seed = Seed::from_bytes(&key(length), eight).unwrap();
        let times = [
            59,
            1_111_111_109,
            1_111_111_111,
            1_234_567_890,
            2_000_000_000,
            20_000_000_000,
        ];
        for (time, expected) in times.into_iter().zip(codes) {
            assert_eq!(seed.code_at(at(time)), expected, "{hash:?} {time}");
        }
    }
}

/// Who has not enrolled gets no further, whatever they try.
#[test]
fn the_second_step_is_never_skipped_for_who_has_not_enrolled() {
    let mut site = Site::open();
    let challenge = site.first_step("newcomer-1");
    assert_eq!(challenge["enrollmentRequired"], true);
    assert!(challenge.get("methods").is_none(), "{challenge}");
    for code in ["000000", "", "123456"] {
        let refused = site.second_step(&challenge, code);
        crate::site::refused_with(refused, "FAILED_PRECONDITION", "SECOND_FACTOR_NOT_ENROLLED");
    }
    let refused = site.recover(&challenge, "AAAA-AAAA-AAAA-AAAA");
    crate::site::refused_with(refused, "FAILED_PRECONDITION", "SECOND_FACTOR_NOT_ENROLLED");
    let other = site.first_step("newcomer-1");
    let id = &other["challengeId"];
    let change = json!({ "challenge_id": id, "new_password": "long enough and other 7" });
    let refused = site.ask("ChangePassword", &change);
    crate::site::refused_with(refused, "FAILED_PRECONDITION", "SECOND_STEP_FIRST");
    let codes = json!({ "challenge_id": id, "totp": "123456" });
    let refused = site.ask("RegenerateRecoveryCodes", &codes);
    crate::site::refused_with(refused, "FAILED_PRECONDITION", "SECOND_STEP_FIRST");
    let mut session = site.person("adviser-1");
    session.ticket = id.as_str().unwrap().to_owned();
    let denied = site.check(&session).unwrap();
    assert_eq!(crate::site::reason(&denied), "REASON_CODE_TICKET_INVALID");
}
