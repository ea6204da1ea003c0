//! Session tickets: what a person gets for two steps, and shows with each request. Checking one takes no store and about a
//! microsecond.
//!
//! ```text
//! sk1 . key id . payload, base64url . HMAC-SHA-256 over all before it, base64url
//!
//! payload, numbers big-endian, instants in microseconds since the epoch:
//! +---------+---------+-----------+-----------+-------------+-------------+
//! | 0       | 1       | 2         | 18        | 34          | 42          |
//! | version | methods | session   | device    | first login | second step |
//! | 1       | bits    | 16 bytes  | 16 bytes  | 8 bytes     | 8 bytes     |
//! +---------+---------+-----------+-----------+-------------+-------------+
//! | 50      | 58      | 66        | 74                                    |
//! | issued  | expires | epoch     | caller, person, session reference:    |
//! | 8 bytes | 8 bytes | 8 bytes   | each 1 byte of length, then the name  |
//! +---------+---------+-----------+---------------------------------------+
//! ```
//! The device is an IPv6 address, IPv4 as its mapped form; a session reference of length 0 is none. Nothing follows. The
//! payload is not secret from the service that holds the ticket; it is opaque so that it may change.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

pub use super::ticket_keys::{TicketError, TicketKeys};

use crate::domain::ids::{Name, SessionId};
use crate::domain::network::device_network;
use crate::domain::time::Timestamp;

const PAYLOAD_VERSION: u8 = 1;
/// Fixed fields, and three names of 128 bytes with their lengths.
const PAYLOAD_MAX_BYTES: usize = 74 + 3 * 129;

/// How a person proved who they are (RFC 8176).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A password.
    Pwd,
    /// A one-time code.
    Otp,
    /// More than one method.
    Mfa,
}

impl Method {
    /// Every method, in the order in which a ticket lists them.
    pub const ALL: [Self; 3] = [Self::Pwd, Self::Otp, Self::Mfa];

    /// The name that RFC 8176 registers.
    #[must_use]
    pub const fn amr(self) -> &'static str {
        match self {
            Self::Pwd => "pwd",
            Self::Otp => "otp",
            Self::Mfa => "mfa",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Pwd => 1,
            Self::Otp => 2,
            Self::Mfa => 4,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.amr())
    }
}

/// What a genuine ticket says. Whether it is expired, idle or revoked is not looked at here: that takes a clock.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The service it was given to.
    pub caller: Name,
    /// What [`device_network`] makes of the address of the person's device.
    pub device: IpAddr,
    /// The service's own session.
    pub session_ref: Option<Name>,
    /// Whose it is.
    pub person: Name,
    /// The login that it comes from.
    pub session: SessionId,
    /// When that login was.
    pub first_login: Timestamp,
    /// When the second step was last passed.
    pub second_step: Timestamp,
    /// What was passed, in the order of [`Method::ALL`].
    pub methods: Vec<Method>,
    /// When this ticket was made.
    pub issued: Timestamp,
    /// The absolute end of the session, which no renewal moves.
    pub expires: Timestamp,
    /// The person's epoch when it was made: once the person's is higher, the ticket is revoked.
    pub epoch: u64,
}

/// The session reference may be a secret of the service, so it is left out.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("caller", &self.caller)
            .field("device", &self.device)
            .field("person", &self.person)
            .field("session", &self.session)
            .field("second_step", &self.second_step)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    /// Whether it may be used by this service, from this device (IPv6: from its /64), within this session of the service.
    #[must_use]
    pub fn is_bound_to(&self, caller: &str, device: IpAddr, session_ref: Option<&str>) -> bool {
        &*self.caller == caller
            && device_network(self.device) == device_network(device)
            && self.session_ref.as_deref() == session_ref
    }

    pub(super) fn to_payload(&self) -> Vec<u8> {
        let methods = self
            .methods
            .iter()
            .fold(0, |bits, method| bits | method.bit());
        let device = match device_network(self.device) {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut payload = Vec::with_capacity(PAYLOAD_MAX_BYTES);
        payload.extend_from_slice(&[PAYLOAD_VERSION, methods]);
        payload.extend_from_slice(self.session.0.as_bytes());
        payload.extend_from_slice(&device.octets());
        for instant in [
            self.first_login,
            self.second_step,
            self.issued,
            self.expires,
        ] {
            payload.extend_from_slice(&instant.micros().to_be_bytes());
        }
        payload.extend_from_slice(&self.epoch.to_be_bytes());
        let session_ref = self.session_ref.as_deref().unwrap_or_default();
        for name in [&*self.caller, &*self.person, session_ref] {
            // A name has at most 128 bytes, so its length always fits.
            payload.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            payload.extend_from_slice(name.as_bytes());
        }
        payload
    }

    pub(super) fn from_payload(payload: &[u8]) -> Option<Self> {
        let mut rest = Rest(payload);
        let [version, bits] = rest.take()?;
        if version != PAYLOAD_VERSION {
            return None;
        }
        let methods: Vec<Method> = Method::ALL
            .into_iter()
            .filter(|method| bits & method.bit() != 0)
            .collect();
        if methods.iter().fold(0, |known, method| known | method.bit()) != bits {
            return None;
        }
        let session = SessionId::from_bytes(&rest.take::<16>()?)?;
        let device = IpAddr::V6(Ipv6Addr::from(rest.take::<16>()?)).to_canonical();
        let first_login = rest.instant()?;
        let second_step = rest.instant()?;
        let issued = rest.instant()?;
        let expires = rest.instant()?;
        let epoch = u64::from_be_bytes(rest.take()?);
        let caller = Name::parse(rest.text()?).ok()?;
        let person = Name::parse(rest.text()?).ok()?;
        let session_ref = match rest.text()? {
            "" => None,
            text => Some(Name::parse(text).ok()?),
        };
        rest.0.is_empty().then_some(Self {
            caller,
            device,
            session_ref,
            person,
            session,
            first_login,
            second_step,
            methods,
            issued,
            expires,
            epoch,
        })
    }
}

/// What of a payload is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn instant(&mut self) -> Option<Timestamp> {
        self.take()
            .map(|bytes| Timestamp::from_micros(i64::from_be_bytes(bytes)))
    }

    fn text(&mut self) -> Option<&'a str> {
        let [length] = self.take()?;
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::identity::ticket_keys::tests::keys;
    use uuid::Uuid;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    pub(in crate::identity) fn ticket() -> Ticket {
        Ticket {
            caller: name("ats"),
            device: "10.20.0.5".parse().unwrap(),
            session_ref: Some(name("s-1")),
            person: name("recruiter-1"),
            session: SessionId(Uuid::from_u128(7)),
            first_login: Timestamp::from_seconds(100),
            second_step: Timestamp::from_micros(200_000_001),
            methods: Method::ALL.to_vec(),
            issued: Timestamp::from_seconds(300),
            expires: Timestamp::from_seconds(28_900),
            epoch: u64::MAX,
        }
    }

    #[test]
    fn a_ticket_says_what_it_was_made_of() {
        let mut plain = ticket();
        plain.session_ref = None;
        plain.methods = vec![Method::Otp];
        plain.device = "2001:db8:1:2::".parse().unwrap();
        let mut long = ticket();
        long.caller = name(&"あ".repeat(42));
        long.person = name(&"p".repeat(128));
        long.session_ref = Some(name(&"s".repeat(128)));
        for ticket in [ticket(), plain, long] {
            let text = keys().issue(&ticket);
            assert!(text.expose().starts_with("sk1."));
            assert!(text.expose().len() <= 680);
            assert_eq!(keys().verify(&text), Ok(ticket));
        }
    }

    #[test]
    fn a_payload_of_another_version_method_or_length_is_refused() {
        let payload = ticket().to_payload();
        assert!(Ticket::from_payload(&payload).is_some());
        let with = |at: usize, byte: u8| {
            let mut payload = payload.clone();
            payload[at] = byte;
            Ticket::from_payload(&payload)
        };
        assert_eq!(with(0, 2), None);
        assert_eq!(with(1, 0x0f), None);
        assert_eq!(
            Ticket::from_payload(&[payload.as_slice(), &[0]].concat()),
            None
        );
        for end in 0..payload.len() {
            assert_eq!(Ticket::from_payload(&payload[..end]), None);
        }
    }

    #[test]
    fn a_ticket_is_bound_to_caller_device_and_session() {
        let (ticket, device) = (ticket(), "10.20.0.5".parse().unwrap());
        assert!(ticket.is_bound_to("ats", device, Some("s-1")));
        assert!(ticket.is_bound_to("ats", "::ffff:10.20.0.5".parse().unwrap(), Some("s-1")));
        assert!(!ticket.is_bound_to("crm", device, Some("s-1")));
        assert!(!ticket.is_bound_to("ats", "10.20.0.6".parse().unwrap(), Some("s-1")));
        assert!(!ticket.is_bound_to("ats", device, Some("s-2")));
        assert!(!ticket.is_bound_to("ats", device, None));
        let mut unbound = ticket;
        unbound.session_ref = None;
        assert!(unbound.is_bound_to("ats", device, None));
        assert!(!unbound.is_bound_to("ats", device, Some("s-1")));
    }

    #[test]
    fn an_ipv6_device_may_move_within_its_64() {
        let mut ticket = ticket();
        ticket.device = "2001:db8:1:2:aaaa::1".parse().unwrap();
        let text = keys().issue(&ticket);
        let ticket = keys().verify(&text).unwrap();
        assert_eq!(ticket.device, "2001:db8:1:2::".parse::<IpAddr>().unwrap());
        assert!(ticket.is_bound_to("ats", "2001:db8:1:2:bbbb::9".parse().unwrap(), Some("s-1")));
        assert!(!ticket.is_bound_to("ats", "2001:db8:1:3:aaaa::1".parse().unwrap(), Some("s-1")));
    }

    #[test]
    fn a_ticket_prints_neither_its_session_reference_nor_its_text() {
        let mut ticket = ticket();
        ticket.session_ref = Some(name("cookie-of-the-service"));
        assert!(!format!("{ticket:?}").contains("cookie"));
        let text = keys().issue(&ticket);
        assert!(!format!("{text:?}").contains("sk1."));
    }
}
