#!/usr/bin/env python3
"""Checks recorded PATCHes of container groups with the model that Microsoft's Python client sends (Resource: tags alone may
change that way), and with Azure's limits for tags.

usage: tag_patches.py REQUESTS.jsonl      (needs the PyPI package azure-mgmt-containerinstance)
"""
import json, re, sys

from azure.mgmt.containerinstance._serialization import Deserializer, Serializer
from azure.mgmt.containerinstance.models import Resource

# Azure, "Use tags to organize your Azure resources": limits.
TAGS, NAME, VALUE, FORBIDDEN = 50, 512, 256, re.compile(r"[<>%&\\?/]")


def main(requests):
    models = {"Resource": Resource}
    checked, bad = 0, 0
    for number, line in enumerate(open(requests), 1):
        request = json.loads(line)
        if request["service"] != "azure" or request["method"] != "PATCH" or "/containerGroups/" not in request["path"]:
            continue
        body, errors = request["body"], []
        again = Serializer(models).body(Deserializer(models)("Resource", body), "Resource")
        if again != body:
            errors.append(f"the client would send {json.dumps(again)[:300]}")
        if set(body) != {"tags"}:
            errors.append(f"only tags change by a PATCH: {sorted(body)}")
        tags = body.get("tags", {})
        if len(tags) > TAGS:
            errors.append(f"{len(tags)} tags")
        errors += [f"tag {name}" for name, value in tags.items() if len(name) > NAME or len(value) > VALUE or FORBIDDEN.search(name)]
        for error in errors:
            print(f"line {number}: {error}")
        checked, bad = checked + 1, bad + bool(errors)
    print(f"{checked} tag patches checked, {bad} bad")
    return 1 if bad or not checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
