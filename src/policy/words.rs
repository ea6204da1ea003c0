//! The words of a pack that are the same in all its files: ids, lengths of time, dates, countries.

use std::time::Duration;

use time::{Date, Month, UtcOffset};

use crate::domain::ids::NAME_MAX_BYTES;

/// The longest length of time: anything longer is a slip of the pen, and sums with it could overflow.
const DURATION_MAX_SECONDS: u64 = 366 * 24 * 60 * 60;

/// Whether `word` is an id. So narrow because ids stand in file names, certificates and casbin's files, where commas, quotes,
/// `#` and `*` have meanings of their own.
pub(super) fn is_id(word: &str) -> bool {
    word.len() <= NAME_MAX_BYTES
        && word.split('-').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

/// Whether `word` is the id of an item of `category`: the category's id, a dot, an id.
pub(super) fn is_item_of(word: &str, category: &str) -> bool {
    word.len() <= NAME_MAX_BYTES
        && word
            .strip_prefix(category)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(is_id)
}

/// Whether `word` is a DNS name as certificates hold them (RFC 1035, 2.3.1, lower case; no wildcard).
pub(super) fn is_dns_name(word: &str) -> bool {
    word.len() <= 253
        && word.contains('.')
        && word
            .split('.')
            .all(|label| label.len() <= 63 && is_id(label))
}

/// The 249 codes that ISO 3166-1 alpha-2 officially assigns, as of 2024 (the last change is of 2011), as the tz database lists them too
/// (iso3166.tab). Codes that are only reserved or for private use, such as EU, UK and XK, are not among them.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY \
    BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK \
    FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR \
    IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK \
    ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM \
    PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF \
    TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// All countries, by ISO 3166-1 alpha-2.
pub(super) fn countries() -> impl Iterator<Item = &'static str> {
    COUNTRIES.split(' ')
}

/// Whether `word` is an ISO 3166-1 alpha-2 code.
pub(super) fn is_country(word: &str) -> bool {
    countries().any(|country| country == word)
}

/// Reads a length of time: a whole number over 0 and `s`, `m`, `h` or `d`, at most 366 days.
pub(super) fn duration(word: &str) -> Option<Duration> {
    let unit = word.chars().last()?;
    let seconds_each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let digits = word.strip_suffix(unit)?;
    if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse::<u64>().ok()?.checked_mul(seconds_each)?;
    (seconds <= DURATION_MAX_SECONDS).then(|| Duration::from_secs(seconds))
}

/// Reads an offset from UTC, `+09:00`: within a day's range as RFC 3339 has it, no further than the world's own (14 h).
pub(super) fn utc_offset(word: &str) -> Option<UtcOffset> {
    let (sign, rest) = match word.split_at_checked(1)? {
        ("+", rest) => (1_i8, rest),
        ("-", rest) => (-1_i8, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

fn two_digits(text: &str) -> Option<i8> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// The day of the calendar, where it exists.
pub(super) fn calendar_date(year: u16, month: u8, day: u8) -> Option<Date> {
    Date::from_calendar_date(i32::from(year), Month::try_from(month).ok()?, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::offset;

    #[test]
    fn an_id_has_no_character_that_means_something_elsewhere() {
        for good in ["crm", "career-crm", "a1", "2nd-office"] {
            assert!(is_id(good), "{good:?}");
        }
        for bad in [
            "", "-", "a-", "-a", "a--b", "A", "a b", "a,b", "*", "a#", "a.b", "a_b", "é", "所",
        ] {
            assert!(!is_id(bad), "{bad:?}");
        }
        assert!(!is_id(&"a".repeat(129)));
        assert!(is_item_of("contact.email", "contact"));
        assert!(!is_item_of("contact", "contact"));
        assert!(!is_item_of("contact.", "contact"));
        assert!(!is_item_of("contact.email.home", "contact"));
        assert!(!is_item_of("contacts.email", "contact"));
    }

    #[test]
    fn a_length_of_time_is_a_whole_number_and_a_unit() {
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("8h"), Some(Duration::from_secs(28_800)));
        assert_eq!(duration("366d"), Some(Duration::from_secs(31_622_400)));
        for bad in [
            "",
            "m",
            "5",
            "0m",
            "05m",
            "+5m",
            "-5m",
            "5 m",
            "5M",
            "1.5h",
            "367d",
            "5分",
            "99999999999999999999d",
            "18446744073709551615h",
        ] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_offset_has_a_sign_and_four_digits() {
        assert_eq!(utc_offset("+09:00"), Some(offset!(+9)));
        assert_eq!(utc_offset("-03:30"), Some(offset!(-3:30)));
        for bad in [
            "", "9", "+9:00", "09:00", "+0900", "+15:00", "+09:60", "Z", "−09:00",
        ] {
            assert_eq!(utc_offset(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_country_is_one_that_the_standard_names() {
        let all: Vec<&str> = countries().collect();
        assert_eq!(all.len(), 249);
        assert!(all.is_sorted_by(|one, next| one < next));
        assert!(all.iter().all(|code| code.len() == 2));
        for good in ["JP", "DE", "GB", "AD", "ZW"] {
            assert!(is_country(good), "{good:?}");
        }
        for bad in [
            "", "J", "JPN", "jp", "UK", "EU", "XX", "ZZ", "JP ", "日本", "AD AE",
        ] {
            assert!(!is_country(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_dns_name_has_no_wildcard_and_no_upper_case() {
        assert!(is_dns_name("crm.corp.example"));
        for bad in [
            "crm",
            "*.corp.example",
            "CRM.example",
            "crm..example",
            "crm.example.",
        ] {
            assert!(!is_dns_name(bad), "{bad:?}");
        }
    }
}
