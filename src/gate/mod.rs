//! Decisions on evidence: health and smoke probes and their verdicts.
