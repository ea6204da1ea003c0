//! `sekisho keys`: the ids of the keys, and new ones. No key is ever shown.

use std::path::PathBuf;

use super::Failure;
use super::output::print;
use super::words::{Language, Word};
use crate::identity::keyring::{Keyring, KeyringError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum KeysCommand {
    /// What each key is for, its id, and whether it makes what is new or only opens what was made before
    List(ListArgs),
    /// A new key in front of the present one, which stays good for what it made: nobody is logged out. `master` wraps all keys
    /// anew, under a new master key or, where the newest of the file does not wrap this keyring yet, under that. The master keys
    /// before stay in the file: other data directories may share it. A daemon that serves takes a new key up at its next start,
    /// and then seals what the store has of second factors anew
    Rotate(RotateArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The data directory
    #[arg(long, value_name = "DIR", env = "SEKISHO_DATA")]
    data: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RotateArgs {
    /// master, tickets, seeds or log-text
    #[arg(value_name = "USE")]
    purpose: String,
    /// With master: draw no key, but take the older ones out of the file. First rotate every data directory that shares it, and
    /// keep a copy for backups that are older
    #[arg(long)]
    forget: bool,
    /// The data directory
    #[arg(long, value_name = "DIR", env = "SEKISHO_DATA")]
    data: PathBuf,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

pub(super) fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::List(args) => list(&args),
        KeysCommand::Rotate(args) => rotate(&args),
    }
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    let (master, keys) = Keyring::list(&args.data).map_err(failed)?;
    let master = ("master", master.id(), true, master.from().to_owned());
    let others = keys
        .iter()
        .map(|key| (key.purpose, key.id, key.in_use, String::new()));
    let mut lines = Vec::new();
    for (purpose, id, in_use, from) in std::iter::once(master).chain(others) {
        if args.json {
            let mut line =
                serde_json::json!({ "use": purpose, "id": id.as_str(), "in_use": in_use });
            if let (false, Some(line)) = (from.is_empty(), line.as_object_mut()) {
                line.insert("from".to_owned(), from.into());
            }
            lines.push(line.to_string());
            continue;
        }
        let state = if in_use {
            Word::KeyInUse
        } else {
            Word::KeyOlder
        };
        let state = state.text(language);
        let line = format!("{purpose:12} {id}  {state}  {from}");
        lines.push(line.trim_end().to_owned());
    }
    print(&lines, language).map_err(Failure::from)
}

fn rotate(args: &RotateArgs) -> Result<(), Failure> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    if args.forget {
        if args.purpose != "master" {
            let error = KeyringError::NotForgotten(args.purpose.clone());
            return Err(failed(error));
        }
        let id = Keyring::forget_older_masters(&args.data).map_err(failed)?;
        let told = Word::MasterKeysForgotten.fill(language, &[id.as_str()]);
        return print(&[told], language).map_err(Failure::from);
    }
    let id = Keyring::rotate(&args.data, &args.purpose).map_err(failed)?;
    let told = match args.purpose.as_str() {
        "master" => Word::MasterKeyRotated.fill(language, &[id.as_str()]),
        purpose => Word::KeyRotated.fill(language, &[purpose, id.as_str()]),
    };
    print(&[told], language).map_err(Failure::from)
}

fn failed(error: KeyringError) -> Failure {
    let code = match &error {
        KeyringError::NoSuchUse(_)
        | KeyringError::NotRotated(..)
        | KeyringError::NotForgotten(_) => 64,
        _ => 78,
    };
    Failure::new(code, error)
}
