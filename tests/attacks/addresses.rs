//! Where a device is: what `client_ip` of the message says, in one spelling only, and nothing else that travels with a call.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::site::{Site, not_genuine, reason, request};
use crate::support::certificates::of_service;
use crate::support::play::{CallError, Door, Metadata, Session, log_in};
use crate::support::scenario::{CALLER, OFFICE, SESSION};

const CHECK: &str = "sekisho.v1.AccessService/Check";
const VERIFY_PASSWORD: &str = "sekisho.v1.AuthenticationService/VerifyPassword";
const OUTSIDE: &str = "198.51.100.7";
/// Within the pack's VPN.
const VPN: &str = "10.20.0.5";
/// Named by headers and preambles alone.
const INSIDE_OF_A_HEADER: &str = "203.0.113.77";
const OUTSIDE_OF_A_HEADER: &str = "198.51.100.77";

fn from(session: &Session, client_ip: &str) -> Session {
    Session {
        client_ip: client_ip.to_owned(),
        ..session.clone()
    }
}

fn first_step(client_ip: &str, site: &Site) -> Value {
    let password = site.people.get("adviser-1").password.clone();
    json!({ "person": "adviser-1", "password": password, "client_ip": client_ip, "session_ref": SESSION })
}

/// What a proxy, or whoever poses as one, says of an address.
fn headers(address: &str) -> Vec<Metadata> {
    let one = |name: &str, value: String| vec![(name.to_owned(), value)];
    let mut shapes: Vec<Metadata> = [
        "x-forwarded-for",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-envoy-external-address",
        "true-client-ip",
        "cf-connecting-ip",
        "fastly-client-ip",
        "client-ip",
        "client_ip",
        "sekisho-client-ip",
        "remote-addr",
        "proxy",
    ]
    .into_iter()
    .map(|name| one(name, address.to_owned()))
    .collect();
    shapes.extend([
        one("x-forwarded-for", format!("{address}, 127.0.0.1")),
        one("x-forwarded-for", format!("127.0.0.1,{address}")),
        one("x-forwarded-for", format!("{address}:4711")),
        one("x-forwarded-for", format!("::ffff:{address}")),
        one("forwarded", format!("for={address}")),
        one(
            "forwarded",
            format!("for=\"[::ffff:{address}]:4711\";proto=https;by=127.0.0.1"),
        ),
        one("via", format!("1.1 {address}")),
        vec![
            ("x-forwarded-for".to_owned(), address.to_owned()),
            ("x-forwarded-for".to_owned(), address.to_owned()),
        ],
    ]);
    shapes.push(shapes.iter().flatten().cloned().collect());
    shapes
}

#[test]
fn what_headers_say_of_an_address_counts_for_nothing_and_is_not_in_the_log() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let (outside, nowhere) = (from(&session, OUTSIDE), from(&session, ""));
    for inside in headers(INSIDE_OF_A_HEADER) {
        let denied = site.answer(CHECK, &request(&outside), &inside);
        assert_eq!(reason(&denied), "REASON_CODE_IP_NOT_ALLOWED", "{inside:?}");
        let denied = site.answer(CHECK, &request(&nowhere), &inside);
        assert_eq!(
            reason(&denied),
            "REASON_CODE_CLIENT_IP_MISSING",
            "{inside:?}"
        );
    }
    for away in headers(OUTSIDE_OF_A_HEADER) {
        let allowed = site.answer(CHECK, &request(&session), &away);
        assert_eq!(allowed["decision"], "DECISION_ALLOW", "{away:?}: {allowed}");
    }
    // All at once, at the first step.
    let all = |address: &str| headers(address).pop().unwrap();
    let refused = site.send(
        VERIFY_PASSWORD,
        &first_step(OUTSIDE, &site),
        &all(INSIDE_OF_A_HEADER),
    );
    not_genuine(refused);
    assert_eq!(site.last_why(), "device in no network of the policy");
    let begun = site.answer(
        VERIFY_PASSWORD,
        &first_step(OFFICE, &site),
        &all(OUTSIDE_OF_A_HEADER),
    );
    assert!(begun["challengeId"].is_string(), "{begun}");
    let entries = site.entries();
    let checked: Vec<_> = entries.iter().map(|entry| &*entry.client_ip).collect();
    assert!(checked.contains(&OUTSIDE) && checked.contains(&OFFICE));
    let told = format!("{entries:?}");
    for address in [INSIDE_OF_A_HEADER, OUTSIDE_OF_A_HEADER] {
        assert!(!told.contains(address), "{address}");
    }
}

/// A client that begins with `preamble`, as a proxy would, and then speaks TLS with a service's own certificate.
async fn connect(site: &Site, preamble: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let data = site.daemon.data();
    for authority in CertificateDer::pem_file_iter(data.join("dev/ca.pem")).unwrap() {
        roots.add(authority.unwrap()).unwrap();
    }
    let own = of_service(data, CALLER);
    let chain = CertificateDer::pem_file_iter(&own.certificate).unwrap();
    let mut tls = ClientConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_client_auth_cert(
        chain.map(Result::unwrap).collect(),
        PrivateKeyDer::from_pem_file(&own.key).unwrap(),
    )
    .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let mut tcp = TcpStream::connect(&site.daemon.grpc).await?;
    tcp.write_all(preamble).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(tls)).connect(name, tcp).await
}

/// Version 2: a signature, version and command, family and protocol, length, addresses and ports.
fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    let signature = b"\r\n\r\n\0\r\nQUIT\n".as_slice();
    [signature, &[command, family], &length, addresses].concat()
}

fn preambles() -> Vec<Vec<u8>> {
    let address: Ipv4Addr = INSIDE_OF_A_HEADER.parse().unwrap();
    let v4 = [
        &address.octets()[..],
        &[127, 0, 0, 1],
        &[0x9c, 0x40, 0x01, 0xbb],
    ]
    .concat();
    let v6 = [
        &address.to_ipv6_mapped().octets()[..],
        &Ipv6Addr::LOCALHOST.octets(),
        &[0x9c, 0x40, 0x01, 0xbb],
    ]
    .concat();
    let text = |line: String| line.into_bytes();
    vec![
        text(format!(
            "PROXY TCP4 {INSIDE_OF_A_HEADER} 127.0.0.1 40000 443\r\n"
        )),
        text(format!(
            "PROXY TCP6 ::ffff:{INSIDE_OF_A_HEADER} ::1 40000 443\r\n"
        )),
        text("PROXY UNKNOWN\r\n".to_owned()),
        text("PROXY".to_owned()),
        version_2(0x21, 0x11, &v4),
        version_2(0x21, 0x21, &v6),
        version_2(0x20, 0x00, &[]),
        version_2(0x21, 0x31, &[0; 216]),
    ]
}

#[test]
fn a_connection_that_begins_with_a_proxys_preamble_is_refused() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    let entries = site.entries().len();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let soon = Duration::from_secs(20);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // Without one the same client is heard: the daemon's SETTINGS (RFC 9113, 6.5) come.
    runtime.block_on(async {
        let mut plain = connect(&site, b"").await.unwrap();
        plain.write_all(preface).await.unwrap();
        let mut frame = [0; 9];
        tokio::time::timeout(soon, plain.read_exact(&mut frame))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(frame[3], 4);
    });
    for preamble in preambles() {
        runtime.block_on(async {
            let before = tokio::time::timeout(soon, connect(&site, &preamble)).await;
            let refused = before.expect("it is not left hanging");
            assert!(refused.is_err(), "{preamble:?}");
            // Inside of TLS it is no better: the connection is closed.
            let mut inside = connect(&site, b"").await.unwrap();
            inside.write_all(&preamble).await.unwrap();
            // It may be gone by then.
            let _ = inside.write_all(preface).await;
            let mut rest = Vec::new();
            let closed = tokio::time::timeout(soon, inside.read_to_end(&mut rest)).await;
            assert!(closed.is_ok(), "{preamble:?} left it open");
        });
    }
    let entries = &site.entries()[entries..];
    assert!(entries.is_empty(), "{entries:?}");
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
}

#[test]
fn an_ipv4_address_that_ipv6_writes_is_that_address() {
    let mut site = Site::open();
    for (plain, mapped) in [
        (OFFICE, ["::ffff:203.0.113.10", "::FFFF:cb00:710a"]),
        (VPN, ["::ffff:10.20.0.5", "0:0:0:0:0:ffff:0a14:0005"]),
    ] {
        for mapped in mapped {
            for (login, other) in [(plain, mapped), (mapped, plain)] {
                site.advance(Duration::from_secs(30));
                let session = log_in(&mut *site, "adviser-1", (CALLER, login, SESSION)).unwrap();
                for asked in [login, other] {
                    let allowed = site.check(&from(&session, asked)).unwrap();
                    assert_eq!(
                        allowed["decision"], "DECISION_ALLOW",
                        "{login} {asked}: {allowed}"
                    );
                }
            }
        }
    }
    let entries = site.entries();
    let written = entries.iter().map(|entry| entry.client_ip.to_lowercase());
    assert_eq!(
        written.filter(|address| address.contains("ffff")).count(),
        0
    );
}

/// Well formed, and not the address whose digits are in it.
const OTHER_ADDRESSES: [&str; 22] = [
    "64:ff9b::a14:5",
    "64:ff9b::10.20.0.5",
    "64:ff9b::cb00:710a",
    "64:ff9b:1::203.0.113.10",
    "2002:a14:5::",
    "2002:cb00:710a::",
    "2002:cb00:710a::cb00:710a",
    "::10.20.0.5",
    "::203.0.113.10",
    "::cb00:710a",
    "::ffff:0:203.0.113.10",
    "::ffff:0:0",
    "2001:0:cb00:710a::",
    "2001:db8:0:1::1",
    "fe80::5efe:203.0.113.10",
    "fe80::1",
    "::",
    "::1",
    "0.0.0.0",
    "127.0.0.1",
    "255.255.255.255",
    OUTSIDE,
];

/// No address, whatever some program takes it for.
const NO_ADDRESSES: [&str; 38] = [
    "fe80::1%eth0",
    "fe80::1%1",
    "::ffff:203.0.113.10%eth0",
    "2001:db8:1::1%0",
    "010.20.0.5",
    "10.020.0.5",
    "10.20.0.05",
    "203.0.113.010",
    "::ffff:203.0.113.010",
    "169082885",
    "3405803786",
    "0xcb00710a",
    "0xcb.0.0x71.0xa",
    "0313.0.0161.012",
    "031300070412",
    "203.0.28938",
    "203.28938",
    "203.0.113",
    "203.0.113.10.",
    ".203.0.113.10",
    "203.0.113.10.1",
    "203.0.113.266",
    "203.0.113.-10",
    "+203.0.113.10",
    "[::ffff:203.0.113.10]",
    "[2001:db8:1::1]:443",
    "203.0.113.10:443",
    "203.0.113.10/32",
    "203.0.113.10/24",
    " 203.0.113.10",
    "203.0.113.10 ",
    "203.0.113.10\n",
    "203.0.113.10\u{0}",
    "203. 0.113.10",
    "203.0.113.10,198.51.100.7",
    "２０３.0.113.10",
    "203。0。113。10",
    "localhost",
];

fn names_client_ip(refused: Result<Value, CallError>, field: &str, text: &str) {
    let error = refused.expect_err(text);
    assert_eq!(error.code, "INVALID_ARGUMENT", "{text:?}: {error}");
    assert_eq!(error.fields(), [field], "{text:?}");
}

#[test]
fn an_address_in_any_other_spelling_is_outside_or_no_address() {
    let mut site = Site::open();
    let session = site.person("adviser-1");
    for other in OTHER_ADDRESSES {
        not_genuine(site.send(VERIFY_PASSWORD, &first_step(other, &site), &Metadata::new()));
        let denied = site.check(&from(&session, other)).unwrap();
        assert_eq!(denied["decision"], "DECISION_DENY", "{other}: {denied}");
        assert_eq!(
            reason(&denied),
            "REASON_CODE_IP_NOT_ALLOWED",
            "{other}: {denied}"
        );
    }
    let entries = site.entries();
    let whys: Vec<_> = entries
        .iter()
        .filter_map(|entry| crate::site::detail(entry, "why"))
        .collect();
    assert_eq!(
        whys,
        ["device in no network of the policy"; OTHER_ADDRESSES.len()]
    );
    for none in NO_ADDRESSES {
        let refused = site.send(VERIFY_PASSWORD, &first_step(none, &site), &Metadata::new());
        names_client_ip(refused, "client_ip", none);
        names_client_ip(site.check(&from(&session, none)), "actor.client_ip", none);
    }
    for blank in ["", " ", "\t", "\u{3000}"] {
        let refused = site.send(VERIFY_PASSWORD, &first_step(blank, &site), &Metadata::new());
        names_client_ip(refused, "client_ip", blank);
        let denied = site.check(&from(&session, blank)).unwrap();
        assert_eq!(
            reason(&denied),
            "REASON_CODE_CLIENT_IP_MISSING",
            "{blank:?}"
        );
    }
    // The ticket is as good as before, where it was given.
    assert_eq!(site.check(&session).unwrap()["decision"], "DECISION_ALLOW");
}
