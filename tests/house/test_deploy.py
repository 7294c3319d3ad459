"""The manifests hold together, and say what the programs understand."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from primus_lens import settings
from primus_lens.cli import main

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
OBJECTS = [(path, each) for path in FILES for each in yaml.safe_load_all(path.read_text())]
API_OF = {
    "Namespace": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}


def of_kind(kind):
    """Every object of a kind."""
    return [each for _, each in OBJECTS if each["kind"] == kind]


def pod_templates():
    """Every pod template with its metadata."""
    return [each["spec"]["template"] for each in of_kind("Deployment") + of_kind("Job")]


def containers():
    """Every container of every pod."""
    return [each for template in pod_templates() for each in template["spec"]["containers"]]


def test_objects_are_of_known_kinds_and_named():
    """Each object has the API version of its kind and a name that a DNS label can be."""
    assert OBJECTS
    for _, each in OBJECTS:
        assert each["apiVersion"] == API_OF[each["kind"]]
        assert each["metadata"]["name"].replace("-", "").isalnum()


def test_no_object_is_there_twice():
    """Kind, namespace and name are one object's alone."""
    keys = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for _, each in OBJECTS
    ]
    assert len(set(keys)) == len(keys)


def test_deployment_selects_its_own_pods():
    """What a Deployment looks for is what its template says."""
    for each in of_kind("Deployment"):
        selector, template = each["spec"]["selector"]["matchLabels"], each["spec"]["template"]
        assert selector.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("service", of_kind("Service"), ids=lambda each: each["metadata"]["name"])
def test_service_leads_to_a_port_of_one_deployment(service):
    """A Service finds pods, and each of them has the port it names."""
    found = [
        template
        for template in pod_templates()
        if service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    ]
    assert len(found) == 1
    ports = {port["name"] for each in found[0]["spec"]["containers"] for port in each["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_network_policy_names_pods_and_ports_that_are_there():
    """A policy for nobody would protect nobody."""
    for policy in of_kind("NetworkPolicy"):
        selector = policy["spec"]["podSelector"]["matchLabels"]
        found = [t for t in pod_templates() if selector.items() <= t["metadata"]["labels"].items()]
        assert found
        named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        offered = {p["name"] for t in found for c in t["spec"]["containers"] for p in c["ports"]}
        assert named <= offered


def test_mounted_volumes_are_declared():
    """Each mount has its volume and each volume its mount."""
    for template in pod_templates():
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        mounts = {m["name"] for c in template["spec"]["containers"] for m in c["volumeMounts"]}
        assert volumes == mounts


def test_configuration_is_one_the_server_reads(tmp_path):
    """The ConfigMap's file is a configuration, for the ports that the containers open."""
    [config_map] = of_kind("ConfigMap")
    path = tmp_path / "config.yaml"
    path.write_text(config_map["data"]["config.yaml"])
    read = settings.load(path, {"DB_PASSWORD": "secret"})
    assert read.database.password == "secret"  # noqa: S105 - the variable of the manifest
    opened = {port["containerPort"] for each in containers() for port in each.get("ports", [])}
    assert opened == {read.server.port, read.metrics.prometheus.port}


def test_arguments_are_the_commands_own():
    """The words a container passes are options that `primus-lens` has."""
    served = [each["args"] for each in containers() if "args" in each]
    assert served
    for words in served:
        done = CliRunner().invoke(main, [*words, "--help"])
        assert done.exit_code == 0, done.output
        assert all(word in done.output for word in words if word.startswith("--"))


def test_the_exporter_is_told_only_what_it_reads():
    """Each variable of the training job is one that the configuration page explains."""
    told = [
        each["name"]
        for each in of_kind("Job")[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    ]
    text = (ROOT / "docs" / "configuration.md").read_text()
    assert told
    assert [name for name in told if f"`{name}`" not in text] == []


def test_server_pods_are_unprivileged():
    """A server needs neither root, nor capabilities, nor a writable root, nor the cluster's API."""
    for each in of_kind("Deployment"):
        pod = each["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
