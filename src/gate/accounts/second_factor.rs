//! One try of a second factor: charged before the code is looked at, spent before success is told. Every use case that asks for
//! a code comes through here, so that they all count together.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::decision::rules::RuleSet;
use crate::domain::ids::Name;
use crate::domain::person::Person;
use crate::domain::time::Timestamp;
use crate::gate::accounts::login::why_not;
use crate::gate::peer::{Caller, Peer};
use crate::gate::{Gate, GateError, Violation, entry};
use crate::identity::one_time::{OneTimeCode, Use};
use crate::identity::throttle;
use crate::identity::totp::{Code, Seed, newest_step_at};
use crate::proto::StoredEntry;
use crate::store::{Charging, SecondFactor, Throttle};

/// How guessing is slowed down.
pub(in crate::gate) const THROTTLE: Throttle = Throttle {
    disabled_at: throttle::DISABLED_AT,
    wait_after: throttle::wait_after,
};

/// What a person shows as the second step, as it came.
pub enum Shown {
    /// A code of their authenticator.
    Code(zeroize::Zeroizing<String>),
    /// A recovery code in its place.
    RecoveryCode(zeroize::Zeroizing<String>),
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Code(_) => "Code(..)",
            Self::RecoveryCode(_) => "RecoveryCode(..)",
        })
    }
}

/// Who tries what, and where.
pub(in crate::gate) struct Attempt<'a> {
    pub(in crate::gate) rules: &'a RuleSet,
    pub(in crate::gate) peer: &'a Peer,
    pub(in crate::gate) caller: &'a Caller<'a>,
    pub(in crate::gate) call: &'static str,
    pub(in crate::gate) person: &'a Person,
    pub(in crate::gate) factor: &'a SecondFactor,
    pub(in crate::gate) client_ip: IpAddr,
    pub(in crate::gate) shown: &'a Shown,
    pub(in crate::gate) now: Timestamp,
}

/// A try that succeeded: its entry is still to be written.
pub(in crate::gate) struct FactorPassed {
    pub(in crate::gate) entry: StoredEntry,
    /// How many recovery codes are left, where one was used.
    pub(in crate::gate) recovery_codes_left: Option<u32>,
}

enum Tried {
    Passed {
        writes: u64,
        left: Option<u32>,
    },
    Refused(&'static str),
    Malformed(Violation),
    /// Somebody changed the store.
    NotGenuine,
}

impl Gate {
    /// Tries a second factor. On success the caller writes the entry that is given back; on any failure it is written here.
    ///
    /// # Errors
    /// [`GateError::NotGenuine`] for a wrong or used code and a disabled factor; [`GateError::Throttled`], uncharged, while the
    /// factor waits; [`GateError::KeyMissing`], uncharged, where this daemon can't open it; [`GateError::Malformed`], charged, for what is not exactly the digits.
    pub(in crate::gate) async fn pass_second_factor(
        &self,
        attempt: Attempt<'_>,
        mut entry: StoredEntry,
    ) -> Result<FactorPassed, GateError> {
        let Attempt {
            peer,
            caller,
            call,
            person,
            now,
            ..
        } = attempt;
        if matches!(attempt.shown, Shown::Code(_))
            && let Err(error) = self.has_key_of(&attempt.factor.sealed_seed).await
        {
            return Err(self.refuse(peer, caller, entry, call, error).await);
        }
        let charged = self
            .store
            .charge_second_factor(attempt.factor.id, &THROTTLE, now)
            .await?;
        let charge = match charged {
            Charging::Charged(charge) => charge,
            Charging::Waits(until) => {
                let error = GateError::Throttled {
                    retry_after: throttle::wait_left(until, now),
                };
                return Err(self.refuse(peer, caller, entry, call, error).await);
            }
            Charging::Disabled => {
                self.lock_out_as_stored(&person.id).await;
                return Err(self
                    .step_refused(entry, "the second factor is disabled")
                    .await);
            }
        };
        entry.store_writes = charge.writes;
        entry::detail(&mut entry, "attempt", charge.failures.to_string());
        let tried = self.try_factor(&attempt, &mut entry).await;
        if throttle::is_disabled(charge.failures) && !matches!(tried, Ok(Tried::Passed { .. })) {
            self.lock_out_as_stored(&person.id).await;
            entry::detail(&mut entry, "second_factor", "disabled from now on");
        }
        match tried? {
            Tried::Passed { writes, left } => {
                entry.store_writes = writes;
                // Of parallel tries, another may have been the last one meanwhile.
                self.let_in(&person.id);
                Ok(FactorPassed {
                    entry,
                    recovery_codes_left: left,
                })
            }
            Tried::Refused(why) => Err(self.step_refused(entry, why).await),
            Tried::Malformed(violation) => {
                let error = GateError::Malformed(vec![violation]);
                Err(self.refuse(peer, caller, entry, call, error).await)
            }
            Tried::NotGenuine => {
                self.tell_credential_alarm(&person.id).await;
                Err(self
                    .step_refused(entry, "the stored seed does not open")
                    .await)
            }
        }
    }

    async fn try_factor(
        &self,
        attempt: &Attempt<'_>,
        entry: &mut StoredEntry,
    ) -> Result<Tried, GateError> {
        let Attempt {
            rules,
            caller,
            person,
            factor,
            client_ip,
            now,
            ..
        } = *attempt;
        let unfit = || why_not(self, rules, caller, person, client_ip, now);
        match attempt.shown {
            Shown::Code(text) => {
                let Ok(code) = Code::parse(text) else {
                    return Ok(malformed_code("exactly six or eight ASCII digits"));
                };
                let opened = Seed::open(
                    &self.keys.seeds(),
                    &person.id,
                    factor.id,
                    &factor.sealed_seed,
                );
                let Ok(seed) = opened else {
                    return Ok(Tried::NotGenuine);
                };
                match seed.parameters().digits() {
                    6 if code.digits() != 6 => {
                        return Ok(malformed_code("exactly six ASCII digits"));
                    }
                    8 if code.digits() != 8 => {
                        return Ok(malformed_code("exactly eight ASCII digits"));
                    }
                    _ => {}
                }
                if let Some(why) = unfit() {
                    return Ok(Tried::Refused(why));
                }
                let behind = factor.last_step.filter(|last| *last > newest_step_at(now));
                if let Some(last) = behind {
                    // Whatever the code: none is taken until the clock has passed the last one that was.
                    entry::detail(entry, "last_step", last.to_string());
                    return Ok(Tried::Refused(
                        "the clock was set back: it is behind the last used code",
                    ));
                }
                let Some(step) = seed.matching_step(&code, now) else {
                    entry.store_writes = self.store.spend_nothing(factor.id, &THROTTLE).await?;
                    return Ok(Tried::Refused("wrong code"));
                };
                let spending = self.store.spend_step(factor.id, step, &THROTTLE).await?;
                let writes = spending.writes;
                if !spending.spent {
                    entry.store_writes = writes;
                    return Ok(Tried::Refused("used code"));
                }
                entry::detail(entry, "time_step", step.to_string());
                Ok(Tried::Passed { writes, left: None })
            }
            Shown::RecoveryCode(text) => {
                let Ok(code) = OneTimeCode::parse(text) else {
                    let what = "must be four groups of four letters and digits";
                    return Ok(Tried::Malformed(Violation::new("recovery_code", what)));
                };
                if let Some(why) = unfit() {
                    return Ok(Tried::Refused(why));
                }
                let digest = code.digest(&self.keyring.pepper, Use::Recovery(factor.id));
                let spending = self
                    .store
                    .spend_recovery_code(factor.id, &digest, &THROTTLE)
                    .await?;
                let writes = spending.writes;
                let Some(left) = spending.left else {
                    entry.store_writes = writes;
                    return Ok(Tried::Refused("wrong or used recovery code"));
                };
                entry::detail(entry, "recovery_codes_left", left.to_string());
                Ok(Tried::Passed {
                    writes,
                    left: Some(left),
                })
            }
        }
    }

    /// Whether a person's second factor is disabled. Costs no look into the store.
    pub(in crate::gate) fn is_locked_out(&self, person: &str) -> bool {
        self.locked_out.load().contains(person)
    }

    /// From now on every check with this person's tickets is refused.
    fn lock_out(&self, person: &Name) {
        if self.is_locked_out(person) {
            return;
        }
        self.locked_out.rcu(|locked| {
            let mut locked = HashSet::clone(locked);
            locked.insert(person.clone());
            locked
        });
    }

    /// As [`Self::lock_out`], of a factor that was disabled when it was looked at: another call, or another daemon, may have freed
    /// it or taken it away since, and told so before this one took note. What the store has then counts.
    async fn lock_out_as_stored(&self, person: &Name) {
        if self.is_locked_out(person) {
            return;
        }
        self.lock_out(person);
        let looked = async {
            // A change of this daemon's own that is in memory and not in the store yet must not be undone by what is read.
            let mut changes = self.changes.lock().await;
            self.store_waiting(&mut changes).await?;
            self.read_locked_out().await.map_err(GateError::from)
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, "whether a second factor is still disabled can't be looked up: it counts as disabled");
        }
    }

    /// The person's second factor is another one, or was shown to be theirs after all.
    pub(in crate::gate) fn let_in(&self, person: &str) {
        if !self.is_locked_out(person) {
            return;
        }
        self.locked_out.rcu(|locked| {
            let mut locked = HashSet::clone(locked);
            locked.remove(person);
            locked
        });
    }
}

fn malformed_code(what: &str) -> Tried {
    Tried::Malformed(Violation::new("totp", format!("must be {what}")))
}
