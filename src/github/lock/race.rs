//! Races for a lock: any number of runs, their requests in any order, answers lost, requests late, runs killed, against the
//! rules of a git branch. Tests only; the code under test is the decision.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::{
    decision::{After, Claiming, Move, Own, Owner, Tip, Wrote},
    error::{Alive, LockError},
    message::{self, Claim, LockInfo, Takeover, tests::claim},
};
use crate::{domain::Sha, github::runs::RunState};

/// GitHub, as far as a lock needs it: commits, one branch, and runs.
#[derive(Default)]
struct Hub {
    tip: Option<Sha>,
    /// Parent and message.
    commits: HashMap<Sha, (Option<Sha>, String)>,
    /// The newest attempt, and whether it is over.
    runs: BTreeMap<u64, RunState>,
    /// Writes whose answer was lost, and that are not done yet.
    late: Vec<(Over, Sha)>,
    /// Commits of runs that are underway, which a rollback took the lock from.
    overridden: HashSet<Sha>,
}

/// A write of the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Nothing,
    Parent,
}

fn sha(number: usize) -> Sha {
    format!("{number:040x}").parse().expect("an id")
}

impl Hub {
    fn commit(&mut self, parent: Option<Sha>, message: String) -> Sha {
        let id = sha(self.commits.len() + 1);
        self.commits.insert(id.clone(), (parent, message));
        id
    }

    /// GitHub's create (`Nothing`) or update without force (`Parent`); true where it is done.
    fn set(&mut self, over: Over, commit: &Sha) -> bool {
        let allowed = match (over, &self.tip) {
            (Over::Nothing, None) => true,
            (Over::Nothing, Some(_)) | (Over::Parent, None) => false,
            (Over::Parent, Some(tip)) => {
                std::iter::successors(Some(commit.clone()), |at| self.commits[at].0.clone()).any(|ancestor| ancestor == *tip)
            }
        };
        if allowed {
            self.tip = Some(commit.clone());
        }
        allowed
    }

    fn look(&self) -> Tip {
        let Some(tip) = &self.tip else { return Tip::Absent };
        let content = message::read(&self.commits[tip].1, &"staging".parse().expect("a name"));
        Tip::At { sha: tip.clone(), tree: sha(0), committed: None, content }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    Waiting,
    Looking,
    Deciding(Tip, Owner),
    Holding(Sha),
    Over,
}

struct Racer<'a> {
    claim: &'a Claim,
    claiming: Claiming<'a>,
    doing: Doing,
    refused: Option<LockError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The next request is answered.
    Answered,
    /// It takes effect, and the answer is lost.
    AnswerLost,
    /// It never arrives.
    NeverArrives,
    /// The answer is lost, and it takes effect later.
    ArrivesLate,
    /// The lock is given back, where it is had.
    Releases,
    /// The run is killed.
    Dies,
}

struct World<'a> {
    hub: Hub,
    racers: Vec<Racer<'a>>,
}

impl<'a> World<'a> {
    fn new(claims: &'a [Claim]) -> Self {
        let racer = |claim| Racer { claim, claiming: Claiming::new(claim), doing: Doing::Waiting, refused: None };
        Self { hub: Hub::default(), racers: claims.iter().map(racer).collect() }
    }

    fn run(claim: &Claim) -> u64 {
        claim.run.expect("a run").0
    }

    /// A run begins; a later attempt of it only when the attempt before is over.
    fn begin(&mut self, index: usize) {
        let claim = self.racers[index].claim;
        let earlier = |other: &Racer<'_>| other.claim.run == claim.run && other.claim.attempt < claim.attempt;
        if self.racers.iter().any(|other| earlier(other) && other.doing != Doing::Over) {
            return;
        }
        self.hub.runs.insert(Self::run(claim), RunState::Underway { attempt: claim.attempt });
        self.racers[index].doing = Doing::Looking;
    }

    fn end(&mut self, index: usize) {
        self.racers[index].doing = Doing::Over;
        let claim = self.racers[index].claim;
        // A job of the same attempt may still be at it.
        let busy = |other: &Racer<'_>| {
            other.claim.run == claim.run
                && other.claim.attempt == claim.attempt
                && matches!(other.doing, Doing::Looking | Doing::Deciding(..) | Doing::Holding(_))
        };
        if !self.racers.iter().any(busy) {
            self.hub.runs.insert(Self::run(claim), RunState::Completed);
        }
    }

    fn step(&mut self, index: usize, fate: Fate) {
        match (self.racers[index].doing.clone(), fate) {
            (Doing::Over, _) => {}
            (Doing::Waiting, Fate::Dies) => self.racers[index].doing = Doing::Over,
            (Doing::Waiting, _) => self.begin(index),
            (_, Fate::Dies) => self.end(index),
            (Doing::Holding(commit), Fate::Releases) => {
                let before = self.hub.tip.clone();
                let freed = self.hub.commit(Some(commit.clone()), LockInfo::released(&"staging".parse().expect("a name")));
                let done = self.hub.set(Over::Parent, &freed);
                assert_eq!(done, before.as_ref() == Some(&commit), "only its own lock is given back");
                assert!(!(done && self.hub.overridden.contains(&commit)), "what was taken over is not given back");
                self.end(index);
            }
            (Doing::Holding(_), _) => {}
            (Doing::Looking, _) => self.racers[index].doing = Doing::Deciding(self.hub.look(), Owner::NotAsked),
            (Doing::Deciding(tip, owner), fate) => self.decide(index, tip, owner, fate),
        }
    }

    fn decide(&mut self, index: usize, tip: Tip, owner: Owner, fate: Fate) {
        let racer = &mut self.racers[index];
        let (over, parent) = match racer.claiming.decide(&tip, owner) {
            Move::Have(own) => {
                racer.doing = Doing::Holding(own.commit);
                return;
            }
            Move::Ask(run) => {
                assert_eq!(owner, Owner::NotAsked, "asked once");
                racer.doing = Doing::Deciding(tip, Owner::Asked(self.hub.runs.get(&run.0).copied().unwrap_or(RunState::Hidden)));
                return;
            }
            Move::Refuse(error) => {
                racer.refused = Some(error);
                self.end(index);
                return;
            }
            Move::Create => (Over::Nothing, None),
            Move::Advance(from) => (Over::Parent, Some(from)),
        };
        let commit = self.hub.commit(parent.clone(), racer.claim.message());
        racer.claiming.writes(Own { commit: commit.clone(), parent });
        let wrote = match fate {
            Fate::NeverArrives => Wrote::Lost("never".into()),
            Fate::ArrivesLate => {
                self.hub.late.push((over, commit.clone()));
                Wrote::Lost("late".into())
            }
            Fate::Answered | Fate::Releases | Fate::Dies | Fate::AnswerLost => {
                let done = self.land(over, &commit);
                match (fate, done) {
                    (Fate::AnswerLost, _) => Wrote::Lost("lost".into()),
                    (_, true) => Wrote::Set,
                    (_, false) => Wrote::Conflict("Update is not a fast forward".into()),
                }
            }
        };
        let racer = &mut self.racers[index];
        match racer.claiming.wrote(wrote) {
            After::Held => racer.doing = Doing::Holding(commit),
            After::Look(_) => racer.doing = Doing::Looking,
            After::GiveUp(error) => {
                racer.refused = Some(error);
                self.end(index);
            }
        }
    }

    /// A write arrives.
    fn land(&mut self, over: Over, commit: &Sha) -> bool {
        let before = self.hub.tip.clone();
        let done = self.hub.set(over, commit);
        if let (true, Some(before)) = (done, before) {
            let message = &self.hub.commits[commit].1;
            let lost = |racer: &&Racer<'_>| {
                racer.doing != Doing::Over && racer.claiming.mine().iter().any(|own| own.commit == before && own.commit != *commit)
            };
            if let Some(racer) = self.racers.iter().find(lost) {
                assert!(message.contains("deliberate"), "only a rollback takes a lock from a run that is underway");
                assert_eq!(racer.claim.takeover, Takeover::Never, "and never from another rollback");
                self.hub.overridden.insert(before);
            }
        }
        done
    }

    fn arrive(&mut self, which: usize) {
        if !self.hub.late.is_empty() {
            let (over, commit) = self.hub.late.remove(which % self.hub.late.len());
            self.land(over, &commit);
        }
    }

    fn holders(&self) -> Vec<&Racer<'a>> {
        self.racers.iter().filter(|racer| matches!(racer.doing, Doing::Holding(_))).collect()
    }

    /// At most one run may think that it has the lock, but for those that a rollback took it from: they find out by looking.
    fn check(&self) {
        let holders = self.racers.iter().filter_map(|racer| match &racer.doing {
            Doing::Holding(commit) => Some(commit),
            Doing::Waiting | Doing::Looking | Doing::Deciding(..) | Doing::Over => None,
        });
        let (overridden, rightful): (Vec<&Sha>, Vec<&Sha>) = holders.partition(|commit| self.hub.overridden.contains(commit));
        assert!(rightful.len() <= 1, "{} runs have the lock", rightful.len());
        assert!(rightful.iter().all(|commit| self.hub.tip.as_ref() == Some(commit)), "who has it sees that it has");
        assert!(overridden.iter().all(|commit| self.hub.tip.as_ref() != Some(commit)), "who lost it sees that it has not");
    }

    /// Nobody else is there: somebody new gets the lock.
    fn nothing_blocks_for_ever(&mut self) {
        for index in 0..self.racers.len() {
            if self.racers[index].doing != Doing::Over {
                self.step(index, Fate::Dies);
            }
        }
        while !self.hub.late.is_empty() {
            self.arrive(0);
        }
        let last = claim(99, 1, Takeover::Never);
        let mut racers = World { hub: std::mem::take(&mut self.hub), racers: World::new(std::slice::from_ref(&last)).racers };
        for _ in 0..5 {
            racers.step(0, Fate::Answered);
        }
        assert_eq!(racers.holders().len(), 1, "{:?}", racers.racers[0].refused);
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Answered),
        2 => Just(Fate::AnswerLost),
        1 => Just(Fate::NeverArrives),
        2 => Just(Fate::ArrivesLate),
        1 => Just(Fate::Releases),
        1 => Just(Fate::Dies),
    ]
}

/// Runs and their attempts and jobs, no two alike.
fn claims() -> impl Strategy<Value = Vec<Claim>> {
    proptest::collection::btree_map((1u64..=3, 1u32..=2, 0u8..=1), any::<bool>(), 2..=5).prop_map(|all| {
        all.into_iter()
            .map(|((run, attempt, job), rollback)| Claim {
                holder: format!("job-{job}"),
                ..claim(run, attempt, if rollback { Takeover::Deliberate } else { Takeover::Never })
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn of_any_runs_in_any_order_with_any_answer_lost_one_has_it_and_none_blocks(
        claims in claims(),
        steps in proptest::collection::vec((0usize..6, fate()), 0..60),
    ) {
        let mut world = World::new(&claims);
        for (who, fate) in steps {
            if who < claims.len() { world.step(who, fate) } else { world.arrive(who) }
            world.check();
        }
        world.nothing_blocks_for_ever();
    }

    #[test]
    fn of_runs_that_all_end_their_claim_exactly_one_has_it(order in proptest::collection::vec(0usize..5, 0..40), racers in 2usize..=5) {
        let claims: Vec<Claim> = (1..=racers).map(|run| claim(run as u64, 1, Takeover::Never)).collect();
        let mut world = World::new(&claims);
        for index in 0..racers {
            world.begin(index);
        }
        for who in order.into_iter().chain((0..racers).cycle().take(racers * 10)) {
            if who < racers { world.step(who, Fate::Answered) }
        }
        prop_assert_eq!(world.holders().len(), 1);
        let winner = world.holders()[0].claim;
        for racer in &world.racers {
            if racer.claim != winner {
                let is_told = matches!(&racer.refused, Some(LockError::Taken { by, alive: Alive::Underway, .. }) if **by == *winner);
                prop_assert!(is_told, "{:?}", racer.refused);
            }
        }
    }
}

#[test]
fn of_two_runs_in_every_order_exactly_one_has_it() {
    for start in [Start::Absent, Start::Free, Start::Dead] {
        for order in 0u32..1 << 12 {
            let claims = [claim(1, 1, Takeover::Never), claim(2, 1, Takeover::Never)];
            let mut world = World::new(&claims);
            match start {
                Start::Absent => {}
                Start::Free => {
                    let free = world.hub.commit(None, LockInfo::released(&"staging".parse().expect("a name")));
                    world.hub.tip = Some(free);
                }
                Start::Dead => {
                    let dead = world.hub.commit(None, claim(9, 1, Takeover::Deliberate).message());
                    world.hub.tip = Some(dead);
                    world.hub.runs.insert(9, RunState::Completed);
                }
            }
            world.begin(0);
            world.begin(1);
            let tail = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];
            for who in (0..12).map(|bit| (order >> bit & 1) as usize).chain(tail) {
                world.step(who, Fate::Answered);
                world.check();
            }
            assert_eq!(world.holders().len(), 1, "{start:?} {order:012b}");
            assert_eq!(world.racers.iter().filter(|racer| racer.refused.is_some()).count(), 1);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Start {
    Absent,
    Free,
    Dead,
}
