//! The only place that changes the world; emits an event before and after each step.

mod event;

pub use event::{Diagnosis, Event, Happening, HttpResult, Rollout, StepEnd};
