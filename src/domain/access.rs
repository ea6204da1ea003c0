//! One request for access, read and bounded.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use super::ids::Name;

/// The most categories one request may name.
pub const CATEGORIES_MAX: usize = 64;
/// The most people one request may name, and the most items of a batch.
pub const SUBJECTS_MAX: usize = 1_000;
/// The most bytes of free text (a reason for break glass).
pub const TEXT_MAX_BYTES: usize = 2_048;

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $number,)+ }

        impl $name {
            /// Every value, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// From the API's number.
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// The API's number.
            #[must_use]
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The API's name without its prefix.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// From the API's name without its prefix.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

wire_enum! {
    /// What is done with the data.
    Action {
        /// Look at.
        Read = 1 "READ",
        /// Search by, or list.
        Search = 2 "SEARCH",
        /// Take out of the system.
        Export = 3 "EXPORT",
        /// Collect.
        Create = 4 "CREATE",
        /// Correct.
        Update = 5 "UPDATE",
        /// Dispose of.
        Delete = 6 "DELETE",
        /// Hand to someone outside (提供).
        Provide = 7 "PROVIDE",
    }
}

wire_enum! {
    /// The person's consent as the calling system knows it.
    Consent {
        /// None, or not said.
        None = 1 "NONE",
        /// Supposed from use of a service or a notice.
        Deemed = 2 "DEEMED",
        /// Given beforehand (事前の同意).
        Prior = 3 "PRIOR",
        /// Given beforehand for exactly this.
        Explicit = 4 "EXPLICIT",
        /// Taken back.
        Withdrawn = 5 "WITHDRAWN",
    }
}

impl Consent {
    /// Whether it was given beforehand.
    #[must_use]
    pub const fn is_prior(self) -> bool {
        matches!(self, Self::Prior | Self::Explicit)
    }
}

wire_enum! {
    /// APPI Art. 27(1), items i to vii.
    LegalException {
        /// i
        Law = 1 "LAW",
        /// ii
        LifeBodyProperty = 2 "LIFE_BODY_PROPERTY",
        /// iii
        PublicHealthChildren = 3 "PUBLIC_HEALTH_CHILDREN",
        /// iv
        StateCooperation = 4 "STATE_COOPERATION",
        /// v
        AcademicPublication = 5 "ACADEMIC_PUBLICATION",
        /// vi
        AcademicJoint = 6 "ACADEMIC_JOINT",
        /// vii
        AcademicRecipient = 7 "ACADEMIC_RECIPIENT",
    }
}

wire_enum! {
    /// How the actor is concerned with the subject.
    Relation {
        /// In charge of this subject or case (担当).
        Assigned = 1 "ASSIGNED",
        /// A colleague is in charge.
        Team = 2 "TEAM",
        /// Not at all.
        None = 3 "NONE",
    }
}

/// A session ticket as it came; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketText(Box<str>);

impl TicketText {
    /// The longest ticket, in bytes.
    pub const MAX_BYTES: usize = 2_048;

    /// Takes the text as it came.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, to be verified.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TicketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketText(..)")
    }
}

/// The company-wide id of a person whose data are asked for; never printed, never stored, and never logged but sealed, in a
/// record of provision.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SubjectRef(Box<str>);

impl SubjectRef {
    /// Takes a name's text.
    #[must_use]
    pub fn new(name: &Name) -> Self {
        Self((**name).into())
    }

    /// The text, to be turned into a pseudonym.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectRef(..)")
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A person without a ticket.
    Missing,
    /// A person's ticket.
    Ticket(TicketText),
    /// The calling service itself.
    Workload,
}

/// Whose data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// Nobody is named.
    Unnamed,
    /// One person.
    One(SubjectRef),
    /// A list of 1 to [`SUBJECTS_MAX`]; the order is the request's.
    List(Vec<SubjectRef>),
}

impl Subjects {
    /// How many different people are named at `positions`; one named twice counts once.
    pub fn people(&self, positions: impl IntoIterator<Item = usize>) -> u64 {
        let named = self.named();
        let different: HashSet<&SubjectRef> = positions
            .into_iter()
            .filter_map(|position| named.get(position))
            .collect();
        u64::try_from(different.len()).unwrap_or(u64::MAX)
    }

    /// How many different people are named.
    #[must_use]
    pub fn all_people(&self) -> u64 {
        match self {
            Self::Unnamed => 0,
            Self::One(_) => 1,
            Self::List(list) => self.people(0..list.len()),
        }
    }

    /// The people named, in order.
    #[must_use]
    pub fn named(&self) -> &[SubjectRef] {
        match self {
            Self::Unnamed => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::List(list) => list,
        }
    }
}

/// A recipient that the pack does not name, as the caller tells of it (items of the record of APPI Art. 29).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnlistedRecipient {
    /// Its name.
    pub name: Option<Name>,
    /// Its address.
    pub address: Option<Name>,
    /// Who represents it.
    pub representative: Option<Name>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Name>,
}

/// To whom data go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provision {
    /// A recipient of the pack.
    pub recipient: Option<Name>,
    /// What is told of a recipient that the pack leaves to the request to name.
    pub unlisted: UnlistedRecipient,
    /// The recipient follows its own purpose.
    pub own_purpose: bool,
    /// Safeguard in force for a transfer abroad.
    pub safeguard: Option<Name>,
}

/// What makes the access lawful, as the calling system knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The person's consent.
    pub consent: Consent,
    /// The exception that is claimed.
    pub exception: Option<LegalException>,
    /// The document behind it.
    pub reference: Option<Name>,
    /// Consent cannot reasonably be obtained.
    pub consent_difficult: bool,
    /// The person asked for this.
    pub subject_request: bool,
}

/// One request for access. Every name is within its bounds; whether the pack knows it is for `decision` to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequest {
    /// The caller's id for it.
    pub request_id: Option<Name>,
    /// Who asks.
    pub proof: Proof,
    /// The person's device.
    pub client_ip: Option<IpAddr>,
    /// The calling service's own session.
    pub session_ref: Option<Name>,
    /// What is done.
    pub action: Action,
    /// The system that holds the data.
    pub system: Option<Name>,
    /// The kind of person (本人の区分).
    pub subject_kind: Option<Name>,
    /// Whose data.
    pub subjects: Subjects,
    /// At least one, at most [`CATEGORIES_MAX`].
    pub categories: Vec<Name>,
    /// How many people's records: at least 1, and at least as many as are named.
    pub record_count: u64,
    /// How the data were collected.
    pub collected_via: Option<Name>,
    /// ISO 3166-1 alpha-2.
    pub origin_country: Option<Name>,
    /// The purpose of use (利用目的).
    pub purpose: Option<Name>,
    /// What makes it lawful.
    pub basis: Basis,
    /// Looked at for [`Action::Provide`] only.
    pub provision: Provision,
    /// Case, ticket or engagement.
    pub case_ref: Option<Name>,
    /// The reason, where break glass is asked for; may be empty.
    pub break_glass: Option<Box<str>>,
    /// A program alone decides with legal effect.
    pub automated_decision: bool,
    /// Withhold what is refused, allow the rest.
    pub allow_partial: bool,
    /// How the actor is concerned with the subject.
    pub relation: Option<Relation>,
}
