//! Texts that several displays share.

use serde_json::Value;

pub(super) use crate::text::line;
use crate::{domain::Masks, execute::Diagnosis};

/// What was found out after a failure, line by line.
pub(super) fn diagnosis(diagnosis: &Diagnosis) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(instance) = &diagnosis.instance {
        lines.push(super::terminal::instance_line(instance));
        for event in instance.events.iter().rev().take(8).rev() {
            lines.push(format!("  Azure: {}: {} (×{})", event.name, event.message, event.count.max(1)));
        }
    }
    if !diagnosis.logs.is_empty() {
        lines.push("last log lines:".into());
        lines.extend(diagnosis.logs.iter().map(|line| format!("  | {line}")));
    }
    lines.extend(diagnosis.missing.iter().map(|missing| format!("could not be read: {missing}")));
    lines.push(format!("runbook: {}", diagnosis.entry));
    lines.extend(diagnosis.advice.iter().enumerate().map(|(index, step)| format!("  {}. {step}", index + 1)));
    if let Some(configuration) = &diagnosis.configuration {
        lines.push("change of deploy.yml:".into());
        lines.extend(configuration.lines().map(|line| format!("  {line}")));
    }
    lines
}

/// Every text in `message` with the secrets that `masks` holds taken out.
pub(super) fn scrub(mut message: Value, masks: &Masks) -> Value {
    fn walk(value: &mut Value, masks: &Masks) {
        match value {
            Value::String(text) => *text = masks.scrub(text),
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, masks)),
            Value::Object(fields) => fields.values_mut().for_each(|field| walk(field, masks)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    walk(&mut message, masks);
    message
}
