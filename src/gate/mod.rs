//! Decisions on evidence: health and smoke probes, what an instance's state says of its start, rules over samples.
//! Probes and sources read; verdicts are pure. Nothing here changes the world.

mod bound;
mod final_check;
mod judgement;
mod probe;
mod rules;
mod sample;
mod source;
mod start;
mod statistics;

pub use final_check::{Checked, wanted};
pub use judgement::{Chance, Conclusion, Judgement, Limit, Trip, Verdict};
pub use probe::{address, get};
pub use rules::{Gate, Settings};
pub use sample::{Basis, Counts, Reading, Sample, Subject};
pub(crate) use source::passwords;
pub use source::{Given, Realised, RequestCount, Sources, Target, check, check_final};
pub use start::{Symptom, symptom};
