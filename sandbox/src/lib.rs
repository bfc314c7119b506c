//! The loopback world that deploy-action is tried and tested in.
