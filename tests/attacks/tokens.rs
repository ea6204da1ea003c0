//! Hardware tokens: imported whole or not at all, and nobody's until one of them shows its code.

use std::time::Duration;

use sekisho::domain::time::Timestamp;
use sekisho::identity::totp::{Hash, Parameters, Seed};
use serde_json::json;

use crate::site::{Site, not_genuine, refused_with};
use crate::support::play::Door;

const HEX: &str = "3132333435363738393031323334353637383930313233343536373839303132";

#[test]
fn a_token_of_sixty_seconds_and_eight_digits_becomes_the_second_factor_of_one_person() {
    let mut site = Site::open();
    let administrator = site.administrator();
    let import = |site: &Site, csv: &str, dry_run: bool| {
        let request = json!({ "csv": csv, "dry_run": dry_run });
        site.administer("ImportTokens", &request, &administrator)
    };
    let head = "serial,algorithm,digits,period,seed";
    let good = format!("{head}\nT-1,SHA256,8,60,{HEX}\nT-2,SHA1,6,30,{HEX}\n");
    let bad = format!("{good}T-3,SHA1,7,30,{HEX}\nT-1,SHA1,6,30,{HEX}\n");
    let error = import(&site, &bad, false).unwrap_err();
    assert!(
        error.message.contains("line 4") && error.message.contains("line 5"),
        "{error}"
    );
    assert_eq!(error.fields(), ["csv"]);
    let tried = import(&site, &good, true).unwrap();
    assert_eq!(tried["serials"], json!(["T-1", "T-2"]));
    import(&site, &good, false).unwrap();
    assert_eq!(import(&site, &good, false).unwrap_err().fields(), ["csv"]);

    let parameters = Parameters::new(Hash::Sha256, 8, 60).unwrap();
    let key: Vec<u8> = b"1234567890".iter().copied().cycle().take(32).collect();
    let seed = Seed::from_bytes(&key, parameters).unwrap();
    let shown =
        |site: &Site| seed.code_at(Timestamp::from_seconds(i64::try_from(site.now()).unwrap()));
    let assign = |site: &Site, person: &str, serial: &str, code: &str| {
        let request = json!({ "person": person, "serial": serial, "totp": code });
        site.administer("AssignToken", &request, &administrator)
    };
    for (person, serial, code, field) in [
        ("nobody", "T-1", "12345678", "person"),
        (crate::site::ADMINISTRATOR, "T-1", "12345678", "person"),
        ("newcomer-1", "T-9", "12345678", "serial"),
        ("newcomer-1", "T-1", "1234567", "totp"),
        ("newcomer-1", "T-1", "00000000", "totp"),
    ] {
        let error = assign(&site, person, serial, code).unwrap_err();
        assert_eq!(error.fields(), [field], "{error}");
    }
    // One person alone takes nobody's second factor away.
    let taken = assign(&site, "adviser-1", "T-1", &shown(&site));
    refused_with(taken, "FAILED_PRECONDITION", "SECOND_FACTOR_ENROLLED");
    let code = shown(&site);
    assign(&site, "newcomer-1", "T-1", &code).unwrap();
    not_genuine(site.try_code("newcomer-1", &code));
    let error = assign(&site, "newcomer-1", "T-1", &code).unwrap_err();
    assert_eq!(error.fields(), ["serial"], "it is somebody's by now");
    // Exactly as many digits as it shows.
    let error = site.try_code("newcomer-1", &code[..6]).unwrap_err();
    assert_eq!(error.fields(), ["totp"]);
    site.kill_and_start();
    site.advance(Duration::from_secs(60));
    let code = shown(&site);
    site.try_code("newcomer-1", &code).unwrap();
    not_genuine(site.try_code("newcomer-1", &code));
    let told = format!("{:?}", site.entries());
    assert!(!told.contains(HEX));
}
