//! Records of provision and of receipt: opened by what is allowed, complete or not at all, closed by the outcome, found, kept for
//! as long as they must be, and told to the person they are of.

use std::time::Duration;

use sekisho::decision::rules::{
    Actions, ConsentRule, Exceptions, LeastConsent, LogClass, LogRetention, Party, Route, RuleSet,
    When,
};
use sekisho::domain::access::{
    AccessRequest, Action, Consent, LegalException, Provision, Subjects, TicketText,
    UnlistedRecipient,
};
use sekisho::domain::calendar::Period;
use sekisho::domain::ids::{DecisionId, LogIndex, RecordId};
use sekisho::domain::reason::ReasonCode;
use sekisho::domain::record::{ReceiptBasis, RecordKind, RecordStatus};
use sekisho::domain::time::Timestamp;
use sekisho::gate::{
    Answer, Credentials, Disclosed, DisclosureWish, DisposeWish, GateError, OutcomeReport,
    ReceiptWish, RecordFilter, RecordSeen,
};
use sekisho::proto::{EntryKind, ReferenceStanding, StoredEntry};
use uuid::Uuid;

use crate::world::*;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

pub(crate) fn to(recipient: &str) -> Provision {
    Provision {
        recipient: Some(name(recipient)),
        ..Provision::default()
    }
}

pub(crate) fn people(ids: &[&str]) -> Subjects {
    match ids {
        [] => Subjects::Unnamed,
        [one] => Subjects::One(subject(one)),
        many => Subjects::List(many.iter().map(|id| subject(id)).collect()),
    }
}

/// An adviser hands careers to the employer, with consent.
pub(crate) fn provide(ticket: &TicketText, of: &[&str]) -> AccessRequest {
    let mut request = AccessRequest {
        action: Action::Provide,
        subjects: people(of),
        record_count: people(of).all_people().max(1),
        categories: vec![name("identity"), name("career")],
        provision: to("employer"),
        ..read(ticket)
    };
    request.basis.consent = Consent::Prior;
    request.basis.reference = Some(name("consent-12"));
    request
}

pub(crate) fn record_id(entry: &StoredEntry) -> Option<RecordId> {
    let obligation = entry
        .obligations
        .iter()
        .find(|one| one.id == "provision-record")?;
    RecordId::from_bytes(&obligation.provision_record_id)
}

pub(crate) fn opened(answer: &Answer) -> RecordId {
    assert!(answer.is_allowed(), "{:?}", answer.entry.reasons);
    record_id(&answer.entry).expect("a record")
}

pub(crate) async fn reviewer(world: &World) -> Credentials {
    // A code is good once.
    world.clock.advance(seconds(31));
    credentials(&world.log_in("security-1").await)
}

pub(crate) async fn seen(world: &World, id: RecordId) -> Result<RecordSeen, GateError> {
    let reviewer = reviewer(world).await;
    world.gate.get_record(&crm(), &reviewer, id).await
}

pub(crate) async fn listed(world: &World, filter: RecordFilter) -> Vec<RecordId> {
    let reviewer = reviewer(world).await;
    let (found, next) = world
        .gate
        .list_records(&crm(), &reviewer, filter, (100, None))
        .await
        .unwrap();
    assert_eq!(next, None);
    found.iter().map(|seen| seen.kept.id).collect()
}

pub(crate) fn report(answer: &Answer, provided: u64, named: &[&str]) -> OutcomeReport {
    OutcomeReport {
        decision: DecisionId::from_bytes(&answer.entry.decision_id).unwrap(),
        records_accessed: provided,
        fulfilled: vec!["provision-record".to_owned()],
        abandoned: false,
        subjects: named.iter().map(|id| subject(id)).collect(),
    }
}

pub(crate) async fn reported(world: &World, report: OutcomeReport) -> Result<LogIndex, GateError> {
    world.gate.report_outcome(&crm(), report).await
}

pub(crate) fn names(seen: &RecordSeen) -> Vec<&str> {
    let mut names: Vec<&str> = seen
        .people
        .iter()
        .map(|(_, id)| id.as_deref().unwrap_or("?"))
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_provision_opens_a_record_that_names_both_sides_and_only_who_may_read_it_learns_whom() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let answer = world
        .check(provide(&adviser, &["js-1", "js-2", "js-1"]))
        .await;
    let id = opened(&answer);
    let stored = world.on_disk_from(answer.index.0).remove(0);
    let sealed = stored.sealed.clone().unwrap();
    assert_eq!(
        (&*sealed.class, sealed.whole),
        ("provision-record-3y", false)
    );
    let open = stored.record.unwrap();
    assert_eq!(
        (open.name, open.address, open.representative),
        Default::default()
    );
    assert!(open.subject_refs.is_empty());
    let bytes = std::fs::read(world.log_folder().join("00000000000000000000.segment")).unwrap();
    for clear in ["js-1", "Sample-cho"] {
        let found = bytes.windows(clear.len()).any(|at| at == clear.as_bytes());
        assert!(!found, "{clear} is in the log in the clear");
    }

    let seen = seen(&world, id).await.unwrap();
    assert_eq!(
        (seen.kept.kind, seen.kept.status),
        (RecordKind::Provision, RecordStatus::Open)
    );
    assert_eq!(
        (&*seen.kept.party, &*seen.kept.route),
        ("employer", "third-party-consent")
    );
    assert_eq!((seen.kept.people, names(&seen)), (2, vec!["js-1", "js-2"]));
    assert_eq!(seen.kept.keep_until.to_string(), "2029-07-01T00:00:00Z");
    let entry = seen.opened.unwrap();
    assert_eq!(entry.categories, ["identity", "career"]);
    assert_eq!((entry.consent, &*entry.basis_reference), (3, "consent-12"));
    let record = entry.record.unwrap();
    assert_eq!(record.country, "JP");
    assert!(!record.name.is_empty() && record.address.contains("Sample-cho"));
    assert!(!record.representative.is_empty());
    assert!(seen.unreadable.is_none());
}

#[tokio::test]
async fn what_was_withheld_is_not_of_the_record_and_a_repeat_opens_no_second_one() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let mut request = provide(&adviser, &["js-1"]);
    request.allow_partial = true;
    request.categories.push(name("inquiry"));
    let first = world.check(with_id(request.clone(), "r-1")).await;
    let again = world.check(with_id(request, "r-1")).await;
    let id = opened(&first);
    assert_eq!(opened(&again), id);
    assert_eq!(listed(&world, RecordFilter::default()).await, [id]);
}

#[tokio::test]
async fn a_record_is_closed_by_what_was_really_provided() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let all = world.check(provide(&adviser, &["js-1", "js-2"])).await;
    let some = world.check(provide(&adviser, &["js-1", "js-2"])).await;
    let none = world.check(provide(&adviser, &["js-1", "js-2"])).await;
    let other = world.check(provide(&adviser, &["js-1"])).await;
    reported(&world, report(&all, 2, &[])).await.unwrap();
    // Fewer or more than were decided, and nobody knows whom.
    for wrong in [
        report(&some, 1, &[]),
        report(&some, 3, &[]),
        report(&some, 2, &["js-2"]),
    ] {
        let refused = reported(&world, wrong).await;
        assert_eq!(wrong_fields(refused), ["subject_refs"]);
        let last = world.on_disk().pop().unwrap();
        assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
    }
    reported(&world, report(&some, 1, &["js-2"])).await.unwrap();
    let abandoned = OutcomeReport {
        abandoned: true,
        ..report(&none, 0, &[])
    };
    reported(&world, abandoned).await.unwrap();
    reported(&world, report(&other, 2, &["js-1", "js-9"]))
        .await
        .unwrap();
    let again = reported(&world, report(&other, 1, &[])).await;
    assert!(matches!(again, Err(GateError::AlreadyReported)));
    for (answer, status, expected) in [
        (&all, RecordStatus::Provided, &["js-1", "js-2"][..]),
        (&some, RecordStatus::Provided, &["js-2"]),
        (&none, RecordStatus::Abandoned, &[]),
        (&other, RecordStatus::Provided, &["js-1", "js-9"]),
    ] {
        let seen = seen(&world, opened(answer)).await.unwrap();
        assert_eq!(
            (seen.kept.status, names(&seen)),
            (status, expected.to_vec())
        );
        assert!(seen.closed.is_some());
    }
    let of = |id: &str| RecordFilter {
        subject: Some(subject(id)),
        ..RecordFilter::default()
    };
    assert_eq!(listed(&world, of("js-9")).await, [opened(&other)]);
    assert_eq!(
        listed(&world, of("js-2")).await,
        [opened(&some), opened(&all)]
    );
}

#[tokio::test]
async fn nothing_is_provided_whose_record_would_lack_the_person() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    for (of, count) in [(&[][..], 1), (&["js-1"], 2)] {
        let mut request = provide(&adviser, of);
        request.record_count = count;
        let answer = world.check(request).await;
        assert_eq!(denied(&answer), Some(ReasonCode::RecordFieldsMissing));
        assert_eq!(answer.entry.reasons[0].about, "data.subject_refs");
        assert!(answer.entry.record.is_none());
    }
    // What else is wrong comes first.
    let mut request = provide(&adviser, &[]);
    request.basis.consent = Consent::None;
    let answer = world.check(request).await;
    assert_eq!(denied(&answer), Some(ReasonCode::ThirdPartyConsentRequired));
    assert!(listed(&world, RecordFilter::default()).await.is_empty());
}

fn named_by_request(rules: &mut RuleSet) {
    let id = rules.recipients.id("employer").unwrap();
    let employer = rules.recipients.get_mut(id).unwrap();
    employer.party = Party::default();
    employer.named_by_request = true;
}

fn named_individual(rules: &mut RuleSet) {
    named_by_request(rules);
    let id = rules.recipients.id("employer").unwrap();
    rules.recipients.get_mut(id).unwrap().individual = true;
}

#[tokio::test]
async fn where_the_request_names_the_recipient_it_names_all_that_the_record_needs() {
    let options = Options {
        rules: Some(named_by_request),
        ..Options::default()
    };
    let world = World::with(options).await;
    let adviser = world.log_in("adviser-1").await;
    let told = |fields: &[&str]| {
        let text = |field: &str, text: &str| fields.contains(&field).then(|| name(text));
        let mut request = provide(&adviser, &["js-1"]);
        request.provision.unlisted = UnlistedRecipient {
            name: text("name", "Acme Holdings"),
            address: text("address", "1 Main Street"),
            representative: text("representative", "President"),
            country: text("jp", "JP").or_else(|| text("us", "US")),
        };
        request
    };
    for (given, missing) in [
        (&[][..], &["name", "address", "representative"][..]),
        (&["name", "jp"], &["address", "representative"]),
        (&["address", "representative"], &["name"]),
        (&["name", "representative"], &["address"]),
    ] {
        let answer = world.check(told(given)).await;
        assert_eq!(denied(&answer), Some(ReasonCode::RecordFieldsMissing));
        let about: Vec<&str> = answer
            .entry
            .reasons
            .iter()
            .map(|reason| reason.about.strip_prefix("provision.recipient_").unwrap())
            .collect();
        assert_eq!(about, missing, "{given:?}");
    }
    let elsewhere = world
        .check(told(&["name", "address", "representative", "us"]))
        .await;
    assert_eq!(denied(&elsewhere), Some(ReasonCode::RecipientUnknown));
    let answer = world
        .check(told(&["name", "address", "representative", "jp"]))
        .await;
    let record = seen(&world, opened(&answer)).await.unwrap();
    assert_eq!(record.kept.party, "employer");
    let party = record.opened.unwrap().record.unwrap();
    assert_eq!(
        (&*party.name, &*party.address),
        ("Acme Holdings", "1 Main Street")
    );
    let by_name = RecordFilter {
        party: Some(name("Acme Holdings")),
        ..RecordFilter::default()
    };
    assert_eq!(listed(&world, by_name).await, [opened(&answer)]);
    // It may be a natural person: neither the entry of the search nor the store has the name.
    let entry = world.on_disk().pop().unwrap();
    assert_eq!(detail(&entry, "call"), "ListRecords");
    assert_eq!(detail(&entry, "party_key").len(), 64);
    assert_eq!(detail(&entry, "party"), "");
    let by_row = RecordFilter {
        party: Some(name("employer")),
        ..RecordFilter::default()
    };
    assert_eq!(listed(&world, by_row).await, [opened(&answer)]);
    assert_eq!(detail(&world.on_disk().pop().unwrap(), "party"), "employer");
    let folder = world.as_killed_now();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(13).any(|at| at == b"Acme Holdings");
            assert!(!found, "the name is in {} in the clear", path.display());
        }
    }
}

#[tokio::test]
async fn nobody_represents_an_individual() {
    let options = Options {
        rules: Some(named_individual),
        ..Options::default()
    };
    let world = World::with(options).await;
    let adviser = world.log_in("adviser-1").await;
    let mut request = provide(&adviser, &["js-1"]);
    request.provision.unlisted.name = Some(name("A person"));
    request.provision.unlisted.address = Some(name("1 Main Street"));
    opened(&world.check(request).await);
}

/// Every recipient asks for a record, and abroad without equivalence is allowed by consent, or by a law.
fn all_recorded(rules: &mut RuleSet) {
    let ids: Vec<_> = rules.recipients.iter().map(|(id, _, _)| id).collect();
    for id in ids {
        let recipient = rules.recipients.get_mut(id).unwrap();
        recipient.record_years = Some(1);
        recipient.party = Party {
            name: Some("a".into()),
            address: Some("b".into()),
            representative: Some("c".into()),
        };
    }
    let mut change = |name: &str, change: fn(&mut sekisho::decision::rules::Recipient)| {
        let id = rules.recipients.id(name).unwrap();
        change(rules.recipients.get_mut(id).unwrap());
    };
    change("group-abroad-lapsed", |it| it.equivalent_until = None);
    change("affiliate", |it| it.route = Route::SameLegalEntity);
    change("partner", |it| {
        it.own_purpose_route = Some(Route::ThirdPartyConsent)
    });
    let law = [LegalException::Law].into_iter().collect::<Exceptions>();
    for denial in [
        ReasonCode::ThirdPartyConsentRequired,
        ReasonCode::ForeignConsentRequired,
    ] {
        let routes = match denial {
            ReasonCode::ThirdPartyConsentRequired => vec![Route::ThirdPartyConsent],
            _ => Vec::new(),
        };
        rules.consents.retain(|rule| rule.denial != denial);
        rules.consents.push(ConsentRule {
            when: When::default(),
            special_care: false,
            routes,
            least: LeastConsent::Prior,
            denial,
            denial_if_withdrawn: denial,
            exceptions: law,
            exceptions_for: Some([Action::Provide].into_iter().collect::<Actions>()),
            line: 1,
        });
    }
    rules.log_retention.keep_records([1].into_iter());
}

#[tokio::test]
async fn a_record_is_opened_where_the_law_asks_for_one_and_nowhere_else() {
    let options = Options {
        rules: Some(all_recorded),
        ..Options::default()
    };
    let world = World::with(options).await;
    let adviser = world.log_in("adviser-1").await;
    let (consent, law) = (
        (Consent::Prior, None),
        (Consent::None, Some(LegalException::Law)),
    );
    let both = (Consent::Prior, Some(LegalException::Law));
    for (recipient, own_purpose, (given, exception), recorded) in [
        ("employer", false, consent, true),
        // Art. 27(1), whatever consent there is besides.
        ("employer", false, both, false),
        ("employer", false, law, false),
        // Art. 27(5): outsourcing and shared use at home.
        ("partner", false, consent, false),
        ("partner", true, consent, true),
        ("group-domestic", false, consent, false),
        // Abroad, where the recipient's system is equivalent, and where it isn't.
        ("group-abroad", false, consent, false),
        ("group-abroad-lapsed", false, consent, true),
        ("group-abroad-lapsed", false, law, false),
        ("affiliate", false, consent, false),
    ] {
        let mut request = provide(&adviser, &["js-1"]);
        request.provision = to(recipient);
        request.provision.own_purpose = own_purpose;
        request.basis.consent = given;
        request.basis.exception = exception;
        let answer = world.check(request).await;
        assert!(
            answer.is_allowed(),
            "{recipient}: {:?}",
            answer.entry.reasons
        );
        let found = record_id(&answer.entry).is_some();
        let case = format!("{recipient} {own_purpose} {given:?} {exception:?}");
        assert_eq!(found, recorded, "{case}");
        assert_eq!(answer.entry.record.is_some(), recorded, "{case}");
    }
    // One year, as the pack says: but the log is kept for longer, and so is what it says.
    let seen = seen(&world, listed(&world, RecordFilter::default()).await[0])
        .await
        .unwrap();
    assert_eq!(seen.kept.keep_until.to_string(), "2027-07-01T00:00:00Z");
}

#[tokio::test]
async fn records_are_there_after_a_kill_and_after_a_restart_and_are_read_anew_from_the_log() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let first = world.check(provide(&adviser, &["js-1"])).await;
    // Nobody asked since: the store has nothing of it yet.
    let killed = world.start_on(world.as_killed_now()).await.unwrap();
    assert_eq!(
        listed(&killed, RecordFilter::default()).await,
        [opened(&first)]
    );
    assert_eq!(
        listed(&world, RecordFilter::default()).await,
        [opened(&first)]
    );
    reported(&world, report(&first, 1, &[])).await.unwrap();
    let world = world.restart().await;
    let again = seen(&world, opened(&first)).await.unwrap();
    assert_eq!(
        (again.kept.status, names(&again)),
        (RecordStatus::Provided, vec!["js-1"])
    );
}

#[tokio::test]
async fn records_are_for_who_reviews_everything_audits_or_administers_and_each_call_is_logged() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let id = opened(&world.check(provide(&adviser, &["js-1"])).await);
    let wish = || DisclosureWish {
        subject: subject("js-1"),
        accesses: true,
        from: None,
        until: None,
    };
    let unnamed = RecordFilter::default;
    for person in ["adviser-1", "manager-1"] {
        world.clock.advance(seconds(31));
        let ticket = credentials(&world.log_in(person).await);
        let gate = &world.gate;
        let refusals = [
            gate.list_records(&crm(), &ticket, unnamed(), (10, None))
                .await
                .err(),
            gate.get_record(&crm(), &ticket, id).await.err(),
            gate.export_records(&crm(), &ticket, unnamed()).await.err(),
            gate.disclosure(&crm(), &ticket, wish()).await.err(),
        ];
        for refused in refusals {
            assert!(
                matches!(refused, Some(GateError::NotAuthorised(_))),
                "{refused:?}"
            );
        }
        let refused = world.on_disk();
        let refused = &refused[refused.len() - 4..];
        let kind = i32::from(EntryKind::RefusedCall);
        assert!(
            refused
                .iter()
                .all(|entry| entry.kind == kind && entry.person == person)
        );
    }
    for person in ["security-1", "administrator-1"] {
        world.clock.advance(seconds(31));
        let ticket = credentials(&world.log_in(person).await);
        let filter = RecordFilter {
            subject: Some(subject("js-1")),
            ..RecordFilter::default()
        };
        let found = world
            .gate
            .list_records(&crm(), &ticket, filter, (10, None))
            .await;
        assert_eq!(found.unwrap().0.len(), 1);
        let entry = world.on_disk().pop().unwrap();
        assert_eq!(
            (entry.kind, &*entry.person),
            (i32::from(EntryKind::LogRead), person)
        );
        assert_eq!(detail(&entry, "call"), "ListRecords");
        assert_eq!(entry.subjects.len(), 1, "by pseudonym");
        assert!(
            !entry
                .details
                .iter()
                .any(|detail| detail.value.contains("js-1"))
        );
    }
    let missing = seen(&world, RecordId(Uuid::now_v7())).await;
    assert!(matches!(missing, Err(GateError::NotFound(_))));
}

#[tokio::test]
async fn pages_and_exports_tell_every_record_once() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let mut all = Vec::new();
    for number in 0..5 {
        world.clock.advance(seconds(1));
        let of = format!("js-{number}");
        all.insert(0, opened(&world.check(provide(&adviser, &[&of])).await));
    }
    let reviewer = reviewer(&world).await;
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = world
            .gate
            .list_records(&crm(), &reviewer, RecordFilter::default(), (2, after))
            .await
            .unwrap();
        assert!(page.0.iter().all(|seen| seen.people.is_empty()));
        listed.extend(page.0.iter().map(|seen| seen.kept.id));
        after = page.1;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, all);
    let filter = RecordFilter {
        status: Some(RecordStatus::Open),
        route: Some(name("third-party-consent")),
        ..RecordFilter::default()
    };
    let (head, mut export) = world
        .gate
        .export_records(&crm(), &reviewer, filter)
        .await
        .unwrap();
    let systems: Vec<_> = head.systems.iter().map(|system| &*system.id).collect();
    assert_eq!(systems, ["crm", "ledger", "mail"]);
    let mut exported = Vec::new();
    while let Some(seen) = export.recv().await {
        let seen = seen.unwrap();
        assert_eq!(names(&seen).len(), 1);
        exported.push(seen.kept.id);
    }
    assert_eq!(exported, all);
}

/// Entries that name careers are forgotten after 30 days, the others after a year.
pub(crate) fn forgets_early() -> Options {
    Options {
        rules: Some(|rules| {
            let career = rules.categories.id("career").unwrap();
            let class = LogClass {
                id: "careers".into(),
                period: Period::parse("30d").unwrap(),
                categories: Some([career].into_iter().collect()),
                kinds: None,
                entries: Vec::new(),
                line: 1,
            };
            rules.log_retention = LogRetention::new(Period::years(1), vec![class]);
        }),
        ..Options::default()
    }
}

async fn dispose_what_may_go(world: &World) {
    world.gate.tidy().await;
    world.clock.advance(seconds(31));
    let admin = credentials(&world.log_in("administrator-1").await);
    let wish = DisposeWish {
        before: Some(world.now().minus(YEAR)),
        dry_run: false,
        approve: None,
    };
    world.gate.dispose(&crm(), &admin, wish).await.unwrap();
}

#[tokio::test]
async fn what_a_record_needs_is_kept_for_as_long_as_it_must_be_whatever_the_class_of_its_entry() {
    let world = World::with(forgets_early()).await;
    let adviser = world.log_in("adviser-1").await;
    let mut request = provide(&adviser, &["js-1"]);
    request.categories = vec![name("career")];
    let answer = world.check(request).await;
    reported(&world, report(&answer, 1, &[])).await.unwrap();
    let usual = world.check(read_of(&adviser, "js-1")).await;
    for _ in 0..2 {
        // Long enough for every class of the pack.
        world.clock.advance(YEAR + Duration::from_secs(40 * 86_400));
        dispose_what_may_go(&world).await;
        let kept = seen(&world, opened(&answer)).await.unwrap();
        assert_eq!(
            (names(&kept), kept.unreadable.clone()),
            (vec!["js-1"], None)
        );
    }
    world.clock.advance(YEAR + Duration::from_secs(40 * 86_400));
    dispose_what_may_go(&world).await;
    // Its key is gone by now, whether or not its segment is.
    let late = seen(&world, opened(&answer)).await.unwrap();
    assert_eq!(names(&late), ["?"]);
    assert!(late.unreadable.is_some());
    drop(usual);
}

pub(crate) fn receipt() -> ReceiptWish {
    ReceiptWish {
        request_id: None,
        provider_name: name("Giver, Inc."),
        provider_address: "2 Main Street".to_owned(),
        provider_representative: "President".to_owned(),
        provider_country: "JP".to_owned(),
        acquisition: "from the person, at a fair".to_owned(),
        subjects: ["js-1", "js-2", "js-1"].map(subject).into(),
        subject_kind: name("job-seeker"),
        categories: vec![name("career")],
        received: Timestamp::parse("2026-06-30T00:00:00Z").unwrap(),
        basis: ReceiptBasis::Consent,
        basis_reference: Some(name("contract-7")),
    }
}

#[tokio::test]
async fn a_receipt_is_recorded_by_a_service_that_may_or_by_an_administrator() {
    let world = World::new().await;
    let by_service = world
        .gate
        .register_receipt(&crm(), &nobody(), receipt())
        .await
        .unwrap();
    assert_eq!(by_service.keep_until.to_string(), "2029-07-01T00:00:00Z");
    let stored = world.on_disk_from(by_service.index.0).remove(0);
    let open = stored.record.unwrap();
    assert_eq!((open.name, open.acquisition), Default::default());
    assert_eq!(stored.sealed.unwrap().class, "provision-record-3y");
    let admin = credentials(&world.log_in("administrator-1").await);
    let by_person = world
        .gate
        .register_receipt(&crm(), &admin, receipt())
        .await
        .unwrap();
    let entry = world.on_disk_from(by_person.index.0).remove(0);
    assert_eq!(entry.person, "administrator-1");
    let seen = seen(&world, by_person.id).await.unwrap();
    assert_eq!(
        (seen.kept.kind, seen.kept.status),
        (RecordKind::Receipt, RecordStatus::Received)
    );
    assert_eq!(names(&seen), ["js-1", "js-2"]);
    let opened = seen.opened.unwrap();
    let declared = i32::from(ReferenceStanding::Declared);
    assert_eq!(opened.basis_reference_standing, declared);
    let record = opened.record.unwrap();
    assert_eq!(record.name, "Giver, Inc.");
    assert_eq!(record.acquisition, "from the person, at a fair");
    assert_eq!((record.basis, &*record.representative), (1, "President"));
    let receipts = RecordFilter {
        kind: Some(RecordKind::Receipt),
        party: Some(name("Giver, Inc.")),
        ..RecordFilter::default()
    };
    assert_eq!(listed(&world, receipts).await.len(), 2);

    for caller in [billing(), mailer()] {
        let refused = world
            .gate
            .register_receipt(&caller, &nobody(), receipt())
            .await;
        assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
    }
    world.clock.advance(seconds(31));
    let adviser = credentials(&world.log_in("adviser-1").await);
    let refused = world
        .gate
        .register_receipt(&crm(), &adviser, receipt())
        .await;
    assert!(matches!(refused, Err(GateError::NotAuthorised(_))));
}

#[tokio::test]
async fn a_receipt_that_cannot_be_is_refused_with_every_field_and_an_entry() {
    let world = World::new().await;
    let wrong = ReceiptWish {
        subject_kind: name("stranger"),
        categories: vec![name("career"), name("caree")],
        received: world.now().plus(seconds(1)),
        ..receipt()
    };
    let refused = world.gate.register_receipt(&crm(), &nobody(), wrong).await;
    assert_eq!(
        wrong_fields(refused),
        ["subject_kind", "categories[1]", "received_at"]
    );
    let early = ReceiptWish {
        received: Timestamp::parse("1899-12-31T23:59:59Z").unwrap(),
        ..receipt()
    };
    let refused = world.gate.register_receipt(&crm(), &nobody(), early).await;
    assert_eq!(wrong_fields(refused), ["received_at"]);
    let last = world.on_disk().pop().unwrap();
    assert_eq!(last.kind, i32::from(EntryKind::RefusedCall));
    assert_eq!(detail(&last, "fields"), "received_at");
}

#[tokio::test]
async fn a_disclosure_tells_a_persons_records_and_accesses_and_no_employee() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let given = world.check(provide(&adviser, &["js-1", "js-2"])).await;
    let abandoned = world.check(provide(&adviser, &["js-1"])).await;
    let nothing = OutcomeReport {
        abandoned: true,
        ..report(&abandoned, 0, &[])
    };
    reported(&world, nothing).await.unwrap();
    let without = world.check(provide(&adviser, &["js-1", "js-2"])).await;
    reported(&world, report(&without, 1, &["js-2"]))
        .await
        .unwrap();
    let read = world.check(read_of(&adviser, "js-1")).await;
    let others = world.check(read_of(&adviser, "js-2")).await;
    assert!(read.is_allowed() && others.is_allowed());
    let received = world
        .gate
        .register_receipt(&crm(), &nobody(), receipt())
        .await
        .unwrap();
    let reviewer = reviewer(&world).await;
    for accesses in [false, true] {
        let wish = DisclosureWish {
            subject: subject("js-1"),
            accesses,
            from: None,
            until: None,
        };
        let (head, log, mut parts) = world
            .gate
            .disclosure(&crm(), &reviewer, wish)
            .await
            .unwrap();
        assert_eq!(head.made_at, world.now());
        assert_eq!(head.systems.len(), 3);
        // Which log that is of, and how much of it: up to the entry of this call, at least.
        assert_eq!(log.is_some(), accesses);
        if let Some(log) = log {
            let (first, written) = log.first.unwrap();
            assert_eq!((&*log.name, first), ("test/log", LogIndex(0)));
            assert!(written <= log.last.unwrap());
            assert_eq!(log.size, u64::try_from(world.on_disk().len()).unwrap());
            let root = world.gate.log().root_at(log.size).unwrap();
            assert_eq!(root, Some(log.root));
        }
        let (mut records, mut told) = (Vec::new(), Vec::new());
        while let Some(part) = parts.recv().await {
            match part.unwrap() {
                Disclosed::Record { record, undecided } => {
                    assert!(record.people.is_empty(), "others of the record are told");
                    assert!(!undecided);
                    records.push(record.kept.id);
                }
                Disclosed::Access(read) => told.push(read.index),
            }
        }
        assert_eq!(records, [opened(&given), received.id]);
        let expected = [read.index, without.index, abandoned.index, given.index];
        assert_eq!(told, if accesses { &expected[..] } else { &[] });
    }
    let entry = world.on_disk().pop().unwrap();
    assert_eq!(detail(&entry, "call"), "DisclosureReport");
    assert_eq!((detail(&entry, "scope"), entry.subjects.len()), ("all", 1));
}

#[tokio::test]
async fn a_list_of_hundreds_is_recorded_whole() {
    let world = World::new().await;
    let adviser = world.log_in("adviser-1").await;
    let ids: Vec<String> = (0..800).map(|_| Uuid::new_v4().to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let answer = world.check(provide(&adviser, &ids)).await;
    let seen = seen(&world, opened(&answer)).await.unwrap();
    assert_eq!(
        (seen.kept.people, names(&seen).contains(&"?")),
        (800, false)
    );
}
