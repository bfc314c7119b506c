//! The lock of an environment: at most one run deploys there. It belongs to a run, never to a person.
//! Here is how it works; the parts decide (pure), say (the message) and ask GitHub.
//!
//! The lock is a branch, `deploy-action-lock/ENVIRONMENT`. Its newest commit says by its message who has it, or that it is
//! free. A commit of ours has the one before as its parent, and the branch is only ever created or fast-forwarded, never
//! forced and never deleted. So each change is a compare-and-swap: of runs that saw the same commit, one gets through, and
//! the others see whom they lost to. A request that arrives late, or twice, finds another commit there and does nothing.
//! To give the lock back is such a commit too: a deletion names no commit, so it could free what another run has just taken.
//!
//! The commits hold a README and nothing else. With the deployed commit's tree GitHub would want the permission to change
//! workflows where those differ from the default branch's, and a push of the branch could start workflows.
//!
//! | found there | what a claim does |
//! |---|---|
//! | no branch, or free | takes it |
//! | this run's own, of this attempt or an earlier one | takes it on |
//! | a run's that is over, or whose later attempt has begun | takes it over |
//! | a run's that GitHub does not show, after 6 h 30 min | takes it over |
//! | a run's that is underway | refused; a rollback takes it over, unless that run is a rollback as well |
//! | anything else | refused: a person put it there; a rollback takes it over |
//!
//! A run whose lock was taken over finds out by `check`, and must change nothing more.

mod decision;
mod error;
mod message;
#[cfg(test)]
mod race;
mod requests;

pub use error::{Alive, LockError};
pub use message::{Claim, LockInfo, Takeover};
pub use requests::{Claimed, Held, Reading, Release, Standing, check, claim, read, release};
