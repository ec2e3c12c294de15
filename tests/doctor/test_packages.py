"""What is installed beside what was tested."""

from veilsum.doctor.finding import Level
from veilsum.doctor.packages import check_packages, locked_versions, needed

LOCKED = {"grpcio": "1.85.1", "numpy": "2.4.6"}


def with_needed(**others):
    return dict.fromkeys(needed(), "1") | LOCKED | others


def test_what_is_locked_is_well():
    found = check_packages(LOCKED, with_needed())

    assert found.level is Level.OK
    assert "2 packages, all as locked" in found.found


def test_another_version_is_named_with_the_one_that_was_tested():
    """Old releases have broken overnight by a newer protobuf."""
    found = check_packages(LOCKED, with_needed(grpcio="1.90.0"))

    assert found.level is Level.WARNING
    assert "grpcio 1.90.0 (lock: 1.85.1)" in found.found


def test_a_build_for_a_processor_is_the_same_version():
    assert check_packages({"torch": "2.13.0+cpu"}, with_needed(torch="2.13.0")).level is Level.OK


def test_a_missing_package_is_a_problem():
    installed = with_needed()
    del installed["msgspec"]

    found = check_packages(LOCKED, installed)

    assert found.level is Level.PROBLEM
    assert "missing: msgspec" in found.found


def test_the_lock_file_is_found():
    assert locked_versions()["grpcio"]
