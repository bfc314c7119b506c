//! The one HTTP client that everything shares: TLS roots, time limits, proxy.
