//! The systems that hold personal data, and how far what is promised reaches them.

/// A system that holds personal data (個人データの取扱状況を確認する手段): who answers for it, where it is, and whether it is under sekisho.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// What it is called, in English.
    pub title: Box<str>,
    /// What it is called, in Japanese.
    pub title_ja: Box<str>,
    /// The person or post that answers for it.
    pub responsible: Box<str>,
    /// The same in Japanese.
    pub responsible_ja: Box<str>,
    /// Where that one works.
    pub department: Box<str>,
    /// The country that the data are kept in, ISO 3166-1 alpha-2.
    pub country: Box<str>,
    /// How far it is under sekisho.
    pub coverage: Coverage,
    /// Line in pack.toml.
    pub line: u32,
}

/// How far a system is under sekisho.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coverage {
    /// It asks before each access and acts on the answer: what is denied does not happen.
    Enforced,
    /// It asks, so that each access is in the log, but nothing keeps it from going on after a denial.
    Recorded,
    /// It doesn't ask: nothing of what this pack says is checked there.
    #[default]
    Uncovered,
}

impl Coverage {
    /// All.
    pub const ALL: [Self; 3] = [Self::Enforced, Self::Recorded, Self::Uncovered];

    /// As pack.toml has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforced => "enforced",
            Self::Recorded => "recorded",
            Self::Uncovered => "uncovered",
        }
    }
}
