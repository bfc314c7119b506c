//! A release that [`World::config`]'s checklist has nothing against: staging has proved the image, GitHub is ready, people approved.

use std::io;

use jiff::{SignedDuration, Timestamp};

use super::{Runs, Slot, Staging};
use crate::{shared::SHA, world::World};

/// What staging runs: the head of `main`.
const PROVED: &str = "main-a1b2c3d";

impl Staging {
    /// The head of `main` is live in green and has been stable for so many hours.
    #[must_use]
    pub fn proved(hours: i64) -> Self {
        let since = Timestamp::now() - SignedDuration::from_hours(hours);
        let runs = Runs { sha: SHA.to_owned(), stable_since: Some(since.to_string()), ..Runs::stable(PROVED) };
        Self { green: Some(runs), ..Self::live(Slot::Green, PROVED) }
    }
}

impl World {
    /// Everything speaks for the release `tag` of the head of `main`, by the workflow run `run_id`: the image that staging has
    /// proved for 26 hours carries the tag, too; every check has succeeded; the three people have approved. Production is
    /// seeded apart.
    ///
    /// # Errors
    /// What Azure would refuse staging's profile with.
    pub async fn seed_release(&self, tag: &str, run_id: u64) -> io::Result<()> {
        self.tag_image(PROVED, tag);
        self.seed(&Staging::proved(26)).await?;
        self.tag_commit(tag, SHA);
        self.github_is_ready(SHA);
        self.approve_run(run_id);
        Ok(())
    }
}
