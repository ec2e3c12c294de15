"""Manifests: by Kubernetes' own schemas, under the strictest of its pod security standards."""

import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml

from tests.deploy.files import MANIFESTS, OVERLAYS, containers, documents

VERSION = "1.35"
RAW = [path for path in MANIFESTS if path.name not in {"kustomization.yaml", "two.yaml"}]


@pytest.fixture(params=OVERLAYS, ids=lambda path: path.name)
def rendered(request):
    """What an overlay comes to, by kind and name."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        # Skipped in CI too: no registry that it uses has a release younger than 1.20.
        pytest.skip("kubectl is missing; see kubernetes.io for a release not older than 1.27")
    done = subprocess.run(
        [kubectl, "kustomize", request.param], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def workload(parts):
    """The coordinators, among what was made."""
    return parts["StatefulSet", "veilsum-coordinator"]


def pod(parts):
    """What one of them is made of."""
    return workload(parts)["spec"]["template"]["spec"]


@pytest.mark.parametrize("path", RAW, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_manifest_is_what_kubernetes_reads(path) -> None:
    """With no field that it does not know; what a kustomization adds is added before."""
    for document in documents(path):
        if document["kind"] == "StatefulSet":
            document["spec"]["selector"] = {"matchLabels": {}}
        kubernetes_validate.validate(document, VERSION, strict=True)


def test_each_overlay_is_what_kubernetes_reads(rendered) -> None:
    """All of it together, as it would be applied."""
    for document in rendered.values():
        kubernetes_validate.validate(document, VERSION, strict=True)


def test_the_schema_would_find_a_misspelt_field(rendered) -> None:
    """A field that is ignored protects nobody."""
    pod(rendered)["automountServiceAcountToken"] = False

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(workload(rendered), VERSION, strict=True)


def test_pods_meet_the_restricted_standard(rendered) -> None:
    """Which the namespace also enforces."""
    parts, labels = rendered, rendered["Namespace", "veilsum"]["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod(parts)["securityContext"]["runAsNonRoot"] is True
    assert pod(parts)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod(parts).keys() & {"hostNetwork", "hostPID", "hostIPC"}
    for container in containers(workload(parts)):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["resources"]["limits"]["memory"]
    assert all("hostPath" not in volume for volume in pod(parts)["volumes"])


def test_nothing_of_the_cluster_gets_into_the_process(rendered) -> None:
    """Neither a token, nor variables that look like settings and are refused."""
    assert pod(rendered)["automountServiceAccountToken"] is False
    assert pod(rendered)["enableServiceLinks"] is False


def test_keys_are_the_processs_own_when_it_reads_them(rendered) -> None:
    """Secrets are mounted readable by a group; a copy in memory is not."""
    (copy,) = pod(rendered)["initContainers"]
    volumes = {volume["name"]: volume for volume in pod(rendered)["volumes"]}
    mounted = {mount["name"] for mount in pod(rendered)["containers"][0]["volumeMounts"]}

    assert "install -m 0600" in copy["command"][-1]
    assert volumes["run"]["emptyDir"]["medium"] == "Memory"
    assert "secrets" not in mounted
    assert pod(rendered)["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_a_process_is_asked_apart_whether_it_lives_and_whether_it_serves(rendered) -> None:
    """Over gRPC at `listen.health`; one that waits for its database is not started anew."""
    (container,) = pod(rendered)["containers"]
    two = workload(rendered)["spec"]["replicas"] == 2

    assert container["livenessProbe"]["grpc"] == {"port": 8081, "service": "liveness"}
    # A standby serves nothing, and is ready to: an update would wait for it for ever.
    wanted = "liveness" if two else "readiness"
    assert container["readinessProbe"]["grpc"] == {"port": 8081, "service": wanted}


def test_two_coordinators_have_an_address_each_and_move_one_at_a_time(rendered) -> None:
    """Members know both; a node is emptied while the other leads."""
    if workload(rendered)["spec"]["replicas"] == 1:
        assert not [kind for kind, _ in rendered if kind == "PodDisruptionBudget"]
        return
    budget = rendered["PodDisruptionBudget", "veilsum-coordinator"]["spec"]
    addressed = {
        service["spec"]["selector"].get("statefulset.kubernetes.io/pod-name")
        for (kind, _), service in rendered.items()
        if kind == "Service" and service["spec"]["type"] == "LoadBalancer"
    }

    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= (
        workload(rendered)["spec"]["template"]["metadata"]["labels"].items()
    )
    assert addressed == {"veilsum-coordinator-0", "veilsum-coordinator-1"}


def test_the_network_is_closed_but_for_what_is_named(rendered) -> None:
    """Members come in at two ports; the database, the store and names are reached."""
    policy = rendered["NetworkPolicy", "veilsum-coordinator"]["spec"]
    inwards = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    outwards = {port["port"] for rule in policy["egress"] for port in rule["ports"]}

    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert inwards == ["members", "joining", "metrics"]
    assert outwards == {53, 5432, 443}


def test_selectors_find_what_they_are_for(rendered) -> None:
    """A label that differs by a letter selects nothing, silently."""
    labels = workload(rendered)["spec"]["template"]["metadata"]["labels"]
    policy = rendered["NetworkPolicy", "veilsum-coordinator"]["spec"]
    ports = {port["name"] for port in pod(rendered)["containers"][0]["ports"]}

    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    for (kind, _), service in rendered.items():
        if kind == "Service":
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
