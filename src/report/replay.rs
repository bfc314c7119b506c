//! An evidence file told again: every verdict is derived from what was measured, and compared with what was said then. Pure.
//! Knows no file and judges nothing itself: rules are judged by the gate that judged them first.

use jiff::Timestamp;

use super::{
    evidence::Line,
    story::{self, Story},
};
use crate::{
    config::{NoData, Preflight, Rule},
    execute::{Event, Happening, HttpResult, StepEnd, Until},
    failure::{Failure, FailureKind},
    gate::{Chance, Checked, Conclusion, Gate, Judgement, Sample, Settings, Verdict},
    observe::preflight::Facts,
    plan::{
        Step,
        preflight::{self, Checklist, Row},
    },
};

/// What a file says, once every verdict in it has been derived again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// What a reader wants to know, in order: answers of probes, judgements that are no pass, conclusions, the outcome.
    pub told: Vec<(Timestamp, String)>,
    /// How many verdicts were derived again.
    pub verdicts: usize,
    /// The one line that says how it stands.
    pub headline: String,
}

/// A verdict that does not follow from what was measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} says {recorded:?}, and what was measured says {derived:?}")]
pub struct Difference {
    /// Which line, from 1.
    pub line: u64,
    /// What it says.
    pub recorded: String,
    /// What follows from what was measured.
    pub derived: String,
}

/// Tells `lines`, which are a whole file or the beginning of one, again.
///
/// # Errors
/// The first verdict that does not follow from what was measured.
pub fn replay(lines: &[Line]) -> Result<Replayed, Difference> {
    let mut replay = Replay::default();
    for line in lines {
        replay.hear(line)?;
    }
    let Replay { told, verdicts, story, .. } = replay;
    Ok(Replayed { told, verdicts, headline: story::headline(&story) })
}

/// What has been told so far.
#[derive(Default)]
struct Replay {
    story: Story,
    told: Vec<(Timestamp, String)>,
    verdicts: usize,
    watch: Option<Watched>,
    /// Answers of the step that runs.
    probes: Vec<Answer>,
    smoke: Vec<Answer>,
    /// Final checks of the step that runs.
    checks: Vec<Verdict>,
}

/// A watch under way.
struct Watched {
    step: usize,
    gate: Gate,
    /// The last tick, and how many there were to be.
    at: (u32, u32),
    until: Until,
    /// Which rules have passed at least once.
    passed: Vec<bool>,
    /// Whether it is held at the share that the step stepped back to.
    stepped_back: bool,
}

impl Watched {
    fn new(step: usize, rules: &[Rule], settings: Settings, until: Until, stepped_back: bool) -> Self {
        let passed = vec![settings.no_data == NoData::Ignore; rules.len()];
        Self { step, gate: Gate::new(rules, settings), at: (0, 0), until, passed, stepped_back }
    }

    /// Whether `end` is what the watch has come to.
    fn comes_to(&self, end: &StepEnd) -> bool {
        let is_failed = |wanted: FailureKind| matches!(end, StepEnd::Failed { failure: Failure { kind, .. } } if *kind == wanted);
        let is_whole = self.at.0 == self.at.1;
        match (self.until, end, &self.gate.conclude()) {
            (Until::EachPassedOnce, StepEnd::Done, Conclusion::Tripped { .. }) => false,
            (Until::EachPassedOnce, StepEnd::Done, Conclusion::Passed | Conclusion::Held { .. }) => {
                self.passed.iter().all(|passed| *passed)
            }
            (Until::EachPassedOnce, StepEnd::Failed { .. }, Conclusion::Tripped { .. }) => true,
            (Until::EachPassedOnce, StepEnd::Failed { .. }, Conclusion::Passed | Conclusion::Held { .. }) => {
                !is_failed(FailureKind::Breach) || !self.passed.iter().all(|passed| *passed)
            }
            // What was stepped back is never done: it is held, however well it does there.
            (Until::TheEnd, StepEnd::Done, _) if self.stepped_back => false,
            (Until::TheEnd, StepEnd::Failed { .. }, Conclusion::Passed) if self.stepped_back => {
                !is_failed(FailureKind::Breach) && !is_failed(FailureKind::NoEvidence) && (is_whole || !is_failed(FailureKind::SteppedBack))
            }
            (_, StepEnd::Failed { .. }, _) if is_failed(FailureKind::SteppedBack) => false,
            (Until::TheEnd, StepEnd::Done, Conclusion::Passed) => is_whole,
            (Until::TheEnd, StepEnd::Done, Conclusion::Held { .. } | Conclusion::Tripped { .. }) => false,
            (Until::TheEnd, StepEnd::Failed { .. }, Conclusion::Passed) => {
                !is_failed(FailureKind::Breach) && !is_failed(FailureKind::NoEvidence)
            }
            (Until::TheEnd, StepEnd::Failed { .. }, Conclusion::Held { .. }) => {
                !is_failed(FailureKind::Breach) && (is_whole || !is_failed(FailureKind::NoEvidence))
            }
            // What ended it in the same tick (somebody changed the traffic, say) may have been told instead.
            (Until::TheEnd, StepEnd::Failed { .. }, Conclusion::Tripped { .. }) => !is_failed(FailureKind::NoEvidence),
        }
    }
}

/// What an answer of a probe says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Good,
    Bad,
}

impl Answer {
    fn of(result: &HttpResult) -> Self {
        if result.is_good() { Self::Good } else { Self::Bad }
    }
}

impl Replay {
    fn hear(&mut self, line: &Line) -> Result<(), Difference> {
        self.story.hear(&Event { at: line.at, event: line.event.clone() });
        let differs =
            |recorded: String, derived: String| Err(Difference { line: line.seq + 1, recorded: cut(recorded), derived: cut(derived) });
        match &line.event {
            Happening::Preflight { asked, facts, checklist } => {
                if let Err((recorded, derived)) = self.checklist(line.at, asked, facts, checklist) {
                    return differs(recorded, derived);
                }
            }
            Happening::StepStarted { .. } => {
                self.probes.clear();
                self.checks.clear();
                self.smoke.clear();
            }
            Happening::Probe { url, result, .. } => {
                self.probes.push(Answer::of(result));
                self.answered(line.at, url, result);
            }
            Happening::Smoke { url, result, .. } => {
                self.smoke.push(Answer::of(result));
                self.answered(line.at, url, result);
            }
            Happening::FinalCheck { checked, .. } => {
                let Checked { check, asked, reading, took_ms, .. } = checked.clone();
                let derived = Checked::new(&check, asked, reading, took_ms);
                if derived.verdict != checked.verdict {
                    return differs(checked.verdict.to_string(), format!("{}: {derived}", derived.verdict));
                }
                self.checks.push(derived.verdict);
                self.verdicts += 1;
                self.told.push((line.at, format!("{}: final check {derived}", derived.verdict)));
            }
            Happening::WatchStarted { step, rules, settings, until } => {
                let stepped_back = self.watch.take_if(|watch| watch.step == *step).is_some_and(|watch| watch.stepped_back);
                self.watch = Some(Watched::new(*step, rules, *settings, *until, stepped_back));
            }
            Happening::SteppedBack { failure, .. } => {
                if let Err((recorded, derived)) = self.stepped_back(&failure.what) {
                    return differs(recorded, derived);
                }
            }
            Happening::Tick { tick, of, samples, judgements, .. } => {
                if let Err((recorded, derived)) = self.tick(line.at, (*tick, *of), samples, judgements) {
                    return differs(recorded, derived);
                }
            }
            Happening::StepFinished { step, end, .. } => {
                if let Err((recorded, derived)) = self.end(line.at, *step, end) {
                    return differs(recorded, derived);
                }
            }
            Happening::Finished { outcome, .. } => self.told.push((line.at, format!("outcome: {outcome}"))),
            Happening::Requested { .. }
            | Happening::Planned { .. }
            | Happening::InstanceState { .. }
            | Happening::Retrying { .. }
            | Happening::TrafficSwitched { .. }
            | Happening::TrafficShared { .. }
            | Happening::ChangesListed { .. }
            | Happening::WatchExtended { .. }
            | Happening::Arrival { .. }
            | Happening::Drained { .. }
            | Happening::TakingBack { .. }
            | Happening::TrafficSafe { .. }
            | Happening::Claimed { .. }
            | Happening::Diagnosed { .. }
            | Happening::Warned { .. }
            | Happening::ReportFailed { .. } => {}
        }
        Ok(())
    }

    fn answered(&mut self, at: Timestamp, url: &str, result: &HttpResult) {
        let verdict = match Answer::of(result) {
            Answer::Good => Verdict::Pass,
            Answer::Bad => Verdict::Breach,
        };
        self.verdicts += 1;
        self.told.push((at, format!("{verdict}: GET {url}: {}", story::answer(result))));
    }

    /// Judges the rows of a checklist again.
    fn checklist(&mut self, at: Timestamp, asked: &Preflight, facts: &Facts, recorded: &Checklist) -> Result<(), (String, String)> {
        let derived = preflight::checklist(asked, facts);
        let said = |row: &Row| serde_json::to_string(row).unwrap_or_default();
        if derived.rows.len() != recorded.rows.len() {
            return Err((format!("{} rows", recorded.rows.len()), format!("{} rows", derived.rows.len())));
        }
        if let Some((recorded, derived)) = recorded.rows.iter().zip(&derived.rows).find(|(recorded, derived)| recorded != derived) {
            return Err((said(recorded), said(derived)));
        }
        self.verdicts += derived.rows.len();
        self.told.push((at, format!("checklist: {}", derived.tally())));
        self.told.extend(derived.failed().map(|(row, _)| (at, format!("failed: {}: {}", row.line, row.evidence))));
        self.told.extend(
            derived.overridden().map(|(row, by)| (at, format!("overridden by {} ({}): {}: {}", by.by, by.role, row.line, by.reason))),
        );
        Ok(())
    }

    /// Judges a tick's samples again.
    fn tick(&mut self, at: Timestamp, tick: (u32, u32), samples: &[Sample], recorded: &[Judgement]) -> Result<(), (String, String)> {
        let Some(watch) = &mut self.watch else {
            return Err((format!("tick {}", tick.0), "no watch has begun".into()));
        };
        if tick.0 != watch.at.0 + 1 {
            return Err((format!("tick {}", tick.0), format!("tick {} comes next", watch.at.0 + 1)));
        }
        if let Conclusion::Tripped { judgement, .. } = watch.gate.conclude() {
            return Err((format!("tick {}", tick.0), format!("the watch was over: {judgement}")));
        }
        watch.at = tick;
        let derived = watch.gate.judge(samples);
        for (passed, judgement) in watch.passed.iter_mut().zip(&derived) {
            *passed |= judgement.verdict == Verdict::Pass;
        }
        if derived.len() != recorded.len() {
            return Err((format!("{} judgements", recorded.len()), format!("{} judgements", derived.len())));
        }
        if let Some((recorded, derived)) = recorded.iter().zip(&derived).find(|(recorded, derived)| !is_same(recorded, derived)) {
            return Err(words(recorded, derived));
        }
        self.verdicts += derived.len();
        let notable = derived.iter().filter(|judgement| judgement.verdict != Verdict::Pass);
        self.told.extend(notable.map(|judgement| (at, format!("{}/{}: {judgement}", tick.0, tick.1))));
        Ok(())
    }

    /// Stepping back needs a rule that has tripped.
    fn stepped_back(&mut self, said: &str) -> Result<(), (String, String)> {
        let nothing = || Err((said.to_owned(), "no rule has tripped".to_owned()));
        let Some(watch) = &mut self.watch else { return nothing() };
        let Conclusion::Tripped { .. } = watch.gate.conclude() else { return nothing() };
        watch.stepped_back = true;
        self.verdicts += 1;
        Ok(())
    }

    /// Holds a step's end to its answers, or to what its watch has come to.
    fn end(&mut self, at: Timestamp, step: usize, end: &StepEnd) -> Result<(), (String, String)> {
        let said = match end {
            StepEnd::Done => "done".to_owned(),
            StepEnd::Failed { failure } => failure.what.clone(),
        };
        let is_failed = |wanted: FailureKind| matches!(end, StepEnd::Failed { failure: Failure { kind, .. } } if *kind == wanted);
        let health = self.probes.last().copied();
        match health {
            Some(Answer::Bad) if *end == StepEnd::Done => return Err((said, "the last probe was not good".into())),
            Some(Answer::Good) if is_failed(FailureKind::Health) => return Err((said, "the last probe was good".into())),
            Some(Answer::Good | Answer::Bad) | None => {}
        }
        let smoke = self.smoke.iter().copied().reduce(|all, one| if one == Answer::Bad { one } else { all });
        match smoke {
            Some(Answer::Bad) if *end == StepEnd::Done => return Err((said, "a smoke test was not good".into())),
            Some(Answer::Good | Answer::Bad) | None => {}
        }
        let planned = match self.story.plan.as_ref().and_then(|plan| plan.steps.get(step)) {
            Some(Step::FinalChecks { checks, .. }) => checks.len(),
            Some(_) | None => self.checks.len(),
        };
        if *end == StepEnd::Done && planned != self.checks.len() {
            return Err((said, format!("{} of {planned} final checks were made", self.checks.len())));
        }
        if let Some(wanted) = final_checks(&self.checks) {
            // What ended the step from outside (a signal, say) is told instead.
            let follows = match end {
                StepEnd::Done => wanted.is_none(),
                StepEnd::Failed { failure: Failure { kind, .. } } => {
                    !matches!(kind, FailureKind::Breach | FailureKind::NoEvidence) || wanted == Some(*kind)
                }
            };
            if !follows {
                let all: Vec<String> = self.checks.iter().map(ToString::to_string).collect();
                return Err((said, format!("its final checks: {}", all.join(", "))));
            }
        }
        let Some(watch) = self.watch.take_if(|watch| watch.step == step) else { return Ok(()) };
        let conclusion = watch.gate.conclude();
        let follows = watch.comes_to(end);
        let words = format!("watch of {} of {} ticks: {conclusion}", watch.at.0, watch.at.1);
        if !follows {
            return Err((said, words));
        }
        self.verdicts += 1;
        self.told.push((at, words));
        Ok(())
    }
}

/// How a step whose final checks said this must have failed; `Some(None)`: it must be done, `None`: there were none.
fn final_checks(verdicts: &[Verdict]) -> Option<Option<FailureKind>> {
    if verdicts.is_empty() {
        return None;
    }
    Some(match verdicts {
        _ if verdicts.contains(&Verdict::Breach) => Some(FailureKind::Breach),
        _ if verdicts.iter().all(|verdict| *verdict == Verdict::Pass) => None,
        _ => Some(FailureKind::NoEvidence),
    })
}

/// Whether both say the same. How well chance explains something comes from logarithms, whose last bit differs from one
/// mathematical library to the next: there, one part in a million is the same.
fn is_same(recorded: &Judgement, derived: &Judgement) -> bool {
    let near = |a: Chance, b: Chance| a.needed == b.needed && a.one_in.abs_diff(b.one_in) <= 1 + a.one_in.max(b.one_in) / 1_000_000;
    let is_near = match (recorded.chance, derived.chance) {
        (Some(a), Some(b)) => near(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    is_near && Judgement { chance: derived.chance, ..recorded.clone() } == *derived
}

/// Both in words; as data, where the words are the same.
fn words(recorded: &Judgement, derived: &Judgement) -> (String, String) {
    let (said, says) = (recorded.to_string(), derived.to_string());
    if said != says {
        return (said, says);
    }
    let data = |judgement: &Judgement| serde_json::to_string(judgement).unwrap_or_default();
    (data(recorded), data(derived))
}

/// Characters of a text that are shown.
const SHOWN: usize = 600;

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests;
