//! Scenarios as JUnit XML, which build servers show.

use super::stages::Shown;
use crate::cli::words::Language;
use crate::policy::Pack;
use crate::policy::scenarios::{Came, Tested};

/// One suite: a case for each scenario, with every stage of one that failed.
pub(super) fn xml(
    pack: &Pack,
    tested: &[Tested],
    stages: impl Fn(&Came) -> Vec<Shown>,
    language: Language,
) -> String {
    let count = |is: fn(&Came) -> bool| tested.iter().filter(|one| is(&one.came)).count();
    let failed = count(|came| matches!(came, Came::Otherwise { .. }));
    let left = count(|came| matches!(came, Came::Left(_)));
    let suite = format!(
        "name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{left}\"",
        escaped(&pack.rules.pack),
        tested.len(),
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite {suite}>\n"
    );
    for one in tested {
        let case = format!(
            "    <testcase classname=\"{}\" name=\"{}\"",
            escaped(&one.file),
            escaped(&one.name)
        );
        xml.push_str(&case);
        match &one.came {
            Came::AsExpected(_) => xml.push_str("/>\n"),
            Came::Left(why) => {
                let why = escaped(why.name());
                xml.push_str(&format!(
                    ">\n      <skipped message=\"{why}\"/>\n    </testcase>\n"
                ));
            }
            Came::Otherwise { problems, .. } => {
                let first = problems.first().map_or("", String::as_str);
                let mut text: Vec<String> = problems.clone();
                let told = stages(&one.came).into_iter();
                text.extend(told.flat_map(|stage| stage.lines(language)));
                xml.push_str(&format!(
                    ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                    escaped(first),
                    escaped(&text.join("\n"))
                ));
            }
        }
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// For text and for attributes in double quotes. What XML 1.0 can't hold at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            character if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_would_read_otherwise_is_escaped() {
        let text = "a<b>&\"c\"\u{1b}[0m\u{0}\n行";
        let escaped = escaped(text);
        assert_eq!(
            escaped,
            "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}[0m\u{fffd}\n行"
        );
        let read = roxmltree::Document::parse(&format!("<a b=\"{escaped}\">{escaped}</a>"))
            .map(|read| read.root_element().text().map(str::to_owned));
        assert_eq!(read.unwrap().unwrap(), "a<b>&\"c\"\u{fffd}[0m\u{fffd}\n行");
    }
}
