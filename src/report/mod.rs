//! Reports for people: data in, a page out. This room reads no file, no socket and no clock, and everything that comes from
//! elsewhere is escaped on its way into a page.

pub mod disclosure;
mod html;

/// The language of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// 日本語
    Japanese,
}

impl Language {
    /// As HTML names it (BCP 47).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }

    /// The one of two texts that is in it.
    #[must_use]
    pub const fn of<'a>(self, english: &'a str, japanese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Japanese => japanese,
        }
    }
}
