//! Azure Traffic Manager: one profile read, written whole in one request, created, compared and judged.
//! Decides nothing about who should get traffic: that is the plan's.

mod checks;
mod difference;
mod document;
mod requests;

pub use checks::{refuse, warnings};
pub use difference::differs;
pub use document::{Change, ChangeError, EndpointChange, NewProfile, Traffic, changed, created};
pub use requests::{Put, create, get, put};
