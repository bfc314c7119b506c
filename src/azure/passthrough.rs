//! Microsoft's schema of a container group, and the checked way to set any of its properties (`container.properties`).
//! Pure. A small reader of a small part of JSON Schema: a whole validator would weigh more than the rest of the program.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Microsoft's schema, api-version 2025-09-01, trimmed by `.ci/conformance/trim_arm_schema.py` (MIT).
static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("schema/container-group-2025-09-01.json")).unwrap_or(Value::Null));

/// What `container.properties` may not set, because a key of `deploy.yml` or the Action itself does.
const OWNED: [(&str, &str); 4] = [
    ("/containers/0/properties/image", "`image` and the environment's `tag` decide that"),
    ("/imageRegistryCredentials", "the inputs registry-username and registry-password, or `container.registry-identity`, decide that"),
    ("/containers/0/name", "the container is named like its instance"),
    ("/containers/0/properties/environmentVariables", "`env` and `secrets` of the environment decide that"),
];

/// What is wrong with a property, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PassthroughError {
    /// Where, as a JSON pointer below `container.properties`.
    pub path: String,
    /// What is wrong, with the nearest right name where there is one.
    pub problem: String,
}

/// Checks `properties` (by Microsoft's names, laid over the container group's `properties`) against Microsoft's schema:
/// unknown names, wrong types, values that Azure does not know, and what the Action itself must decide.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(properties: &Map<String, Value>) -> Result<(), PassthroughError> {
    let given = Value::Object(properties.clone());
    for (path, problem) in OWNED {
        if given.pointer(path).is_some() {
            return Err(PassthroughError { path: path.into(), problem: problem.into() });
        }
    }
    if given.pointer("/containers/1").is_some() {
        let problem = "only the application's own container can be set; a second one needs its own instance".into();
        return Err(PassthroughError { path: "/containers/1".into(), problem });
    }
    let schema = SCHEMA.pointer("/properties/properties").unwrap_or(&Value::Null);
    walk(schema, &given, String::new(), Completeness::Part)
}

/// Checks a whole request body, required properties included.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_body(body: &Value) -> Result<(), PassthroughError> {
    walk(&SCHEMA, body, String::new(), Completeness::Whole)
}

/// Whether `path` (a key's name chain) is something that a request may set, as against what Azure only reports.
pub(super) fn knows(parents: &[&str], name: &str) -> bool {
    let mut schema = &*SCHEMA;
    for parent in parents {
        schema = match step(schema, parent) {
            Some(inner) => inner,
            None => return false,
        };
    }
    step(schema, name).is_some()
}

fn step<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let schema = resolve(schema);
    let schema = schema.get("items").map_or(schema, resolve);
    schema.pointer("/properties").and_then(|properties| properties.get(name)).or_else(|| schema.get("additionalProperties"))
}

/// Lays `over` onto `base`: objects key by key, lists item by item (the container stays the container), all else replaced.
pub(super) fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) if base.first().is_some_and(Value::is_object) => {
            for (index, value) in over.iter().enumerate() {
                match base.get_mut(index) {
                    Some(item) => merge(item, value),
                    None => base.push(value.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Whether required properties must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completeness {
    Part,
    Whole,
}

fn resolve(schema: &Value) -> &Value {
    match schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => SCHEMA.pointer(pointer).unwrap_or(&Value::Null),
        None => schema,
    }
}

fn walk(schema: &Value, given: &Value, path: String, completeness: Completeness) -> Result<(), PassthroughError> {
    let schema = resolve(schema);
    let wrong = |problem: String| Err(PassthroughError { path: if path.is_empty() { "/".into() } else { path.clone() }, problem });
    if let Some(expected) = schema.get("type").and_then(Value::as_str)
        && !is_a(given, expected)
    {
        return wrong(format!("expected {}, found {}", article(expected), kind(given)));
    }
    if let Some(known) = schema.get("enum").and_then(Value::as_array)
        && !known.contains(given)
    {
        let known: Vec<String> = known.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect();
        return wrong(format!("Azure knows {} here", known.join(", ")));
    }
    match given {
        Value::Object(fields) => {
            if completeness == Completeness::Whole
                && let Some(required) = schema.get("required").and_then(Value::as_array)
                && let Some(missing) = required.iter().filter_map(Value::as_str).find(|name| !fields.contains_key(*name))
            {
                return wrong(format!("`{missing}` is missing"));
            }
            for (name, value) in fields {
                let known = schema.get("properties").and_then(Value::as_object);
                let inner = known.and_then(|known| known.get(name)).or_else(|| schema.get("additionalProperties"));
                match inner {
                    Some(inner) => walk(inner, value, format!("{path}/{name}"), completeness)?,
                    // Azure calls it an object and says no more of it: `emptyDir`.
                    None if schema.as_object().is_some_and(Map::is_empty) => {}
                    None => {
                        let nearest = known.and_then(|known| nearest(name, known.keys()));
                        let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
                        return wrong(format!("Azure's container groups have no property `{name}` here{hint}"));
                    }
                }
            }
            Ok(())
        }
        Value::Array(items) => {
            let inner = schema.get("items").unwrap_or(&Value::Null);
            items.iter().enumerate().try_for_each(|(index, item)| walk(inner, item, format!("{path}/{index}"), completeness))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

fn is_a(value: &Value, expected: &str) -> bool {
    match expected {
        "integer" => value.is_i64() || value.is_u64(),
        expected => kind(value) == expected,
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn article(kind: &str) -> String {
    if kind.starts_with(['a', 'i', 'o']) { format!("an {kind}") } else { format!("a {kind}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(properties: Value) -> Result<(), String> {
        check(properties.as_object().expect("an object")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_microsoft_knows_passes() {
        for good in [
            json!({}),
            json!({"priority": "Spot"}),
            json!({"dnsConfig": {"nameServers": ["10.0.0.1"]}}),
            json!({"containers": [{"properties": {"securityContext": {"privileged": false}, "resources": {"limits": {"cpu": 1.5}}}}]}),
            json!({"volumes": [{"name": "x", "emptyDir": {}}]}),
            json!({"diagnostics": {"logAnalytics": {"workspaceId": "a", "workspaceKey": "b", "metadata": {"any": "thing"}}}}),
        ] {
            assert_eq!(checked(good.clone()), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_refused_with_the_nearest_name() {
        let cases = [
            (json!({"priorty": "Spot"}), "/: Azure's container groups have no property `priorty` here; did you mean `priority`?"),
            (json!({"priority": "spot"}), "/priority: Azure knows Regular, Spot here"),
            (json!({"subnetIds": {}}), "/subnetIds: expected an array, found object"),
            (
                json!({"containers": [{"properties": {"image": "x"}}]}),
                "/containers/0/properties/image: `image` and the environment's `tag` decide that",
            ),
            (
                json!({"containers": [{}, {}]}),
                "/containers/1: only the application's own container can be set; a second one needs its own instance",
            ),
        ];
        for (given, message) in cases {
            assert_eq!(checked(given), Err(message.into()));
        }
    }

    #[test]
    fn merging_keeps_what_is_not_named() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "list": [{"x": 1, "y": 2}], "plain": [1, 2]});
        merge(&mut base, &json!({"a": {"c": 3}, "list": [{"y": 5}], "plain": [9], "new": true}));
        assert_eq!(base, json!({"a": {"b": 1, "c": 3}, "list": [{"x": 1, "y": 5}], "plain": [9], "new": true}));
    }
}
