//! What the tests know of the packs' scenarios beside what stands in them: who reads the log in each pack, and who registers.
//! The scenarios themselves are read by `sekisho::policy::scenarios`, as `sekisho policy test` reads them.

use std::path::Path;

use sekisho::policy;
pub use sekisho::policy::scenarios::{DEVICE as OFFICE, Expect, SESSION, Scenario, Step, load};

/// The caller of what tests do themselves, in the pack `recruitment`.
pub const CALLER: &str = "career-crm";

/// Who reads all of the log in each pack, and the service where they log in.
pub const READERS: [(&str, &str, &str); 5] = [
    ("filing-office", "security-1", "filing-desk"),
    ("housing-and-care", "privacy-1", "care-desk"),
    ("multi-jurisdiction", "officer-1", "customer-desk"),
    ("recruitment", "security-1", CALLER),
    ("scrivener-office", "security-1", "case-desk"),
];

/// The same of the packs that only tests have.
const OWN_READERS: [(&str, &str, &str); 1] = [("registered-first", "security-1", "desk")];

/// The row of [`READERS`] of a pack.
pub fn reader_of(pack: &Path) -> (&'static str, &'static str, &'static str) {
    let rows = READERS.into_iter().chain(OWN_READERS);
    let row = rows.into_iter().find(|(id, ..)| pack.ends_with(id));
    row.unwrap_or_else(|| panic!("{}: who reads the log?", pack.display()))
}

/// The service that registers holds and dates in a pack; empty for none.
pub fn registrar_of(pack: &Path) -> String {
    let rules = policy::load(pack).expect("a pack that loads").rules;
    let mut services = rules.services.iter();
    services
        .find(|(_, _, service)| service.registers_subjects)
        .map_or_else(String::new, |(_, id, _)| id.to_owned())
}
