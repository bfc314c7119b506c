#!/usr/bin/env python3
"""Checks recorded Slack messages with slack_sdk's own models of Block Kit, which know Slack's limits.

usage: slack_messages.py REQUESTS.jsonl      (needs the PyPI package slack-sdk)
"""
import json, sys

from slack_sdk.models.blocks import Block


def main(requests):
    checked, bad = 0, 0
    for number, line in enumerate(open(requests), 1):
        request = json.loads(line)
        if request["service"] != "slack" or not isinstance(request.get("body"), dict):
            continue
        body = request["body"]
        errors = []
        if not body.get("text"):
            errors.append("no fallback text")
        blocks = Block.parse_all(body.get("blocks", []))
        if len(blocks) != len(body.get("blocks", [])) or not blocks or len(blocks) > 50:
            errors.append("blocks that Slack does not know, none, or more than 50")
        for block in blocks:
            try:
                block.validate_json()
            except Exception as error:  # slack_sdk raises SlackObjectFormationError
                errors.append(str(error))
        # What slack_sdk reads and writes again must be what was sent: nothing was dropped as unknown.
        for sent, read in zip(body.get("blocks", []), blocks):
            again = read.to_dict()
            if {k: v for k, v in sent.items()} != {k: again.get(k) for k in sent}:
                errors.append(f"slack_sdk reads a block otherwise: {json.dumps(again)[:200]}")
        for error in errors:
            print(f"line {number}: {error}")
        checked, bad = checked + 1, bad + bool(errors)
    print(f"{checked} Slack messages checked, {bad} bad")
    return 1 if bad or not checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
