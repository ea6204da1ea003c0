//! Records of provision and of receipt (APPI Art. 29 and 30).

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $value:ident = $number:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$of])* $value,)+
        }

        impl $name {
            /// As the API, the log and the store number it.
            #[must_use]
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$value => $number,)+
                }
            }

            /// Reads a [`number`](Self::number).
            #[must_use]
            pub const fn from_number(number: i32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$value),)+
                    _ => None,
                }
            }
        }
    };
}

numbered! {
    /// What is recorded.
    RecordKind {
        /// That data were provided (Art. 29).
        Provision = 1,
        /// That data were received (Art. 30).
        Receipt = 2,
    }
}

numbered! {
    /// What became of it.
    RecordStatus {
        /// Allowed, and not reported yet.
        Open = 1,
        /// Provided.
        Provided = 2,
        /// Nothing was provided.
        Abandoned = 3,
        /// A receipt.
        Received = 4,
    }
}

numbered! {
    /// On which ground data were received (APPI Art. 30(3)).
    ReceiptBasis {
        /// The person consented (Art. 27(1), 28(1)).
        Consent = 1,
        /// Opt-out that the Commission published (Art. 27(2), (4)).
        OptOut = 2,
        /// Person-related information that becomes personal data here (Art. 31(1)).
        PersonRelated = 3,
        /// From somebody who is no business operator handling personal information.
        NotABusiness = 4,
    }
}
