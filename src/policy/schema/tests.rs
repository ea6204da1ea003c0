//! That the schema says of each key what the loader says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::policy::faults::{Faults, PackFile};
use crate::policy::source::Sources;

/// Folders of packs that together use every section.
fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = std::fs::read_dir(root.join("policies")).unwrap();
    let mut folders: Vec<PathBuf> = shipped.map(|folder| folder.unwrap().path()).collect();
    folders.push(root.join("tests/packs/registered-first"));
    folders.push(root.join("tests/bad-packs/base"));
    folders
}

/// Every section and key that the loader asks these packs for.
fn asked_for() -> BTreeSet<(String, &'static str)> {
    let mut asked = BTreeSet::new();
    for folder in folders() {
        let sources = Sources::read(&folder);
        let faults = Faults::over(&sources);
        let text = sources.text(PackFile::Pack).unwrap();
        asked.extend(pack_toml::asked(text, faults.of(PackFile::Pack)).asked());
        assert!(!faults.any_error(), "{}", folder.display());
    }
    // Asked for to be refused: those sections are no rules.
    asked.retain(|(section, key)| {
        !(matches!(&**section, "pack" | "monitoring_notice" | "accept_warning")
            && key.starts_with("promise"))
    });
    asked
}

#[test]
fn the_schema_names_every_key_that_the_loader_asks_for_and_no_other() {
    let mut named: BTreeSet<(String, &str)> = SECTIONS
        .iter()
        .flat_map(|section| {
            let keys = section.keys.iter();
            keys.map(|key| (section.name.to_owned(), key.name))
        })
        .collect();
    named.extend(SECTIONS.iter().map(|section| (String::new(), section.name)));
    named.extend(
        sections::ITEM
            .iter()
            .map(|key| ("item".to_owned(), key.name)),
    );
    let asked = asked_for();
    let missing: Vec<_> = asked.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&asked).collect();
    assert!(missing.is_empty(), "the schema lacks {missing:?}");
    assert!(unknown.is_empty(), "the loader asks for no {unknown:?}");
}

#[test]
fn the_schema_gives_every_number_the_bounds_that_the_loader_gives_it() {
    let mut asked = BTreeSet::new();
    for folder in folders() {
        let text = std::fs::read_to_string(folder.join("pack.toml")).unwrap();
        let sources = Sources::of(PackFile::Pack, &text);
        let faults = Faults::over(&sources);
        asked.extend(pack_toml::asked(&text, faults.of(PackFile::Pack)).ranges());
    }
    let named: BTreeSet<(String, &str, u64, u64)> = SECTIONS
        .iter()
        .flat_map(|section| {
            let numbers = section.keys.iter().filter_map(|key| match key.form {
                Form::Number(least, most) => Some((key.name, least, most)),
                _ => None,
            });
            numbers.map(|(key, least, most)| {
                (
                    section.name.to_owned(),
                    key,
                    u64::from(least),
                    u64::from(most),
                )
            })
        })
        .collect();
    assert!(named.len() >= 4, "{named:?}");
    assert_eq!(named, asked);
    // And that is what the schema that is printed says.
    let schema = schema();
    for (section, key, least, most) in named {
        let section = &schema["properties"][&section];
        let keys = section.get("items").unwrap_or(section);
        let form = &keys["properties"][key];
        assert_eq!(form["minimum"], least, "{key}");
        assert_eq!(form["maximum"], most, "{key}");
    }
}

/// What a key can't take, whatever its form: a list in a list.
#[test]
fn what_the_schema_calls_wrong_the_loader_calls_wrong() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-packs/base/pack.toml");
    let base: toml::Table = std::fs::read_to_string(base).unwrap().parse().unwrap();
    for section in SECTIONS {
        for key in section.keys {
            let mut pack = base.clone();
            let value = pack.get_mut(section.name).unwrap();
            let table = match value {
                toml::Value::Array(tables) => tables.first_mut().unwrap(),
                table => table,
            };
            let wrong: toml::Table = "x = [[[1]]]".parse().unwrap();
            let table = table.as_table_mut().unwrap();
            table.insert(key.name.to_owned(), wrong["x"].clone());
            let text = toml::to_string(&pack).unwrap();
            let sources = Sources::of(PackFile::Pack, &text);
            let faults = Faults::over(&sources);
            pack_toml::read(&text, faults.of(PackFile::Pack));
            let findings = faults.into_findings(Path::new(""));
            let told = findings.iter().any(|finding| {
                finding.message.contains(&format!("{}: ", key.name))
                    || finding
                        .message
                        .contains(&format!("{} is missing", key.name))
            });
            assert!(told, "{}.{}: {findings:?}", section.name, key.name);
        }
    }
}

#[test]
fn what_must_be_there_by_the_schema_must_be_there_for_the_loader() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-packs/base/pack.toml");
    let base: toml::Table = std::fs::read_to_string(base).unwrap().parse().unwrap();
    let told = |pack: &toml::Table, name: &str| {
        let text = toml::to_string(pack).unwrap();
        let sources = Sources::of(PackFile::Pack, &text);
        let faults = Faults::over(&sources);
        pack_toml::read(&text, faults.of(PackFile::Pack));
        let findings = faults.into_findings(Path::new(""));
        let missing = format!("{name} is missing");
        findings.iter().any(|finding| {
            matches!(finding.code, "missing-key" | "missing-section")
                && finding.message.ends_with(&missing)
        })
    };
    for section in SECTIONS {
        let mut without = base.clone();
        assert!(without.remove(section.name).is_some(), "{}", section.name);
        assert_eq!(
            told(&without, section.name),
            section.required,
            "{}",
            section.name
        );
        for key in section.keys {
            let mut pack = base.clone();
            let tables: Vec<&mut toml::Table> = match pack.get_mut(section.name).unwrap() {
                toml::Value::Array(tables) => tables
                    .iter_mut()
                    .map(|table| table.as_table_mut().unwrap())
                    .collect(),
                table => vec![table.as_table_mut().unwrap()],
            };
            for table in tables {
                table.remove(key.name);
            }
            let required = told(&pack, key.name);
            // What only one route, or one kind of measure, needs is more than a schema says.
            let of_a_route = matches!(
                key.name,
                "contract_until" | "inspected_until" | "stopped_by"
            );
            let of_a_kind = section.name == "measure"
                && matches!(key.name, "by" | "every" | "reference" | "reference_ja");
            assert!(
                required == key.required || of_a_route || of_a_kind,
                "{}.{}: the loader says {required}",
                section.name,
                key.name
            );
        }
    }
}
