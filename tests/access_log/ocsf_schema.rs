//! Judges events by what the OCSF schema says of them (`ocsf-1.8.0.json`: its source is named in it): required attributes,
//! types, enumerations, constraints, and that nothing is there that the schema does not know.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
pub(crate) struct Schema {
    pub(crate) version: String,
    types: BTreeMap<String, Type>,
    classes: BTreeMap<String, Shape>,
    objects: BTreeMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
struct Type {
    is: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Shape {
    category_uid: Option<i64>,
    constraints: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    profiles: Vec<String>,
    attributes: BTreeMap<String, Attribute>,
}

#[derive(Debug, Deserialize)]
struct Attribute {
    #[serde(rename = "type")]
    sort: String,
    #[serde(default)]
    array: bool,
    requirement: String,
    profile: Option<String>,
    #[serde(rename = "enum")]
    values: Option<Vec<String>>,
    #[serde(default)]
    deprecated: bool,
}

impl Schema {
    pub(crate) fn read() -> Self {
        serde_json::from_str(include_str!("ocsf-1.8.0.json")).unwrap()
    }

    /// Everything that is wrong with an event.
    pub(crate) fn faults(&self, event: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let uid = &event["class_uid"];
        let Some(class) = uid
            .as_i64()
            .and_then(|uid| self.classes.get(&uid.to_string()))
        else {
            return vec![format!("class_uid {uid} is not known")];
        };
        let number = |name: &str| event[name].as_i64().unwrap_or(i64::MIN);
        if Some(number("category_uid")) != class.category_uid {
            faults.push("category_uid is not the class's".to_owned());
        }
        if number("type_uid") != number("class_uid") * 100 + number("activity_id") {
            faults.push("type_uid is not class_uid * 100 + activity_id".to_owned());
        }
        if event["metadata"]["version"] != *self.version {
            faults.push("metadata.version is not the schema's".to_owned());
        }
        let declared: Vec<&str> = event["metadata"]["profiles"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for profile in &declared {
            if !class.profiles.iter().any(|known| known == profile) {
                faults.push(format!("profile {profile} is not one of the class"));
            }
        }
        match event.as_object() {
            Some(fields) => self.shape("", class, fields, &declared, &mut faults),
            None => faults.push("is no object".to_owned()),
        }
        faults
    }

    fn shape(
        &self,
        at: &str,
        shape: &Shape,
        fields: &Map<String, Value>,
        profiles: &[&str],
        faults: &mut Vec<String>,
    ) {
        for (name, attribute) in &shape.attributes {
            if attribute.requirement == "required" && !fields.contains_key(name) {
                faults.push(format!("{at}{name} is required"));
            }
        }
        for (constraint, names) in &shape.constraints {
            let there = names
                .iter()
                .filter(|name| fields.contains_key(*name))
                .count();
            let kept = match constraint.as_str() {
                "at_least_one" => there >= 1,
                "just_one" => there == 1,
                other => panic!("constraint {other}"),
            };
            if !kept {
                faults.push(format!("{at}: {constraint} of {names:?}"));
            }
        }
        for (name, value) in fields {
            let at = format!("{at}{name}");
            let Some(attribute) = shape.attributes.get(name) else {
                faults.push(format!("{at} is not an attribute"));
                continue;
            };
            if let Some(profile) = &attribute.profile
                && !profiles.contains(&profile.as_str())
            {
                faults.push(format!("{at} needs the profile {profile}"));
            }
            if attribute.deprecated {
                faults.push(format!("{at} is deprecated"));
            }
            match (attribute.array, value.as_array()) {
                (true, Some(values)) => {
                    for value in values {
                        self.value(&at, attribute, value, profiles, faults);
                    }
                }
                (false, None) => self.value(&at, attribute, value, profiles, faults),
                _ => faults.push(format!("{at} is an array, or should be one")),
            }
        }
    }

    fn value(
        &self,
        at: &str,
        attribute: &Attribute,
        value: &Value,
        profiles: &[&str],
        faults: &mut Vec<String>,
    ) {
        if let Some(values) = &attribute.values {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if !values.contains(&text) {
                faults.push(format!("{at}: {value} is none of {values:?}"));
            }
        }
        let sort = attribute.sort.as_str();
        if sort == "object" {
            if !value.is_object() {
                faults.push(format!("{at} is no object"));
            }
            return;
        }
        if let Some(shape) = self.objects.get(sort) {
            match value.as_object() {
                Some(fields) => self.shape(&format!("{at}."), shape, fields, profiles, faults),
                None => faults.push(format!("{at} is no object")),
            }
            return;
        }
        let Some(known) = self.types.get(sort) else {
            faults.push(format!("{at} is a {sort}, of which nothing is known here"));
            return;
        };
        let text = value.as_str();
        let fits = match sort {
            "ip_t" => text.is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok()),
            "uuid_t" => text.is_some_and(|text| uuid::Uuid::try_parse(text).is_ok()),
            "json_t" => true,
            _ => match known.is.as_deref().unwrap_or(sort) {
                "string_t" => text.is_some(),
                "boolean_t" => value.is_boolean(),
                "integer_t" => value
                    .as_i64()
                    .is_some_and(|number| i32::try_from(number).is_ok()),
                "long_t" => value.is_i64(),
                "float_t" => value.is_number(),
                other => panic!("type {other}"),
            },
        };
        if !fits {
            faults.push(format!("{at}: {value} is no {sort}"));
        }
    }
}
