//! What deciding by a pack's rules costs as they grow, with casbin's own engine beside the index that is built from the same files:
//! `cargo bench --bench grants`. Both are asked the same random questions about the same packs of 100, 10,000 and 100,000 rules, and
//! must agree on each that both are asked; the packs have inherited roles, categories that cover others, rules for all and rules that
//! deny. The questions are asked as whole decisions, too. What a reload does to checks in flight is measured by `cargo bench --bench
//! check -- --reloads`. Rounds of the sizes alternate, so that a machine that changes its pace meets all of them.

mod decisions;
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

use decisions::Decisions;

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

/// Rules of a role: of the kinds, categories, purposes and actions below; fewer where there are few rules, and two roles at least.
const RULES_OF_A_ROLE: usize = 1_000;
const KINDS: usize = 4;
const CATEGORIES: usize = 10;
const PURPOSES: usize = 10;
/// Actions of a role's rules: every other role has others, so that what it inherits is not what it has.
const ACTIONS: usize = 3;
/// Of so many rules of a role one denies, one is for all kinds, one for all categories, one counts on request only.
const A_DENIAL_IN: usize = 19;
const ALL_KINDS_IN: usize = 97;
const ALL_CATEGORIES_IN: usize = 89;
const ON_REQUEST_IN: usize = 23;

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
    questions: Vec<Question>,
    load: Duration,
    /// Of the first question after a load.
    first: Duration,
    /// The same questions as requests.
    decisions: Decisions,
    /// Each round's, of one question.
    looks: Vec<Duration>,
    /// Each round's, of one decision with all its stages.
    decided: Vec<Duration>,
    /// Of one question to casbin, and how many it was asked.
    enforce: Duration,
    enforced: usize,
    /// What casbin allowed of it.
    allowed: usize,
}

/// What both engines are asked.
#[derive(Clone, Copy)]
struct Question {
    key: GrantKey,
    action: Action,
    on_request: bool,
}

impl Question {
    fn allowed_by(&self, pack: &RuleSet) -> bool {
        let found = pack.grants.allows(self.key, self.action, self.on_request);
        found.is_some()
    }
}

fn ids(word: &str, count: usize) -> String {
    let ids: Vec<String> = (0..count)
        .map(|number| format!("{{ id = \"{word}-{number}\" }}"))
        .collect();
    format!("{word} = [{}]\n", ids.join(", "))
}

/// How many roles a pack of so many rules has.
fn roles_of(rules: usize) -> usize {
    rules.div_ceil(RULES_OF_A_ROLE).max(2)
}

/// Every other category is an item, which the category of its number covers.
fn category(number: usize) -> String {
    if number.is_multiple_of(2) {
        format!("category-{number}")
    } else {
        format!("category-{number}.item")
    }
}

fn action(role: usize, number: usize) -> Outcome<Action> {
    let position = number % ACTIONS + if role.is_multiple_of(2) { 0 } else { ACTIONS };
    Action::ALL
        .get(position)
        .copied()
        .ok_or_else(|| "no action".into())
}

/// The rule of this number of a role, as policy.csv has it.
fn rule(role: usize, number: usize) -> Outcome<[String; 7]> {
    let (kind, rest) = (number % KINDS, number / KINDS);
    let (of_category, rest) = (rest % CATEGORIES, rest / CATEGORIES);
    let (purpose, rest) = (rest % PURPOSES, rest / PURPOSES);
    let is_every = |count: usize| number % count == count / 2;
    let denies = is_every(A_DENIAL_IN);
    let word = |is: bool, yes: &str, no: &str| if is { yes } else { no }.to_owned();
    Ok([
        format!("role-{role}"),
        word(is_every(ALL_KINDS_IN), "*", &format!("kind-{kind}")),
        word(is_every(ALL_CATEGORIES_IN), "*", &category(of_category)),
        action(role, rest)?.name().to_owned(),
        format!("purpose-{purpose}"),
        // Who may not, may not on request either.
        word(is_every(ON_REQUEST_IN) && !denies, "on-request", "always"),
        word(denies, "deny", "allow"),
    ])
}

/// A pack of so many rules.
#[allow(clippy::disallowed_methods)] // what a benchmark makes needs no durability
fn write_pack(folder: &Path, rules: usize) -> Outcome<()> {
    let roles = roles_of(rules);
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
    for number in (1..roles).step_by(2) {
        writeln!(csv, "g, role-{number}, role-{}", number - 1)?;
    }
    let of_each = rules / roles;
    for number in 0..rules {
        let fields = rule(number / of_each, number % of_each)?;
        writeln!(csv, "p, {}", fields.join(", "))?;
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/recruitment/model.conf");
    fs::write(folder.join("pack.toml"), toml)?;
    fs::write(folder.join("policy.csv"), csv)?;
    fs::copy(model, folder.join("model.conf"))?;
    Ok(())
}

/// A random question; every other one is about what some rule says, by the role that has it or by one that inherits it.
fn question(numbers: &mut Numbers, rules: usize, own: bool, pack: &RuleSet) -> Outcome<Question> {
    let mut id = |count: usize| {
        let below = numbers.below(u64::try_from(count).unwrap_or(1));
        usize::try_from(below).unwrap_or(0)
    };
    let roles = roles_of(rules);
    let role = id(roles);
    let heir = (role | 1).min(roles - 1);
    let asks = if id(2) == 0 { role } else { heir };
    let (mut kind, mut of) = (format!("kind-{}", id(KINDS)), category(id(CATEGORIES)));
    let mut purpose = format!("purpose-{}", id(PURPOSES));
    let mut wanted = action(role, id(ACTIONS))?;
    if own {
        let [_, its_kind, its_category, its_action, its_purpose, _, _] =
            rule(role, id(rules / roles))?;
        wanted = Action::ALL
            .iter()
            .copied()
            .find(|action| action.name() == its_action)
            .ok_or("no action")?;
        purpose = its_purpose;
        kind = if its_kind == "*" { kind } else { its_kind };
        of = if its_category == "*" {
            of
        } else {
            its_category
        };
    }
    // What covers a category is asked for, too: a rule that denies reaches it.
    let of = match of.strip_suffix(".item") {
        Some(covers) if id(2) == 0 => covers.to_owned(),
        _ => of,
    };
    Ok(Question {
        key: GrantKey {
            role: pack.roles.id(&format!("role-{asks}")).ok_or("no role")?,
            kind: pack.kinds.id(&kind).ok_or("no kind")?,
            category: pack.categories.id(&of).ok_or("no category")?,
            purpose: pack.purposes.id(&purpose).ok_or("no purpose")?,
        },
        action: wanted,
        on_request: id(4) == 0,
    })
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
        let questions = (0..ASKED)
            .map(|number| question(&mut numbers, rules, number.is_multiple_of(2), &pack))
            .collect::<Outcome<Vec<_>>>()?;
        let first = questions.first().copied().ok_or("no question")?;
        let started = Instant::now();
        black_box(black_box(first).allowed_by(&pack));
        let first = started.elapsed();
        Ok(Self {
            rules,
            decisions: Decisions::of(&pack, &questions)?,
            pack,
            casbin,
            questions,
            load,
            first,
            looks: Vec::new(),
            decided: Vec::new(),
            enforce: Duration::ZERO,
            enforced: 0,
            allowed: 0,
        })
    }

    /// A round of questions to the index, beginning at another one each time.
    fn look(&mut self, round: usize) {
        let begin = round.wrapping_mul(7_919) % self.questions.len().max(1);
        let started = Instant::now();
        for question in self.questions.iter().cycle().skip(begin).take(ASKED) {
            black_box(black_box(question).allowed_by(&self.pack));
        }
        let each = |began: Instant| began.elapsed() / u32::try_from(ASKED).unwrap_or(1);
        self.looks.push(each(started));
        let started = Instant::now();
        for number in (0..self.questions.len()).cycle().skip(begin).take(ASKED) {
            black_box(self.decisions.decide(&self.pack, black_box(number)));
        }
        self.decided.push(each(started));
    }

    /// Asks casbin for a while; both must agree.
    fn ask_casbin(&mut self) -> Outcome<()> {
        let started = Instant::now();
        let mut took = Duration::ZERO;
        for asked in &self.questions {
            if self.enforced > 0 && started.elapsed() >= CASBIN {
                break;
            }
            let (pack, key) = (&self.pack, asked.key);
            let condition = if asked.on_request {
                "on-request"
            } else {
                "always"
            };
            let question = (
                pack.roles.name(key.role),
                pack.kinds.name(key.kind),
                pack.categories.name(key.category),
                asked.action.name(),
                pack.purposes.name(key.purpose),
                condition,
            );
            let begun = Instant::now();
            let allowed = self.casbin.enforce(question)?;
            took += begun.elapsed();
            self.enforced += 1;
            self.allowed += usize::from(allowed);
            if allowed != asked.allowed_by(pack) {
                return Err(format!("they disagree at {} rules: {question:?}", self.rules).into());
            }
        }
        self.enforce = took / u32::try_from(self.enforced).unwrap_or(1);
        Ok(())
    }
}

/// The middle round's.
fn middle_nanos(rounds: &[Duration]) -> f64 {
    let mut rounds = rounds.to_vec();
    rounds.sort_unstable();
    let middle = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    middle.as_nanos() as f64
}

/// One size to another, round by round: the middle one.
fn ratio(of: &[Duration], to: &[Duration]) -> f64 {
    let ratios = of.iter().zip(to);
    let mut ratios: Vec<f64> = ratios
        .map(|(one, other)| one.as_nanos() as f64 / (other.as_nanos() as f64).max(1.0))
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(0.0)
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "MISSED" }
}

fn table(all: &[Measured]) -> Outcome<String> {
    let smallest = all.first().ok_or("nothing was measured")?;
    let largest = all.last().ok_or("nothing was measured")?;
    let mut text = String::from(
        "Who may do what, by the same files: casbin's engine, and the index that is built from them; medians, ratios round by round.\n\
         Every other role inherits another's rules (g), every category covers an item (g2); of the rules one in 19 denies, one in 97\n\
         is for all kinds (*), one in 89 for all categories, one in 23 on request. They agreed on every question that both were asked.\n\n",
    );
    writeln!(
        text,
        "{:>8} {:>12} {:>14} {:>9} {:>7} {:>12} {:>7} {:>8} {:>9}",
        "rules",
        "casbin µs",
        "asked/allowed",
        "index ns",
        "to 100",
        "decision ns",
        "to 100",
        "load ms",
        "first µs"
    )?;
    for one in all {
        writeln!(
            text,
            "{:>8} {:>12.1} {:>14} {:>9.0} {:>7.2} {:>12.0} {:>7.2} {:>8.0} {:>9.1}",
            one.rules,
            one.enforce.as_secs_f64() * 1e6,
            format!("{}/{}", one.enforced, one.allowed),
            middle_nanos(&one.looks),
            ratio(&one.looks, &smallest.looks),
            middle_nanos(&one.decided),
            ratio(&one.decided, &smallest.decided),
            one.load.as_secs_f64() * 1e3,
            one.first.as_secs_f64() * 1e6,
        )?;
    }
    let ratio = ratio(&largest.decided, &smallest.decided);
    writeln!(
        text,
        "\ndecision at {} rules to {}: {ratio:.2}, goal at most {RATIO_MAX}: {}\nload of {}: goal at most {} ms: {}\nfirst question after it: goal at most {} µs: {}",
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
