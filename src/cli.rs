//! Flags, `INPUT_*` and environment variables, from one table.
