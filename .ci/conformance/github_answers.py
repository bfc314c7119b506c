#!/usr/bin/env python3
"""Checks the sandbox's GitHub against GitHub's own OpenAPI description: every answer, the refusals too.

usage: github_answers.py INFO.json OPENAPI.json      (INFO from `cargo sandbox serve --deployed --scenario prod --info`; needs PyPI jsonschema)
"""
import json, ssl, sys
import urllib.error, urllib.request

from jsonschema import Draft202012Validator

from github_requests import operation, plain, resolve

info, doc = (json.load(open(path)) for path in sys.argv[1:3])
api, repository = info["urls"]["github_api"], "/repos/nextgen-market/nextgen-market"
teams = "/orgs/nextgen-market/teams"
tls = ssl.create_default_context(cafile=info["ca"])
bad = checked = 0


def ask(method, path, body=None, wanted=200, root=repository):
    global bad, checked
    request = urllib.request.Request(api + root + path, method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("authorization", f"Bearer {info['github-token']}")
    try:
        answer = urllib.request.urlopen(request, context=tls)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read()
    read = json.loads(text) if text else None
    errors = [] if answer.status == wanted else [f"status {answer.status}, not {wanted}: {text[:200]}"]
    template, item = operation(doc, method, root + path.split("?")[0]) or (None, None)
    if not template:
        errors.append("GitHub has no such operation")
    else:
        described = item[method.lower()]["responses"].get(str(answer.status))
        if described is None:
            errors.append(f"GitHub does not document status {answer.status} here")
        else:
            content = resolve(described, doc).get("content", {}).get("application/json")
            if content:
                validator = Draft202012Validator(plain(content["schema"], doc))
                errors += [f"{'/'.join(map(str, e.absolute_path)) or '.'}: {e.message[:200]}" for e in validator.iter_errors(read)]
            elif read is not None and answer.status < 400:
                errors.append("GitHub answers nothing here")
    for error in errors:
        print(f"{method} {template or path}: {error}")
    checked, bad = checked + 1, bad + bool(errors)
    return read


deployment = ask("POST", "/deployments", {"ref": "main", "environment": "staging", "auto_merge": False, "required_contexts": [], "payload": {"a": "b"}}, 201)
ask("POST", f"/deployments/{deployment['id']}/statuses", {"state": "success", "environment_url": "https://example.net"}, 201)
ask("GET", f"/deployments/{deployment['id']}")
ask("GET", "/deployments?environment=staging")
ask("GET", f"/deployments/{deployment['id']}/statuses")
head = ask("GET", "/git/ref/heads/main")["object"]["sha"]
ask("POST", f"/statuses/{head}", {"state": "success", "context": "deploy/staging", "description": "main-a1b2c3d", "target_url": "https://example.net"}, 201)
ask("GET", "/commits/main/statuses")
ask("GET", f"/commits/{head}/status")
commit = ask("GET", f"/git/commits/{head}")
made = ask("POST", "/git/commits", {"message": "run 1", "tree": commit["tree"]["sha"], "parents": [head]}, 201)
other = ask("POST", "/git/commits", {"message": "run 2", "tree": commit["tree"]["sha"], "parents": [head]}, 201)
lock = "heads/deploy-action-lock-staging"
ask("POST", "/git/refs", {"ref": f"refs/{lock}", "sha": made["sha"]}, 201)
ask("POST", "/git/refs", {"ref": f"refs/{lock}", "sha": made["sha"]}, 422)
ask("GET", f"/git/matching-refs/heads/deploy-action")
ask("PATCH", f"/git/refs/{lock}", {"sha": other["sha"], "force": False}, 422)
ask("PATCH", f"/git/refs/{lock}", {"sha": other["sha"], "force": True})
ask("DELETE", f"/git/refs/{lock}", wanted=204)
ask("DELETE", f"/git/refs/{lock}", wanted=422)
ask("GET", f"/git/ref/{lock}", wanted=404)
run = ask("GET", "/actions/runs/7313377331")
if (run["status"], run["conclusion"]) != ("completed", "success"):
    print(f"the run that deployed dev is {run['status']}, {run['conclusion']}")
    bad += 1
ask("GET", f"/commits/{head}/check-runs?per_page=100")
ask("GET", "/code-scanning/alerts?ref=refs/heads/main")
tag = ask("GET", "/git/ref/tags/v0.9.5")["object"]
ask("GET", f"/git/tags/{tag['sha']}")
ask("GET", "/commits?sha=main&per_page=5")
ask("GET", "/commits/main")
ask("GET", "/compare/v0.9.5...main")
ask("GET", "/compare/v0.1...main", wanted=404)
ask("GET", "/actions/runs/7313377331/approvals")
ask("GET", "/tech-leads/memberships/tom", root=teams)
ask("GET", "/tech-leads/memberships/nobody", wanted=404, root=teams)
ask("GET", "/releases")
ask("GET", "/releases/tags/v0.9.5")
ask("GET", "/releases/tags/v1.0.0", wanted=404)
release = ask("POST", "/releases", {"tag_name": "v1.0.0", "body": "Changes"}, 201)
ask("POST", "/releases", {"tag_name": "v1.0.0"}, 422)
ask("PATCH", f"/releases/{release['id']}", {"body": "Changes, live"})
ask("GET", f"/releases/{release['id']}")
ask("GET", "/user", wanted=403, root="")
ask("GET", "/collaborators/paula/permission")
ask("GET", "/collaborators/nobody/permission", wanted=404)
ask("GET", "/pulls/7")
ask("GET", "/pulls/9999", wanted=404)
ask("GET", f"/commits/{head}/pulls")
issue = ask("POST", "/issues", {"title": "Release v1.0.0", "body": "text", "labels": ["release-approval"]}, 201)
here = f"/issues/{issue['number']}"
ask("GET", here)
ask("GET", "/issues/9999", wanted=404)
ask("GET", "/issues?state=open&labels=release-approval")
ask("PATCH", here, {"body": "another text"})
comment = ask("POST", f"{here}/comments", {"body": "words"}, 201)
ask("GET", f"{here}/comments?since=2026-01-01T00:00:00Z&per_page=100&page=1")
ask("GET", f"/issues/comments/{comment['id']}")
ask("GET", "/issues/comments/1", wanted=404)
ask("POST", f"/issues/comments/{comment['id']}/reactions", {"content": "+1"}, 201)
ask("POST", f"/issues/comments/{comment['id']}/reactions", {"content": "+1"})
ask("PATCH", here, {"state": "closed", "state_reason": "not_planned"})
made = ask("POST", "/git/tags", {"tag": "v2.0.0", "message": "Release v2.0.0", "object": head, "type": "commit"}, 201)
ask("POST", "/git/refs", {"ref": "refs/tags/v2.0.0", "sha": made["sha"]}, 201)
ask("POST", "/git/refs", {"ref": "refs/tags/v2.0.0", "sha": made["sha"]}, 422)
ask("POST", "/actions/workflows/ci-cd-enterprise.yml/dispatches", {"ref": "refs/tags/v2.0.0", "inputs": {"command": "deploy"}}, 204)
print(f"{checked} GitHub answers checked, {bad} bad")
sys.exit(1 if bad else 0)
