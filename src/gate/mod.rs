//! Decisions on evidence: health and smoke probes, and what an instance's state says of its start.
//! Probes read; verdicts are pure. Nothing here changes the world.

mod probe;
mod start;

pub use probe::{address, get};
pub use start::{Symptom, symptom};
