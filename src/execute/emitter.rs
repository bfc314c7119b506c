//! Where events leave the executor. Takes every secret out of them first, so that no listener can leak one (invariant 7).

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use super::{Event, Happening};
use crate::domain::Masks;

/// Sends events to the reports. Cheap to clone; sending never waits and never fails.
#[derive(Debug, Clone)]
pub struct Emitter {
    sender: UnboundedSender<Event>,
    masks: Masks,
}

impl Emitter {
    /// An emitter to `sender` that takes out what `masks` holds.
    #[must_use]
    pub const fn new(sender: UnboundedSender<Event>, masks: Masks) -> Self {
        Self { sender, masks }
    }

    /// Tells that `event` happened now. A closed channel is no error: reports never change an outcome (invariant 6).
    pub fn emit(&self, event: Happening) {
        let event = scrub(Event { at: Timestamp::now(), event }, &self.masks);
        let _ = self.sender.send(event);
    }
}

/// `event` with every secret in any of its texts masked. A text of a checked form (a digest, a name) that could not be
/// masked without breaking its form stays: such a form cannot be made of a secret, only resemble one by chance.
fn scrub(event: Event, masks: &Masks) -> Event {
    let Ok(whole) = serde_json::to_value(&event) else {
        return Event { at: event.at, event: Happening::Warned { text: "an event could not be shown".into() } };
    };
    let mut places = Vec::new();
    find_secrets(&whole, masks, String::new(), &mut places);
    places.into_iter().fold((event, whole), |(event, value), place| mask_at(event, value, &place, masks)).0
}

/// The JSON pointers of all texts in `value` that hold a secret.
fn find_secrets(value: &serde_json::Value, masks: &Masks, here: String, places: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => {
            if masks.scrub(text) != *text {
                places.push(here);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_secrets(item, masks, format!("{here}/{index}"), places);
            }
        }
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                find_secrets(field, masks, format!("{here}/{name}"), places);
            }
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// Masks the text at `place`, if the event still is one afterwards.
fn mask_at(event: Event, value: serde_json::Value, place: &str, masks: &Masks) -> (Event, serde_json::Value) {
    let mut masked = value.clone();
    if let Some(serde_json::Value::String(text)) = masked.pointer_mut(place) {
        *text = masks.scrub(text);
    }
    match serde_json::from_value(masked.clone()) {
        Ok(clean) => (clean, masked),
        Err(_) => (event, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Secret,
        execute::HttpResult,
        failure::{Failure, FailureKind},
    };

    fn masks(secret: &str) -> Masks {
        let mut masks = Masks::default();
        masks.add(&Secret::new(secret.into()));
        masks
    }

    #[test]
    fn no_text_of_an_event_carries_a_secret() {
        let result = HttpResult { status: Some(500), error: None, latency_ms: 1, excerpt: "boom hunter2-hunter2 boom".into() };
        let event = Happening::Smoke { step: 0, path: "/x".into(), url: "https://h/?k=hunter2-hunter2".into(), result };
        let clean = scrub(Event { at: Timestamp::UNIX_EPOCH, event }, &masks("hunter2-hunter2"));
        let shown = serde_json::to_string(&clean).expect("json");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("boom *** boom"), "{shown}");
    }

    #[test]
    fn a_secret_that_resembles_a_part_of_the_form_hides_no_event() {
        let failure = Failure::new(FailureKind::Health, "it says health", "step-finished");
        let event = Happening::StepFinished { step: 0, end: crate::execute::StepEnd::Failed { failure }, duration_ms: 0 };
        let clean = scrub(Event { at: Timestamp::UNIX_EPOCH, event }, &masks("step-finished"));
        let Happening::StepFinished { end: crate::execute::StepEnd::Failed { failure }, .. } = clean.event else { panic!("{clean:?}") };
        assert_eq!((failure.what.as_str(), failure.resource.as_str()), ("it says health", "***"));
    }
}
