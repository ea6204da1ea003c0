//! `sekisho completions` and `sekisho man`: what shells and `man` know of the commands, made from the commands themselves.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::Destination;
use super::words::Language;
use super::{Arguments, Failure};
use crate::files;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this folder, which is made; one that is there already is written anew
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    all: Option<PathBuf>,
    /// The command, word by word: `sekisho man policy diff`
    command: Vec<String>,
}

pub(super) fn completions(arguments: &CompletionsArgs) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "sekisho",
        &mut bytes,
    );
    print(&bytes)
}

pub(super) fn man(arguments: &ManArgs) -> Result<(), Failure> {
    let mut whole = Arguments::command();
    whole.build();
    if let Some(folder) = &arguments.all {
        std::fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        return write_all(&whole, folder);
    }
    let mut command = &whole;
    for word in &arguments.command {
        command = command.find_subcommand(word).ok_or_else(|| {
            let (known, name) = (known(command), command.get_name());
            Failure::new(64, format!("{name} has no command {word:?}: {known}"))
        })?;
    }
    print(&page(command)?)
}

fn known(command: &Command) -> String {
    let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    if names.is_empty() {
        return "it has none".to_owned();
    }
    names.join(", ")
}

/// A page for the command, and one for each below it: `sekisho-policy-diff.1`.
fn write_all(command: &Command, folder: &Path) -> Result<(), Failure> {
    let file = folder.join(format!("{}.1", display_name(command)));
    files::write_plain(&file, &page(command)?).map_err(|error| cannot_write(&file, &error))?;
    for below in command.get_subcommands() {
        // What `help` explains has a page of its own.
        if below.get_name() != "help" {
            write_all(below, folder)?;
        }
    }
    Ok(())
}

/// The words of the command, as the name of a page is written: `sekisho-policy-diff`.
fn display_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    Man::new(command.clone())
        .title(display_name(command).to_owned())
        .render(&mut bytes)
        .map_err(Failure::cannot_create)?;
    Ok(bytes)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let language = Language::choose(None, |name| std::env::var_os(name));
    let text = String::from_utf8_lossy(bytes);
    let mut out = Destination::open(None)?;
    out.write(&text, language)?;
    Ok(out.finish(language)?)
}

fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::cannot_create(format!("{}: {error}", path.display()))
}
