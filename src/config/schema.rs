//! The JSON Schema of `deploy.yml`, for editors, from the table of keys. Published as `deploy.schema.json`.

use serde_json::{Map, Value, json};

use super::{
    shape::{Form, Key, Presence, Shape},
    surface,
    tree::{self, Node},
};

/// The schema (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "deploy.yml",
        "description": "The configuration of deploy-action.",
    });
    extend(&mut schema, of(&surface::FILE));
    schema
}

fn extend(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Form(form) => of_form(*form),
        Shape::Whole(low, high) if low == high => json!({"const": low}),
        Shape::Whole(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
        Shape::Number(low, high) => json!({"type": "number", "minimum": low, "maximum": high}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Duration(_) => json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}),
        Shape::Share => json!({"type": "string", "pattern": r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)%$"}),
        Shape::Factor => json!({"type": "string", "pattern": r"^(10000(\.0{1,4})?|[0-9]{1,4}(\.[0-9]{1,4})?)%$"}),
        Shape::Bound => json!({"anyOf": [{"type": "number", "minimum": 0}, of(&Shape::Share), of(&Shape::Duration(0))]}),
        Shape::Choice(words) => json!({"enum": words}),
        Shape::List(item) => json!({"type": "array", "items": of(item)}),
        Shape::Map(_, value) => json!({"type": "object", "additionalProperties": of(value)}),
        Shape::Section(keys) => section(keys),
        // YAML 1.1 readers, many editors among them, take `off` for false.
        Shape::OrOff(inner) => json!({"anyOf": [{"enum": ["off", false]}, of(inner)]}),
        Shape::Free => json!({}),
    }
}

fn of_form(form: Form) -> Value {
    let pattern = match form {
        Form::Repository => r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$",
        Form::Instance => r"^[a-z0-9]([a-z0-9]|-[a-z0-9]){0,62}$",
        Form::InstanceStem => r"^[a-z0-9]([a-z0-9]|-[a-z0-9]){0,59}$",
        Form::Environment => "^[A-Za-z0-9-]*$",
        Form::Profile => "^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$",
        Form::Endpoint => "^[A-Za-z0-9][A-Za-z0-9._-]{0,259}$",
        Form::Path => r"^/([^/\s]\S*)?$",
        Form::Url => r"^https?://[^\s@]+$",
        Form::Variable => "^[A-Za-z_][A-Za-z0-9_]*$",
        Form::TimeOfDay => "^[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$",
        Form::Zone => r"^\S+$",
    };
    json!({"type": "string", "pattern": pattern})
}

fn section(keys: &[Key]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        let mut schema = json!({"description": key.doc});
        match key.presence {
            Presence::Required => required.push(key.name),
            Presence::Optional => {}
            Presence::Default(text) => {
                if let Ok(node) = tree::parse(text) {
                    extend(&mut schema, json!({"default": plain(&node)}));
                }
            }
        }
        extend(&mut schema, of(&key.shape));
        properties.insert(key.name.to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        extend(&mut schema, json!({"required": required}));
    }
    schema
}

fn plain(node: &Node) -> Value {
    super::read::json(node)
}
