//! What GitHub says happened: event payloads as plain structs. Decides nothing.
