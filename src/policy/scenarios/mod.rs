//! Scenarios of a pack: requests in their circumstances, with what must come of them. They stand in the pack's `scenarios/` as data,
//! and this room reads them, plays them on the decision alone, and says which rules and reasons they reach.
//!
//! | file | job |
//! |---|---|
//! | `form` | the files, read strictly |
//! | `request` | a request, from the JSON that grpcurl takes |
//! | `play` | a scenario on the decision, with the plainest surroundings there are |
//! | `expected` | what differs from what is expected |
//! | `reach` | which reasons a pack can give |
//! | `coverage` | which rules and reasons were reached, and by which scenario |
//!
//! The same files are played against a daemon by the tests, over TLS and with grpcurl. What this room never does: ask a daemon, read
//! a clock, or leave out a scenario without saying why.

mod coverage;
mod expected;
mod form;
mod play;
mod reach;
mod request;

pub use coverage::{Coverage, Item, Sort};
pub use expected::Answered;
pub use form::{
    DEVICE, Elsewhere, Expect, Given, Left, SESSION, Scenario, ScenarioError, Standing, Step, load,
};
pub use play::{Decided, Played};

use super::Pack;

/// What became of one scenario.
#[derive(Debug)]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// How it came out.
    pub came: Came,
}

/// How a scenario came out.
#[derive(Debug)]
pub enum Came {
    /// As expected.
    AsExpected(Box<Decided>),
    /// Otherwise.
    Otherwise {
        /// What differs, or why it could not be played.
        problems: Vec<String>,
        /// What was decided, where it came so far.
        decided: Option<Box<Decided>>,
    },
    /// Not for the decision alone to say, and why.
    Left(Left),
}

/// Plays all scenarios that are for the decision alone to say. Takes some milliseconds for each hundred.
#[must_use]
pub fn test(pack: &Pack, scenarios: &[Scenario]) -> Vec<Tested> {
    scenarios
        .iter()
        .map(|scenario| Tested {
            name: scenario.name.clone(),
            file: scenario.file.clone(),
            came: came(pack, scenario),
        })
        .collect()
}

fn came(pack: &Pack, scenario: &Scenario) -> Came {
    if let Some(why) = scenario.needs_a_socket() {
        return Came::Left(why);
    }
    match play::play(pack, scenario) {
        Ok(Played { problems, decided }) if problems.is_empty() => {
            Came::AsExpected(Box::new(decided))
        }
        Ok(Played { problems, decided }) => Came::Otherwise {
            problems,
            decided: Some(Box::new(decided)),
        },
        Err(problem) => Came::Otherwise {
            problems: vec![problem],
            decided: None,
        },
    }
}
