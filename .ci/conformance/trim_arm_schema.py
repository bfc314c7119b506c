#!/usr/bin/env python3
"""Trims Microsoft's JSON Schema of container groups to what src/azure/passthrough.rs reads.

usage: trim_arm_schema.py Microsoft.ContainerInstance.json > src/azure/schema/container-group-2025-09-01.json
       trim_arm_schema.py --check Microsoft.ContainerInstance.json src/azure/schema/container-group-2025-09-01.json

Template expressions and descriptions go; definitions that a container group does not reach go; cpu and memoryInGB are
numbers (Microsoft's OpenAPI), which the template schemas write as integers.
"""
import json, sys


def trim(node, key=None):
    if "oneOf" in node:
        kept = [n for n in node["oneOf"] if "expression" not in json.dumps(n)]
        assert len(kept) == 1, node
        return trim(kept[0], key)
    out = {}
    for name in ("type", "enum", "required", "$ref"):
        if name in node:
            out[name] = node[name]
    if key in ("cpu", "memoryInGB"):
        out["type"] = "number"
    if "properties" in node:
        out["properties"] = {k: trim(v, k) for k, v in node["properties"].items()}
    if isinstance(node.get("items"), dict):
        out["items"] = trim(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = trim(node["additionalProperties"])
    return out


def references(node):
    if isinstance(node, dict):
        if "$ref" in node and isinstance(node["$ref"], str):
            yield node["$ref"].rsplit("/", 1)[1]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def whole(path):
    doc = json.load(open(path))
    group = trim(doc["resourceDefinitions"]["containerGroups"])
    for name in ("apiVersion", "name", "type"):
        group["properties"].pop(name)
        group["required"].remove(name)
    definitions, todo = {}, sorted(set(references(group)))
    while todo:
        name = todo.pop()
        if name not in definitions:
            definitions[name] = trim(doc["definitions"][name])
            todo += references(definitions[name])
    comment = "From Microsoft's Azure Resource Manager schemas (azure-resource-manager-schemas), Copyright (c) Microsoft Corporation, MIT licence; trimmed."
    return {"$comment": comment, **group, "definitions": dict(sorted(definitions.items()))}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        same = whole(sys.argv[2]) == json.load(open(sys.argv[3]))
        print("the embedded schema equals Microsoft's" if same else "the embedded schema differs from Microsoft's: run this script again")
        sys.exit(not same)
    print(json.dumps(whole(sys.argv[1]), separators=(",", ":")))
