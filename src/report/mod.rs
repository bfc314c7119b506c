//! Listeners on the executor's events. None of them can change an outcome.
