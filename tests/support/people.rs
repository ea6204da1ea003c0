//! The pack's sample people, as `sekisho dev` wrote them down.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use totp_rs::{Builder, Secret};

/// One row of `people.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    password: String,
    totp_secret: Option<String>,
}

/// What a person knows and has.
pub struct Person {
    pub password: String,
    totp_secret: Option<String>,
}

impl Person {
    /// The code that their authenticator shows at `now`; six zeros for who has none.
    pub fn code(&self, now: u64) -> String {
        let Some(secret) = &self.totp_secret else {
            return "000000".into();
        };
        let secret = Secret::try_from_base32(secret).expect("people.json has seeds in base32");
        Builder::new()
            .with_secret(secret)
            .build()
            .expect("people.json has seeds of a lawful length")
            .generate(now)
            .to_string()
    }
}

/// By id.
pub struct People(HashMap<String, Person>);

impl People {
    pub fn read(data: &Path) -> Self {
        let path = data.join("dev/people.json");
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let rows: Vec<Row> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(
            rows.into_iter()
                .map(|row| {
                    (
                        row.id,
                        Person {
                            password: row.password,
                            totp_secret: row.totp_secret,
                        },
                    )
                })
                .collect(),
        )
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn get(&self, id: &str) -> &Person {
        self.0
            .get(id)
            .unwrap_or_else(|| panic!("{id} is not in people.json"))
    }
}
