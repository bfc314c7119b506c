//! The final checks: numbers that must be right once everyone is on the new version, and has been for a while (runbook Scenario
//! 3, Step 5: "Final Checks"). What a number says is the gate's to judge.

use super::{Execution, Hands, Happening, instances, traffic};
use crate::{
    config::{Ask, FinalCheck},
    domain::InstanceName,
    failure::{Failure, FailureKind},
    gate::{Checked, Reading, Target, Verdict},
};

/// How often what brought no number is asked: a connection that is refused once is no reason to wake somebody. A number, whatever
/// it is, counts at once.
const TRIES: u32 = 3;

/// Asks for every number; all must be right. All are asked even when one is wrong: a person wants the whole picture.
///
/// # Errors
/// `Breach` when a number is wrong; `NoEvidence` when none is wrong and one could not be had.
pub(super) async fn verify(
    index: usize,
    on: &[InstanceName],
    checks: &[FinalCheck],
    hands: &mut Hands,
    execution: &Execution<'_>,
) -> Result<(), Failure> {
    for instance in on {
        hands.learn(instance, execution).await?;
    }
    let targets: Vec<Target> = on.iter().filter_map(|instance| traffic::address(instance, hands, execution)).collect();
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for check in checks {
        let checked = ask(check, &targets, hands, execution).await;
        match checked.verdict {
            Verdict::Pass => {}
            Verdict::Breach => wrong.push(checked.to_string()),
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => unknown.push(checked.to_string()),
        }
        execution.emitter.emit(Happening::FinalCheck { step: index, checked });
    }
    let resource = on.first().map_or_else(String::new, |instance| instances::resource(execution.environment, instance));
    if !wrong.is_empty() {
        let what = format!("{} of {} final checks failed: {}", wrong.len(), checks.len(), wrong.join("; "));
        return Err(Failure::new(FailureKind::Breach, what, resource));
    }
    if !unknown.is_empty() {
        let what = format!("{} of {} final checks brought no number: {}", unknown.len(), checks.len(), unknown.join("; "));
        return Err(Failure::new(FailureKind::NoEvidence, what, resource)
            .meaning("people stay on the new version, which passed everything else: no data is no good news, and a person must decide")
            .next("mend what keeps them from an answer, and run the workflow again")
            .next("or trust the version: `command: promote`, or go back: `command: rollback`"));
    }
    Ok(())
}

async fn ask(check: &FinalCheck, targets: &[Target], hands: &mut Hands, execution: &Execution<'_>) -> Checked {
    let mut attempt = 1;
    loop {
        let checked = match &mut hands.sources {
            Some(sources) => sources.check(check, targets).await,
            None => {
                let (Ask::Sql { query } | Ask::Metric { query, .. }) = &check.ask;
                Checked::new(check, query.clone(), Reading::Failed { why: "nobody can be asked".into() }, 0)
            }
        };
        match checked.verdict {
            Verdict::Pass | Verdict::Breach => return checked,
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale if attempt >= TRIES => return checked,
            Verdict::TooLittleData | Verdict::SourceError | Verdict::Stale => {}
        }
        attempt += 1;
        let every = execution.environment.health.every;
        let (what, why) = (format!("final check {}", check.name), checked.found());
        execution.emitter.emit(Happening::Retrying { what, why, after_ms: super::millis(every) });
        tokio::time::sleep(every).await;
    }
}
