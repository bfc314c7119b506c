//! What runs already when a test or a subcommand begins: staging, production, usual ones and such as no run should meet.
//! Says what is there; puts it there as somebody else would have, past Resource Manager.

mod instance;
mod production;
mod profile;
mod release;
mod staging;

pub use instance::Runs;
pub use production::{Member, Production, Reached};
pub use profile::{Endpoint, Profile};
pub use staging::{Slot, Staging};
