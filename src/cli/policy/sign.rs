//! `sekisho policy keygen` and `sign`: who answers for a pack signs its revision (Ed25519, RFC 8032, in a C2SP `signed-note`).

use std::path::PathBuf;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::refused;
use crate::cli::Failure;
use crate::cli::table::neutralise;
use crate::cli::words::{Language, Word};
use crate::files::{create_private, read_private};
use crate::gate::signed_text;
use crate::log::{SignedNote, SigningKey};
use crate::policy::{self, SIGNATURE_FILE};

/// What the file of a key begins with.
const MARK: &str = "sekisho policy signing key 1";
const KEY_MAX_BYTES: u64 = 4_096;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct KeygenArgs {
    /// The new file with the private key, mode 0600
    file: PathBuf,
    /// Whose key it is: a name without spaces, e.g. dpo.example/2026
    #[arg(long)]
    name: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SignArgs {
    /// The pack's folder
    pack: PathBuf,
    /// The private key that `sekisho policy keygen` made
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Makes a key; prints the public half, for `policy.signers`.
pub(super) fn keygen(args: &KeygenArgs) -> Result<(), Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(Failure::cannot_create)?;
    let key = SigningKey::new(&args.name, &seed).map_err(|_| not_a_name(&args.name))?;
    let encoded = Zeroizing::new(BASE64.encode(&*seed));
    let text = Zeroizing::new(format!("{MARK}\n{}\n{}\n", args.name, &*encoded));
    create_private(&args.file, text.as_bytes()).map_err(Failure::cannot_create)?;
    println!("{}", key.verifier_key());
    Ok(())
}

/// Signs a pack that is in order; other signatures of the same revision stay.
pub(super) fn sign(args: &SignArgs) -> Result<(), Failure> {
    let key = read_key(&args.key)?;
    let (pack, files) =
        policy::load_with_files(&args.pack).map_err(|errors| refused(&errors, language()))?;
    let text = signed_text(&pack.rules.pack, &pack.rules.revision);
    let own = key.sign_text(text.clone());
    let others = files
        .signature
        .as_deref()
        .and_then(|note| SignedNote::parse(note).ok())
        .filter(|note| note.text() == text);
    let note = match others {
        Some(others) => others.with(own),
        None => own,
    };
    let path = args.pack.join(SIGNATURE_FILE);
    // No secret, and for whoever may read the pack: with the mode that its other files are made with.
    #[allow(clippy::disallowed_methods)]
    std::fs::write(&path, note.to_string()).map_err(Failure::cannot_create)?;
    println!(
        "{}: {}, revision {}",
        path.display(),
        key.verifier_key().name(),
        policy::shelf::written(&pack.rules.revision)
    );
    Ok(())
}

fn read_key(path: &std::path::Path) -> Result<SigningKey, Failure> {
    let bytes = read_private(path, KEY_MAX_BYTES).map_err(Failure::configuration)?;
    let wrong = || {
        let path = neutralise(&path.to_string_lossy());
        Failure::configuration(Word::NotASigningKey.fill(language(), &[&path]))
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong())?;
    let mut lines = text.lines();
    let (Some(MARK), Some(name), Some(seed), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(wrong());
    };
    let seed = BASE64.decode(seed.as_bytes()).map(Zeroizing::new);
    let seed = seed.map_err(|_| wrong())?;
    let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| wrong())?;
    SigningKey::new(name, seed).map_err(|_| wrong())
}

fn not_a_name(name: &str) -> Failure {
    Failure::configuration(Word::NotASignersName.fill(language(), &[&neutralise(name)]))
}

fn language() -> Language {
    Language::choose(None, |name| std::env::var_os(name))
}
