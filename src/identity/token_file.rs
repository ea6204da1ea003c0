//! Reads seed files of hardware tokens: CSV as sellers send it, and PSKC (RFC 6030) in clear. Bounded; a file is taken whole or
//! not at all, and every line that can't be read is told.

use std::collections::HashSet;

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use super::totp::{Hash, Parameters, Seed, SeedError};

/// How many tokens one file may hold.
pub const TOKENS_MAX: usize = 5_000;
/// The largest file, in bytes.
pub const FILE_MAX_BYTES: usize = 2 * 1_024 * 1_024;
/// The longest serial number, in bytes.
const SERIAL_MAX_BYTES: usize = 64;
/// How many faults are told.
const FAULTS_MAX: usize = 20;
/// Elements of a PSKC file: a key takes about a dozen.
const NODES_MAX: u32 = 400_000;

/// A hardware token as its file has it.
pub struct ImportedToken {
    /// As it is printed on it: letters, digits, hyphens, underscores and dots.
    pub serial: String,
    /// Its seed, with how it makes codes.
    pub seed: Seed,
}

impl std::fmt::Debug for ImportedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ImportedToken({})", self.serial)
    }
}

/// What is wrong with a file, and where. Never holds anything of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// From 1; 0 where it is of the whole file.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl FileFault {
    fn at(line: usize, what: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

/// Reads CSV: `serial,algorithm,digits,period,seed`, with that line as the head. Algorithm is SHA1, SHA256 or SHA512, digits 6
/// or 8, period 30 or 60, the seed in hexadecimal digits or, where it is none, in base32.
///
/// # Errors
/// What can't be read, up to twenty lines of it; then nothing is taken.
pub fn read_csv(text: &str) -> Result<Vec<ImportedToken>, Vec<FileFault>> {
    bounded(text)?;
    let mut lines = (1..).zip(text.lines());
    let head = "serial,algorithm,digits,period,seed";
    let is_head = |line: &str| {
        let line: String = line.split(' ').collect();
        line.to_ascii_lowercase() == head
    };
    if !lines.next().is_some_and(|(_, line)| is_head(line)) {
        return Err(vec![FileFault::at(1, format!("is not the head `{head}`"))]);
    }
    collect(
        lines
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| (number, read_line(line))),
    )
}

/// Reads PSKC 1.0 (RFC 6030) with keys of the TOTP algorithm in clear.
///
/// # Errors
/// As for [`read_csv`]. Encrypted keys are not supported yet.
pub fn read_pskc(text: &str) -> Result<Vec<ImportedToken>, Vec<FileFault>> {
    bounded(text)?;
    let options = roxmltree::ParsingOptions {
        // No DTD: its entities could grow without bound.
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(text, options)
        // The parser's own words could quote a seed.
        .map_err(|_| {
            vec![FileFault::at(
                0,
                "is no XML that can be read (a DTD is refused)",
            )]
        })?;
    let root = document.root_element();
    if root.tag_name().name() != "KeyContainer"
        || root.tag_name().namespace() != Some("urn:ietf:params:xml:ns:keyprov:pskc")
    {
        return Err(vec![FileFault::at(
            0,
            "is no KeyContainer of RFC 6030 (urn:ietf:params:xml:ns:keyprov:pskc)",
        )]);
    }
    let packages = root
        .children()
        .filter(|node| node.tag_name().name() == "KeyPackage");
    let mut line = 0;
    let mut read_up_to = 0;
    collect(packages.map(|package| {
        // From the last one on, so that a file is gone through once.
        let start = package.range().start;
        line += text
            .get(read_up_to..start)
            .map_or(0, |between| between.matches('\n').count());
        read_up_to = start;
        (line + 1, read_package(package))
    }))
}

fn bounded(text: &str) -> Result<(), Vec<FileFault>> {
    if text.len() > FILE_MAX_BYTES {
        return Err(vec![FileFault::at(0, "is over 2 MiB")]);
    }
    Ok(())
}

fn collect(
    read: impl Iterator<Item = (usize, Result<ImportedToken, String>)>,
) -> Result<Vec<ImportedToken>, Vec<FileFault>> {
    let mut tokens: Vec<ImportedToken> = Vec::new();
    let mut serials = HashSet::new();
    let mut faults = Vec::new();
    for (line, token) in read {
        match token {
            Ok(token) if serials.contains(&token.serial) => {
                faults.push(FileFault::at(line, "has the serial number of another line"));
            }
            Ok(token) => {
                serials.insert(token.serial.clone());
                tokens.push(token);
            }
            Err(what) => faults.push(FileFault::at(line, what)),
        }
        if faults.len() >= FAULTS_MAX {
            return Err(faults);
        }
        if tokens.len() > TOKENS_MAX {
            return Err(vec![FileFault::at(
                line,
                format!("is one over the {TOKENS_MAX} tokens that a file may hold"),
            )]);
        }
    }
    if tokens.is_empty() && faults.is_empty() {
        faults.push(FileFault::at(0, "has no token"));
    }
    if faults.is_empty() {
        Ok(tokens)
    } else {
        Err(faults)
    }
}

fn read_line(line: &str) -> Result<ImportedToken, String> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let [serial, algorithm, digits, period, seed] = cells.as_slice() else {
        return Err(format!("has {} cells instead of 5", cells.len()));
    };
    let parameters = parameters(hash_of(algorithm)?, digits, period)?;
    let bytes = HEXLOWER_PERMISSIVE
        .decode(seed.as_bytes())
        .or_else(|_| {
            let capitals = Zeroizing::new(seed.to_ascii_uppercase());
            BASE32_NOPAD.decode(capitals.trim_end_matches('=').as_bytes())
        })
        .map(Zeroizing::new)
        .map_err(|_| "seed is neither hexadecimal digits nor base32".to_owned())?;
    token(serial, &bytes, parameters)
}

type Node<'a, 'b> = roxmltree::Node<'a, 'b>;

fn child<'a, 'b>(of: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    of.children().find(|node| node.tag_name().name() == name)
}

fn text_of<'a>(of: Node<'a, '_>, path: &[&str]) -> Option<&'a str> {
    let found = path.iter().try_fold(of, |node, name| child(node, name))?;
    Some(found.text().unwrap_or_default().trim())
}

fn read_package(package: Node<'_, '_>) -> Result<ImportedToken, String> {
    let key = child(package, "Key").ok_or("has no Key")?;
    let algorithm = key.attribute("Algorithm").unwrap_or_default();
    if algorithm != "urn:ietf:params:xml:ns:keyprov:pskc:totp" {
        return Err("Algorithm is not urn:ietf:params:xml:ns:keyprov:pskc:totp".to_owned());
    }
    let serial = text_of(package, &["DeviceInfo", "SerialNo"])
        .or_else(|| key.attribute("Id"))
        .unwrap_or_default();
    let data = child(key, "Data").ok_or("has no Data")?;
    let secret = child(data, "Secret").ok_or("has no Secret")?;
    if child(secret, "EncryptedValue").is_some() {
        return Err("an encrypted key: not supported yet; ask for the file in clear".to_owned());
    }
    let seed = text_of(secret, &["PlainValue"]).ok_or("has no PlainValue")?;
    let seed: Zeroizing<String> = Zeroizing::new(seed.split_ascii_whitespace().collect());
    let bytes = BASE64
        .decode(seed.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| "PlainValue is not base64".to_owned())?;
    // RFC 6030, 10.2: the suite is SHA-1 unless it says otherwise.
    let suite = text_of(key, &["AlgorithmParameters", "Suite"]).unwrap_or("HMAC-SHA1");
    let format = child(key, "AlgorithmParameters").and_then(|it| child(it, "ResponseFormat"));
    let format = format.ok_or("has no ResponseFormat")?;
    if format.attribute("Encoding") != Some("DECIMAL") {
        return Err("the Encoding of ResponseFormat is not DECIMAL".to_owned());
    }
    let period = text_of(data, &["TimeInterval", "PlainValue"]).unwrap_or("30");
    if text_of(data, &["Time", "PlainValue"]).is_some_and(|time| time.parse() != Ok(0_u64)) {
        return Err("its Time does not begin at 0".to_owned());
    }
    let parameters = parameters(
        hash_of(suite)?,
        format.attribute("Length").unwrap_or_default(),
        period,
    )?;
    token(serial, &bytes, parameters)
}

fn hash_of(text: &str) -> Result<Hash, String> {
    let plain: String = text
        .to_ascii_uppercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    match plain.strip_prefix("HMAC").unwrap_or(&plain) {
        "SHA1" => Ok(Hash::Sha1),
        "SHA256" => Ok(Hash::Sha256),
        "SHA512" => Ok(Hash::Sha512),
        _ => Err("algorithm is not SHA1, SHA256 or SHA512".to_owned()),
    }
}

fn parameters(hash: Hash, digits: &str, period: &str) -> Result<Parameters, String> {
    let number = |text: &str| text.parse::<u8>().ok();
    number(digits)
        .zip(number(period))
        .and_then(|(digits, period)| Parameters::new(hash, digits, period))
        .ok_or_else(|| "takes 6 or 8 digits, and a period of 30 or 60 seconds".to_owned())
}

fn token(serial: &str, seed: &[u8], parameters: Parameters) -> Result<ImportedToken, String> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if serial.is_empty() || serial.len() > SERIAL_MAX_BYTES || !serial.bytes().all(lawful) {
        return Err(
            "serial is not 1 to 64 letters, digits, hyphens, underscores and dots".to_owned(),
        );
    }
    let seed = Seed::from_bytes(seed, parameters).map_err(|error| match error {
        SeedError::Length => "seed is not of 16 to 64 bytes".to_owned(),
        other => other.to_string(),
    })?;
    Ok(ImportedToken {
        serial: serial.to_owned(),
        seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    /// "12345678901234567890" of RFC 6238.
    const HEX: &str = "3132333435363738393031323334353637383930";

    fn code(token: &ImportedToken) -> String {
        token.seed.code_at(Timestamp::from_seconds(59))
    }

    fn faults<T>(read: Result<T, Vec<FileFault>>) -> Vec<String> {
        let faults = read.err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn csv_is_read_in_hexadecimal_and_in_base32() {
        let text = format!(
            "Serial, Algorithm, Digits, Period, Seed\r\nT-1,SHA1,8,30,{HEX}\r\n\r\nT-2,hmac-sha1,6,60,gezdgnbvgy3tqojqgezdgnbvgy3tqojq\n"
        );
        let tokens = read_csv(&text).unwrap();
        let serials: Vec<&str> = tokens.iter().map(|token| &*token.serial).collect();
        assert_eq!(serials, ["T-1", "T-2"]);
        // RFC 6238, appendix B, and RFC 4226, appendix D.
        assert_eq!(code(&tokens[0]), "94287082");
        assert_eq!(code(&tokens[1]), "755224");
    }

    #[test]
    fn every_bad_line_is_told_and_nothing_of_a_seed() {
        let text = format!(
            "serial,algorithm,digits,period,seed\nT-1,SHA1,6,30,{HEX}\nT-1,SHA1,6,30,{HEX}\nT 2,SHA1,6,30,{HEX}\n\
             T-3,MD5,6,30,{HEX}\nT-4,SHA1,7,30,{HEX}\nT-5,SHA1,6,30,31323334\nT-6,SHA1,6,30,!\nT-7,SHA1\n"
        );
        let told = faults(read_csv(&text));
        assert_eq!(told.len(), 7, "{told:?}");
        for (line, told) in (3..).zip(&told) {
            assert!(told.starts_with(&format!("line {line}: ")), "{told}");
            assert!(!told.contains("3132"), "{told}");
        }
        assert_eq!(faults(read_csv("serial\n")).len(), 1);
        let only_head = "serial,algorithm,digits,period,seed\n";
        assert_eq!(faults(read_csv(only_head)), ["has no token"]);
    }

    const PSKC: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<pskc:KeyContainer Version="1.0" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">
  <pskc:KeyPackage>
    <pskc:DeviceInfo><pskc:SerialNo>987654321</pskc:SerialNo></pskc:DeviceInfo>
    <pskc:Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp">
      <pskc:AlgorithmParameters><pskc:ResponseFormat Length="8" Encoding="DECIMAL"/></pskc:AlgorithmParameters>
      <pskc:Data>
        <pskc:Secret><pskc:PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</pskc:PlainValue></pskc:Secret>
        <pskc:TimeInterval><pskc:PlainValue>30</pskc:PlainValue></pskc:TimeInterval>
      </pskc:Data>
    </pskc:Key>
  </pskc:KeyPackage>
</pskc:KeyContainer>"#;

    #[test]
    fn pskc_in_clear_is_read() {
        let tokens = read_pskc(PSKC).unwrap();
        assert_eq!(tokens[0].serial, "987654321");
        assert_eq!(code(&tokens[0]), "94287082");
        let slow = PSKC.replace(">30<", ">60<").replace(
            "<pskc:ResponseFormat",
            "<pskc:Suite>HMAC-SHA256</pskc:Suite><pskc:ResponseFormat",
        );
        let parameters = read_pskc(&slow).unwrap()[0].seed.parameters();
        assert_eq!(Some(parameters), Parameters::new(Hash::Sha256, 8, 60));
    }

    #[test]
    fn pskc_that_is_encrypted_counts_events_or_brings_a_dtd_is_refused() {
        for (from, to, expected) in [
            ("PlainValue>MTIz", "EncryptedValue>MTIz", "XML"),
            (":totp", ":hotp", "line 3: Algorithm is not"),
            ("DECIMAL", "BASE64", "line 3: the Encoding"),
            (
                "Length=\"8\"",
                "Length=\"7\"",
                "line 3: takes 6 or 8 digits",
            ),
            ("MTIz", "MT!z", "line 3: PlainValue is not base64"),
            ("987654321", "", "line 3: serial"),
            ("KeyContainer", "Other", "is no KeyContainer"),
            (
                "?>\n",
                "?>\n<!DOCTYPE x [<!ENTITY a \"b\">]>\n",
                "a DTD is refused",
            ),
        ] {
            let told = faults(read_pskc(&PSKC.replace(from, to)));
            assert!(told[0].contains(expected), "{to}: {told:?}");
        }
        let encrypted = PSKC.replace("pskc:PlainValue>", "pskc:EncryptedValue>");
        let told = faults(read_pskc(&encrypted));
        assert!(told[0].contains("not supported yet"), "{told:?}");
    }
}
