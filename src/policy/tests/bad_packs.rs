//! Packs that must not load: each is `recruitment` with one thing spoilt, and says file, line and what is wrong.

use super::*;

/// One thing that is spoilt: in `file`, the first `from` becomes `to`. The fault is told at the line where `at` is first found
/// afterwards (in `told_in`, which is `file` unless said), or for the file as a whole where `at` is empty.
struct Spoilt {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    told_in: &'static str,
    at: &'static str,
    message: &'static str,
}

const fn pack(
    from: &'static str,
    to: &'static str,
    at: &'static str,
    message: &'static str,
) -> Spoilt {
    spoilt("pack.toml", from, to, at, message)
}

const fn policy(
    from: &'static str,
    to: &'static str,
    at: &'static str,
    message: &'static str,
) -> Spoilt {
    spoilt("policy.csv", from, to, at, message)
}

const fn people(
    from: &'static str,
    to: &'static str,
    at: &'static str,
    message: &'static str,
) -> Spoilt {
    spoilt("people.csv", from, to, at, message)
}

const fn spoilt(
    file: &'static str,
    from: &'static str,
    to: &'static str,
    at: &'static str,
    message: &'static str,
) -> Spoilt {
    Spoilt {
        file,
        from,
        to,
        told_in: file,
        at,
        message,
    }
}

const RULE: &str = "p, reception, inquirer, identity, READ, inquiry-response, always, allow";

#[rustfmt::skip]
const SPOILT: &[Spoilt] = &[
    // The form of pack.toml.
    pack("[session]", "[session", "[session", "is not TOML: "),
    pack("idle = \"15m\"", "idle = \"15m\"\nidle = \"16m\"", "idle = \"16m\"", "is not TOML: duplicate key"),
    pack("[standing]", "[standings]", "[standings]", "unknown section \"standings\" (did you mean \"standing\"?)"),
    pack("[standing]", "[standings]", "", "standing is missing"),
    pack("workload_role", "worload_role", "worload_role", "service \"notice-mailer\": unknown key \"worload_role\" (did you mean \"workload_role\"?)"),
    pack("route = \"outsourcing\"", "route = \"outsourced\"", "route = \"outsourced\"", "recipient \"partner\": unknown route \"outsourced\" (did you mean \"outsourcing\"?)"),
    pack("idle = \"15m\"", "idle = 15", "idle = 15", "session: idle: expected a length of time like \"15m\" (s, m, h or d, at most 366d), found a value of type integer"),
    pack("idle = \"15m\"", "idle = \"9h\"", "idle = \"9h\"", "session: idle is longer than absolute"),
    pack("absolute = \"8h\"", "", "[session]", "session: absolute is missing"),
    pack("training = true", "training = \"yes\"", "training =", "standing: training: expected true or false, found \"yes\""),
    pack("\"+09:00\"", "\"JST\"", "\"JST\"", "pack: utc_offset: expected an offset like \"+09:00\", found \"JST\""),
    pack("title_ja = \"人材紹介・技術者派遣\"", "title_ja = \" \"", "title_ja = \" \"", "pack: title_ja is missing"),
    pack("id = \"recruitment\"", "id = \"Recruitment\"", "id = \"Recruitment\"", "pack: id \"Recruitment\": an id is lower-case"),
    pack("[[network]]\nid = \"vpn\"\nblocks", "[network-of-people]\nid = \"vpn\"\nblocks", "[network-of-people]", "unknown section \"network-of-people\""),
    // References.
    pack("[[outcome]]", "[[reference]]\nid = \"r\"\naccepts = [\"CONSENTS\"]\nfield = \"basis.reference\"\n\n[[outcome]]", "[\"CONSENTS\"]", "reference \"r\": unknown kind of reference \"CONSENTS\" (did you mean \"CONSENT\"?)"),
    pack("[[outcome]]", "[[reference]]\nid = \"r\"\naccepts = [\"ORDER\"]\nfield = \"reference\"\n\n[[outcome]]", "field = \"reference\"", "reference \"r\": unknown field \"reference\""),
    pack("[[outcome]]", "[[reference]]\nid = \"r\"\nfield = \"case_ref\"\n\n[[outcome]]", "[[reference]]", "reference \"r\": accepts is missing"),
    pack("[[outcome]]", "[[reference]]\nid = \"r\"\naccepts = [\"ORDER\"]\nfield = \"case_ref\"\npurposes = [\"x\"]\n\n[[outcome]]", "purposes = [\"x\"]", "reference \"r\": unknown purpose \"x\""),
    pack("[[outcome]]", "[[reference]]\nid = \"r\"\naccepts = [\"ORDER\"]\nfield = \"case_ref\"\nconsents = [\"GIVEN\"]\n\n[[outcome]]", "[\"GIVEN\"]", "reference \"r\": unknown state of consent \"GIVEN\""),
    pack("[[outcome]]", "[[reference]]\nid = \"r\"\naccepts = [\"ORDER\"]\nfield = \"case_ref\"\nactions = [\"READ\"]\nroutes = [\"shared-use\"]\n\n[[outcome]]", "routes = [\"shared-use\"]", "reference \"r\": routes: is for PROVIDE, which is not among the actions"),
    // Exceptions.
    pack("consent_difficult = [\"LIFE_BODY_PROPERTY\"", "consent_difficult = [\"LIFE_BODY\"", "[\"LIFE_BODY\"", "exceptions: unknown legal exception \"LIFE_BODY\""),
    pack("    \"LIFE_BODY_PROPERTY\",\n", "", "consent_difficult = ", "exceptions: consent_difficult: LIFE_BODY_PROPERTY is not among those that [exceptions] accepts"),
    // Services, networks, roles.
    pack("id = \"billing\"", "id = \"career-crm\"", "id = \"career-crm\"\nblocks = [\"10.1.0.0/16\"]\nsystems = [\"ledger\"", "service \"career-crm\": \"career-crm\" is there already"),
    pack("id = \"billing\"", "id = \"sekisho-cli\"", "id = \"sekisho-cli\"", "service \"sekisho-cli\": ids that begin with \"sekisho-\" are reserved"),
    pack("exchanges_with = [\"billing\"]", "exchanges_with = [\"biling\"]", "exchanges_with = [\"biling\"]", "service \"career-crm\": unknown service \"biling\" (did you mean \"billing\"?)"),
    pack("workload_role = \"notice-mailer\"", "workload_role = \"administrator\"", "workload_role = \"administrator\"", "service \"notice-mailer\": workload_role: \"administrator\" is for people only"),
    pack("workload_role = \"notice-mailer\"", "", "[[service]]\nid = \"notice-mailer\"", "service \"notice-mailer\": may do nothing"),
    pack("\"10.2.0.0/24\"", "\"10.2.0.1/24\"", "\"10.2.0.1/24\"", "service \"notice-mailer\": blocks: \"10.2.0.1/24\" has host bits set: the network is 10.2.0.0/24"),
    pack("\"10.20.0.0/16\"", "\"10.20.0.0\"", "\"10.20.0.0\"", "network \"vpn\": blocks: \"10.20.0.0\" is not a block in the form address/prefix"),
    pack("blocks = [\"10.20.0.0/16\"]", "blocks = []", "blocks = []", "network \"vpn\": blocks: the list is empty"),
    pack("id = \"reception\"\nnetworks = [\"office\"", "id = \"reception\"\nnetworks = [\"ofice\"", "networks = [\"ofice\"", "role \"reception\": unknown network \"ofice\" (did you mean \"office\"?)"),
    pack("id = \"reception\"\nnetworks = [\"office\", \"vpn\"]", "id = \"reception\"", "[[role]]\nid = \"reception\"", "role \"reception\": networks is missing"),
    pack("reviews = \"department\"", "reviews = \"departments\"", "reviews = \"departments\"", "role \"information-manager\": unknown extent of reviews \"departments\" (did you mean \"department\"?)"),
    pack("id = \"reception\"\n", "id = \"reception\"\ninherits = [\"legal\"]\n", "inherits = ", "role \"reception\": unknown key \"inherits\""),
    pack("[[role]]\nid = \"legal\"", "[[role]]\nid = \"contact\"\nnetworks = [\"vpn\"]\n\n[[role]]\nid = \"legal\"", "id = \"contact\"\nnetworks", "role \"contact\": there is a category of this id"),
    pack("[[role]]\nid = \"legal\"", "[[role]]\nid = \"administrator\"\nadministers = false\n\n[[role]]\nid = \"legal\"", "administers = false", "role \"administrator\": always administers"),
    pack("roles = [\"administrator\", \"security-manager\"]", "roles = [\"administrator\"]", "roles = [\"administrator\"]", "incompatible_roles: roles: names one role"),
    pack("roles = [\"administrator\", \"security-manager\"]", "roles = [\"administrator\", \"security-manger\"]", "roles = [\"administrator\", \"security-manger\"]", "incompatible_roles: unknown role \"security-manger\" (did you mean \"security-manager\"?)"),
    pack("why = \"who gives", "wy = \"who gives", "wy = ", "incompatible_roles: unknown key \"wy\""),
    pack("why = \"who gives access does not review how it was used\"", "why = \" \"", "why = \" \"", "incompatible_roles: why is missing"),
    pack("roles = [\"administrator\", \"security-manager\"]", "roles = [\"career-adviser\", \"reception\"]", "[[incompatible_roles]]", "incompatible_roles: role \"career-adviser\" has two of them by itself"),
    // Kinds, categories, purposes.
    pack("id = \"inquirer\"", "id = \"job-seeker\"", "id = \"job-seeker\"\n\n[[kind]]\nid = \"client-contact\"", "kind \"job-seeker\": \"job-seeker\" is there already"),
    pack("\"payment.invoice\"", "\"contact.invoice\"", "\"contact.invoice\"", "category \"payment\": item \"contact.invoice\" is not in the form \"payment.item\""),
    pack("masked_except_to = [\"accounting\"]", "masked_except_to = [\"accountant\"]", "masked_except_to", "item \"payment.bank-account\": unknown role \"accountant\" (did you mean \"accounting\"?)"),
    pack("masked_except_to", "masked_except", "masked_except =", "item \"payment.bank-account\": unknown key \"masked_except\" (did you mean \"masked_except_to\"?)"),
    pack("items = [\"inquiry.text\"]", "items = [\"inquiry.text\", \"inquiry.call\"]", "\"inquiry.call\"", "item \"inquiry.call\": policy.csv has no line \"g2, inquiry.call, inquiry\""),
    pack("categories = [\"identity\", \"contact\", \"payment\"]", "categories = [\"identity\", \"contact\", \"payments\"]", "\"payments\"", "purpose \"settlement\": unknown category \"payments\" (did you mean \"payment\"?)"),
    pack("kinds = [\"inquirer\"]", "kinds = \"every\"", "kinds = \"every\"", "purpose \"affiliate-referral\": kinds: expected a list like [\"a\", \"b\"], or \"all\", found \"every\""),
    pack("kinds = [\"inquirer\"]", "kinds = [\"inquirer\", \"inquirer\"]", "[\"inquirer\", \"inquirer\"]", "purpose \"affiliate-referral\": kinds: \"inquirer\" is there twice"),
    // Conditions.
    pack("categories = [\"special\"]\nmax_age", "max_age", "[[second_step]]", "second_step: needs categories, actions or both"),
    pack("actions = [\"EXPORT\", \"PROVIDE\"]\nmax_age", "actions = [\"EXPORTS\", \"PROVIDE\"]\nmax_age", "\"EXPORTS\"", "second_step: unknown action \"EXPORTS\" (did you mean \"EXPORT\"?)"),
    pack("categories = [\"special.medical\"]", "categories = [\"special.medicine\"]", "\"special.medicine\"", "break_glass: unknown category \"special.medicine\" (did you mean \"special.medical\"?)"),
    pack("people = 200", "people = 0", "people = 0", "limit \"read-and-search\": people: expected a whole number from 1 to 1000000"),
    pack("id = \"export\"", "id = \"read-and-search\"", "id = \"read-and-search\"\nactions = [\"EXPORT\"]", "limit \"read-and-search\": \"read-and-search\" is there already"),
    pack("[[outcome]]\nactions", "[[log_retention]]\nid = \"short\"\nperiod = \"29d\"\nkinds = \"all\"\n[[outcome]]\nactions", "period = \"29d\"", "log_retention \"short\": period: expected a period like \"3y\", \"18mo\" or \"90d\", from 30 days to 30 years, found \"29d\""),
    pack("[[outcome]]\nactions", "[[log_retention]]\nid = \"short\"\nperiod = \"1y\"\n[[outcome]]\nactions", "[[log_retention]]\nid = \"short\"", "log_retention \"short\": needs categories, kinds, entries or several of them"),
    pack("id = \"default\"\nperiod = \"3y\"", "id = \"default\"\nkinds = \"all\"\nperiod = \"3y\"", "kinds = \"all\"\nperiod = \"3y\"", "log_retention \"default\": kinds: the class \"default\" is what belongs to no other"),
    pack("[[outcome]]\nactions", "[[log_retention]]\nid = \"short\"\nperiod = \"1y\"\nentries = [\"DISPOSAL\"]\n[[outcome]]\nactions", "entries = [\"DISPOSAL\"", "log_retention \"short\": unknown kind of entry \"DISPOSAL\""),
    pack("[[outcome]]\nactions", "[[log_retention]]\nid = \"short\"\nperiod = \"1y\"\ncategories = [\"identitty\"]\n[[outcome]]\nactions", "categories = [\"identitty\"", "log_retention \"short\": unknown category \"identitty\" (did you mean \"identity\"?)"),
    pack("[[outcome]]\nactions", "[[log_retention]]\nid = \"short\"\nkinds = \"all\"\n[[outcome]]\nactions", "[[log_retention]]\nid = \"short\"", "log_retention \"short\": period is missing"),
    pack("[[outcome]]\nactions", "[[review]]\nid = \"r\"\nevery = \"weekly\"\n[[outcome]]\nactions", "every = \"weekly\"", "review \"r\": unknown interval \"weekly\""),
    pack("[[outcome]]\nactions", "[[review]]\nid = \"r\"\n[[outcome]]\nactions", "[[review]]", "review \"r\": every is missing"),
    pack("[[outcome]]\nactions", "[[review]]\nid = \"r\"\nevery = \"daily\"\ndue_in_days = 0\n[[outcome]]\nactions", "due_in_days = 0", "review \"r\": due_in_days: expected a whole number from 1 to 365"),
    pack("[[outcome]]\nactions", "[[review]]\nid = \"r\"\nevery = \"daily\"\nrate_percent = 51\n[[outcome]]\nactions", "rate_percent = 51", "review \"r\": rate_percent: expected a whole number from 1 to 50"),
    pack("[[outcome]]\nactions", "[[review]]\nid = \"r\"\nevery = \"daily\"\nmanager = \"p\"\n[[outcome]]\nactions", "manager = ", "review \"r\": unknown key \"manager\""),
    pack("date = \"last-contact\"", "date = \"last-contract\"", "date = \"last-contract\"", "retention \"retention-expired\": unknown date \"last-contract\" (did you mean \"last-contact\"?)"),
    pack("actions = [\"EXPORT\", \"PROVIDE\"]\nbreak_glass = true", "", "[[outcome]]", "outcome: needs actions, break_glass or both"),
    // Recipients.
    // Consent and what else makes a use lawful.
    pack("special_care = true\nleast", "least", "[[consent]]", "consent: special_care = true and denial = \"SPECIAL_CARE_CONSENT_REQUIRED\" go together"),
    pack("denial = \"SPECIAL_CARE_CONSENT_REQUIRED\"\nspecial_care = true", "denial = \"CONSENT_REQUIRED\"", "id = \"special\"", "category \"special\" is special_care, and no [[consent]] has special_care = true"),
    pack("least = \"PRIOR\"", "least = \"PRIO\"", "least = \"PRIO\"", "consent: unknown state of consent \"PRIO\" (did you mean \"PRIOR\"?)"),
    pack("denial = \"THIRD_PARTY_CONSENT_REQUIRED\"", "denial = \"THIRD_PARTY_CONSENT\"", "denial = \"THIRD_PARTY_CONSENT\"", "consent: unknown denial \"THIRD_PARTY_CONSENT\""),
    pack("denial = \"THIRD_PARTY_CONSENT_REQUIRED\"\nroutes = [\"third-party-consent\"]", "denial = \"FOREIGN_CONSENT_REQUIRED\"", "id = \"employer\"", "recipient \"employer\" takes consent, and no [[consent]] has denial = \"THIRD_PARTY_CONSENT_REQUIRED\""),
    pack("routes = [\"third-party-consent\"]", "routes = [\"third-party\"]", "routes = [\"third-party\"]", "consent: unknown route \"third-party\""),
    pack("exceptions = \"all\"", "exceptions = [\"LAWS\"]", "exceptions = [\"LAWS\"]", "consent: unknown legal exception \"LAWS\" (did you mean \"LAW\"?)"),
    pack("special_care = true\nleast = \"PRIOR\"\nexceptions = \"all\"", "special_care = true\nleast = \"PRIOR\"\nexceptions_for = [\"READ\"]", "exceptions_for = ", "consent: exceptions_for: there are no exceptions"),
    pack("special_care = true\nleast", "special_care = true\nroutes = [\"outsourcing\"]\nleast", "routes = [\"outsourcing\"]", "consent: routes: is for denials of a provision"),
    pack("special_care = true\nleast", "special_care = true\nautomated_decision = true\nleast", "[[consent]]", "consent: automated_decision = true and denial = \"AUTOMATED_DECISION_FORBIDDEN\" go together"),
    pack("special_care = true\nleast", "special_care = true\npurposes = [\"legal-dty\"]\nleast", "purposes = [\"legal-dty\"]", "consent: unknown purpose \"legal-dty\" (did you mean \"legal-duty\"?)"),
    pack("[[date]]\nid = \"last-contact\"", "[[suspension]]\nhold = \"use-suspended\"\ndenial = \"USE_SUSPENDED\"\n\n[[date]]\nid = \"last-contact\"", "hold = \"use-suspended\"", "suspension: unknown hold \"use-suspended\""),
    pack("[[date]]\nid = \"last-contact\"", "[[suspension]]\nhold = \"provision-stopped\"\ndenial = \"RETENTION_EXPIRED\"\n\n[[date]]\nid = \"last-contact\"", "denial = \"RETENTION_EXPIRED\"", "suspension: unknown denial \"RETENTION_EXPIRED\""),
    pack("[[limit]]\nid = \"export\"", "[[keep]]\nid = \"retention-expired\"\ndate = \"last-contact\"\nyears = 1\nactions = [\"DELETE\"]\n\n[[limit]]\nid = \"export\"", "id = \"retention-expired\"\ndate = \"last-contact\"\nyears = 1\n", "keep \"retention-expired\": \"retention-expired\" is a [[retention]] already"),
    pack("[[limit]]\nid = \"export\"", "[[keep]]\nid = \"kept\"\ndate = \"kept-until\"\nyears = 1\nactions = [\"DELETE\"]\n\n[[limit]]\nid = \"export\"", "date = \"kept-until\"", "keep \"kept\": unknown date \"kept-until\""),
    pack("[[limit]]\nid = \"export\"", "[[never_together]]\ncategories = [\"web\"]\n\n[[limit]]\nid = \"export\"", "categories = [\"web\"]", "never_together: unknown category \"web\""),
    pack("[[limit]]\nid = \"export\"", "[[collected]]\nvia = \" \"\ncategories = [\"contact\"]\npurposes = [\"settlement\"]\n\n[[limit]]\nid = \"export\"", "via = \" \"", "collected: via: a blank text"),
    pack("[[limit]]\nid = \"export\"", "[[confidential]]\ncategories = [\"secret\"]\n\n[[limit]]\nid = \"export\"", "categories = [\"secret\"]", "confidential: unknown category \"secret\""),
    pack("[[limit]]\nid = \"export\"", "[[safeguard]]\nfrom = [\"de\"]\nfree_to = [\"JP\"]\nsafeguards = [\"scc\"]\n\n[[limit]]\nid = \"export\"", "from = [\"de\"]", "safeguard: from: expected a country of ISO 3166-1 alpha-2"),
    pack("[[limit]]\nid = \"export\"", "[abroad]\nadequate_countries = [\"de\"]\n\n[[limit]]\nid = \"export\"", "adequate_countries = [\"de\"]", "abroad: adequate_countries: expected a country of ISO 3166-1 alpha-2"),
    pack("country = \"SG\"\nitems = [\"identity\", \"contact\", \"career\"]\npurposes = [\"recruitment-service\"]\nequivalent_until = 2099-01-31", "country = \"SG\"\nitems = [\"identity\", \"contact\", \"career\"]\npurposes = [\"recruitment-service\"]\nown_purpose_route = \"third-party-consent\"", "own_purpose_route", "recipient \"group-abroad\": own_purpose_route: is for the route \"outsourcing\""),
    pack("contract_until = 2099-12-31\n", "contract_until = 2099-12-31\nown_purpose_route = \"shared-use\"\n", "own_purpose_route = \"shared-use\"", "recipient \"partner\": own_purpose_route: is \"third-party-consent\" or \"third-party-by-law\""),
    pack("record_years = 3", "record_years = 3\nown_purpose_route = \"third-party-consent\"", "own_purpose_route", "recipient \"affiliate\": own_purpose_route: is for the route"),
    pack("country = \"SG\"", "country = \"sg\"", "country = \"sg\"", "recipient \"group-abroad\": country: expected a country of ISO 3166-1 alpha-2"),
    pack("equivalent_until = 2099-01-31", "equivalent_until = \"2099-01-31\"", "equivalent_until = \"2099-01-31\"", "recipient \"group-abroad\": equivalent_until: expected a day like 2099-12-31, without quotes, found \"2099-01-31\""),
    pack("contract_until = 2099-12-31\n", "", "[[recipient]]\nid = \"partner\"", "recipient \"partner\": contract_until is missing"),
    pack("stopped_by = \"provision-stopped\"", "stopped_by = \"provision-stoped\"", "stopped_by = \"provision-stoped\"", "recipient \"affiliate\": unknown hold \"provision-stoped\" (did you mean \"provision-stopped\"?)"),
    pack("[[hold]]\nid = \"provision-stopped\"", "[[hold]]\nid = \"use-suspended\"", "stopped_by = ", "recipient \"affiliate\": unknown hold \"provision-stopped\""),
    pack("representative = \"Representative Director", "stopped_by = \"provision-stopped\" # x\nrepresentative = \"Representative Director", "stopped_by = \"provision-stopped\" # x", "recipient \"employer\": stopped_by: is for the route"),
    pack("name = \"Client employer (求人企業)\"\n", "", "[[recipient]]\nid = \"employer\"", "recipient \"employer\": name is missing: the record of provision needs it (record_years)"),
    pack("representative = \"Representative Director (代表取締役)\"\n", "", "[[recipient]]\nid = \"employer\"", "recipient \"employer\": representative is missing: the record of provision needs it"),
    pack("representative = \"Representative Director (代表取締役)\"\n", "individual = true\nrepresentative = \"x\"\n", "representative = \"x\"", "recipient \"employer\": representative: nobody represents an individual"),
    pack("representative = \"Representative Director (代表取締役)\"\n", "representative = \" \"\n", "representative = \" \"", "recipient \"employer\": representative is not of 1 to 128 bytes"),
    pack("record_years = 3", "record_years = 3\nnamed_by_request = true", "name = \"Affiliate of", "recipient \"affiliate\": name: is for the request to say"),
    pack("record_years = 3", "record_years = 31", "record_years = 31", "recipient \"affiliate\": record_years: expected a whole number from 1 to 30"),
    pack("stopped_by = \"provision-stopped\"\n", "", "[[recipient]]\nid = \"affiliate\"", "recipient \"affiliate\": stopped_by is missing"),
    pack("record_years = 3\n", "", "[[recipient]]\nid = \"affiliate\"", "recipient \"affiliate\": record_years is missing: APPI Art. 29(1) asks for a record on this route"),
    pack("record_years = 3", "no_record = \"public\"", "no_record = \"public\"", "recipient \"affiliate\": unknown reason \"public\""),
    pack("record_years = 3", "record_years = 3\nno_record = \"public-body\"", "no_record = \"public-body\"", "recipient \"affiliate\": no_record: record_years says that there is one"),
    pack("record_years = 3", "no_record = \"legal-exception\"", "no_record = \"legal-exception\"", "recipient \"affiliate\": no_record: purpose \"affiliate-referral\" needs no legal exception"),
    pack("contract_until = 2099-12-31\n", "contract_until = 2099-12-31\nno_record = \"public-body\"\n", "no_record = \"public-body\"", "recipient \"partner\": no_record: APPI Art. 29(1) asks for no record on this route"),
    pack("equivalent_until = 2099-01-31", "equivalent_until = 2099-01-31\nrecord_years = 3", "record_years = 3", "recipient \"group-abroad\": record_years: APPI Art. 29(1) asks for no record on this route"),
    pack("contract_until = 2099-12-31\n", "contract_until = 2099-12-31\nrecord_years = 3\n", "record_years = 3\ninspected_until", "recipient \"partner\": record_years: APPI Art. 29(1) asks for no record on this route"),
    pack("items = \"all\"\npurposes = [\"legal-duty\"]", "items = \"all\"\npurposes = [\"legal-duty\"]\nrecord_years = 1", "record_years = 1", "recipient \"authority\": record_years: APPI Art. 29(1) asks for no record on this route"),
    pack("[[outcome]]\nactions", "[[log_retention]]\nid = \"provision-record-5y\"\nperiod = \"1y\"\nkinds = \"all\"\n[[outcome]]\nactions", "id = \"provision-record-5y\"", "log_retention \"provision-record-5y\": \"provision-record-5y\" is the class of records"),
    pack("purposes = [\"affiliate-referral\"]", "purposes = [\"affiliate-referal\"]", "\"affiliate-referal\"", "recipient \"affiliate\": unknown purpose \"affiliate-referal\" (did you mean \"affiliate-referral\"?)"),
    // Promises.
    pack("promise = \"inspected\"", "promise = \" \"", "promise = \" \"", "recipient \"partner\": promise: expected one line of 1 to 1024 bytes"),
    pack("promise = \"inspected\"", "promise = \"\"\"a\nb\"\"\"", "promise = \"\"\"a", "recipient \"partner\": promise: expected one line of 1 to 1024 bytes"),
    pack("promise = \"inspected\"", "promise = true", "promise = true", "recipient \"partner\": promise: expected text in quotes"),
    pack("promise = \"inspected\"", "promises = \"inspected\"", "promises = ", "recipient \"partner\": unknown key \"promises\" (did you mean \"promise\"?)"),
    pack("promise = \"inspected\"", "", "promise_ja = \"委託先の点検\"", "recipient \"partner\": promise_ja: is the Japanese of a promise, and there is none"),
    pack("utc_offset = \"+09:00\"", "utc_offset = \"+09:00\"\npromise = \"x\"", "promise = \"x\"", "pack: promise: is for rules"),
    pack("items = [\"inquiry.text\"]", "items = [{ id = \"inquiry.text\", promise = \"a\" }, { id = \"inquiry.call\" }]", "items = [{", "promise: two rules are on this line"),
    // Systems.
    pack("systems = [\"ledger\", \"crm\"]", "systems = [\"legder\", \"crm\"]", "\"legder\"", "service \"billing\": unknown system \"legder\" (did you mean \"ledger\"?)"),
    pack("systems = [\"ledger\", \"crm\"]", "systems = [\"crm\"]", "coverage = \"enforced\"\n\n[[system]]\nid = \"mail\"", "system \"ledger\": coverage: no service asks about it: it is uncovered"),
    pack("coverage = \"enforced\"", "coverage = \"uncovered\"", "coverage = \"uncovered\"", "system \"crm\": coverage: is uncovered, but service \"career-crm\" asks about it"),
    pack("coverage = \"enforced\"", "coverage = \"enforce\"", "coverage = \"enforce\"", "system \"crm\": unknown coverage \"enforce\" (did you mean \"enforced\"?)"),
    pack("country = \"JP\"\ncoverage", "country = \"Japan\"\ncoverage", "country = \"Japan\"", "system \"crm\": country: expected a country of ISO 3166-1 alpha-2"),
    pack("responsible = \"head of career services\"\n", "", "[[system]]\nid = \"crm\"", "system \"crm\": responsible is missing"),
    pack("department = \"security\"", "departement = \"security\"", "departement", "system \"mail\": unknown key \"departement\" (did you mean \"department\"?)"),
    pack("[[system]]\nid = \"ledger\"", "[[system]]\nid = \"crm\"", "id = \"crm\"\ntitle = \"Ledger", "system \"crm\": \"crm\" is there already"),
    // policy.csv.
    policy(RULE, "p, reception, inquirer, identity, READ, inquiry-response, always", "inquiry-response, always\n", "expected 8 columns (p, role, kind, category, action, purpose, condition, effect), found 7"),
    policy(RULE, "p, reception, inquirer, identity, READ, inquiry-response, always, allow, x", "allow, x", "expected 8 columns"),
    policy(RULE, "p, receptoin, inquirer, identity, READ, inquiry-response, always, allow", "p, receptoin", "unknown role \"receptoin\" (did you mean \"reception\"?)"),
    policy(RULE, "p, reception, enquirer, identity, READ, inquiry-response, always, allow", "enquirer", "unknown kind \"enquirer\" (did you mean \"inquirer\"?)"),
    policy(RULE, "p, reception, inquirer, idenity, READ, inquiry-response, always, allow", "idenity", "unknown category \"idenity\" (did you mean \"identity\"?)"),
    policy(RULE, "p, reception, inquirer, identity, LOOK, inquiry-response, always, allow", "LOOK", "unknown action \"LOOK\""),
    policy(RULE, "p, reception, inquirer, identity, READ, inquiry-answer, always, allow", "inquiry-answer", "unknown purpose \"inquiry-answer\""),
    policy(RULE, "p, reception, inquirer, identity, READ, *, always, allow", "READ, *", "unknown purpose \"*\""),
    policy(RULE, "p, reception, inquirer, identity, READ, inquiry-response, on_request, allow", "on_request", "unknown condition \"on_request\" (did you mean \"on-request\"?)"),
    policy(RULE, "p, reception, inquirer, identity, READ, inquiry-response, always, dney", "dney", "unknown effect \"dney\" (did you mean \"deny\"?)"),
    policy(RULE, "p, reception, inquirer, identity, READ, inquiry-response, on-request, deny", "on-request, deny", "a rule that denies has the condition \"always\""),
    policy(RULE, "p, reception, inquirer, \"identity\", READ, inquiry-response, always, allow", "\"identity\"", "has a quote"),
    policy(RULE, "p, reception, inquirer, , READ, inquiry-response, always, allow", "inquirer, ,", "category is empty"),
    policy(RULE, "P, reception, inquirer, identity, READ, inquiry-response, always, allow", "P, reception", "unknown sort of line \"P\""),
    policy(RULE, "p, reception, inquirer, identity, READ, inquiry-response, always, allow # ours", "# ours", "unknown effect \"allow # ours\""),
    policy("\n\n# Categories", "\np,legal,*,*,READ,legal-duty,always,allow\n\n# Categories", "p,legal,*", "is the same as line"),
    policy("\n\n# Categories", "\np, legal, *, *, READ, legal-duty, always, deny\n\n# Categories", "always, deny", "contradicts line 258, which says \"allow\""),
    policy("g, career-adviser, reception\n", "g, career-adviser, reception\ng, reception, information-manager\n", "g, reception, information-manager", "role \"reception\" inherits from itself, through \"information-manager\""),
    policy("g, career-adviser, reception\n", "g, career-adviser, reception\ng, legal, legal\n", "g, legal, legal", "role \"legal\" inherits from itself, through \"legal\""),
    policy("g, career-adviser, reception", "g, career-adviser, receptions", "g, career-adviser, receptions", "unknown role \"receptions\" (did you mean \"reception\"?)"),
    policy("g, career-adviser, reception", "g, career-adviser", "g, career-adviser\n", "expected 3 columns (g, role, inherited role), found 2"),
    policy("g2, inquiry.text, inquiry", "g2, inquiry.text, contact", "g2, inquiry.text, contact", "pack.toml doesn't say that \"contact\" covers \"inquiry.text\""),
    Spoilt { told_in: "pack.toml", ..policy("g2, inquiry.text, inquiry\n", "", "items = [\"inquiry.text\"]", "item \"inquiry.text\": policy.csv has no line \"g2, inquiry.text, inquiry\"") },
    // model.conf.
    spoilt("model.conf", " && !some(where (p.eft == deny))", "", "e = some", "[policy_effect] e: the model of every pack has e = "),
    spoilt("model.conf", "g2 = _, _", "", "", "[role_definition] g2 is missing"),
    // people.csv.
    people("id,department", "id,team", "id,team", "expected the header id,department,roles"),
    people("career-adviser,,2099-12-31,yes,yes", "career-advisor,,2099-12-31,yes,yes", "adviser-1", "unknown role \"career-advisor\" (did you mean \"career-adviser\"?)"),
    people("adviser-2", "adviser-1", "adviser-1,career,career-adviser,,2099-12-31,yes,yes\nadviser-3", "\"adviser-1\" is there already"),
    people("2020-01-31", "2020-02-30", "adviser-3", "trained_until: expected a day like 2099-12-31, found \"2020-02-30\""),
    people("2099-12-31,no,yes", "2099-12-31,maybe,yes", "adviser-5", "pledge: expected yes or no, or the day, found \"maybe\""),
    people("reception-1,support,", "reception-1,,", "reception-1", "department: is missing"),
    people("legal-1,legal,legal,,", "legal-1,legal,legal,", "legal-1", "expected 7 columns, found 6"),
    people("security-1,security,security-manager", "security-1,security,security-manager;administrator", "security-1", "roles: \"security-manager\" and \"administrator\" are incompatible: who gives access"),
    people("security-2", "security-l", "security-l", "id \"security-l\" looks like \"security-1\""),
    people("pledge,second_factor", "pledge,second_factor,wages", "id,", "unknown column \"wages\""),
    people("legal-1,legal,legal,", "legal-1,legal,,", "legal-1", "roles: expected roles with ; between them"),
];

fn with_hint(finding: &Finding) -> String {
    let hint = finding.hint(false).map(|hint| format!(" ({hint})"));
    format!("{}{}", finding.message, hint.unwrap_or_default())
}

fn line_of(text: &str, what: &str) -> u32 {
    if what.is_empty() {
        return 0;
    }
    let at = text.find(what).unwrap_or_else(|| panic!("no {what:?}"));
    let before = text.get(..at).unwrap();
    u32::try_from(before.matches('\n').count() + 1).unwrap()
}

#[test]
fn a_spoilt_pack_is_refused_with_file_line_and_reason() {
    for case in SPOILT {
        let directory = copy_of_recruitment();
        let path = directory.path();
        let text = std::fs::read_to_string(path.join(case.file)).unwrap();
        assert!(text.contains(case.from), "no {:?}", case.from);
        write(path, case.file, text.replacen(case.from, case.to, 1));
        let errors = load(path).err().unwrap_or_else(|| {
            panic!("{:?} for {:?} was accepted", case.to, case.from);
        });
        let told_in = std::fs::read_to_string(path.join(case.told_in)).unwrap();
        let line = line_of(&told_in, case.at);
        let found = errors.0.iter().any(|error| {
            error.file == path.join(case.told_in)
                && error.line == line
                && with_hint(error).starts_with(case.message)
        });
        assert!(
            found,
            "{}:{line}: {} is not among\n{errors}",
            case.told_in, case.message
        );
    }
}

/// What is wrong has a case in the corpus that is played against the shipped binary, too; but for what takes more than a file of
/// text.
#[test]
fn every_code_has_a_case_in_the_corpus_of_malformed_packs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-packs");
    let mut told = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let case: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
            let all = case["told"].as_array().unwrap();
            told.extend(
                all.iter()
                    .map(|one| one["code"].as_str().unwrap().to_owned()),
            );
        }
    }
    // Tested here and in `faults`, or never seen but for a mistake of ours.
    let elsewhere = [
        "file-unreadable",
        "file-not-plain",
        "file-outside",
        "file-too-large",
        "more-faults",
        "too-many",
        "casbin-differs",
        "casbin-refuses",
    ];
    let codes = kinds::Kind::ALL.iter().map(|kind| kind.code());
    let missing: Vec<_> = codes
        .filter(|code| !told.contains(*code) && !elsewhere.contains(code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_table_of_spoilt_packs_is_long() {
    assert!(SPOILT.len() >= 30);
}

#[test]
fn faults_in_all_files_are_told_at_once_and_only_they() {
    let directory = copy_of_recruitment();
    let path = directory.path();
    for (file, from, to) in [
        ("pack.toml", "people = 50", "people = -50"),
        ("pack.toml", "idle = \"15m\"", "idle = \"15 min\""),
        (
            "policy.csv",
            "g, career-adviser, reception",
            "g, career-adviser, recepton",
        ),
        ("policy.csv", "always, allow", "always, alow"),
        ("model.conf", "g2 = _, _", "g2 = _, _, _"),
        ("people.csv", "newcomer-1", "Newcomer 1"),
    ] {
        let text = std::fs::read_to_string(path.join(file)).unwrap();
        assert!(text.contains(from));
        write(path, file, text.replacen(from, to, 1));
    }
    let errors = load(path).unwrap_err();
    let told: Vec<_> = errors
        .0
        .iter()
        .map(|error| error.file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "pack.toml",
            "pack.toml",
            "model.conf",
            "policy.csv",
            "policy.csv",
            "people.csv"
        ],
        "{errors}"
    );
    assert_eq!(errors.to_string().lines().count(), 6);
    let first = errors.to_string();
    let expected = format!(
        "{}:21:8: error[wrong-value]: session: idle: expected a length of time like \"15m\"",
        path.join("pack.toml").display()
    );
    assert!(first.starts_with(&expected), "{first}");
}

#[test]
fn a_promise_is_a_sentence_and_not_the_policy() {
    let with = |promise: String| {
        let directory = copy_of_recruitment();
        let text = std::fs::read_to_string(directory.path().join("pack.toml")).unwrap();
        let promise = format!("promise = \"{promise}\"");
        let text = text.replacen("promise = \"inspected\"", &promise, 1);
        write(directory.path(), "pack.toml", text);
        load(directory.path()).map(|_| ())
    };
    with("x".repeat(1_024)).unwrap();
    let told = with("x".repeat(1_025)).unwrap_err().to_string();
    assert!(told.contains("promise: expected one line"), "{told}");
}

fn refused(spoil: impl FnOnce(&Path)) -> String {
    let directory = copy_of_recruitment();
    spoil(directory.path());
    let errors = load(directory.path()).unwrap_err().to_string();
    errors.replace(&format!("{}/", directory.path().display()), "")
}

#[test]
fn a_file_that_is_missing_empty_or_not_text_is_refused() {
    let told = refused(|path| std::fs::remove_file(path.join("model.conf")).unwrap());
    assert_eq!(told, "model.conf: error[file-missing]: is missing");
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        assert_eq!(
            refused(|path| write(path, file, "")),
            format!("{file}:1:1: error[file-empty]: is empty")
        );
        assert_eq!(
            refused(|path| write(path, file, "\r\n \n")),
            format!("{file}:1:1: error[file-empty]: is empty")
        );
    }
    let told = refused(|path| write(path, "policy.csv", "# nothing yet\n"));
    assert!(
        told.contains("policy.csv: error[no-rule]: has no rule"),
        "{told}"
    );
    let told = refused(|path| write(path, "policy.csv", b"# a\n# \xff\n"));
    assert_eq!(told, "policy.csv:2:3: error[not-utf8]: is not UTF-8");
    let told = refused(|path| {
        let text = std::fs::read_to_string(path.join("policy.csv")).unwrap();
        write(path, "policy.csv", format!("\u{feff}{text}"));
    });
    assert!(
        told.starts_with("policy.csv:1:1: error[byte-order-mark]: begins with a byte order mark"),
        "{told}"
    );
    let nowhere = load(Path::new("policies/nowhere")).unwrap_err();
    assert!(
        nowhere
            .to_string()
            .starts_with("policies/nowhere/pack.toml: error[file-missing]: is missing"),
        "{nowhere}"
    );
}

#[test]
fn a_file_that_is_too_large_or_no_plain_file_is_refused() {
    let told = refused(|path| write(path, "policy.csv", vec![b'#'; 16 * 1024 * 1024 + 1]));
    assert_eq!(told, "policy.csv: error[file-too-large]: is over 16 MiB");
    let told = refused(|path| {
        std::fs::remove_file(path.join("policy.csv")).unwrap();
        std::fs::create_dir(path.join("policy.csv")).unwrap();
    });
    assert_eq!(
        told,
        "policy.csv: error[file-not-plain]: is not a plain file"
    );
}

#[test]
fn links_are_followed_within_the_directory_only() {
    use std::os::unix::fs::symlink;
    let told = refused(|path| {
        std::fs::remove_file(path.join("policy.csv")).unwrap();
        symlink(
            recruitment_directory().join("policy.csv"),
            path.join("policy.csv"),
        )
        .unwrap();
    });
    assert_eq!(
        told,
        "policy.csv: error[file-outside]: leads out of the directory of the pack"
    );
    // As mounted configuration has it: the names link into a directory of one version.
    let directory = copy_of_recruitment();
    let path = directory.path();
    std::fs::create_dir(path.join("..version-1")).unwrap();
    std::fs::rename(path.join("policy.csv"), path.join("..version-1/policy.csv")).unwrap();
    symlink("..version-1/policy.csv", path.join("policy.csv")).unwrap();
    assert!(load(path).is_ok());
}

#[test]
fn windows_line_ends_change_nothing_but_the_revision() {
    let directory = copy_of_recruitment();
    let path = directory.path();
    for file in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        let text = std::fs::read_to_string(path.join(file)).unwrap();
        write(path, file, text.replace('\n', "\r\n"));
    }
    let pack = load(path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(pack.rules.grants.len(), recruitment().rules.grants.len());
    assert_ne!(pack.rules.revision, recruitment().rules.revision);
}

#[test]
fn inheritance_that_casbin_would_not_see_is_refused() {
    let spoil = |links: usize| {
        move |path: &Path| {
            let mut toml = std::fs::read_to_string(path.join("pack.toml")).unwrap();
            let mut csv = std::fs::read_to_string(path.join("policy.csv")).unwrap();
            for step in 0..=links {
                toml.push_str(&format!(
                    "[[role]]\nid = \"step-{step}\"\nnetworks = [\"vpn\"]\n"
                ));
                if step > 0 {
                    csv.push_str(&format!("g, step-{}, step-{step}\n", step - 1));
                }
            }
            write(path, "pack.toml", toml);
            write(path, "policy.csv", csv);
        }
    };
    let told = refused(spoil(10));
    assert_eq!(
        told,
        "policy.csv:283:1: error[inherits-too-far]: role \"step-0\" inherits over 10 steps: casbin sees 9"
    );
    let directory = copy_of_recruitment();
    spoil(9)(directory.path());
    assert!(load(directory.path()).is_ok());
}

#[test]
fn the_administrator_works_from_where_the_pack_says() {
    let directory = copy_of_recruitment();
    let text = std::fs::read_to_string(directory.path().join("pack.toml")).unwrap();
    let role = "\n[[role]]\nid = \"administrator\"\nnetworks = [\"office\"]\n";
    write(directory.path(), "pack.toml", text + role);
    let rules = load(directory.path()).unwrap().rules;
    let administrator = rules
        .roles
        .get(rules.roles.id("administrator").unwrap())
        .unwrap();
    assert!(administrator.administers);
    assert_eq!(
        administrator.networks,
        [rules.networks.id("office").unwrap()]
    );
}

#[test]
fn rules_that_resolve_to_too_many_tuples_are_refused() {
    let told = refused(|path| {
        let mut toml = std::fs::read_to_string(path.join("pack.toml")).unwrap();
        let mut csv = std::fs::read_to_string(path.join("policy.csv")).unwrap();
        for kind in 0..900 {
            toml.push_str(&format!("[[kind]]\nid = \"kind-{kind}\"\n"));
        }
        for role in 0..300 {
            toml.push_str(&format!(
                "[[role]]\nid = \"extra-{role}\"\nnetworks = [\"vpn\"]\n"
            ));
            csv.push_str(&format!(
                "p, extra-{role}, *, *, READ, legal-duty, always, allow\n"
            ));
        }
        write(path, "pack.toml", toml);
        write(path, "policy.csv", csv);
    });
    assert!(
        told.contains("the rules resolve to more than 4000000 tuples"),
        "{told}"
    );
}
