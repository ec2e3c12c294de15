"""The engine that the settings name, or the reason why there is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.adapters.engines import engines
from coordinator.adapters.engines.cluster import RayCluster
from coordinator.adapters.engines.engines import engine_of
from coordinator.adapters.engines.processes import LocalProcesses
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.objects.objects_at import objects_at
from coordinator.config import EngineSettings
from privacy.errors import ConfigError
from tests import fakes


@pytest.fixture
def objects(tmp_path):
    return open_objects(tmp_path / "objects")


@pytest.fixture
def bucket():
    return objects_at("s3://bucket/federation")


@pytest.fixture
def settings(tmp_path):
    engine = EngineSettings("ray", socket=tmp_path / "driver.sock")
    return replace(fakes.make_settings(), engine=engine)


def test_without_a_word_worker_processes_add_up(objects):
    assert isinstance(engine_of(fakes.make_settings(), objects), LocalProcesses)


def test_there_are_as_many_processes_as_the_settings_say(objects):
    settings = replace(fakes.make_settings(), engine=EngineSettings(processes=3))

    assert engine_of(settings, objects)._processes == 3


def test_a_cluster_that_is_away_at_the_start_is_asked_again_by_a_fold(bucket, settings):
    assert isinstance(engine_of(settings, bucket), RayCluster)


def test_a_driver_that_must_not_be_used_stops_the_start(bucket, settings, monkeypatch):
    def refuse(_):
        raise ConfigError("engine.socket: runs under account 0")

    monkeypatch.setattr(engines, "connect", refuse)

    with pytest.raises(ConfigError, match="account 0"):
        engine_of(settings, bucket)


def test_a_cluster_adds_no_folder(objects, settings):
    """It has an account of its own, and what lies in the folder is for ours alone."""
    with pytest.raises(ConfigError, match="set objects to a bucket"):
        engine_of(settings, objects)


def test_what_an_engine_deletes_is_deleted_in_the_store_that_it_was_given(bucket, settings):
    """Which asks the lease first. Workers are told its address, and only read and add."""
    made = engine_of(settings, bucket)

    assert made._objects is bucket
    assert made._spare._objects is bucket


@pytest.mark.parametrize(
    "said",
    [
        {"socket": Path("driver.sock")},
        {"kind": "ray"},
        {"kind": "ray", "socket": Path("driver.sock"), "processes": 2},
    ],
    ids=str,
)
def test_settings_that_contradict_each_other_are_refused(said):
    """Nobody believes to use a cluster that is not used."""
    with pytest.raises(ConfigError, match=r"engine\."):
        EngineSettings(**said)


def test_whoever_does_not_choose_ray_does_not_wait_for_it():
    """It takes a second to import, and starts threads."""
    said = "import sys, coordinator.build; print('ray' in sys.modules)"

    ended = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)

    assert ended.stdout == "False\n"
