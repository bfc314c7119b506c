#!/usr/bin/env python3
"""Microsoft's own Python client for Traffic Manager against the sandbox: what goes in comes back, what is seeded is seen.

usage: azure_traffic_manager.py INFO.json      (INFO from `cargo sandbox serve --scenario staging --info`; needs PyPI
azure-mgmt-trafficmanager, azure-identity)
"""
import json, os, sys

info = json.load(open(sys.argv[1]))
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = info["ca"]

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError  # noqa: E402
from azure.identity import ClientSecretCredential  # noqa: E402
from azure.mgmt.trafficmanager import TrafficManagerManagementClient  # noqa: E402
from azure.mgmt.trafficmanager import models as m  # noqa: E402

base = info["urls"]["azure"]
credential = ClientSecretCredential(
    info["tenant"], info["client-id"], info["client-secret"], authority=base, disable_instance_discovery=True, connection_verify=info["ca"]
)
client = TrafficManagerManagementClient(
    credential, info["subscription"], base_url=base, credential_scopes=[f"{base}/.default"], connection_verify=info["ca"]
)
profiles, endpoints = client.profiles, client.endpoints
GROUP = "staging-nextgen"


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} is not {wanted!r}")
    print(f"{what}: {found!r}")


def refused(what, code, word, call):
    try:
        call()
    except HttpResponseError as error:
        expect(what, (error.status_code, word in str(error)), (code, True))
    else:
        sys.exit(f"{what}: it was taken")


def plain(thing):
    """An answer as a dictionary: every field, read-only ones too."""
    return json.loads(json.dumps(thing.as_dict()))


# What is there, as Microsoft's client reads it.
seeded = profiles.get(GROUP, "tm-staging")
p = seeded.properties
expect("it", (seeded.name, seeded.type, seeded.location), ("tm-staging", "Microsoft.Network/trafficManagerProfiles", "global"))
expect("how it routes", (p.traffic_routing_method, p.profile_status), ("Weighted", "Enabled"))
expect("its name", (p.dns_config.relative_name, p.dns_config.fqdn, p.dns_config.ttl), ("nextgen-staging", "nextgen-staging.trafficmanager.net", 10))
c = p.monitor_config
expect(
    "its monitor",
    (c.protocol, c.port, c.path, c.interval_in_seconds, c.timeout_in_seconds, c.tolerated_number_of_failures),
    ("HTTP", 3000, "/health", 10, 5, 1),
)
expect("its status", c.profile_monitor_status in ("CheckingEndpoints", "Online"), True)
expect(
    "its endpoints",
    [(e.name, e.type, e.properties.target, e.properties.weight, e.properties.endpoint_status) for e in p.endpoints],
    [
        ("blue-endpoint", "Microsoft.Network/trafficManagerProfiles/externalEndpoints", "aci-staging-blue.westeurope.azurecontainer.io", 100, "Enabled"),
        ("green-endpoint", "Microsoft.Network/trafficManagerProfiles/externalEndpoints", "aci-staging-green.westeurope.azurecontainer.io", 100, "Disabled"),
    ],
)
expect("the disabled one", p.endpoints[1].properties.endpoint_monitor_status, "Disabled")
expect("its id", seeded.id.endswith(f"/resourceGroups/{GROUP}/providers/Microsoft.Network/trafficManagerProfiles/tm-staging"), True)

# A switch in one request: the whole document as read, with the endpoints' statuses changed; and back.
for live in ("green-endpoint", "blue-endpoint"):
    document = profiles.get(GROUP, "tm-staging")
    for endpoint in document.properties.endpoints:
        endpoint.properties.endpoint_status = "Enabled" if endpoint.name == live else "Disabled"
    answer = profiles.create_or_update(GROUP, "tm-staging", document)
    states = {e.name: e.properties.endpoint_status for e in answer.properties.endpoints}
    expect(f"{live} alone is enabled", [name for name, state in states.items() if state == "Enabled"], [live])
    status = next(e for e in answer.properties.endpoints if e.name == live).properties.endpoint_monitor_status
    expect("it is being checked", status, "CheckingEndpoint")

# What goes in comes back, every writable field of it.
wanted = m.Profile(
    location="global", tags={"a": "b"},
    properties=m.ProfileProperties(
        profile_status="Enabled", traffic_routing_method="Priority", max_return=2, traffic_view_enrollment_status="Disabled",
        dns_config=m.DnsConfig(relative_name="sdk-probe", ttl=0),
        monitor_config=m.MonitorConfig(
            protocol="HTTPS", port=443, path="/up", interval_in_seconds=30, timeout_in_seconds=10, tolerated_number_of_failures=9,
            custom_headers=[m.MonitorConfigCustomHeadersItem(name="host", value="example.net")],
            expected_status_code_ranges=[m.MonitorConfigExpectedStatusCodeRangesItem(min=200, max=204)],
        ),
        endpoints=[
            m.Endpoint(name="one", type="Microsoft.Network/trafficManagerProfiles/ExternalEndpoints", properties=m.EndpointProperties(
                target="one.example.net", endpoint_status="Enabled", weight=1000, priority=7, endpoint_location="West Europe", always_serve="Enabled",
                custom_headers=[m.EndpointPropertiesCustomHeadersItem(name="x", value="y")], geo_mapping=["GEO-EU"],
                subnets=[m.EndpointPropertiesSubnetsItem(first="10.0.0.0", scope=8)],
            )),
            m.Endpoint(name="two", type="Microsoft.Network/trafficManagerProfiles/azureEndpoints", properties=m.EndpointProperties(
                target_resource_id=f"/subscriptions/{info['subscription']}/resourceGroups/{GROUP}/providers/Microsoft.Network/publicIPAddresses/ip",
            )),
        ],
    ),
)
made = profiles.create_or_update(GROUP, "sdk-probe", wanted)
read = profiles.get(GROUP, "SDK-PROBE")
expect("made and read are the same", plain(made), plain(read))
REPORTED = {"id", "fqdn", "profileMonitorStatus", "endpointMonitorStatus"}


def lacks(sent, got, where=""):
    """What was sent and did not come back as it was."""
    if isinstance(sent, dict):
        return [x for k, v in sent.items() if k not in REPORTED for x in lacks(v, got.get(k) if isinstance(got, dict) else None, f"{where}/{k}")]
    if isinstance(sent, list):
        return [x for n, v in enumerate(sent) for x in lacks(v, got[n] if isinstance(got, list) and n < len(got) else None, f"{where}/{n}")]
    same = sent == got or (where.endswith("/type") and str(sent).lower() == str(got).lower())
    return [] if same else [f"{where}: {sent!r} became {got!r}"]


expect("lost on the way", lacks(plain(wanted), plain(read)), [])
expect("an endpoint that always serves", read.properties.endpoints[0].properties.endpoint_monitor_status, "Unmonitored")
expect("a priority is given", read.properties.endpoints[1].properties.priority, 1)
expect("listed", sorted(x.name for x in profiles.list_by_resource_group(GROUP)), ["sdk-probe", "tm-staging"])
expect("listed in the subscription", sorted(x.name for x in profiles.list_by_subscription()), ["sdk-probe", "tm-staging"])

# Updates: tags and settings of the profile by PATCH, endpoints by PUT, an endpoint's properties by PATCH.
patched = profiles.update(GROUP, "sdk-probe", m.Profile(tags={"c": "d"}, properties=m.ProfileProperties(dns_config=m.DnsConfig(ttl=30))))
expect("patched", (patched.tags, patched.properties.dns_config.ttl, patched.properties.dns_config.relative_name), ({"c": "d"}, 30, "sdk-probe"))
refused("endpoints by PATCH", 400, "use PUT", lambda: profiles.update(GROUP, "sdk-probe", m.Profile(properties=m.ProfileProperties(endpoints=[]))))
one = endpoints.update(GROUP, "sdk-probe", "ExternalEndpoints", "one", m.Endpoint(properties=m.EndpointProperties(weight=3)))
expect("an endpoint, patched", (one.properties.weight, one.properties.target, one.properties.priority), (3, "one.example.net", 7))
three = endpoints.create_or_update(
    GROUP, "sdk-probe", "ExternalEndpoints", "three", m.Endpoint(properties=m.EndpointProperties(target="three.example.net"))
)
expect("an endpoint, made", (three.properties.endpoint_status, three.properties.weight, three.properties.priority), ("Enabled", 1, 2))
expect("read alone", plain(endpoints.get(GROUP, "sdk-probe", "ExternalEndpoints", "three")), plain(three))
endpoints.delete(GROUP, "sdk-probe", "ExternalEndpoints", "three")
try:
    endpoints.get(GROUP, "sdk-probe", "ExternalEndpoints", "three")
except ResourceNotFoundError as error:
    expect("deleted", error.error.code, "ResourceNotFound")
else:
    sys.exit("the endpoint is still there")


# What Azure refuses.
def with_change(change):
    document = profiles.get(GROUP, "sdk-probe")
    change(document.properties)
    return lambda: profiles.create_or_update(GROUP, "sdk-probe", document)


refused("a weight of 0", 400, "from 1 to 1000", with_change(lambda p: setattr(p.endpoints[0].properties, "weight", 0)))
refused("an interval of 20 s", 400, "10 or 30", with_change(lambda p: setattr(p.monitor_config, "interval_in_seconds", 20)))
refused("10 s of patience every 10 s", 400, "from 5 to 9", with_change(lambda p: setattr(p.monitor_config, "interval_in_seconds", 10)))
refused("somebody else's DNS name", 409, "already exists", with_change(lambda p: setattr(p.dns_config, "relative_name", "nextgen-staging")))
for call in (profiles.check_traffic_manager_relative_dns_name_availability, profiles.check_traffic_manager_name_availability_v2):
    for name, free in (("sdk-probe", False), ("nobodys", True)):
        ask = m.CheckTrafficManagerRelativeDnsNameAvailabilityParameters(name=name, type="microsoft.network/trafficmanagerprofiles")
        expect(f"whether {name} is free", call(ask).name_available, free)

profiles.delete(GROUP, "sdk-probe")
profiles.delete(GROUP, "sdk-probe")
expect("after the delete", [x.name for x in profiles.list_by_resource_group(GROUP)], ["tm-staging"])
