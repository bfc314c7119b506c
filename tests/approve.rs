//! Runbook "Runbook Approval Flow": from `/ready-for-prod` on a merged pull request to the release's tag. The real binary, started by
//! the events that comments cause, against the sandbox's GitHub; and everything that somebody may try who should not get through.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

mod common;

use common::{changes, run, world};
use sandbox::{Clocks, Finished, Membership, Merged, Preflight, Production, RunSpec, Staging, Teams, World};
use serde_json::json;

const COMMIT: &str = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334";
const BEFORE: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a009988776";
const PULL: u64 = 7;
const ISSUE: u64 = 8;
const HOUR: i64 = 60;

/// The head of `main` is stable on staging, its pull request is merged, `v0.9.5` is the last release, and everybody has their role.
async fn merged() -> World {
    let world = world().await;
    world.seed(&Staging::proved(26)).await.expect("seeded");
    world.github_is_ready(COMMIT);
    world.tag_commit("v0.9.5", BEFORE);
    world.pull_request(PULL, "paula", COMMIT, Merged::Yes);
    for person in ["paula", "rita", "tom", "olga", "vp-engineering"] {
        world.let_in(person, "write");
    }
    world
}

fn with_checklist(world: &World, spec: RunSpec) -> RunSpec {
    let config = world.config(&Clocks { preflight: Preflight::On, ..Clocks::quick() });
    let config = config.replace(
        "rules: { cpu: { max: 60% }, memory: { max: 60% } }",
        "rules: { cpu: off, memory: off, database-connections: off, restarts: { max: 2 } }",
    );
    RunSpec { config, ..spec }
}

/// Somebody comments, and the workflow runs; gives the comment and how the run ended.
async fn comments(world: &World, on: u64, by: &str, body: &str) -> (u64, Finished) {
    let id = world.comment(on, by, body);
    (id, run(world, &with_checklist(world, RunSpec::comment(world, "created", id))).await)
}

/// The clock strikes.
async fn clock(world: &World) -> Finished {
    run(world, &with_checklist(world, RunSpec::schedule(world))).await
}

/// A release that waits for approval.
async fn asked() -> World {
    let world = merged().await;
    let (_, done) = comments(&world, PULL, "paula", "/ready-for-prod").await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    assert_eq!(world.issues(), [(ISSUE, "Release v0.10.0".to_owned())]);
    world
}

fn tagged(world: &World) -> bool {
    world.git_refs().contains_key("refs/tags/v0.10.0")
}

/// The row of a role in the issue's table.
fn row(world: &World, role: &str) -> String {
    let text = world.issue_text(ISSUE);
    text.lines().find(|line| line.starts_with(&format!("| `{role}`"))).unwrap_or_else(|| panic!("no {role} in {text}")).to_owned()
}

/// The last that the Action said.
fn said_last(world: &World, on: u64) -> String {
    world.said_on(on).into_iter().rfind(|(by, _)| by.ends_with("[bot]")).map(|(_, body)| body).unwrap_or_default()
}

fn slack(world: &World) -> String {
    world.slack_messages().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_release_goes_from_a_comment_to_its_tag_and_production_sees_the_same_approvals() {
    let world = asked().await;
    // What was asked for, for people.
    let text = world.issue_text(ISSUE);
    for wanted in [
        "| Version | `v0.10.0`, proposed from the commits |",
        "| Image | `sha256:",
        "| Pull request | #7, `/ready-for-prod` by paula |",
        "| `release-manager` | a member of team release-managers | ⏳ waits |",
        "Invoice DDD architecture",
        "- [x] Verify all tests passing",
        "- [x] Feature tested in staging for 24 h",
        "- [ ] Notify support team",
        "VP Engineering (30 minutes)",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(said_last(&world, PULL).contains("Release v0.10.0 is asked for: #8"), "{}", said_last(&world, PULL));
    assert!(slack(&world).contains("v0.10.0 waits for approval to go to prod"), "{}", slack(&world));

    for (person, role) in [("rita", "release-manager"), ("tom", "tech-lead")] {
        let (id, done) = comments(&world, ISSUE, person, "/approve").await;
        assert_eq!((done.code, world.reactions(id)), (Some(0), vec!["+1".to_owned()]), "{}", done.stdout);
        assert!(row(&world, role).contains(&format!("✅ {person}")), "{}", row(&world, role));
    }
    assert!(!tagged(&world) && world.dispatches().is_empty());
    let (_, done) = comments(&world, ISSUE, "olga", "/approve operations-lead").await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);

    // The tag is annotated, on the pinned commit; the workflow's own token starts the workflow on it.
    let message = world.tag_message("v0.10.0");
    for wanted in ["Release v0.10.0", "- Invoice DDD architecture (#118)", "Release manager: rita; Tech lead: tom; Operations lead: olga"] {
        assert!(message.contains(wanted), "{wanted} in {message}");
    }
    let started =
        json!({"workflow": "ci-cd-enterprise.yml", "ref": "refs/tags/v0.10.0", "inputs": {"command": "deploy", "environment": "prod"}});
    assert_eq!(world.dispatches(), [started]);
    assert!(world.issue_text(ISSUE).contains("**Approved**: the tag `v0.10.0` is on the commit."), "{}", world.issue_text(ISSUE));
    assert!(slack(&world).contains("v0.10.0 is approved for prod"));
    assert_eq!(changes(&world), [] as [String; 0], "nothing was deployed by approving");

    // The event that this causes deploys what was approved.
    let mut event = with_checklist(&world, RunSpec::dispatch(&world, &[("command", "deploy"), ("environment", "prod")]));
    event.payload["ref"] = json!("refs/tags/v0.10.0");
    event.git_ref = "refs/tags/v0.10.0".into();
    world.seed_production(&Production::stable("v0.9.5").with_ttl(1)).await.expect("seeded");
    world.tag_image("main-a1b2c3d", "v0.10.0");
    let done = run(&world, &event.with("dry-run", "true")).await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("nextgen-market v0.10.0 → prod") && !done.stdout.contains("would be refused"), "{}", done.stdout);

    // Once is enough.
    let done = clock(&world).await;
    assert_eq!((done.code, world.dispatches().len()), (Some(0), 1), "{}", done.stdout);

    // Production's checklist reads the very same approvals.
    let spec = with_checklist(&world, RunSpec::push_tag(&world, "v0.10.0")).with("command", "preflight");
    let done = run(&world, &spec).await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let evidence: Vec<String> = done.evidence.iter().map(ToString::to_string).collect();
    assert!(evidence.join("\n").contains("rita approved a1b2c3d"), "{}", done.stdout);
    // Of another image nobody said anything.
    world.push_image("something-else");
    world.tag_image("something-else", "v0.10.0");
    let done = run(&world, &spec).await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stdout.contains("people approved the image"), "{}", done.stdout);
}

#[tokio::test]
async fn who_may_ask_for_a_release() {
    let world = merged().await;
    world.let_in("reader", "read");
    for (by, body, why) in [
        ("mallory", "/ready-for-prod", "nobody here"),
        ("reader", "/ready-for-prod", "reads only"),
        ("helper[bot]", "/ready-for-prod", "a program"),
        ("mallory", "/ready-for-prod $(id) @nextgen-market/tech-leads <b>", "nobody here, and strange"),
    ] {
        let (id, done) = comments(&world, PULL, by, body).await;
        assert_eq!((done.code, world.issues().len()), (Some(0), 0), "{why}: {}", done.stdout);
        let yes = world.reactions(id).contains(&"+1".to_owned());
        assert!(!yes, "{why}");
        // What is told to them says nothing of teams, roles, staging or versions.
        let told: Vec<String> =
            world.said_on(PULL).into_iter().filter(|(by, _)| by == "github-actions[bot]").map(|(_, body)| body).collect();
        assert!(told.iter().all(|told| told == "This command is for people who work on this repository."), "{told:?}");
    }
    // Somebody who may only read and holds a role may ask.
    world.add_member("tech-leads", "reader", Membership::Active);
    let (_, done) = comments(&world, PULL, "reader", "/ready-for-prod v1.0.0").await;
    assert_eq!((done.code, world.issues()), (Some(0), vec![(ISSUE, "Release v1.0.0".to_owned())]), "{}", done.stdout);
}

#[tokio::test]
async fn a_comment_that_was_changed_or_is_gone_or_comes_again_asks_for_nothing() {
    let world = merged().await;
    let id = world.comment(PULL, "paula", "/ready-for-prod");
    let spec = with_checklist(&world, RunSpec::comment(&world, "created", id));
    world.edit_comment(id, "/ready-for-prod v9.0.0");
    assert_eq!((run(&world, &spec).await.code, world.issues().len()), (Some(0), 0));
    world.delete_comment(id);
    assert_eq!((run(&world, &spec).await.code, world.issues().len()), (Some(0), 0));
    // The same event again, later: the time does not begin anew.
    let id = world.comment(PULL, "paula", "/ready-for-prod");
    let spec = with_checklist(&world, RunSpec::comment(&world, "created", id));
    assert_eq!((run(&world, &spec).await.code, world.issues().len()), (Some(0), 1));
    let statuses = world.commit_statuses(COMMIT).len();
    world.pass_minutes(HOUR);
    assert_eq!((run(&world, &spec).await.code, world.commit_statuses(COMMIT).len()), (Some(0), statuses));
}

#[tokio::test]
async fn what_is_not_ready_is_not_asked_for_and_says_why() {
    let told = async |prepare: &dyn Fn(&World), body: &str| {
        let world = merged().await;
        prepare(&world);
        let (id, done) = comments(&world, PULL, "paula", body).await;
        assert_eq!((done.code, world.issues().len(), world.reactions(id)), (Some(1), 0, vec!["-1".to_owned()]), "{}", done.stdout);
        said_last(&world, PULL)
    };
    type Case<'a> = (&'a dyn Fn(&World), &'a str, &'a str);
    let cases: [Case<'_>; 8] = [
        (&|world| world.pull_request(PULL, "paula", COMMIT, Merged::NotYet), "/ready-for-prod", "it is not merged"),
        (&|world| world.pull_request_to("develop", PULL, "paula", COMMIT, Merged::Yes), "/ready-for-prod", "another branch than main"),
        (&|world| world.pull_request(PULL, "paula", BEFORE, Merged::Yes), "/ready-for-prod v1.0.0", "was merged as 9f8e7d6"),
        (&|world| world.tag_commit("v0.11.0", BEFORE), "/ready-for-prod v0.11.0", "v0.11.0 is taken"),
        (&|_| {}, "/ready-for-prod v0.9.4", "v0.9.4 is older than v0.9.5, which is released; the commits ask for v0.10.0"),
        (&|_| {}, "/ready-for-prod 1.2", "that is no release version"),
        (&|_| {}, "/ready-for-prod v1.0.0 please", "it is written so"),
        (&|world| world.remove_tag("v0.9.5"), "/ready-for-prod", "no version follows from the commits"),
    ];
    for (prepare, body, why) in cases {
        let said = told(prepare, body).await;
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[tokio::test]
async fn a_version_that_staging_has_not_proved_is_not_asked_for() {
    let world = merged().await;
    world.seed(&Staging::live(sandbox::Slot::Blue, "main-9f8e7d6")).await.expect("seeded");
    let (_, done) = comments(&world, PULL, "paula", "/ready-for-prod").await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(said_last(&world, PULL).contains("staging runs main-9f8e7d6"), "{}", said_last(&world, PULL));
}

#[tokio::test]
async fn a_role_that_nobody_holds_is_said_before_anybody_waits() {
    let world = merged().await;
    let id = world.comment(PULL, "paula", "/ready-for-prod");
    let mut spec = with_checklist(&world, RunSpec::comment(&world, "created", id));
    let from = spec.config.find("        roles:").expect("roles");
    let to = spec.config.find("        override:").expect("override");
    spec.config.replace_range(from..to, "");
    let done = run(&world, &spec).await;
    assert_eq!((done.code, world.issues().len()), (Some(1), 0), "{}", done.stdout);
    assert!(said_last(&world, PULL).contains("deploy.yml does not say who is tech-lead"), "{}", said_last(&world, PULL));
}

#[tokio::test]
async fn an_apps_token_starts_production_by_the_tag_itself() {
    let world = merged().await;
    world.token_of("nextgen-release[bot]");
    comments(&world, PULL, "paula", "/ready-for-prod v1.0.0").await;
    for person in ["rita", "tom", "olga"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    assert!(world.git_refs().contains_key("refs/tags/v1.0.0"));
    assert!(world.dispatches().is_empty(), "{:?}", world.dispatches());
}

#[tokio::test]
async fn only_who_holds_a_role_approves_and_only_as_themselves() {
    let world = asked().await;
    world.let_in("nosy", "write");
    world.let_in("gone", "write");
    world.add_member("tech-leads", "gone", Membership::Active);
    world.add_member("tech-leads", "asked", Membership::Pending);
    world.let_in("asked", "write");
    world.add_member("tech-leads", "robot[bot]", Membership::Active);
    world.add_member("tech-leads", "outsider", Membership::Active);
    world.suspend("gone");
    for (by, body) in [
        ("mallory", "/approve tech-lead"),
        ("nosy", "/approve tech-lead"),
        ("gone", "/approve tech-lead"),
        ("asked", "/approve tech-lead"),
        ("robot[bot]", "/approve tech-lead"),
        ("outsider", "/approve tech-lead"),
        ("tom", "> /approve tech-lead"),
        ("tom", "I do not /approve tech-lead"),
        ("tom", "```\n/approve tech-lead\n```"),
        ("tom", "/approve tech‑lead"),
        ("tom", "/approve <b>tech-lead</b>"),
        ("tom", "/approve release-manager"),
        ("tom", "/override approval-tech-lead I say so"),
        ("nosy", "/reject tech-lead I do not like it"),
        ("mallory", "/reject tech-lead <!-- --> @channel"),
    ] {
        let (id, done) = comments(&world, ISSUE, by, body).await;
        assert_eq!(done.code, Some(0), "{by} {body}: {}", done.stdout);
        assert!(row(&world, "tech-lead").contains("⏳ waits"), "{by} {body}: {}", row(&world, "tech-lead"));
        assert!(!world.reactions(id).contains(&"+1".to_owned()), "{by} {body}");
    }
    // Strangers are told nothing but that.
    comments(&world, ISSUE, "mallory", "/approve").await;
    assert_eq!(said_last(&world, ISSUE), "This command is for people who work on this repository.");
    // On a pull request, or by an issue's text, nobody approves anything.
    let (_, done) = comments(&world, PULL, "tom", "/approve tech-lead").await;
    assert_eq!((done.code, row(&world, "tech-lead").contains("waits")), (Some(0), true));
}

#[tokio::test]
async fn one_person_fills_one_role() {
    let world = asked().await;
    for team in ["release-managers", "operations-leads"] {
        world.add_member(team, "tom", Membership::Active);
    }
    let (_, _) = comments(&world, ISSUE, "tom", "/approve").await;
    assert!(said_last(&world, ISSUE).contains("You hold several roles"), "{}", said_last(&world, ISSUE));
    for role in ["tech-lead", "release-manager", "operations-lead"] {
        comments(&world, ISSUE, "tom", &format!("/approve {role}")).await;
    }
    assert!(!tagged(&world));
    comments(&world, ISSUE, "rita", "/approve").await;
    assert!(!tagged(&world));
    comments(&world, ISSUE, "olga", "/approve").await;
    assert!(tagged(&world), "{}", world.issue_text(ISSUE));
}

#[tokio::test]
async fn who_wrote_a_change_does_not_approve_it_alone() {
    let world = asked().await;
    world.add_member("tech-leads", "paula", Membership::Active);
    let three = "release-manager: { teams: [release-managers] }";
    let alone = |spec: RunSpec| {
        let config = spec.config.replace(three, "").replace("operations-lead: { teams: [operations-leads] }", "");
        assert!(!config.contains("release-manager:"), "{config}");
        RunSpec { config, ..spec }
    };
    let say = async |by: &str, change: &dyn Fn(RunSpec) -> RunSpec| {
        let id = world.comment(ISSUE, by, "/approve tech-lead");
        run(&world, &change(with_checklist(&world, RunSpec::comment(&world, "created", id)))).await
    };
    let done = say("paula", &alone).await;
    assert_eq!((done.code, tagged(&world)), (Some(0), false), "{}", done.stdout);
    assert!(world.issue_text(ISSUE).contains("paula wrote the change"), "{}", world.issue_text(ISSUE));
    let allowed = |spec| {
        let spec = alone(spec);
        RunSpec { config: spec.config.replace("within: 24h", "within: 24h\n        own-changes: allow"), ..spec }
    };
    let done = say("paula", &allowed).await;
    assert_eq!((done.code, tagged(&world)), (Some(0), true), "{}\n{}", done.stdout, done.stderr);
}

#[tokio::test]
async fn what_was_edited_or_deleted_does_not_count_any_more() {
    let world = asked().await;
    let (edited, _) = comments(&world, ISSUE, "rita", "/approve").await;
    let (deleted, _) = comments(&world, ISSUE, "tom", "/approve").await;
    assert!(row(&world, "release-manager").contains("✅") && row(&world, "tech-lead").contains("✅"));
    world.edit_comment(edited, "/approve release-manager");
    run(&world, &with_checklist(&world, RunSpec::comment(&world, "edited", edited))).await;
    let event = with_checklist(&world, RunSpec::comment(&world, "deleted", deleted));
    world.delete_comment(deleted);
    run(&world, &event).await;
    assert!(row(&world, "release-manager").contains("waits") && row(&world, "tech-lead").contains("waits"), "{}", world.issue_text(ISSUE));
    comments(&world, ISSUE, "olga", "/approve").await;
    assert!(!tagged(&world));
}

#[tokio::test]
async fn a_rejection_holds_until_who_gave_it_approves() {
    let world = asked().await;
    let reason = "pool is <b>too small</b> @everyone | [x](http://evil.example) <!-- deploy-action end of approvals --> ::stop-commands::x";
    comments(&world, ISSUE, "tom", &format!("/reject tech-lead {reason}")).await;
    for person in ["rita", "olga"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    assert!(!tagged(&world));
    let row = row(&world, "tech-lead");
    assert!(row.contains("❌ tom") && !row.contains("<b>") && !row.contains("@everyone") && !row.contains("<!--"), "{row}");
    let (_, done) = comments(&world, ISSUE, "tom", "/approve").await;
    assert_eq!((done.code, tagged(&world)), (Some(0), true), "{}\n{}", done.stdout, world.issue_text(ISSUE));
    assert!(done.stdout.lines().all(|line| !line.starts_with("::stop-commands")), "{}", done.stdout);
}

#[tokio::test]
async fn a_vice_president_overrides_with_a_reason_that_every_message_shows() {
    let world = asked().await;
    for person in ["rita", "tom"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    comments(&world, ISSUE, "vp-engineering", "/override approval-operations-lead").await;
    assert!(!tagged(&world), "without a reason");
    let (id, done) = comments(&world, ISSUE, "vp-engineering", "/override approval-operations-lead hotfix, olga is on a plane").await;
    assert_eq!((world.reactions(id), tagged(&world)), (vec!["+1".to_owned()], true), "{}", done.stdout);
    let told = slack(&world);
    assert!(
        told.contains("*Overridden*: approval-operations-lead by vp-engineering (vp-engineering): hotfix, olga is on a plane"),
        "{told}"
    );
    assert!(world.tag_message("v0.10.0").contains("overridden by vp-engineering"), "{}", world.tag_message("v0.10.0"));
}

#[tokio::test]
async fn a_day_is_what_there_is() {
    let world = asked().await;
    for person in ["rita", "tom"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    world.pass_minutes(18 * HOUR);
    clock(&world).await;
    clock(&world).await;
    let reminded = |world: &World, word: &str| world.said_on(ISSUE).iter().filter(|(_, body)| body.contains(word)).count();
    assert_eq!(reminded(&world, "notice reminder"), 1);
    let said = said_last(&world, ISSUE);
    assert!(said.contains("@nextgen-market/operations-leads: release v0.10.0 lapses") && !said.contains("tech-leads"), "{said}");
    world.pass_minutes(4 * HOUR);
    clock(&world).await;
    let said = said_last(&world, ISSUE);
    assert!(said.contains("notice escalation") && said.contains("@vp-engineering"), "{said}");
    // 23:59, or nearly: it counts.
    world.pass_minutes(2 * HOUR - 2);
    let (id, _) = comments(&world, ISSUE, "olga", "/approve").await;
    assert_eq!((world.reactions(id), tagged(&world)), (vec!["+1".to_owned()], true), "{}", world.issue_text(ISSUE));
}

#[tokio::test]
async fn after_a_day_it_is_rejected_and_asked_for_anew_with_a_fresh_time() {
    let world = asked().await;
    for person in ["rita", "tom"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    world.pass_minutes(24 * HOUR + 1);
    // 24:01: it does not count, also where the clock has not struck yet.
    let (id, done) = comments(&world, ISSUE, "olga", "/approve").await;
    assert_eq!((done.code, world.reactions(id), tagged(&world)), (Some(0), vec!["-1".to_owned()], false), "{}", done.stdout);
    clock(&world).await;
    assert!(world.issue_text(ISSUE).contains("**Over**: lapsed"), "{}", world.issue_text(ISSUE));
    let rejected = world.said_on(ISSUE).iter().filter(|(_, body)| body.contains("is rejected: it lapsed")).count();
    assert_eq!(rejected, 1);
    assert!(slack(&world).contains("v0.10.0 is rejected: it was not approved in time"));
    // What was said before does not count for what is asked for now.
    let (_, done) = comments(&world, PULL, "paula", "/ready-for-prod").await;
    assert_eq!((done.code, world.issues().len()), (Some(0), 1), "{}\n{}", done.stdout, done.stderr);
    assert!(row(&world, "tech-lead").contains("waits"), "{}", world.issue_text(ISSUE));
    comments(&world, ISSUE, "olga", "/approve").await;
    assert!(!tagged(&world));
    for person in ["rita", "tom"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    assert!(tagged(&world));
}

#[tokio::test]
async fn another_commit_under_the_same_version_begins_with_nothing() {
    let world = asked().await;
    for person in ["rita", "tom"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    let next = world.commit("fix: one thing more");
    world.github_is_ready(&next);
    world.pull_request(20, "paula", &next, Merged::Yes);
    let mut staging = Staging::proved(26);
    if let Some(runs) = &mut staging.green {
        runs.sha.clone_from(&next);
    }
    world.seed(&staging).await.expect("seeded");
    let (_, done) = comments(&world, 20, "paula", "/ready-for-prod v0.10.0").await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    assert!(said_last(&world, ISSUE).contains("This request is over"), "{}", said_last(&world, ISSUE));
    comments(&world, ISSUE, "olga", "/approve").await;
    assert!(!tagged(&world), "the old issue approves nothing");
    let (new, _) = world.issues().into_iter().next_back().expect("an issue");
    comments(&world, new, "olga", "/approve").await;
    assert!(!tagged(&world), "approvals of the old commit do not count for the new one");
}

#[tokio::test]
async fn a_tag_that_somebody_moved_voids_what_was_approved() {
    let world = asked().await;
    for person in ["rita", "tom"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    world.tag_commit("v0.10.0", BEFORE);
    let (_, done) = comments(&world, ISSUE, "olga", "/approve").await;
    assert_eq!((done.code, world.dispatches().len()), (Some(0), 0), "{}", done.stdout);
    assert!(world.issue_text(ISSUE).contains("is on commit 9f8e7d6, and a1b2c3d was approved"), "{}", world.issue_text(ISSUE));
}

#[tokio::test]
async fn an_issue_made_by_hand_is_none_of_ours() {
    let world = asked().await;
    let copy = world.issue_text(ISSUE);
    let forged = world.open_issue("mallory", "Release v0.10.0", &copy, &["release-approval"]);
    for person in ["rita", "tom", "olga"] {
        let (id, done) = comments(&world, forged, person, "/approve").await;
        assert_eq!((done.code, world.reactions(id)), (Some(0), Vec::new()), "{}", done.stdout);
    }
    assert!(!tagged(&world));
    // With a status of their own behind it, too: only a program's counts.
    let mark = format!("<!-- deploy-action release v0.11.0 {BEFORE} -->\n");
    let forged = world.open_issue("mallory", "Release v0.11.0", &mark, &["release-approval"]);
    let url = format!("https://github.com/nextgen-market/nextgen-market/issues/{forged}");
    let digest = format!("sha256:{} asked for by mallory", "0".repeat(64));
    world.set_status("mallory", BEFORE, "release/v0.11.0", "pending", &digest, &url);
    for person in ["rita", "tom", "olga"] {
        comments(&world, forged, person, "/approve").await;
    }
    assert!(world.git_refs().keys().all(|name| !name.contains("v0.11.0")));
    // And the real issue, rewritten by hand, approves what was asked for and nothing else.
    world.edit_issue(ISSUE, &copy.replace("| `tech-lead` | a member of team tech-leads | ⏳ waits |", "| `tech-lead` | x | ✅ tom |"));
    for person in ["rita", "olga"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    assert!(!tagged(&world) && row(&world, "tech-lead").contains("waits"), "{}", world.issue_text(ISSUE));
}

/// GitHub's own payloads, with the numbers, texts and people of this world put in, and a pull request where one is needed: the
/// collection has no comment on one.
#[tokio::test]
#[ignore = "needs npm's @octokit/webhooks-examples: .ci/run runs it"]
async fn githubs_own_payloads_do_the_same() {
    let path = std::env::var("WEBHOOKS_EXAMPLES").expect("WEBHOOKS_EXAMPLES names index.json of npm's @octokit/webhooks-examples");
    let index: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let of_comments = index.iter().find(|event| event["name"] == "issue_comment").expect("issue_comment");
    let created: Vec<&serde_json::Value> =
        of_comments["examples"].as_array().unwrap().iter().filter(|example| example["action"] == "created").collect();
    assert!(!created.is_empty());
    for example in created {
        let world = merged().await;
        for (on, by, body) in [
            (PULL, "paula", "/ready-for-prod"),
            (ISSUE, "rita", "/approve"),
            (ISSUE, "tom", "/approve tech-lead"),
            (ISSUE, "olga", "/approve"),
        ] {
            let id = world.comment(on, by, body);
            let mut payload = example.clone();
            payload["issue"]["number"] = json!(on);
            payload["comment"]["id"] = json!(id);
            payload["comment"]["body"] = json!(body);
            payload["comment"]["user"]["login"] = json!(by);
            if on == PULL {
                payload["issue"]["pull_request"] = json!({"url": "https://api.github.com/repos/nextgen-market/nextgen-market/pulls/7"});
            }
            let spec = RunSpec { payload, ..RunSpec::comment(&world, "created", id) };
            let done = run(&world, &with_checklist(&world, spec)).await;
            assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
        }
        assert!(tagged(&world), "{}", world.issue_text(ISSUE));
    }
}

#[tokio::test]
async fn what_strangers_wrote_into_a_change_stays_text() {
    let world = merged().await;
    let hostile = "feat: <img src=x onerror=alert(1)> @nextgen-market/tech-leads [x](http://evil.example) <!-- --> | ::error::x\n\n\
                   BREAKING CHANGE: <!channel> `code` *bold*\n::set-output name=x::y";
    let commit = world.commit(hostile);
    world.github_is_ready(&commit);
    world.pull_request(20, "paula", &commit, Merged::Yes);
    let mut staging = Staging::proved(26);
    staging.green.as_mut().expect("green").sha.clone_from(&commit);
    world.seed(&staging).await.expect("seeded");
    let (_, done) = comments(&world, 20, "paula", "/ready-for-prod").await;
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let (issue, _) = world.issues().pop().expect("an issue");
    let text = world.issue_text(issue);
    assert!(text.contains("**Breaking changes**") && text.contains("- [x] The commit is on main"), "{text}");
    for never in ["<img", "@nextgen-market", " [x](http", "<!channel>", "<!-- -->"] {
        assert!(!text.contains(never), "{never} in {text}");
    }
    assert!(done.stdout.lines().all(|line| !line.starts_with("::error") && !line.starts_with("::set-output")), "{}", done.stdout);
}

#[tokio::test]
async fn a_persons_token_keeps_requests_of_its_own() {
    let world = merged().await;
    world.token_of("release-account");
    let token = RunSpec::push_develop(&world).inputs["github-token"].replacen("ghs_", "ghp_", 1);
    for (on, by, body) in
        [(PULL, "paula", "/ready-for-prod v1.0.0"), (ISSUE, "rita", "/approve"), (ISSUE, "tom", "/approve"), (ISSUE, "olga", "/approve")]
    {
        let id = world.comment(on, by, body);
        let spec = with_checklist(&world, RunSpec::comment(&world, "created", id)).with("github-token", &token);
        let done = run(&world, &spec).await;
        assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    }
    assert!(world.git_refs().contains_key("refs/tags/v1.0.0") && world.dispatches().is_empty());
}

#[tokio::test]
async fn a_slack_that_is_down_changes_nothing() {
    let world = merged().await;
    world.fault(sandbox::Fault::SlackDown).await;
    let (_, done) = comments(&world, PULL, "paula", "/ready-for-prod").await;
    assert_eq!((done.code, world.issues().len()), (Some(0), 1), "{}", done.stdout);
    assert!(done.stdout.contains("warning: Slack was not told"), "{}", done.stdout);
}

#[tokio::test]
async fn a_run_that_was_stopped_after_the_tag_is_finished_by_the_clock() {
    let world = asked().await;
    for person in ["rita", "tom"] {
        comments(&world, ISSUE, person, "/approve").await;
    }
    world.comment(ISSUE, "olga", "/approve");
    // The tag is there, and nothing after it was done.
    world.tag_commit("v0.10.0", COMMIT);
    let done = clock(&world).await;
    assert_eq!((done.code, world.dispatches().len()), (Some(0), 1), "{}\n{}", done.stdout, done.stderr);
    clock(&world).await;
    assert_eq!(world.dispatches().len(), 1);
}

#[tokio::test]
async fn two_approvals_at_once_make_one_tag() {
    let world = asked().await;
    comments(&world, ISSUE, "rita", "/approve").await;
    let ids = [world.comment(ISSUE, "tom", "/approve"), world.comment(ISSUE, "olga", "/approve")];
    let specs = ids.map(|id| with_checklist(&world, RunSpec::comment(&world, "created", id)));
    let (one, other) = tokio::join!(run(&world, &specs[0]), run(&world, &specs[1]));
    assert_eq!((one.code, other.code, tagged(&world)), (Some(0), Some(0), true), "{}\n{}", one.stdout, other.stdout);
    assert_eq!(world.dispatches().len(), 1);
    clock(&world).await;
    assert_eq!(world.dispatches().len(), 1);
    assert!(world.issue_text(ISSUE).contains("**Approved**: the tag"), "{}", world.issue_text(ISSUE));
}

#[tokio::test]
async fn a_token_that_may_not_see_teams_says_so() {
    let world = asked().await;
    world.set_teams(Teams::Forbidden);
    let (id, done) = comments(&world, ISSUE, "tom", "/approve").await;
    assert_eq!((done.code, world.reactions(id)), (Some(0), vec!["-1".to_owned()]), "{}", done.stdout);
    assert!(said_last(&world, ISSUE).contains("cannot be read"), "{}", said_last(&world, ISSUE));
}
