//! The whole run: wires the parts together for each command. Decides nothing itself.
