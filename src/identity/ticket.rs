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
//! | 2       | bits    | 16 bytes  | 16 bytes  | 8 bytes     | 8 bytes     |
//! +---------+---------+-----------+-----------+-------------+-------------+
//! | 50      | 58      | 66        | 74        | 75          | 76          |
//! | issued  | expires | epoch     | services  | which holds | services    |
//! | 8 bytes | 8 bytes | 8 bytes   | how many  | it          | then names  |
//! +---------+---------+-----------+-----------+-------------+-------------+
//! ```
//! Each service is its generation, 8 bytes, and its name; after the services come the names of the person and of the session
//! reference. A name is 1 byte of length, then its text. The device is an IPv6 address, IPv4 as its mapped form; a session
//! reference of length 0 is none. Nothing follows. The payload is not secret from the service that holds the ticket; it is
//! opaque so that it may change: a ticket of an older version has expired.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

pub use super::ticket_keys::{TicketError, TicketKeys};

use crate::domain::ids::{Name, SessionId};
use crate::domain::network::device_network;
use crate::domain::time::Timestamp;

const PAYLOAD_VERSION: u8 = 2;
/// Through how many services a session may be passed on.
pub const SERVICES_MAX: usize = 8;
/// Fixed fields, services with their generations, and two names of 128 bytes with their lengths.
const PAYLOAD_MAX_BYTES: usize = 76 + SERVICES_MAX * (8 + 129) + 2 * 129;

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

/// A service that a session came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Which.
    pub service: Name,
    /// The service's generation when it was given a ticket: once the service's is higher, that ticket is revoked, and so is
    /// what came of it.
    pub generation: u64,
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
    /// The services that it came through, the one of the login first and `caller` among them, each once; at most
    /// [`SERVICES_MAX`].
    pub through: Vec<Passage>,
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

    /// The same session at another service, whose generation is `generation` now; `None` where it came through too many.
    #[must_use]
    pub fn passed_on(mut self, to: Name, generation: u64) -> Option<Self> {
        // Back where it came through: what ended that one's tickets ends this one.
        if !self.through.iter().any(|passage| passage.service == to) {
            if self.through.len() >= SERVICES_MAX {
                return None;
            }
            self.through.push(Passage {
                service: to.clone(),
                generation,
            });
        }
        self.caller = to;
        Some(self)
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
        let mut holder = self.through.iter();
        let holder = holder.position(|passage| passage.service == self.caller);
        for count in [self.through.len(), holder.unwrap_or(usize::MAX)] {
            payload.push(u8::try_from(count).unwrap_or(u8::MAX));
        }
        // A name has at most 128 bytes, so its length always fits.
        let put = |payload: &mut Vec<u8>, name: &str| {
            payload.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            payload.extend_from_slice(name.as_bytes());
        };
        for passage in &self.through {
            payload.extend_from_slice(&passage.generation.to_be_bytes());
            put(&mut payload, &passage.service);
        }
        put(&mut payload, &self.person);
        put(
            &mut payload,
            self.session_ref.as_deref().unwrap_or_default(),
        );
        payload
    }

    /// Whether a payload is of a version that isn't made any more.
    pub(super) fn is_older(payload: &[u8]) -> bool {
        payload
            .first()
            .is_some_and(|it| (1..PAYLOAD_VERSION).contains(it))
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
        let [services, holder] = rest.take()?;
        if usize::from(services) > SERVICES_MAX {
            return None;
        }
        let mut through = Vec::with_capacity(usize::from(services));
        for _ in 0..services {
            let generation = u64::from_be_bytes(rest.take()?);
            let service = Name::parse(rest.text()?).ok()?;
            through.push(Passage {
                service,
                generation,
            });
        }
        let caller = through.get(usize::from(holder))?.service.clone();
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
            through,
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
    use crate::domain::access::TicketText;
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
            through: vec![passage("ats", 5)],
        }
    }

    fn passage(service: &str, generation: u64) -> Passage {
        Passage {
            service: name(service),
            generation,
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
        long.through = ('a'..='g')
            .map(|letter| passage(&letter.to_string().repeat(128), u64::MAX))
            .chain([passage(&long.caller, 0)])
            .collect();
        long.person = name(&"p".repeat(128));
        long.session_ref = Some(name(&"s".repeat(128)));
        for ticket in [ticket(), plain, long] {
            let text = keys().issue(&ticket);
            assert!(text.expose().starts_with("sk1."));
            assert!(text.expose().len() <= TicketText::MAX_BYTES);
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
        assert_eq!(with(0, 3), None);
        assert_eq!(with(0, 1), None);
        assert_eq!(with(74, 0), None, "through no service");
        assert_eq!(with(74, 9), None, "through too many");
        assert_eq!(with(75, 1), None, "held by none of them");
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
    fn a_session_that_is_passed_on_says_through_which_services() {
        let there = ticket().passed_on(name("crm"), 3).unwrap();
        assert_eq!(&*there.caller, "crm");
        assert_eq!(there.through, [passage("ats", 5), passage("crm", 3)]);
        let text = keys().issue(&there);
        assert_eq!(keys().verify(&text).unwrap(), there);
        // Back again: what ended the first ticket ends this one.
        let back = there.passed_on(name("ats"), 9).unwrap();
        assert_eq!(&*back.caller, "ats");
        assert_eq!(back.through, [passage("ats", 5), passage("crm", 3)]);
        let mut far = back;
        for number in 2..SERVICES_MAX {
            far = far.passed_on(name(&number.to_string()), 0).unwrap();
        }
        assert_eq!(far.clone().passed_on(name("one more"), 0), None);
        assert!(far.passed_on(name("crm"), 0).is_some());
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
