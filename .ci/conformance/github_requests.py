#!/usr/bin/env python3
"""Checks recorded GitHub requests against GitHub's own OpenAPI description.

usage: github_requests.py REQUESTS.jsonl OPENAPI.json      (needs the PyPI package jsonschema)
Each line: {"service", "method", "path", "body", ...}. Exit status 1 when a request has no such operation, an invalid body or
an unknown query parameter, or when nothing was checked.
"""
import json, re, sys
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator


def resolve(node, doc):
    while isinstance(node, dict) and "$ref" in node:
        target = doc
        for part in node["$ref"].lstrip("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def plain(schema, doc):
    """OpenAPI 3.0's schema as JSON Schema: references put in, `nullable` as a type."""
    schema = resolve(schema, doc)
    if isinstance(schema, list):
        return [plain(s, doc) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: plain(v, doc) if isinstance(v, (dict, list)) and k not in ("enum", "example", "examples", "default", "required") else v for k, v in schema.items()}
    if out.pop("nullable", False) and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
        if "enum" in out:
            out["enum"] = [*out["enum"], None]
    return out


def operation(doc, method, path):
    best = None
    for template, item in doc["paths"].items():
        # A git reference has slashes in it: heads/main.
        template_ref = re.sub(r"(/git/[^{]*)\{ref\}$", r"\1{+ref}", template)
        pattern = "^" + re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template_ref).replace(r"\{\+ref\}", ".+")) + "$"
        if re.match(pattern, path) and method.lower() in item:
            if best is None or template.count("{") < best[0].count("{"):
                best = (template, item)
    return best


def main(requests, openapi):
    doc = json.load(open(openapi))
    checked, bad = 0, 0
    for number, line in enumerate(open(requests), 1):
        request = json.loads(line)
        if request["service"] != "github":
            continue
        url = urlsplit(request["path"])
        found = operation(doc, request["method"], url.path)
        if not found:
            print(f"line {number}: GitHub has no {request['method']} {url.path}")
            bad += 1
            continue
        template, item = found
        op = item[request["method"].lower()]
        parameters = [resolve(p, doc) for p in [*item.get("parameters", []), *op.get("parameters", [])]]
        known = {p["name"] for p in parameters if p["in"] == "query"}
        errors = [f"unknown query parameter {name}" for name, _ in parse_qsl(url.query) if name not in known]
        if request.get("body") is not None:
            content = resolve(op.get("requestBody", {}), doc).get("content", {}).get("application/json")
            if not content:
                errors.append("this operation takes no body")
            else:
                schema = plain(content["schema"], doc)
                errors += [f"{'/'.join(map(str, e.absolute_path)) or '.'}: {e.message[:160]}" for e in Draft202012Validator(schema).iter_errors(request["body"])]
                unknown = set(request["body"]) - set(schema.get("properties", {}))
                # Kept by GitHub since its preview, and documented in its REST reference.
                errors += [f"unknown property {name}" for name in sorted(unknown - {"auto_inactive"})]
        for error in errors:
            print(f"line {number}: {request['method']} {template}: {error}")
        checked, bad = checked + 1, bad + bool(errors)
    print(f"{checked} GitHub requests checked, {bad} bad")
    return 1 if bad or not checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
