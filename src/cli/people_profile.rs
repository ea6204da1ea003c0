//! The fields of a person as flags.

use crate::domain::person::EmploymentKind;
use crate::domain::person::form::BETWEEN_PARTS;
use crate::proto::{Leave, NetworkException, Person, RoleAssignment};

/// What is set. Days are days of the pack's time zone.
#[derive(Debug, clap::Args)]
pub(super) struct ProfileArgs {
    /// Name for people to read
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Where they work; may be repeated, the primary department first
    #[arg(long = "department", value_name = "DEPARTMENT")]
    departments: Vec<String>,
    /// How they are employed; dispatched (派遣) and contractor (業務委託) need --employer and --employment-end
    #[arg(long, value_name = "KIND", value_parser = kind)]
    employment_kind: Option<EmploymentKind>,
    /// Whose they are
    #[arg(long, value_name = "EMPLOYER")]
    employer: Option<String>,
    /// The last day
    #[arg(long, value_name = "DAY")]
    employment_end: Option<String>,
    /// On leave from this day on
    #[arg(long, value_name = "DAY")]
    leave_from: Option<String>,
    /// The last day of the leave
    #[arg(long, value_name = "DAY", requires = "leave_from")]
    leave_until: Option<String>,
    /// A role; may be repeated, and then these are all roles: ROLE or "ROLE|FIRST DAY|LAST DAY|APPROVED BY|REQUEST"
    #[arg(long = "role", value_name = "ROLE", value_parser = role)]
    roles: Vec<RoleAssignment>,
    /// Where else they may work from, until when and why: "BLOCK|LAST DAY|WHY"; may be repeated
    #[arg(long = "network-exception", value_name = "EXCEPTION", value_parser = exception)]
    network_exceptions: Vec<NetworkException>,
    /// The last day on which their training counts
    #[arg(long, value_name = "DAY")]
    trained_until: Option<String>,
    /// The day on which they gave the confidentiality pledge; yes or no
    #[arg(long, value_name = "DAY")]
    pledge: Option<String>,
    /// An id under which their own data are kept; may be repeated. Only its pseudonym is stored
    #[arg(long = "own-subject", value_name = "ID")]
    own_subjects: Vec<String>,
}

/// Single roles, given and taken away.
#[derive(Debug, clap::Args)]
pub(super) struct RoleEdits {
    /// Give one more role; written as for --role
    #[arg(long = "add-role", value_name = "ROLE", value_parser = role, conflicts_with = "roles")]
    add: Vec<RoleAssignment>,
    /// Take a role away
    #[arg(long = "remove-role", value_name = "ROLE", conflicts_with = "roles")]
    remove: Vec<String>,
}

impl RoleEdits {
    pub(super) const fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    pub(super) fn applied_to(self, mut roles: Vec<RoleAssignment>) -> Vec<RoleAssignment> {
        roles.retain(|role| !self.remove.contains(&role.role));
        roles.extend(self.add);
        roles
    }
}

impl ProfileArgs {
    /// The person, and the fields that were given.
    pub(super) fn person(self, id: String) -> (Person, Vec<String>) {
        let mut fields = Vec::new();
        let mut given = |field: &str, is_given: bool| {
            if is_given {
                fields.push(field.to_owned());
            }
        };
        given("display_name", self.display_name.is_some());
        given("departments", !self.departments.is_empty());
        given("employment_kind", self.employment_kind.is_some());
        given("employer", self.employer.is_some());
        given("employment_end", self.employment_end.is_some());
        given("leave", self.leave_from.is_some());
        given("roles", !self.roles.is_empty());
        given("network_exceptions", !self.network_exceptions.is_empty());
        given("trained_until", self.trained_until.is_some());
        given("pledge", self.pledge.is_some());
        given("subject_refs", !self.own_subjects.is_empty());
        let person = Person {
            id,
            display_name: self.display_name.unwrap_or_default(),
            departments: self.departments,
            employment_kind: self.employment_kind.map_or(0, EmploymentKind::number),
            employer: self.employer.unwrap_or_default(),
            employment_end: self.employment_end.unwrap_or_default(),
            leave: self.leave_from.map(|from| Leave {
                from,
                until: self.leave_until.unwrap_or_default(),
            }),
            roles: self.roles,
            network_exceptions: self.network_exceptions,
            trained_until: self.trained_until.unwrap_or_default(),
            pledge: self.pledge.unwrap_or_default(),
            subject_refs: self.own_subjects,
            ..Person::default()
        };
        (person, fields)
    }
}

fn kind(text: &str) -> Result<EmploymentKind, String> {
    EmploymentKind::from_name(text).ok_or_else(|| {
        let known = EmploymentKind::ALL.map(EmploymentKind::name);
        format!("is none of {}", known.join(", "))
    })
}

fn parts<const N: usize>(text: &str) -> Result<[String; N], String> {
    let mut given = text.split(BETWEEN_PARTS);
    let parts = std::array::from_fn(|_| given.next().unwrap_or_default().trim().to_owned());
    match given.next() {
        Some(_) => Err(format!("has more than {N} parts")),
        None => Ok(parts),
    }
}

fn role(text: &str) -> Result<RoleAssignment, String> {
    let [role, valid_from, valid_until, approved_by, request] = parts(text)?;
    Ok(RoleAssignment {
        role,
        valid_from,
        valid_until,
        approved_by,
        request,
    })
}

fn exception(text: &str) -> Result<NetworkException, String> {
    let [block, until, why] = parts(text)?;
    Ok(NetworkException { block, until, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        profile: ProfileArgs,
        #[command(flatten)]
        edits: RoleEdits,
    }

    #[test]
    fn only_what_is_given_is_set() {
        let given = Arguments::parse_from([
            "x",
            "--department",
            "career",
            "--role",
            "legal||2026-12-31||R-1",
            "--employment-kind",
            "業務委託",
        ]);
        let (person, fields) = given.profile.person("a".to_owned());
        assert_eq!(fields, ["departments", "employment_kind", "roles"]);
        assert_eq!(person.employment_kind, 4);
        assert_eq!(person.roles[0].valid_until, "2026-12-31");
        assert_eq!(person.roles[0].request, "R-1");
        for bad in ["--role=a|b|c|d|e|f", "--employment-kind=temp"] {
            assert!(Arguments::try_parse_from(["x", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_role_is_given_or_taken_away_and_the_others_stay() {
        let given = Arguments::parse_from(["x", "--add-role", "legal", "--remove-role", "a"]);
        let role = |id: &str| role(id).unwrap();
        let roles = given.edits.applied_to(vec![role("a"), role("b")]);
        assert_eq!(roles, [role("b"), role("legal")]);
    }
}
