//! Whole packs: as they are shipped, as they must not be, and the compiled grants against casbin.

mod bad_packs;
mod casbin_agrees;
mod recruitment;

use std::path::{Path, PathBuf};

use super::*;

fn recruitment_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment")
}

fn recruitment() -> Pack {
    load(&recruitment_directory()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A copy of recruitment's files that may be spoilt.
fn copy_of_recruitment() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        let from = recruitment_directory().join(file);
        std::fs::copy(from, directory.path().join(file)).unwrap();
    }
    directory
}

/// Overwrites one file of a copy.
#[allow(clippy::disallowed_methods)]
fn write(directory: &Path, file: &str, contents: impl AsRef<[u8]>) {
    std::fs::write(directory.join(file), contents).unwrap();
}

/// What the program calls by a word that a pack calls something else by: a column, a field of a person, a key of details.
const HOMONYMS: [(&str, &str); 15] = [
    ("account", "gate/directory/plan.rs"),
    ("account", "gate/directory/read.rs"),
    ("account", "gate/explain/who.rs"),
    ("administration", "cli/init.rs"),
    ("employer", "api/people.rs"),
    ("employer", "cli/people_output.rs"),
    ("employer", "cli/people_profile.rs"),
    ("employer", "domain/person/form.rs"),
    ("employer", "gate/directory/check.rs"),
    ("employer", "gate/directory/plan.rs"),
    ("employer", "policy/people.rs"),
    ("number", "policy/schema/mod.rs"),
    ("number", "store/marks.rs"),
    ("number", "store/news.rs"),
    ("number", "store/pour.rs"),
];

/// Every rule is data: what a pack calls its own things is in no source, but for the sample that `sekisho dev` starts with.
#[test]
fn no_id_of_a_pack_is_in_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut ids = std::collections::BTreeSet::new();
    let mut packs = 0;
    for folder in std::fs::read_dir(root.join("policies")).unwrap() {
        let pack = load(&folder.unwrap().path()).unwrap();
        packs += 1;
        let rules = pack.rules;
        ids.insert(rules.pack.to_string());
        ids.extend(rules.purposes.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.categories.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.recipients.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.kinds.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.services.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.systems.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.networks.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.roles.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.holds.iter().map(|(_, id, _)| id.to_owned()));
        ids.extend(rules.dates.iter().map(|(_, id, _)| id.to_owned()));
    }
    // Every pack has it without saying so.
    ids.remove("administrator");
    assert!(packs > 0 && ids.len() > 200, "{ids:?}");
    for single_word in ["contact", "bank", "health", "customer", "office"] {
        assert!(ids.contains(single_word), "{single_word}");
    }
    let mut folders = vec![root.join("src")];
    let mut found = Vec::new();
    let mut homonyms = std::collections::BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap() {
            let path = path.unwrap().path();
            if path.is_dir() {
                // Tests name what they test.
                folders.extend((!path.ends_with("tests")).then_some(path));
                continue;
            }
            if path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for (number, line) in code.lines().enumerate() {
                let line = line.trim();
                if line.starts_with("//")
                    || line.starts_with("#[arg(long, default_value = \"policies/")
                {
                    continue;
                }
                for id in ids.iter().filter(|id| line.contains(&format!("\"{id}\""))) {
                    let homonym = HOMONYMS
                        .iter()
                        .find(|(word, file)| *word == id.as_str() && path.ends_with(file));
                    match homonym {
                        Some(homonym) => {
                            homonyms.insert(*homonym);
                        }
                        None => found.push(format!("{}:{}: {id}", path.display(), number + 1)),
                    }
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
    // One that is gone is not left behind as a hole.
    assert_eq!(homonyms.into_iter().collect::<Vec<_>>(), HOMONYMS);
}
