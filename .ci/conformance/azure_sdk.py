#!/usr/bin/env python3
"""Microsoft's own Python client against the sandbox: what goes in comes back, and what the Action deployed is seen.

usage: azure_sdk.py INFO.json      (INFO from `cargo sandbox serve --info`; needs PyPI azure-mgmt-containerinstance, azure-identity)
"""
import json, os, sys

info = json.load(open(sys.argv[1]))
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = info["ca"]

from azure.identity import ClientSecretCredential  # noqa: E402
from azure.mgmt.containerinstance import ContainerInstanceManagementClient  # noqa: E402
from azure.mgmt.containerinstance import models as m  # noqa: E402

base = info["urls"]["azure"]
credential = ClientSecretCredential(
    info["tenant"], info["client-id"], info["client-secret"], authority=base, disable_instance_discovery=True, connection_verify=info["ca"]
)
client = ContainerInstanceManagementClient(
    credential, info["subscription"], base_url=base, credential_scopes=[f"{base}/.default"], connection_verify=info["ca"]
)
groups = client.container_groups


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} is not {wanted!r}")
    print(f"{what}: {found!r}")


# What the Action deployed, as Microsoft's client reads it.
deployed = groups.get("dev-nextgen", "aci-dev-nextgen")
expect("the Action's instance", (deployed.provisioning_state, deployed.instance_view.state), ("Succeeded", "Running"))
expect("its version", deployed.tags["deploy-action-version"], "develop-a1b2c3d")
container = deployed.containers[0]
expect("its resources", (container.resources.requests.cpu, container.resources.requests.memory_in_gb), (1.0, 1.0))
expect("its secure variable", [(v.name, v.value, v.secure_value) for v in container.environment_variables if v.name == "DATABASE_URL"], [("DATABASE_URL", None, None)])
expect("its address", deployed.ip_address.fqdn, "aci-dev-nextgen.westeurope.azurecontainer.io")

# What goes in comes back.
wanted = m.ContainerGroup(
    location=info["location"], os_type="Linux", restart_policy="OnFailure", tags={"a": "b"},
    containers=[m.Container(
        name="probe", image="nginx:1", command=["nginx", "-g", "daemon off;"], ports=[m.ContainerPort(port=8080, protocol="TCP")],
        environment_variables=[m.EnvironmentVariable(name="X", value="y")],
        resources=m.ResourceRequirements(requests=m.ResourceRequests(cpu=0.5, memory_in_gb=1.5)),
        liveness_probe=m.ContainerProbe(http_get=m.ContainerHttpGet(path="/x", port=8080), period_seconds=7),
        volume_mounts=[m.VolumeMount(name="v", mount_path="/v")],
    )],
    ip_address=m.IpAddress(type="Public", ports=[m.Port(port=8080)], dns_name_label="probe"),
    volumes=[m.Volume(name="v", empty_dir={})],
)
made = groups.begin_create_or_update("dev-nextgen", "sdk-probe", wanted).result()
read = groups.get("dev-nextgen", "sdk-probe")
for which, group in (("made", made), ("read", read)):
    c = group.containers[0]
    expect(
        f"{which}: what went in",
        (group.restart_policy, group.tags, c.image, c.command, c.ports[0].port, c.environment_variables[0].value, c.resources.requests.cpu,
         c.resources.requests.memory_in_gb, c.liveness_probe.http_get.path, c.liveness_probe.period_seconds, c.volume_mounts[0].mount_path),
        ("OnFailure", {"a": "b"}, "nginx:1", ["nginx", "-g", "daemon off;"], 8080, "y", 0.5, 1.5, "/x", 7, "/v"),
    )
expect("listed", sorted(g.name for g in groups.list_by_resource_group("dev-nextgen")), ["aci-dev-nextgen", "sdk-probe"])
expect("its log", client.containers.list_logs("dev-nextgen", "sdk-probe", "probe", tail=1).content.startswith("listening on"), True)
groups.begin_delete("dev-nextgen", "sdk-probe").result()
expect("after the delete", sorted(g.name for g in groups.list() if "/dev-nextgen/" in g.id), ["aci-dev-nextgen"])
