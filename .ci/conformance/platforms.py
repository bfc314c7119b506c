#!/usr/bin/env python3
"""Checks that an OCI layout's one image is for just the platforms named. usage: platforms.py FOLDER linux/amd64 linux/arm64"""
import json, pathlib, sys

folder, wanted = pathlib.Path(sys.argv[1]), sorted(sys.argv[2:])


def blob(descriptor):
    return json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/")).read_text())


index = json.loads((folder / "index.json").read_text())
while index["manifests"][0].get("mediaType", "").endswith(("image.index.v1+json", "manifest.list.v2+json")):
    index = blob(index["manifests"][0])
found = sorted(f"{m['platform']['os']}/{m['platform']['architecture']}" for m in index["manifests"])
for manifest in index["manifests"]:
    config = blob(blob(manifest)["config"])
    name = f"{config['os']}/{config['architecture']}"
    if name != f"{manifest['platform']['os']}/{manifest['platform']['architecture']}":
        sys.exit(f"the list says {manifest['platform']}, the image {name}")
    if config["config"].get("Entrypoint") != ["/deploy-action"] or config["config"].get("User"):
        sys.exit(f"{name}: entry point {config['config'].get('Entrypoint')}, user {config['config'].get('User')}")
print(f"platforms: {', '.join(found)}")
sys.exit(found != wanted and f"wanted: {', '.join(wanted)}")
