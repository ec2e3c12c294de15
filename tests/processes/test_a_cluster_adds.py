"""A cluster that is away when it is needed comes back, and adds up a round of real sites."""

import os
from collections.abc import Iterator

import msgspec
import pytest
import tomlkit

from coordinator.rounds.state import Phase
from tests.clusters import Cluster, cluster
from tests.processes.federation import Federation, federation
from tests.s3 import Server

pytestmark = [
    pytest.mark.deep,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a cluster another account"),
]

SITES = ("site-a", "site-b", "site-c")


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory, s3_server: Server) -> Iterator[Federation]:
    with (
        cluster(s3=s3_server.access()) as ray,
        federation(tmp_path_factory.mktemp("cluster"), SITES, wanted=1, quorum=3) as made,
    ):
        _use(made, ray, s3_server)
        ray.kill()
        made.start_coordinator(double="eager_coordinator")
        for name in SITES:
            made.start_site(name)
        made.wait_for_phase(1, Phase.AGGREGATING)
        made.wait_for_log("coordinator", "will_retry", code="fold_interrupted")
        ray.start()
        made.run_to_the_end()
        yield made


def _use(made: Federation, ray: Cluster, s3: Server) -> None:
    access = msgspec.to_builtins(s3.access(), enc_hook=str)
    path = made.places.coordinator / "coordinator.toml"
    settings = tomlkit.parse(path.read_text())
    settings["objects"] = f"s3://{s3.fresh_bucket()}/federation"
    settings["s3"] = {name: value for name, value in access.items() if value is not None}
    settings["engine"] = {"kind": "ray", "socket": str(ray.socket)}
    path.write_text(tomlkit.dumps(settings))


def test_the_coordinator_starts_and_waits_while_its_cluster_is_away(added: Federation) -> None:
    """Sites are served meanwhile; the operator reads that nobody answers there."""
    assert added.log("coordinator", "cluster_away")
    (first, *_) = added.log("coordinator", "will_retry")
    assert "no cluster's driver answers" in str(first["reason"])


def test_the_sum_that_a_cluster_made_is_that_of_the_updates(added: Federation) -> None:
    """To the last integer, at every opener."""
    assert added.log("coordinator", "cluster_joined")
    assert added.cohort(1) == SITES
    assert added.difference(1) == {0}
