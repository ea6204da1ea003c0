//! What deciding by a pack's rules costs as they grow, with casbin's own engine beside the index that is built from the same files:
//! `cargo bench --bench grants`. Both are asked the same random questions about the same packs of 100, 10,000 and 100,000 rules, and
//! must agree on each that both are asked. Rounds of the sizes alternate, so that a machine that changes its pace meets all of them.

#[path = "../support/numbers.rs"]
mod numbers;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use casbin::{CoreApi as _, DefaultModel, Enforcer, FileAdapter};
use sekisho::decision::rules::{GrantKey, RuleSet};
use sekisho::domain::access::Action;
use sekisho::policy;

use numbers::Numbers;
use support::{Outcome, ended, tell};

const SIZES: [usize; 3] = [100, 10_000, 100_000];
/// Each of all sizes.
const ROUNDS: usize = 40;
/// Questions to the index, a round.
const ASKED: usize = 20_000;
/// How long casbin is asked for each size.
const CASBIN: Duration = Duration::from_secs(3);
/// What a size of 100,000 may cost of what 100 do.
const RATIO_MAX: f64 = 1.1;
const LOAD_MAX: Duration = Duration::from_secs(2);
const FIRST_MAX: Duration = Duration::from_millis(1);

/// Rules of a role: of the kinds, categories, purposes and actions below.
const RULES_OF_A_ROLE: usize = 1_000;
const KINDS: usize = 4;
const CATEGORIES: usize = 10;
const PURPOSES: usize = 10;

fn main() -> ExitCode {
    ended(run())
}

fn run() -> Outcome<()> {
    if cfg!(debug_assertions) {
        // Where all targets are tested, this one has nothing to say.
        tell("not measured: an unoptimised build tells nothing (cargo bench --bench grants)");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut all = Vec::new();
    for rules in SIZES {
        all.push(Measured::prepare(folder.path(), rules, &runtime)?);
    }
    for round in 0..ROUNDS {
        for measured in &mut all {
            measured.look(round);
        }
    }
    for measured in &mut all {
        measured.ask_casbin()?;
    }
    tell(table(&all)?.trim_end());
    Ok(())
}

/// One size.
struct Measured {
    rules: usize,
    pack: RuleSet,
    casbin: Enforcer,
    questions: Vec<(GrantKey, Action)>,
    load: Duration,
    /// Of the first question after a load.
    first: Duration,
    /// Each round's, of one question.
    looks: Vec<Duration>,
    /// Of one question to casbin, and how many it was asked.
    enforce: Duration,
    enforced: usize,
}

fn ids(word: &str, count: usize) -> String {
    let ids: Vec<String> = (0..count)
        .map(|number| format!("{{ id = \"{word}-{number}\" }}"))
        .collect();
    format!("{word} = [{}]\n", ids.join(", "))
}

/// A pack of so many rules.
#[allow(clippy::disallowed_methods)] // what a benchmark makes needs no durability
fn write_pack(folder: &Path, rules: usize) -> Outcome<()> {
    let roles = rules.div_ceil(RULES_OF_A_ROLE);
    let mut toml = String::from(
        "pack = { id = \"grown\", title = \"Grown\", title_ja = \"Grown\", utc_offset = \"+09:00\" }\n\
         session = { absolute = \"8h\", idle = \"15m\" }\n\
         standing = { training = true, pledge = true }\n\
         service = [{ id = \"desk\", blocks = [\"10.9.0.0/24\"], systems = [\"charts\"], acts_for_people = true }]\n\
         network = [{ id = \"office\", blocks = [\"203.0.113.0/24\"] }]\n",
    );
    let role = |number| format!("{{ id = \"role-{number}\", networks = [\"office\"] }}");
    let all: Vec<String> = (0..roles).map(role).collect();
    writeln!(toml, "role = [{}]", all.join(", "))?;
    let purpose =
        |number| format!("{{ id = \"purpose-{number}\", kinds = \"all\", categories = \"all\" }}");
    let all: Vec<String> = (0..PURPOSES).map(purpose).collect();
    writeln!(toml, "purpose = [{}]", all.join(", "))?;
    toml.push_str(&ids("kind", KINDS));
    let category =
        |number| format!("{{ id = \"category-{number}\", items = [\"category-{number}.item\"] }}");
    let all: Vec<String> = (0..CATEGORIES).map(category).collect();
    writeln!(toml, "category = [{}]", all.join(", "))?;
    let mut csv = String::new();
    for number in 0..CATEGORIES {
        writeln!(csv, "g2, category-{number}.item, category-{number}")?;
    }
    for number in 0..rules {
        let (role, rest) = (number / RULES_OF_A_ROLE, number % RULES_OF_A_ROLE);
        let (kind, rest) = (rest % KINDS, rest / KINDS);
        let (category, rest) = (rest % CATEGORIES, rest / CATEGORIES);
        let (purpose, rest) = (rest % PURPOSES, rest / PURPOSES);
        let action = Action::ALL.get(rest).ok_or("too many rules of a role")?;
        writeln!(
            csv,
            "p, role-{role}, kind-{kind}, category-{category}, {action}, purpose-{purpose}, always, allow"
        )?;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment/model.conf");
    fs::write(folder.join("pack.toml"), toml)?;
    fs::write(folder.join("policy.csv"), csv)?;
    fs::copy(model, folder.join("model.conf"))?;
    Ok(())
}

impl Measured {
    fn prepare(folder: &Path, rules: usize, runtime: &tokio::runtime::Runtime) -> Outcome<Self> {
        let folder = folder.join(rules.to_string());
        fs::create_dir(&folder)?;
        write_pack(&folder, rules)?;
        let started = Instant::now();
        let pack = policy::load(&folder)?.rules;
        let load = started.elapsed();
        let path = |file: &str| folder.join(file).to_string_lossy().into_owned();
        let (model, csv) = (path("model.conf"), path("policy.csv"));
        let casbin = runtime.block_on(async {
            let model = DefaultModel::from_file(model).await?;
            Enforcer::new(model, FileAdapter::new(csv)).await
        })?;
        let mut numbers = Numbers(20_261_128);
        let mut questions = Vec::with_capacity(ASKED);
        for _ in 0..ASKED {
            let mut id = |count: usize| {
                let below = numbers.below(u64::try_from(count).unwrap_or(1));
                usize::try_from(below).unwrap_or(0)
            };
            let roles = rules.div_ceil(RULES_OF_A_ROLE);
            let (role, kind) = (format!("role-{}", id(roles)), format!("kind-{}", id(KINDS)));
            let (category, purpose) = (
                format!("category-{}", id(CATEGORIES)),
                format!("purpose-{}", id(PURPOSES)),
            );
            let action = Action::ALL.get(id(4)).copied().ok_or("no action")?;
            let key = GrantKey {
                role: pack.roles.id(&role).ok_or("no role")?,
                kind: pack.kinds.id(&kind).ok_or("no kind")?,
                category: pack.categories.id(&category).ok_or("no category")?,
                purpose: pack.purposes.id(&purpose).ok_or("no purpose")?,
            };
            questions.push((key, action));
        }
        let (key, action) = questions.first().copied().ok_or("no question")?;
        let started = Instant::now();
        black_box(pack.grants.allows(black_box(key), action, false));
        let first = started.elapsed();
        Ok(Self {
            rules,
            pack,
            casbin,
            questions,
            load,
            first,
            looks: Vec::new(),
            enforce: Duration::ZERO,
            enforced: 0,
        })
    }

    /// A round of questions to the index, beginning at another one each time.
    fn look(&mut self, round: usize) {
        let begin = round.wrapping_mul(7_919) % self.questions.len().max(1);
        let started = Instant::now();
        for (key, action) in self.questions.iter().cycle().skip(begin).take(ASKED) {
            black_box(self.pack.grants.allows(black_box(*key), *action, false));
        }
        let each = started.elapsed() / u32::try_from(ASKED).unwrap_or(1);
        self.looks.push(each);
    }

    /// Asks casbin for a while; both must agree.
    fn ask_casbin(&mut self) -> Outcome<()> {
        let started = Instant::now();
        let mut took = Duration::ZERO;
        for (key, action) in &self.questions {
            if self.enforced > 0 && started.elapsed() >= CASBIN {
                break;
            }
            let pack = &self.pack;
            let question = (
                pack.roles.name(key.role),
                pack.kinds.name(key.kind),
                pack.categories.name(key.category),
                action.name(),
                pack.purposes.name(key.purpose),
                "always",
            );
            let asked = Instant::now();
            let allowed = self.casbin.enforce(question)?;
            took += asked.elapsed();
            self.enforced += 1;
            if allowed != pack.grants.allows(*key, *action, false).is_some() {
                return Err(format!("they disagree at {} rules: {question:?}", self.rules).into());
            }
        }
        self.enforce = took / u32::try_from(self.enforced).unwrap_or(1);
        Ok(())
    }

    /// The middle round's.
    fn look_nanos(&self) -> f64 {
        let mut looks = self.looks.clone();
        looks.sort_unstable();
        let middle = looks.get(looks.len() / 2).copied().unwrap_or_default();
        middle.as_nanos() as f64
    }

    /// To another size, round by round: the middle one.
    fn ratio_to(&self, other: &Self) -> f64 {
        let ratios = self.looks.iter().zip(&other.looks);
        let mut ratios: Vec<f64> = ratios
            .map(|(own, others)| own.as_nanos() as f64 / (others.as_nanos() as f64).max(1.0))
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or(0.0)
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

fn table(all: &[Measured]) -> Outcome<String> {
    let smallest = all.first().ok_or("nothing was measured")?;
    let largest = all.last().ok_or("nothing was measured")?;
    let mut text = String::from(
        "Who may do what, by the same files: casbin's engine, and the index that is built from them; medians, ratios round by round.\n\n",
    );
    writeln!(
        text,
        "{:>8} {:>16} {:>10} {:>14} {:>10} {:>12} {:>14}",
        "rules", "casbin µs", "asked", "index ns", "to 100", "load ms", "first µs"
    )?;
    for one in all {
        writeln!(
            text,
            "{:>8} {:>16.1} {:>10} {:>14.1} {:>10.2} {:>12.0} {:>14.1}",
            one.rules,
            one.enforce.as_secs_f64() * 1e6,
            one.enforced,
            one.look_nanos(),
            one.ratio_to(smallest),
            one.load.as_secs_f64() * 1e3,
            one.first.as_secs_f64() * 1e6,
        )?;
    }
    let ratio = largest.ratio_to(smallest);
    writeln!(
        text,
        "\nindex at {} rules to {}: {ratio:.2}, goal at most {RATIO_MAX}: {}\nload of {}: goal at most {} ms: {}\nfirst question after it: goal at most {} µs: {}",
        largest.rules,
        smallest.rules,
        verdict(ratio <= RATIO_MAX),
        largest.rules,
        LOAD_MAX.as_millis(),
        verdict(largest.load <= LOAD_MAX),
        FIRST_MAX.as_micros(),
        verdict(largest.first <= FIRST_MAX),
    )?;
    Ok(text)
}
