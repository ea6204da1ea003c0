//! model.conf: casbin's model, the same in every pack. A pack could otherwise change what its rules mean without a change to a
//! rule, and casbin itself passes over sections that it doesn't know and stops the process at an effect that it doesn't know.

use super::faults::{FileFaults, Place, shown};
use super::kinds::{Kind, Sort};

/// The model, by section and key, in the order of the file.
const DEFINITIONS: [(&str, &str, &str); 6] = [
    (
        "request_definition",
        "r",
        "role, kind, category, action, purpose, condition",
    ),
    (
        "policy_definition",
        "p",
        "role, kind, category, action, purpose, condition, eft",
    ),
    ("role_definition", "g", "_, _"),
    ("role_definition", "g2", "_, _"),
    (
        "policy_effect",
        "e",
        "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
    ),
    (
        "matchers",
        "m",
        "r.action == p.action && r.purpose == p.purpose && (p.kind == \"*\" || r.kind == p.kind) \
         && (p.condition == \"always\" || p.condition == r.condition) && g(r.role, p.role) \
         && (p.category == \"*\" || g2(r.category, p.category) \
         || (p.eft == \"deny\" && g2(p.category, r.category)))",
    ),
];

/// The model as the text of a file.
pub(super) fn expected() -> String {
    let mut text = String::new();
    for (section, key, value) in DEFINITIONS {
        text.push_str(&format!("[{section}]\n{key} = {value}\n"));
    }
    text
}

/// Tells where the text is not the model.
pub(super) fn check(text: &str, faults: FileFaults<'_>) {
    let mut section = "";
    let mut missing: Vec<_> = DEFINITIONS.into();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim();
        // casbin takes both for comments.
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name;
            if !DEFINITIONS.iter().any(|(known, _, _)| *known == name) {
                let known = DEFINITIONS.iter().map(|(known, _, _)| *known);
                let at = faults.place_of(name).unwrap_or(Place::Line(number));
                faults.unknown(at, "", Sort::SECTION, name, known);
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            faults.tell(number, Kind::NotAModelLine, &[&shown(line)]);
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let expected = DEFINITIONS
            .iter()
            .find(|(of, known, _)| *of == section && *known == key);
        match expected {
            None => {
                let known = DEFINITIONS
                    .iter()
                    .filter(|(of, _, _)| *of == section)
                    .map(|(_, known, _)| *known);
                let at = faults.place_of(key).unwrap_or(Place::Line(number));
                // Of a section that is none, whatever stands there.
                let of = shown(section).to_string();
                let of = format!("[{}]", of.trim_matches('"'));
                faults.unknown(at, &of, Sort::KEY, key, known);
            }
            Some((_, _, expected)) if value != *expected => {
                let at = faults.place_of(value).unwrap_or(Place::Line(number));
                faults.tell(at, Kind::OtherModel, &[&section, &key, expected]);
            }
            Some(found) if !missing.contains(found) => {
                faults.tell(number, Kind::ModelTwice, &[&section, &key]);
            }
            Some(_) => {}
        }
        missing.retain(|(of, known, _)| (*of, *known) != (section, key));
    }
    for (section, key, _) in missing {
        faults.tell(0, Kind::ModelMissing, &[&section, &key]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{PackFile, told_of};
    use super::*;

    fn faults_of(text: &str) -> String {
        told_of(PackFile::Model, text, check)
    }

    #[test]
    fn the_model_is_accepted_with_comments_and_either_line_end() {
        assert_eq!(faults_of(&expected()), "");
        assert_eq!(
            faults_of(&expected().replace('\n', "\r\n; so it is\r\n")),
            ""
        );
    }

    #[test]
    fn any_other_model_is_refused_at_its_line() {
        let model = expected();
        for (from, to, told) in [
            (
                "&& !some(where (p.eft == deny))",
                "",
                "model.conf:10:5: error[other-model]: [policy_effect] e: the model",
            ),
            (
                "g(r.role, p.role)",
                "true",
                "model.conf:12:5: error[other-model]: [matchers] m: the model",
            ),
            (
                "[matchers]",
                "[matcher]",
                "model.conf:11:2: error[unknown-section]: unknown section \"matcher\" (did you mean \"matchers\"?)",
            ),
            (
                "g2 = _, _",
                "g3 = _, _",
                "model.conf:8:1: error[unknown-key]: [role_definition]: unknown key \"g3\" (did you mean \"g\"?)",
            ),
            (
                "g2 = _, _\n",
                "",
                "model.conf: error[missing-key]: [role_definition] g2 is missing",
            ),
            (
                "g2 = _, _\n",
                "g2 = _, _\ng2 = _, _\n",
                "model.conf:9:1: error[duplicate]: [role_definition] g2 is there twice",
            ),
            (
                "[matchers]",
                "[match\0ers]",
                "[match\\0ers]: unknown key \"m\"",
            ),
            (
                "[matchers]\n",
                "[matchers]\nm2 = true\n",
                "[matchers]: unknown key \"m2\"",
            ),
            (
                "[matchers]\n",
                "[matchers]\nnothing\n",
                "expected key = value, found \"nothing\"",
            ),
        ] {
            assert!(model.contains(from), "{from:?}");
            let told_all = faults_of(&model.replacen(from, to, 1));
            assert!(told_all.contains(told), "{from:?}: {told_all}");
        }
    }
}
