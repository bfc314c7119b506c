//! Event + inputs → what is asked for. Pure.
