//! The checklist before a release (runbook "Pre-Deployment Checklist", Scenario 3 "Pre-Production Checklist"): the real binary
//! against the sandbox. What it refuses touches nothing; what it may is shown, row by row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{changes, run, world};
use deploy_action::report::{evidence, replay};
use jiff::{SignedDuration, Timestamp};
use sandbox::{
    Alert, Approval, Behaviour, CheckState, Clocks, CodeScanning, Finished, Membership, Preflight, Production, RunSpec, RunState, Staging,
    TagKind, Teams, Who, World,
};
use serde_json::Value;

const BEFORE: &str = "v0.9.5";
const NOW: &str = "v1.0.0";
const COMMIT: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";

/// Production runs the version before, and everything speaks for the release.
async fn ready() -> World {
    let world = world().await;
    world.seed_production(&Production::stable(BEFORE).with_ttl(1)).await.expect("seeded");
    world.seed_release(NOW, release(&world).run_id).await.expect("seeded");
    world
}

/// A push of the tag, with the whole checklist. Of the rules those that need neither query nor database; the watch is none of
/// these tests' business.
fn release(world: &World) -> RunSpec {
    let config = world.config(&Clocks { preflight: Preflight::On, ..Clocks::quick() });
    let config = config.replace(
        "rules: { cpu: { max: 60% }, memory: { max: 60% } }",
        "rules: { cpu: off, memory: off, database-connections: off, restarts: { max: 2 } }",
    );
    assert!(config.contains("restarts: { max: 2 } }"), "{config}");
    RunSpec { config, ..RunSpec::push_tag(world, NOW) }
}

/// The same, by `command: preflight`.
fn preflight(world: &World) -> RunSpec {
    release(world).with("command", "preflight")
}

/// The rows of the checklist that the run left as evidence: id and state.
fn rows(done: &Finished) -> Vec<(String, String)> {
    let line = done.evidence.iter().find(|line| line["event"]["kind"] == "preflight");
    let rows = line.map(|line| line["event"]["checklist"]["rows"].clone()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.as_array().into_iter().flatten().map(|row| (text(&row["id"]), text(&row["state"]["state"]))).collect()
}

/// The ids of the rows in this state; the one that only repeats others is left out.
fn of_state(done: &Finished, state: &str) -> Vec<String> {
    rows(done).into_iter().filter(|(id, found)| found == state && id != "approvals").map(|(id, _)| id).collect()
}

/// Every request that would change something anywhere, as `service METHOD path`. Logging in changes nothing.
fn writes(world: &World) -> Vec<String> {
    let writes = world.requests().into_iter().filter(|request| request.is_change());
    writes.map(|request| format!("{} {} {}", request.service, request.method, request.path)).collect()
}

/// What the run refused, and that it touched nothing.
fn refused(world: &World, done: &Finished, expected: &[&str]) {
    assert_eq!(of_state(done, "failed"), expected, "{}\n{}", done.stdout, done.stderr);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert_eq!(done.outputs.get("outcome").map(String::as_str), Some("refused"));
    assert_eq!(changes(world), [] as [String; 0], "production was touched");
    assert!(world.git_refs().keys().all(|name| !name.contains("deploy-action")), "a claim was written");
    assert!(world.deployments().is_empty(), "a deployment was made");
}

/// `release` with a window that is open, or closed, now.
fn in_window(spec: RunSpec, opens_in_hours: i64) -> RunSpec {
    let clock = |hours: i64| (Timestamp::now() + SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let window = format!("window: {{ from: \"{}\", to: \"{}\", zone: UTC }}", clock(opens_in_hours), clock(opens_in_hours + 2));
    RunSpec { config: spec.config.replace("window: off", &window), ..spec }
}

#[tokio::test]
async fn a_checklist_that_passes_is_shown_and_writes_nothing() {
    let world = ready().await;
    let done = run(&world, &in_window(preflight(&world), -1)).await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    assert_eq!(of_state(&done, "failed"), [] as [String; 0]);
    let passed = of_state(&done, "passed");
    for id in [
        "tests",
        "load-test",
        "security",
        "migration-dry-run",
        "backup",
        "production-healthy",
        "rule-restarts",
        "staging-soak",
        "staging-incidents",
        "staging-latency",
        "migrations",
        "window",
        "approval-release-manager",
        "approval-tech-lead",
        "approval-operations-lead",
        "tag-on-branch",
        "tag-form",
        "newer",
        "alone",
    ] {
        assert!(passed.contains(&id.to_owned()), "{id} is not among {passed:?}");
    }
    assert_eq!(writes(&world), [] as [String; 0]);
    assert!(world.slack_messages().is_empty());
    // The terminal, the summary and the evidence say the same.
    assert!(done.stdout.contains("✅ Load test: 10,000 req/s (must pass): load-test succeeded on a1b2c3d"), "{}", done.stdout);
    assert!(done.stdout.contains("▫️ Notify stakeholders: for a person"), "{}", done.stdout);
    assert!(done.summary.contains("checklist passed: v1.0.0 may be released"), "{}", done.summary);
    assert!(done.summary.contains("tom approved a1b2c3d"), "{}", done.summary);
    let lines = evidence::read(std::path::Path::new(&done.outputs["report"])).expect("an intact chain");
    let replayed = replay::replay(&lines).expect("the rows follow from the facts");
    assert!(replayed.verdicts >= rows(&done).len());
    // A file that was written anew, with its chain, to say that somebody approved does not follow from what was read.
    let forged: Vec<evidence::Line> = lines
        .into_iter()
        .map(|mut line| {
            if let deploy_action::execute::Happening::Preflight { facts, .. } = &mut line.event {
                facts.said = deploy_action::observe::preflight::Found::Unknown { why: "nobody was asked".into() };
            }
            line
        })
        .collect();
    let difference = replay::replay(&forged).expect_err("it does not follow").to_string();
    assert!(difference.contains("approvals cannot be read: nobody was asked") || difference.contains("0 of 3"), "{difference}");
}

#[tokio::test]
async fn a_release_that_passes_goes_on_to_the_canary() {
    let world = ready().await;
    let people = world.load(&sandbox::Load::of("prod"));
    people.until(|seen| seen.total.requests > 20).await;
    let done =
        run(&world, &RunSpec { config: release(&world).config.replace("min-requests: 10", "min-requests: 1"), ..release(&world) }).await;
    assert_eq!(of_state(&done, "failed"), [] as [String; 0], "{}", done.stdout);
    let written = changes(&world);
    assert!(written.first().is_some_and(|first| first == "PUT prod-canary-1"), "{written:?}\n{}", done.stdout);
    // The checklist stands before everything that was written.
    let kinds: Vec<&str> = done.evidence.iter().filter_map(|line| line["event"]["kind"].as_str()).collect();
    let at = |kind: &str| kinds.iter().position(|found| *found == kind);
    assert!(at("preflight") < at("claimed") && at("preflight") < at("planned"), "{kinds:?}");
    assert!(done.summary.contains("<details><summary>Checklist: "), "{}", done.summary);
}

#[tokio::test]
async fn a_failed_row_refuses_and_people_are_told_why() {
    let world = ready().await;
    world.set_check(COMMIT, "load-test", CheckState::Failure);
    let done = run(&world, &release(&world)).await;
    refused(&world, &done, &["load-test"]);
    let told = "Load test: 10,000 req/s (must pass): load-test ended with `failure` on a1b2c3d";
    assert!(done.stdout.contains(told) && done.stdout.contains("let `load-test` succeed on a1b2c3d"), "{}", done.stdout);
    assert!(done.summary.contains("### Checklist: ") && done.summary.contains("**To mend it** (`load-test`)"), "{}", done.summary);
    let slack = world.slack_messages().iter().map(ToString::to_string).collect::<String>();
    assert!(slack.contains("refused: nothing was touched") && slack.contains("load-test ended with"), "{slack}");
    assert!(world.pagerduty_incidents().is_empty(), "nobody is called for a refusal");
}

#[tokio::test]
async fn outside_of_the_window_nothing_is_released() {
    let world = ready().await;
    let done = run(&world, &in_window(release(&world), 2)).await;
    refused(&world, &done, &["window"]);
    assert!(done.stdout.contains("outside of") && done.stdout.contains("→ window: wait for 20"), "{}", done.stdout);
}

#[tokio::test]
async fn what_github_says_of_the_commit_counts() {
    let world = ready().await;
    world.set_check(COMMIT, "backup", CheckState::InProgress);
    world.set_check(COMMIT, "lint", CheckState::Skipped);
    world.add_alert(Alert::open("high"));
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["tests", "security", "backup"]);
    assert!(done.stdout.contains("#1 Database query built from user-controlled sources (high)"), "{}", done.stdout);

    world.set_code_scanning(CodeScanning::Unanalysed);
    world.set_check(COMMIT, "backup", CheckState::Success);
    world.set_check(COMMIT, "lint", CheckState::Success);
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["security"]);
    assert!(done.stdout.contains("code scanning is not in use: no analysis found"), "{}", done.stdout);
}

#[tokio::test]
async fn a_tag_must_be_where_it_was_and_made_as_configured() {
    let world = ready().await;
    world.tag_commit_as(NOW, COMMIT, TagKind::Lightweight);
    refused(&world, &run(&world, &preflight(&world)).await, &["tag-form"]);
    // Moved while the run waited.
    let other = world.commit("fix: rounding of invoices (#124)");
    world.tag_commit(NOW, &other);
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["tag-form"]);
    assert!(done.stdout.contains("it was moved"), "{}", done.stdout);
    let signed =
        |spec: RunSpec| RunSpec { config: spec.config.replace("checks: { ref: main,", "checks: { ref: main, tag: signed,"), ..spec };
    world.tag_commit(NOW, COMMIT);
    refused(&world, &run(&world, &signed(preflight(&world))).await, &["tag-form"]);
    world.tag_commit_as(NOW, COMMIT, TagKind::Signed);
    assert_eq!(run(&world, &signed(preflight(&world))).await.code, Some(0));
}

#[tokio::test]
async fn a_commit_beside_main_is_not_released() {
    let world = ready().await;
    let beside = world.commit_beside("feat: not reviewed");
    world.github_is_ready(&beside);
    world.tag_commit(NOW, &beside);
    let done = run(&world, &preflight(&world).of_commit(&beside)).await;
    refused(&world, &done, &["tag-on-branch"]);
    assert!(done.stdout.contains("is not on main"), "{}", done.stdout);
}

#[tokio::test]
async fn staging_must_have_proved_this_image_for_long_enough() {
    let world = ready().await;
    world.seed(&Staging::proved(3)).await.expect("seeded");
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["staging-soak"]);
    assert!(done.stdout.contains("for 3 h, since") && done.stdout.contains("24 h are asked"), "{}", done.stdout);

    world.seed(&Staging::proved(26)).await.expect("seeded");
    world.say_of_commit(COMMIT, "deploy/staging", "failure", "error-rate was 4 %", "octocat", 3600);
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["staging-incidents"]);
    assert!(done.stdout.contains("error-rate was 4 %"), "{}", done.stdout);
}

#[tokio::test]
async fn an_image_that_was_built_again_is_another() {
    let world = ready().await;
    world.remove_image(NOW);
    // The runner's build job pushes one of its own under the tag.
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["staging-soak", "staging-incidents", "staging-latency"]);
    assert!(done.stdout.contains("instead of building it again"), "{}", done.stdout);
}

#[tokio::test]
async fn production_must_be_well_and_free() {
    let world = ready().await;
    world.restarted("prod-nextgen", "prod-stable-2", 5);
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["production-healthy", "rule-restarts"]);
    assert!(done.stdout.contains("prod-stable-2: it keeps crashing (5 restarts)"), "{}", done.stdout);
}

#[tokio::test]
async fn nobody_deploys_beside_another() {
    let world = ready().await;
    // Another run takes the claim and is killed at its work, but GitHub shows it as running.
    let other = sandbox::runner::spawn(
        &world,
        common::binary(),
        &RunSpec { config: without(&release(&world).config), ..release(&world) }.in_run(99),
    );
    let mut other = other.expect("started");
    world.until(|requests| requests.iter().any(|request| request.service == "azure" && request.is_change())).await;
    other.signal("KILL").await.expect("sent");
    other.ended().await.expect("ended");
    world.set_run(99, RunState::InProgress);
    let before = changes(&world);
    let done = run(&world, &preflight(&world)).await;
    assert_eq!((of_state(&done, "failed"), done.code), (vec!["alone".to_owned()], Some(1)), "{}", done.stdout);
    assert_eq!(changes(&world), before);
    assert!(done.stdout.contains("actions/runs/99 is at work there (deploy)"), "{}", done.stdout);
}

/// The same without its checklist.
fn without(config: &str) -> String {
    let (before, rest) = config.split_once("    preflight:\n").expect("a checklist");
    let after = rest.find("    abort:").map(|at| &rest[at..]).expect("rules");
    format!("{before}    preflight: off\n{after}")
}

#[tokio::test]
async fn three_people_approve_this_commit_each_in_one_role() {
    let world = world().await;
    world.seed_production(&Production::stable(BEFORE).with_ttl(1)).await.expect("seeded");
    world.seed_release(NOW, 1).await.expect("seeded");
    let spec = preflight(&world);
    let roles = ["approval-release-manager", "approval-tech-lead", "approval-operations-lead"];
    // The approvals of another run say nothing of this one.
    refused(&world, &run(&world, &spec).await, &roles);

    // Tom fills his role; a stranger, a program and somebody who has not joined yet fill none.
    world.add_member("operations-leads", "paul", Membership::Pending);
    for person in ["tom", "mallory", "github-actions[bot]", "paul"] {
        world.answer_run(spec.run_id, "prod", person, Approval::Approved, "go");
    }
    refused(&world, &run(&world, &spec).await, &["approval-release-manager", "approval-operations-lead"]);

    // In two teams he still fills one role.
    world.add_member("operations-leads", "tom", Membership::Active);
    assert_eq!(of_state(&run(&world, &spec).await, "failed").len(), 2);

    // The others by statuses of the commit: what was said too long ago, or of an environment that is none of production's, is void.
    world.say_of_commit(COMMIT, "approval/release-manager", "success", "go", "rita", 25 * 3600);
    world.answer_run(spec.run_id, "staging", "olga", Approval::Approved, "");
    let done = run(&world, &spec).await;
    refused(&world, &done, &["approval-release-manager", "approval-operations-lead"]);
    assert!(done.stdout.contains("rita approved 25 h ago, and an approval lasts 24 h"), "{}", done.stdout);

    world.say_of_commit(COMMIT, "approval/release-manager", "success", "go", "rita", 60);
    world.answer_run(spec.run_id, "prod-operations-lead", "olga", Approval::Approved, "");
    let done = run(&world, &spec).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);

    // After the run began: the sandbox's runs begin anew each time.
    world.say_of_commit(COMMIT, "approval/operations-lead", "failure", "the pool is <b>too small</b> @all", "olga", -600);
    let done = run(&world, &spec).await;
    refused(&world, &done, &["approval-operations-lead"]);
    assert!(done.stdout.contains("olga rejected a1b2c3d"), "{}", done.stdout);
    assert!(!done.summary.contains("<b>too small") && !done.summary.contains(" @all"), "{}", done.summary);
}

#[tokio::test]
async fn a_token_that_may_not_see_teams_approves_nobody() {
    let world = ready().await;
    world.set_teams(Teams::Forbidden);
    let done = run(&world, &preflight(&world)).await;
    refused(&world, &done, &["approval-release-manager", "approval-tech-lead", "approval-operations-lead"]);
    assert!(done.stdout.contains("whether rita is in team release-managers cannot be read"), "{}", done.stdout);
}

#[tokio::test]
async fn an_override_by_the_configured_role_is_shown_as_such_everywhere() {
    let world = ready().await;
    world.set_check(COMMIT, "load-test", CheckState::Failure);
    // Whoever does not hold the role overrides nothing.
    world.say_of_commit(COMMIT, "override/load-test", "success", "it is fine", "tom", 5);
    refused(&world, &run(&world, &preflight(&world)).await, &["load-test"]);

    world.say_of_commit(COMMIT, "override/load-test", "success", "the generator was broken, see #130", "vp-engineering", 5);
    let people = world.load(&sandbox::Load::of("prod"));
    people.until(|seen| seen.total.requests > 20).await;
    let done = run(&world, &release(&world)).await;
    assert_eq!((of_state(&done, "failed"), of_state(&done, "overridden")), (vec![], vec!["load-test".to_owned()]), "{}", done.stdout);
    assert!(changes(&world).first().is_some_and(|first| first == "PUT prod-canary-1"));
    let who = "vp-engineering (vp-engineering) overrode \"Load test: 10,000 req/s (must pass)\"";
    assert!(done.stdout.contains("overridden by vp-engineering (vp-engineering): the generator was broken"), "{}", done.stdout);
    assert!(done.summary.contains("**Overridden**: vp-engineering"), "{}", done.summary);
    let slack = world.slack_messages().iter().map(|message| message.to_string().replace("\\\"", "\"")).collect::<String>();
    assert!(slack.contains(who), "{slack}");

    // Taken back.
    let world = ready().await;
    world.set_check(COMMIT, "load-test", CheckState::Failure);
    world.say_of_commit(COMMIT, "override/load-test", "success", "the generator was broken", "vp-engineering", 60);
    world.say_of_commit(COMMIT, "override/load-test", "failure", "no, it was not", "vp-engineering", 5);
    refused(&world, &run(&world, &preflight(&world)).await, &["load-test"]);
}

#[tokio::test]
async fn without_github_nothing_that_it_knows_is_good_news() {
    let world = ready().await;
    let done = run(&world, &preflight(&world).with("github-token", "")).await;
    let failed = of_state(&done, "failed");
    for id in ["tests", "security", "staging-incidents", "approval-tech-lead", "tag-on-branch", "tag-form", "alone"] {
        assert!(failed.contains(&id.to_owned()), "{id} is not among {failed:?}\n{}", done.stdout);
    }
    assert_eq!(done.code, Some(1));
}

#[tokio::test]
async fn an_older_version_is_refused_with_and_without_a_checklist() {
    let world = ready().await;
    world.seed_release("v0.9.4", release(&world).run_id).await.expect("seeded");
    let older = |spec: RunSpec| RunSpec { config: spec.config, ..RunSpec::push_tag(&world, "v0.9.4") };
    refused(&world, &run(&world, &older(release(&world))).await, &["newer"]);
    let spec = older(release(&world));
    let done = run(&world, &RunSpec { config: without(&spec.config), ..spec }).await;
    refused(&world, &done, &[]);
    assert!(done.stdout.contains("v0.9.4 is older than v0.9.5") && done.stdout.contains("command: rollback"), "{}", done.stdout);
}

#[tokio::test]
async fn a_tag_that_is_no_version_is_refused_before_anything_is_asked() {
    let world = world().await;
    world.seed_production(&Production::stable(BEFORE).with_ttl(1)).await.expect("seeded");
    for tag in ["v1", "vNext", "v1.2", "v1.2.3.4"] {
        let before = world.requests().len();
        let done = run(&world, &RunSpec { config: release(&world).config, ..RunSpec::push_tag(&world, tag) }).await;
        assert_eq!(done.code, Some(2), "{tag}: {}", done.stdout);
        assert!(
            done.stdout.contains("is no release version such as v1.2.3") || done.stderr.contains("is no release version"),
            "{}",
            done.stdout
        );
        assert_eq!(world.requests().len(), before, "{tag}: something was asked");
    }
}

#[tokio::test]
async fn the_same_release_again_needs_no_checklist() {
    let world = world().await;
    world.seed_release(NOW, release(&world).run_id).await.expect("seeded");
    let mut there = Production::stable(NOW).with_ttl(1);
    there.members.iter_mut().filter_map(|member| member.runs.as_mut()).for_each(|runs| runs.sha = COMMIT.to_owned());
    world.seed_production(&there).await.expect("seeded");
    world.set_check(COMMIT, "load-test", CheckState::Failure);
    let done = run(&world, &release(&world)).await;
    assert_eq!((done.code, rows(&done).len()), (Some(0), 0), "{}", done.stdout);
    assert_eq!(done.outputs.get("outcome").map(String::as_str), Some("unchanged"));
}

#[tokio::test]
async fn a_plan_shows_what_the_checklist_says_and_writes_nothing() {
    let world = ready().await;
    world.set_check(COMMIT, "load-test", CheckState::Failure);
    let done = run(&world, &release(&world).with("dry-run", "true")).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(done.stdout.contains("As things stand it would be refused") && done.stdout.contains("load-test ended"), "{}", done.stdout);
    assert_eq!(of_state(&done, "failed"), ["load-test"]);
    assert_eq!(writes(&world), [] as [String; 0]);
}

#[tokio::test]
async fn preflight_of_what_has_none_says_so() {
    let world = world().await;
    let off = RunSpec { config: without(&release(&world).config), ..preflight(&world) };
    let done = run(&world, &off).await;
    assert!(done.code == Some(2) && done.stdout.contains("`preflight` of prod is off in deploy.yml"), "{}\n{}", done.stdout, done.stderr);
    let done = run(&world, &RunSpec::push_main(&world).with("command", "preflight")).await;
    assert!(done.code == Some(2) && done.stdout.contains("staging has no checklist"), "{}\n{}", done.stdout, done.stderr);
}

#[tokio::test]
async fn a_release_that_was_interrupted_goes_on_without_a_second_checklist() {
    let world = ready().await;
    let people = world.load(&sandbox::Load::of("prod"));
    people.until(|seen| seen.total.requests > 20).await;
    let mut first = sandbox::runner::spawn(&world, common::binary(), &release(&world)).expect("started");
    world.until(|requests| requests.iter().any(|request| request.method == "PUT" && request.path.contains("trafficmanagerprofiles"))).await;
    first.signal("KILL").await.expect("sent");
    first.ended().await.expect("ended");
    // What would refuse a release that begins does not leave one half-way.
    world.set_check(COMMIT, "load-test", CheckState::Failure);
    let again = RunSpec { attempt: 2, ..release(&world) };
    let done = run(&world, &RunSpec { config: again.config.replace("min-requests: 10", "min-requests: 1"), ..again }).await;
    assert_eq!(rows(&done), [], "{}", done.stdout);
    assert!(!done.stdout.contains("refused: nothing was touched"), "{}", done.stdout);
}

#[tokio::test]
async fn by_hand_the_version_names_the_tag_and_the_tag_its_commit() {
    let world = ready().await;
    let args = ["preflight", "prod", "--version", NOW, "--output-format", "json"].map(str::to_owned).to_vec();
    let spec = RunSpec { args, ..RunSpec::dispatch(&world, &[]) };
    let spec = RunSpec { config: release(&world).config, run_id: release(&world).run_id, ..spec }.with("command", "");
    let done = run(&world, &spec).await;
    // People approved that run; it is of this very commit.
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let json = done.stdout.lines().filter(|line| !line.starts_with("::")).collect::<String>();
    let printed: Value = serde_json::from_str(&json).expect("JSON and nothing else");
    let row = printed["rows"].as_array().and_then(|rows| rows.iter().find(|row| row["id"] == "tag-on-branch")).cloned();
    assert_eq!(row.expect("a row")["evidence"], "a1b2c3d is the newest commit of main");
    assert_eq!(writes(&world), [] as [String; 0]);
    // A tag that nobody made is no release.
    let spec = RunSpec { args: ["preflight", "prod", "--version", "v2.0.0"].map(str::to_owned).to_vec(), ..spec };
    world.tag_image("main-a1b2c3d", "v2.0.0");
    let done = run(&world, &spec).await;
    let failed = of_state(&done, "failed");
    assert!(done.code == Some(1) && failed.contains(&"tag-form".to_owned()), "{failed:?}\n{}", done.stdout);
    assert!(done.stdout.contains("the tag v2.0.0 cannot be read") && done.stdout.contains("git tag -a v2.0.0"), "{}", done.stdout);
}

#[tokio::test]
async fn of_checks_with_one_name_the_last_one_counts() {
    let world = ready().await;
    world.set_check(COMMIT, "security", CheckState::Cancelled);
    world.set_check(COMMIT, "security", CheckState::Success);
    assert_eq!(run(&world, &preflight(&world)).await.code, Some(0));
    world.set_check(COMMIT, "security", CheckState::TimedOut);
    refused(&world, &run(&world, &preflight(&world)).await, &["security"]);
}

#[tokio::test]
async fn staging_must_be_fast_now_where_people_use_it() {
    let world = ready().await;
    let people = world.load(&sandbox::Load::of("staging"));
    people.until(|seen| seen.total.requests > 20).await;
    let spec =
        |world: &World| RunSpec { config: preflight(world).config.replace("min-requests: 10", "min-requests: 1"), ..preflight(world) };
    let done = run(&world, &spec(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    assert!(done.stdout.contains("now, in staging: latency-p99") && !done.stdout.contains("now: latency-p99"), "{}", done.stdout);
    world.behave(Who::version("main-a1b2c3d"), Behaviour::default().taking(std::time::Duration::from_millis(700)));
    // What was fast before runs out of the window.
    people.until(|seen| seen.total.requests > 60).await;
    let done = run(&world, &spec(&world)).await;
    refused(&world, &done, &["staging-latency"]);
}

#[tokio::test]
async fn production_must_keep_the_rules_that_are_written() {
    let world = ready().await;
    let spec = |world: &World| {
        let config = preflight(world).config.replace("restarts: { max: 2 } }", "restarts: { max: 2 }, error-rate: { max: 1% } }");
        RunSpec { config: config.replace("min-requests: 10", "min-requests: 1"), ..preflight(world) }
    };
    // Nobody comes by, so nobody knows.
    let done = run(&world, &spec(&world)).await;
    refused(&world, &done, &["rule-error-rate"]);
    assert!(done.stdout.contains("error-rate: too little data"), "{}", done.stdout);
    let people = world.load(&sandbox::Load::of("prod"));
    people.until(|seen| seen.total.requests > 20).await;
    assert_eq!(run(&world, &spec(&world)).await.code, Some(0));
    world.behave(Who::version(BEFORE), Behaviour::default().erring(0.5));
    let errors = people.until(|seen| seen.total.requests > 60);
    errors.await;
    let done = run(&world, &spec(&world)).await;
    refused(&world, &done, &["rule-error-rate"]);
    assert!(done.stdout.contains("bring error-rate down before a release"), "{}", done.stdout);
}

#[tokio::test]
async fn long_lists_are_read_to_their_end() {
    let world = ready().await;
    for number in 0..130 {
        world.set_check(COMMIT, &format!("matrix ({number})"), CheckState::Success);
        world.say_of_commit(COMMIT, &format!("other/{number}"), "success", "d", "octocat", 1);
        world.add_alert(Alert { state: sandbox::AlertState::Open, ..Alert::open("low") });
    }
    world.say_of_commit(COMMIT, "override/load-test", "success", "the generator was broken", "vp-engineering", 60);
    world.set_check(COMMIT, "load-test", CheckState::Failure);
    for number in 0..130 {
        world.set_check(COMMIT, &format!("matrix ({number})"), CheckState::Neutral);
        world.say_of_commit(COMMIT, &format!("other/{number}"), "success", "d", "octocat", 1);
    }
    let done = run(&world, &preflight(&world)).await;
    assert_eq!((done.code, of_state(&done, "overridden")), (Some(0), vec!["load-test".to_owned()]), "{}", done.stdout);
    assert!(done.stdout.contains("code scanning has no open alert above medium (130 open)"), "{}", done.stdout);
}

#[tokio::test]
async fn cpu_and_memory_of_production_are_asked_of_azure() {
    let world = ready().await;
    let config = world.config(&Clocks { preflight: Preflight::On, ..Clocks::quick() });
    let spec = |world: &World| RunSpec { config: config.clone(), ..preflight(world) };
    let done = run(&world, &spec(&world)).await;
    assert_eq!(done.code, Some(0), "{}", done.stdout);
    let passed = of_state(&done, "passed");
    assert!(passed.contains(&"cpu-memory".to_owned()), "{}", done.stdout);
    // No database is given, so its default rule is a person's matter.
    assert!(of_state(&done, "not-checked").contains(&"database-connections".to_owned()), "{}", done.stdout);
    world.behave(Who::version(BEFORE), Behaviour { cpu: 0.71, ..Behaviour::default() });
    let done = run(&world, &spec(&world)).await;
    refused(&world, &done, &["cpu-memory"]);
    assert!(done.stdout.contains("cpu 71 % > 60 % (max)"), "{}", done.stdout);
}
