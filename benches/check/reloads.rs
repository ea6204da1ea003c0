//! What reloads of a large pack do to checks: a pack of 100,000 rules is changed in its folder and taken up (`ReloadPolicy`) while checks
//! are asked at a moderate rate, open loop, each wait counted from when the check was due. Rounds without and with a reload alternate.
//! Every check must be allowed, by the one revision or by the other, and never again by the older once the newer decided.

use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho::decision::rules::RuleSet;
use sekisho::domain::access::Action;
use sekisho::policy;
use sekisho::proto::ReloadPolicyRequest;
use sekisho::proto::policy_service_client::PolicyServiceClient;
use tonic::Request;
use tonic::transport::Channel;

use super::daemon::{Daemon, PACK, SESSION, checks};
use super::load::{Caller, Checks, allowed, quantile};
use super::offered::at_rate;
use super::report::{Spread, verdict};
use super::usage;
use super::{CONNECTIONS, Outcome, Rounds};

const RULES: usize = 100_000;
const CHECKS_PER_SECOND: u32 = 500;
/// How long checks are asked before the pack is changed.
const BEFORE: Duration = Duration::from_millis(500);
const RELOAD_MAX: Duration = Duration::from_secs(2);
/// Of what a grown role may do.
const ACTIONS: usize = 4;

/// How the checks of one round went, µs from when they were due.
#[derive(Clone, Copy)]
struct Waits {
    median: f64,
    worst_hundredth: f64,
    worst: f64,
    /// How much of the processors' time a host gave to others meanwhile, in hundredths.
    stolen: f64,
}

/// All rounds.
pub(super) struct Report {
    rounds: Rounds,
    rules: usize,
    /// Without, and beside a reload.
    pairs: Vec<[Waits; 2]>,
    /// From the call to its answer, s.
    reloads: Vec<f64>,
    asked: usize,
}

pub(super) async fn compare(rounds: Rounds, warm_up: Duration) -> Outcome<Report> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let pack = folder.path().join("pack");
    let rules = grow(&pack)?;
    let daemon = Daemon::start_on(&pack, folder.path()).await?;
    let asked = checks(&daemon.login().await?);
    let caller = Caller::connect(&daemon.access, &daemon.address, CONNECTIONS).await?;
    let (ticket, channel) = daemon.administrator().await?;
    let mut revision = caller.ask_once(&asked).await?.policy_revision;
    ask(&caller, &asked, warm_up, &revision).await?;
    let mut report = Report {
        rounds,
        rules,
        pairs: Vec::new(),
        reloads: Vec::new(),
        asked: 0,
    };
    for number in 0..rounds.count {
        let (without, _, count) = ask(&caller, &asked, rounds.length, &revision).await?;
        let changing = async {
            tokio::time::sleep(BEFORE).await;
            add_line(&pack, number)?;
            reload(channel.clone(), &ticket).await
        };
        let ((beside, last, beside_count), took) =
            tokio::try_join!(ask(&caller, &asked, rounds.length, &revision), changing)?;
        if last == revision {
            return Err("no check was answered by the changed pack in its round".into());
        }
        revision = last;
        report.asked += count + beside_count;
        report.pairs.push([without, beside]);
        report.reloads.push(took.as_secs_f64());
    }
    Ok(report)
}

/// The pack of the other benchmarks with roles that nobody has, until there are as many rules as are wanted; how many there are.
#[allow(clippy::disallowed_methods)] // what a benchmark makes needs no durability
fn grow(to: &Path) -> Outcome<usize> {
    let from = Path::new(PACK);
    fs::create_dir(to)?;
    for file in ["model.conf", "people.csv"] {
        fs::copy(from.join(file), to.join(file))?;
    }
    let mut toml = fs::read_to_string(from.join("pack.toml"))?;
    let mut csv = fs::read_to_string(from.join("policy.csv"))?;
    let mut count = csv.lines().filter(|line| line.starts_with("p, ")).count();
    let scopes = scopes(&policy::load(from)?.rules);
    for number in 0.. {
        if count >= RULES {
            break;
        }
        writeln!(
            toml,
            "\n[[role]]\nid = \"grown-{number}\"\nnetworks = [\"office\"]"
        )?;
        for scope in scopes.iter().take(RULES - count) {
            writeln!(csv, "p, grown-{number}, {scope}, always, allow")?;
            count += 1;
        }
    }
    fs::write(to.join("pack.toml"), toml)?;
    fs::write(to.join("policy.csv"), csv)?;
    Ok(count)
}

/// What a rule of the pack can be for: items of categories that its purposes are for.
fn scopes(pack: &RuleSet) -> Vec<String> {
    let mut scopes = Vec::new();
    for (_, purpose, of) in pack.purposes.iter() {
        for (kind_id, kind, _) in pack.kinds.iter() {
            for (category_id, category, item) in pack.categories.iter() {
                let is_for = of.kinds.contains(kind_id) && of.categories.contains(category_id);
                if item.parent.is_none() || !is_for {
                    continue;
                }
                for action in Action::ALL.iter().take(ACTIONS) {
                    scopes.push(format!("{kind}, {category}, {action}, {purpose}"));
                }
            }
        }
    }
    scopes
}

/// Changes policy.csv as an editor does: a new file takes the place of the old one.
#[allow(clippy::disallowed_methods)]
fn add_line(pack: &Path, number: usize) -> Outcome<()> {
    let path = pack.join("policy.csv");
    let text = fs::read_to_string(&path)?;
    let aside = path.with_extension("new");
    fs::write(&aside, format!("{text}# changed {number}\n"))?;
    fs::rename(&aside, &path)?;
    Ok(())
}

async fn reload(channel: Channel, ticket: &str) -> Outcome<Duration> {
    let mut request = Request::new(ReloadPolicyRequest {});
    let metadata = request.metadata_mut();
    metadata.insert("sekisho-ticket", ticket.parse()?);
    metadata.insert("sekisho-session-ref", SESSION.parse()?);
    let asked = Instant::now();
    PolicyServiceClient::new(channel)
        .reload_policy(request)
        .await?;
    Ok(asked.elapsed())
}

/// Asks for as long as `length`: how the checks went, by which revision the last was decided, how many were asked.
async fn ask(
    caller: &Caller,
    checks: &Checks,
    length: Duration,
    before: &str,
) -> Outcome<(Waits, String, usize)> {
    let (clients, asked) = (caller.clients(), Arc::clone(checks));
    let stolen = usage::stolen()?;
    let mut answers = at_rate(CHECKS_PER_SECOND, length, move |number, due| {
        let client = clients.get(number % clients.len()).cloned();
        let check = asked.get(number % asked.len()).cloned();
        async move {
            let mut client = client.ok_or("no connection")?;
            let begun = Instant::now();
            let answer = client.check(check.ok_or("no check")?).await?.into_inner();
            let (waited, answered) = (due.elapsed(), Instant::now());
            Ok((begun, answered, waited, allowed(answer)?.policy_revision))
        }
    })
    .await?;
    let stolen = usage::stolen()?.since(stolen);
    let newer = answers
        .iter()
        .filter(|(_, _, _, revision)| revision != before);
    let first = newer.map(|(_, answered, _, _)| *answered).min();
    let back = |(begun, _, _, revision): &(Instant, Instant, Duration, String)| {
        revision == before && first.is_some_and(|first| *begun > first)
    };
    if answers.iter().any(back) {
        return Err(
            "a check was decided by the pack before, after one was by the changed one".into(),
        );
    }
    answers.sort_by_key(|(_, answered, _, _)| *answered);
    let last = answers.last().ok_or("nothing was asked")?.3.clone();
    let mut waits: Vec<Duration> = answers.iter().map(|(_, _, waited, _)| *waited).collect();
    waits.sort_unstable();
    let worst = waits.last().copied().unwrap_or_default();
    let of_round = Waits {
        median: quantile(&waits, 50)?,
        worst_hundredth: quantile(&waits, 99)?,
        worst: worst.as_secs_f64() * 1e6,
        stolen,
    };
    Ok((of_round, last, waits.len()))
}

type Value = fn(&Waits) -> f64;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slowest = self.reloads.iter().copied().fold(0.0, f64::max);
        writeln!(
            f,
            "Checks beside reloads of a pack of {} rules, over mTLS and offered open loop: medians (least–most), ratios round by round.\n\n\
             {} checks, {CHECKS_PER_SECOND} offered a second, {} rounds of {} ms each without and beside a reload; all were allowed\n\
             {:<22} {:>24} {:>24} {:>20}",
            self.rules,
            self.asked,
            self.rounds.count,
            self.rounds.length.as_millis(),
            "",
            "without",
            "beside a reload",
            "ratio"
        )?;
        let rows: [(&str, Value); 4] = [
            ("latency p50 µs", |waits| waits.median),
            ("latency p99 µs", |waits| waits.worst_hundredth),
            ("slowest µs", |waits| waits.worst),
            ("taken by the host %", |waits| waits.stolen),
        ];
        for (position, (name, value)) in rows.into_iter().enumerate() {
            let without = Spread::of(self.pairs.iter().map(|[without, _]| value(without)));
            let beside = Spread::of(self.pairs.iter().map(|[_, beside]| value(beside)));
            let ratio = self
                .pairs
                .iter()
                .map(|[without, beside]| value(beside) / value(without));
            let decimals = usize::from(position == 3);
            let ratio = match position {
                3 => String::new(),
                _ => Spread::of(ratio).show(2),
            };
            writeln!(
                f,
                "{name:<22} {:>24} {:>24} {ratio:>20}",
                without.show(decimals),
                beside.show(decimals)
            )?;
        }
        write!(
            f,
            "\nreload, from the call to its answer: {} s  goal ≤ {}: {}\nslowest check of all beside a reload: {:.0} ms, of a reload that took {slowest:.2} s: {}",
            Spread::of(self.reloads.iter().copied()).show(2),
            RELOAD_MAX.as_secs(),
            verdict(slowest <= RELOAD_MAX.as_secs_f64()),
            self.slowest() / 1e3,
            if self.slowest() < slowest * 1e6 / 2.0 {
                "none waits for it"
            } else {
                "MISSED"
            }
        )
    }
}

impl Report {
    /// µs.
    fn slowest(&self) -> f64 {
        let beside = self.pairs.iter().map(|[_, beside]| beside.worst);
        beside.fold(0.0, f64::max)
    }
}
