//! Who gets a lock: from what is found there to what to do next, and what a write's outcome means. Pure: no clock, no client.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    error::{Alive, LockError},
    message::{Claim, Content, LockInfo, Takeover},
};
use crate::{
    domain::Sha,
    github::runs::{RunId, RunState},
};

/// After this long the run of a lock is over even if GitHub does not show it: a job ends after 6 hours at the latest (GitHub
/// Docs, "Usage limits": job execution time), and half an hour is for clocks that differ.
const LONGEST_JOB: SignedDuration = SignedDuration::from_mins(6 * 60 + 30);

/// How often a claim looks before it gives up. A race of runs is decided at the first look after it; more than that are for
/// answers that were lost, and for GitHub's reads that lag behind its writes.
const LOOKS: u32 = 7;

/// The first wait before looking again, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What is on the lock's branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tip {
    /// There is no such branch.
    Absent,
    /// This commit.
    At {
        /// Its id.
        sha: Sha,
        /// Its tree's id.
        tree: Sha,
        /// When GitHub wrote it, where it says.
        committed: Option<Timestamp>,
        /// What it says.
        content: Content,
    },
}

/// What is known of the run that has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// It was not asked for.
    NotAsked,
    /// What GitHub says.
    Asked(RunState),
}

/// What a claim does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing: it has the lock, by this commit of its own.
    Have(Own),
    /// Ask how this run is doing, then decide again.
    Ask(RunId),
    /// Create the branch.
    Create,
    /// Move the branch on from this commit.
    Advance(Sha),
    /// Give up.
    Refuse(LockError),
}

/// A commit of a claim's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    /// Its id.
    pub(super) commit: Sha,
    /// The commit it was put upon; `None` where it began the branch.
    pub(super) parent: Option<Sha>,
}

/// How a write of the branch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrote {
    /// The branch points at our commit.
    Set,
    /// GitHub refused: the branch was not where it was seen, or must not be written.
    Conflict(String),
    /// Nobody knows.
    Lost(String),
}

/// What follows from a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    /// The lock is had.
    Held,
    /// Look again, after this long.
    Look(Duration),
    /// Give up.
    GiveUp(LockError),
}

/// A claim while it is being made: what it wrote so far.
#[derive(Debug)]
pub(super) struct Claiming<'a> {
    claim: &'a Claim,
    mine: Vec<Own>,
    looks: u32,
}

impl<'a> Claiming<'a> {
    pub(super) const fn new(claim: &'a Claim) -> Self {
        Self { claim, mine: Vec::new(), looks: 0 }
    }

    /// What to do about `tip`, when `owner` is known of the run that has the lock, if any.
    pub(super) fn decide(&self, tip: &Tip, owner: Owner) -> Move {
        let Tip::At { sha, tree: _, committed, content } = tip else { return Move::Create };
        if let Some(own) = self.mine.iter().find(|own| own.commit == *sha) {
            return Move::Have(own.clone());
        }
        let advance = || Move::Advance(sha.clone());
        let environment = &self.claim.environment;
        match content {
            Content::Free => advance(),
            Content::Unreadable => match self.claim.takeover {
                Takeover::Deliberate => advance(),
                Takeover::Never => Move::Refuse(LockError::Unreadable { environment: environment.clone(), commit: sha.clone() }),
            },
            Content::Held(theirs) => {
                if self.claim.owns(theirs) || goes_before(self.claim, theirs) {
                    return advance();
                }
                let taken = |alive| Move::Refuse(LockError::Taken { environment: environment.clone(), by: theirs.clone(), alive });
                let is_old = self.claim.taken_at.duration_since(committed.unwrap_or(theirs.taken_at)) >= LONGEST_JOB;
                let hidden = || if is_old { advance() } else { taken(Alive::Unknown) };
                match (theirs.run, owner) {
                    (Some(run), Owner::NotAsked) => Move::Ask(run),
                    (Some(_), Owner::Asked(RunState::Completed)) => advance(),
                    // The attempt that took the lock is over when a later one runs.
                    (Some(_), Owner::Asked(RunState::Underway { attempt })) if attempt > theirs.attempt => advance(),
                    (Some(_), Owner::Asked(RunState::Underway { .. })) => taken(Alive::Underway),
                    (Some(_), Owner::Asked(RunState::Hidden)) | (None, Owner::NotAsked | Owner::Asked(_)) => hidden(),
                }
            }
        }
    }

    /// What it wrote so far.
    #[cfg(test)]
    pub(super) fn mine(&self) -> &[Own] {
        &self.mine
    }

    /// Remembers what is about to be written: it may turn up there later.
    pub(super) fn writes(&mut self, own: Own) {
        self.mine.push(own);
    }

    /// What follows from the last write's outcome.
    pub(super) fn wrote(&mut self, outcome: Wrote) -> After {
        self.looks += 1;
        let environment = self.claim.environment.clone();
        let error = match outcome {
            Wrote::Set => return After::Held,
            Wrote::Conflict(why) => LockError::Refused { environment, why },
            Wrote::Lost(why) => LockError::Unavailable { environment, why },
        };
        if self.looks >= LOOKS { After::GiveUp(error) } else { After::Look(FIRST_WAIT * (1 << (self.looks - 1))) }
    }
}

/// A rollback that a person asks for goes before what is no such rollback.
const fn goes_before(mine: &Claim, theirs: &LockInfo) -> bool {
    matches!((mine.takeover, theirs.takeover), (Takeover::Deliberate, Takeover::Never))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::lock::message::tests::claim;

    fn sha(number: usize) -> Sha {
        format!("{number:040x}").parse().expect("an id")
    }

    fn at(content: Content, committed: Option<&str>) -> Tip {
        Tip::At { sha: sha(1), tree: sha(2), committed: committed.map(|text| text.parse().expect("a time")), content }
    }

    #[test]
    fn what_is_found_decides() {
        let deploy = claim(7, 2, Takeover::Never);
        let rollback = claim(7, 2, Takeover::Deliberate);
        let asked = Owner::Asked;
        let moved = |mine: &Claim, content: Content, owner| Claiming::new(mine).decide(&at(content, None), owner);
        let held = |run, attempt, takeover| Content::Held(Box::new(claim(run, attempt, takeover)));
        let advance = Move::Advance(sha(1));
        let is_taken = |found: &Move, expected| matches!(found, Move::Refuse(LockError::Taken { alive, .. }) if *alive == expected);

        assert_eq!(Claiming::new(&deploy).decide(&Tip::Absent, Owner::NotAsked), Move::Create);
        assert_eq!(moved(&deploy, Content::Free, Owner::NotAsked), advance);
        assert_eq!(moved(&deploy, held(7, 1, Takeover::Never), Owner::NotAsked), advance, "our earlier attempt");
        assert_eq!(moved(&deploy, held(8, 1, Takeover::Never), Owner::NotAsked), Move::Ask(RunId(8)));
        assert_eq!(moved(&deploy, held(8, 1, Takeover::Never), asked(RunState::Completed)), advance);
        assert_eq!(moved(&deploy, held(8, 1, Takeover::Never), asked(RunState::Underway { attempt: 2 })), advance);
        assert!(is_taken(&moved(&deploy, held(8, 1, Takeover::Never), asked(RunState::Underway { attempt: 1 })), Alive::Underway));
        assert!(matches!(moved(&deploy, Content::Unreadable, Owner::NotAsked), Move::Refuse(LockError::Unreadable { .. })));

        assert_eq!(moved(&rollback, held(8, 1, Takeover::Never), Owner::NotAsked), advance, "a rollback goes first");
        assert_eq!(moved(&rollback, Content::Unreadable, Owner::NotAsked), advance);
        assert_eq!(moved(&rollback, held(8, 1, Takeover::Deliberate), Owner::NotAsked), Move::Ask(RunId(8)));
        assert!(is_taken(&moved(&rollback, held(8, 1, Takeover::Deliberate), asked(RunState::Underway { attempt: 1 })), Alive::Underway));
    }

    #[test]
    fn a_run_that_is_not_shown_counts_as_over_after_six_hours_and_a_half() {
        // The claim is of 12:00.
        let mine = claim(7, 1, Takeover::Never);
        let mut theirs = claim(8, 1, Takeover::Never);
        let mut decide = |committed: Option<&str>, taken: &str, run: Option<RunId>| {
            theirs.taken_at = taken.parse().expect("a time");
            theirs.run = run;
            Claiming::new(&mine).decide(&at(Content::Held(Box::new(theirs.clone())), committed), Owner::Asked(RunState::Hidden))
        };
        let over = Move::Advance(sha(1));
        let (old, new) = ("2026-11-24T05:30:00Z", "2026-11-24T05:30:01Z");
        for run in [Some(RunId(8)), None] {
            assert_eq!(decide(None, old, run), over);
            assert_ne!(decide(None, new, run), over);
            assert_eq!(decide(Some(old), "9999-01-01T00:00:00Z", run), over, "GitHub's clock counts, not what was written");
            assert_ne!(decide(Some(new), old, run), over);
        }
    }

    #[test]
    fn a_claim_gives_up_in_the_end_and_says_why() {
        let mine = claim(7, 1, Takeover::Never);
        let mut claiming = Claiming::new(&mine);
        let mut waited = Duration::ZERO;
        let error = loop {
            match claiming.wrote(Wrote::Conflict("Repository rule violations found".into())) {
                After::Look(wait) => waited += wait,
                After::GiveUp(error) => break error,
                After::Held => panic!("nothing was set"),
            }
        };
        assert_eq!(waited, Duration::from_millis(200 * 63));
        assert!(error.failure("o/r").to_string().contains("Repository rule violations found"), "{error}");
    }
}
