//! From an image's tag to its digest, at the registry.
