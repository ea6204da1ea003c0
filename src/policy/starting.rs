//! The pack that a new one starts from: small, complete, with comments that say what each part is for. It loads, and its scenarios
//! hold.

use super::words;

/// The files of a pack to start from, by their path in its folder.
const FILES: [(&str, &str); 5] = [
    ("pack.toml", include_str!("starting_pack/pack.toml")),
    ("model.conf", include_str!("starting_pack/model.conf")),
    ("policy.csv", include_str!("starting_pack/policy.csv")),
    ("people.csv", include_str!("starting_pack/people.csv")),
    (
        "scenarios/first.toml",
        include_str!("starting_pack/scenarios/first.toml"),
    ),
];
/// Stands in pack.toml for the id.
const ID: &str = "my-pack";

/// The files of a new pack: the path below its folder, and the text. Its id is `wanted`, where that is one.
#[must_use]
pub fn starting_pack(wanted: &str) -> [(&'static str, String); 5] {
    let id = if words::is_id(wanted) { wanted } else { ID };
    FILES.map(|(path, text)| (path, text.replace(ID, id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::scenarios::{self, Came};

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_pack_to_start_from_is_in_order_and_its_scenarios_hold() {
        for (wanted, id) in [("sample-club", "sample-club"), ("No id!", ID), ("", ID)] {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in starting_pack(wanted) {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let pack = crate::policy::load(folder.path()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(&*pack.rules.pack, id);
            assert!(pack.rules.promises.len() >= 5);
            let all = scenarios::load(folder.path()).unwrap();
            let tested = scenarios::test(&pack, &all);
            assert!(tested.len() > 10);
            for one in tested {
                assert!(matches!(one.came, Came::AsExpected(_)), "{one:?}");
            }
        }
    }
}
