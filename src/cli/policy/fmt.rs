//! `sekisho policy fmt`: the canonical form of a pack's files, and `sekisho policy new`: a pack to start from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::Failure;
use crate::cli::error::{CliError, Fault};
use crate::cli::output::print;
use crate::cli::words::{Language, Word};
use crate::files::write_plain;
use crate::policy::{self, format};

use super::{closed_output_is_no_failure, refused};

/// Arguments of `sekisho policy fmt`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct FmtArgs {
    /// The pack's folder
    #[arg(value_name = "FOLDER")]
    pack: PathBuf,
    /// Only tell what would change; exit code 1 when something would
    #[arg(long)]
    check: bool,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

/// Arguments of `sekisho policy new`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct NewArgs {
    /// The folder to make; where it is there, it has to be empty
    #[arg(value_name = "FOLDER")]
    pack: PathBuf,
    /// Language of the output [default: by LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<Language>,
}

type Format = fn(&str) -> Result<String, format::FormatError>;

/// Brings pack.toml and policy.csv into their canonical form. What they mean stays; the revision, a digest of their bytes, is another.
///
/// # Errors
/// 78 when the pack is not in order, or a file can't be brought into its form; 1, silently, when `--check` finds something to change.
pub(super) fn fmt(args: &FmtArgs) -> Result<(), Failure> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    // One that is not in order is not touched: what it means is not known.
    policy::load(&args.pack).map_err(|errors| refused(&errors, language))?;
    let forms: [(&str, Format); 2] = [
        ("pack.toml", format::pack_toml),
        ("policy.csv", format::policy_csv),
    ];
    let mut changed = Vec::new();
    for (file, form) in forms {
        // Links are followed, as when it is loaded.
        let path = args.pack.join(file);
        let read = fs::canonicalize(&path)
            .and_then(|path| fs::read_to_string(&path).map(|text| (path, text)));
        let (real, text) = read.map_err(|error| {
            let values = [&*path.to_string_lossy(), &error.to_string()];
            CliError::new(Fault::Usage, Word::CantRead, language, &values)
        })?;
        let formatted = form(&text)
            .map_err(|error| Failure::configuration(format_args!("{}: {error}", path.display())))?;
        if formatted != text {
            if !args.check {
                write_plain(&real, formatted.as_bytes())
                    .map_err(|error| CliError::of_file(&error))?;
            }
            changed.push(path);
        }
    }
    let word = if args.check {
        Word::FmtWouldChange
    } else {
        Word::FmtChanged
    };
    let told = changed
        .iter()
        .map(|path| word.fill(language, &[&path.to_string_lossy()]));
    closed_output_is_no_failure(print(&told.collect::<Vec<_>>(), language))?;
    if args.check && !changed.is_empty() {
        return Err(Failure::differs());
    }
    Ok(())
}

/// Makes a pack to start from.
///
/// # Errors
/// 73 when the folder is not empty or can't be made.
pub(super) fn new(args: &NewArgs) -> Result<(), Failure> {
    let language = Language::choose(args.lang, |name| std::env::var_os(name));
    let folder = &args.pack;
    let shown = folder.to_string_lossy();
    let failed = |why: &str| {
        let values = [&*shown, why];
        CliError::new(Fault::Output, Word::CantMake, language, &values)
    };
    let is_there = match fs::read_dir(folder) {
        Ok(mut there) => there.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(&error.to_string()).into()),
    };
    if is_there {
        let error = CliError::new(Fault::Output, Word::PackNotEmpty, language, &[&shown]);
        return Err(error.into());
    }
    let name = folder.file_name().map(|name| name.to_string_lossy());
    let files = policy::starting_pack(name.as_deref().unwrap_or_default());
    // What pack.toml names in its first line, for editors.
    let schema = ("pack.schema.json", format!("{:#}\n", policy::schema()));
    for (path, text) in files.iter().chain([&schema]) {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|error| failed(&error.to_string()))?;
        write_plain(&path, text.as_bytes()).map_err(|error| failed(&error.to_string()))?;
    }
    let lines = [Word::NewPack.fill(language, &[&shown])];
    closed_output_is_no_failure(print(&lines, language))
}
