//! What is registered, in memory.

use std::hint::black_box;
use std::time::Instant;

use sekisho::domain::access::SubjectRef;
use sekisho::domain::ids::Name;
use sekisho::domain::reference::{Reference, ReferenceKind};
use sekisho::domain::subject::{SubjectState, Words};
use sekisho::domain::time::Timestamp;
use sekisho::gate::Register;
use sekisho::identity::keyring::Keyring;

use super::{LOOK_AT_MOST, Outcome, each, pseudonym, resident_bytes, scattered, tell};

/// Everybody has two dates, every fourth a hold.
pub(super) fn put(register: &Register, number: u32, words: &mut Words) {
    let mut state = SubjectState::default();
    let day = i64::from(number % 4_000) * 86_400;
    for date in ["last-contact", "retention-end"] {
        state.set_date(
            &words.word(date),
            Timestamp::from_seconds(1_500_000_000 + day),
        );
    }
    if number.is_multiple_of(4) {
        state.add_hold(&words.word("provision-stopped"));
    }
    register.put(pseudonym(number), &state);
}

/// Fills a register and looks into it.
pub(super) fn measure(subjects: u32) -> Outcome<Register> {
    let register = Register::new();
    let mut words = Words::default();
    let before = resident_bytes()?;
    let began = Instant::now();
    for number in 0..subjects {
        put(&register, number, &mut words);
    }
    let filled = began.elapsed();
    let marks = resident_bytes()?.saturating_sub(before) / u64::from(subjects);
    tell(&format!(
        "in memory: {subjects} subjects with two dates each and every fourth with a hold: {marks} bytes a subject, filled in {filled:.1?}"
    ));

    let mut looks = Vec::new();
    for (what, of) in [("registered", 0), ("not registered", subjects)] {
        let began = Instant::now();
        for number in scattered(subjects) {
            black_box(register.state(black_box(&pseudonym(number + of))));
        }
        let look = each(began.elapsed(), subjects);
        tell(&format!(
            "    a look for one who is {what}: {look:.2?} (goal: {LOOK_AT_MOST:?} at most)"
        ));
        looks.push(look);
    }
    let folder = tempfile::tempdir()?;
    let keyring = Keyring::create(folder.path())?;
    let few = subjects.min(200_000);
    let refs: Vec<SubjectRef> = (0..few)
        .map(|number| Name::parse(&format!("subject-{number}")).map(|name| SubjectRef::new(&name)))
        .collect::<Result<_, _>>()?;
    let began = Instant::now();
    for subject in &refs {
        let pseudonym = keyring.pseudonyms.pseudonym(subject);
        black_box(register.state(&pseudonym));
    }
    tell(&format!(
        "    the pseudonym of an id, and the look: {:.0?}",
        each(began.elapsed(), few)
    ));

    let before = resident_bytes()?;
    let began = Instant::now();
    for number in 0..subjects {
        let consent = Reference {
            kind: ReferenceKind::Consent,
            id: Name::parse(&format!("C-{number}"))?,
            purposes: [words.word("recruitment-service")].into(),
            until: None,
            since: Timestamp::from_seconds(1),
            given: Some(Timestamp::from_seconds(1)),
            withdrawn: false,
        };
        register.change(pseudonym(number), |state| state.put_reference(consent));
    }
    let bytes = resident_bytes()?.saturating_sub(before) / u64::from(subjects);
    tell(&format!(
        "    and a consent each, under an id of its own: {bytes} bytes more a subject, in {:.1?}",
        began.elapsed()
    ));
    let began = Instant::now();
    for number in scattered(subjects) {
        black_box(register.state(black_box(&pseudonym(number))));
    }
    let look = each(began.elapsed(), subjects);
    tell(&format!("    a look for one who has both: {look:.2?}"));
    looks.push(look);
    if looks.iter().any(|look| *look > LOOK_AT_MOST) {
        return Err("a look takes longer than it may".into());
    }
    Ok(register)
}
