//! A ticket is worth something to the service, at the address and in the session that it was given for, whole, and in time.

use std::time::Duration;

use crate::site::{Site, reason, request};
use crate::support::play::{Door, Metadata, Session};

const CHECK: &str = "sekisho.v1.AccessService/Check";

fn denied(site: &Site, session: &Session) -> String {
    let answer = site.check(session).unwrap();
    assert_eq!(answer["decision"], "DECISION_DENY", "{answer}");
    reason(&answer).to_owned()
}

#[test]
fn a_ticket_of_another_service_address_or_session_is_refused() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let other_address = Session {
        client_ip: "203.0.113.11".to_owned(),
        ..session.clone()
    };
    let other_session = Session {
        session_ref: "another".to_owned(),
        ..session.clone()
    };
    for other in [&other_address, &other_session] {
        assert_eq!(denied(&site, other), "REASON_CODE_TICKET_BINDING_MISMATCH");
    }
    let elsewhere = request(&session);
    let answer = site.call("billing", CHECK, &elsewhere, &Metadata::new());
    let answer = answer.unwrap();
    let codes = answer["reasons"].to_string();
    assert!(
        codes.contains("REASON_CODE_TICKET_BINDING_MISMATCH"),
        "{answer}"
    );
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
}

#[test]
fn a_ticket_that_was_cut_altered_or_renamed_is_not_genuine() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let parts: Vec<&str> = session.ticket.split('.').collect();
    let [form, key, payload, tag] = parts[..] else {
        panic!("{}", session.ticket);
    };
    let flip = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    for ticket in [
        session.ticket[..session.ticket.len() - 1].to_owned(),
        format!("{form}.{key}.{payload}"),
        format!("{form}.{key}.{}.{tag}", flip(payload, payload.len() / 2)),
        format!("{form}.{key}.{payload}.{}", flip(tag, 0)),
        format!("{form}.00000000.{payload}.{tag}"),
        format!("{form}.{key}..{tag}"),
    ] {
        let altered = Session {
            ticket,
            ..session.clone()
        };
        assert_eq!(denied(&site, &altered), "REASON_CODE_TICKET_INVALID");
    }
}

#[test]
fn a_ticket_ends_with_the_second_that_its_session_ends() {
    let mut site = Site::open();
    let idle = Duration::from_mins(15);
    let session = site.person("adviser-1");
    site.advance(idle + Duration::from_secs(1));
    assert_eq!(denied(&site, &session), "REASON_CODE_TICKET_EXPIRED");
    // In use to the end: nothing extends the eight hours.
    let mut session = site.person("adviser-1");
    let begun = site.now();
    while site.now() + 600 < begun + 8 * 3_600 {
        site.advance(Duration::from_mins(10));
        let answer = site.check(&session).unwrap();
        if let Some(renewed) = answer["renewedTicket"].as_str() {
            session.ticket = renewed.to_owned();
        }
    }
    let left = begun + 8 * 3_600 - site.now();
    site.advance(Duration::from_secs(left + 1));
    assert_eq!(denied(&site, &session), "REASON_CODE_TICKET_EXPIRED");
}
