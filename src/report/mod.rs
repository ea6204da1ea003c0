//! Reports as pages and tables: data in, text out. The command line writes them into files; whoever shows them in a browser serves
//! the same text.
//!
//! | file | job |
//! |---|---|
//! | `register` | who has access to what: the data, from rules and people |
//! | `register_text` | the same as a page, as CSV and as JSON |
//! | `systems` | the systems that hold personal data and how far each is covered: the first sheet of every report |
//! | `review` | what a campaign of review came to, and what its signature is of |
//! | `review_text` | the same as a page, as CSV and as JSON |
//! | `records` | records of provision and of receipt as a page, part by part |
//! | `disclosure` | what a person is told of their data (開示), as a page and as JSON, part by part |
//! | `incident` | the draft of a report of an incident (漏えい等報告), as a page, as CSV and as JSON |
//! | `measures` | the register of safety-management measures, as a page, as CSV and as JSON |
//! | `page` | HTML that prints: escaping, tables, the frame |
//!
//! What this room never does: read a file, a socket or a clock; put text into a page that is not escaped; decide.

pub mod disclosure;
pub mod incident;
pub mod measures;
mod page;
pub mod records;
mod register;
mod register_text;
mod review;
mod review_text;
mod systems;
mod told;

pub use register::{AccessRow, RecipientRow, Register, RoleRow, SystemRow};
pub use review::{ReportedItem, ReviewContent, ReviewReport, ReviewSignature, Said};

/// The language of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// One of two texts.
    const fn of<'a>(self, english: &'a str, japanese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Japanese => japanese,
        }
    }
}
