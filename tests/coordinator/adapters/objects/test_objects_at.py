"""A store by its address: the same one from any machine, and no credential in the address."""

import sys

import pytest

from coordinator.adapters.objects.objects_at import objects_at, open_objects_at
from coordinator.config import S3Access
from privacy.errors import ConfigError, MissingDependency

ADDRESSES = ["objects", "./objects", "", "s3:/bucket", "s3://", "s3://B/x", "s3://a", "s3://-ab-/x",
             "https://host/bucket", "s3://key:secret@bucket/x", "s3://bucket/a b", "s3://bucket/../x",
             "s3://bucket/A", "gs://bucket/x"]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("open_at", [objects_at, open_objects_at])
def test_what_is_no_address_is_refused(open_at, address):
    with pytest.raises(ConfigError, match=r"objects: .* is not /folder, nor s3://bucket/prefix"):
        open_at(address)


def test_who_works_beside_a_coordinator_clears_nothing_away(tmp_path):
    """A worker that opened the store as its owner would delete what others are writing."""
    part = tmp_path / "a" / ".part-0"
    part.parent.mkdir()
    part.write_bytes(b"half")

    objects_at(str(tmp_path))
    before = part.exists()
    open_objects_at(str(tmp_path))

    assert before
    assert not part.exists()


def test_a_bucket_without_the_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr("coordinator.adapters.objects.objects_at.find_spec", lambda _: None)

    with pytest.raises(MissingDependency, match="extra `s3`"):
        objects_at("s3://bucket/x")


def test_a_folder_needs_no_package_for_buckets(tmp_path):
    """Most coordinators have one machine and one disk."""
    import subprocess  # noqa: PLC0415

    program = (
        "import sys; from coordinator.adapters.objects.objects_at import objects_at\n"
        f"objects_at({str(tmp_path)!r}); sys.exit('obstore' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("missing", ["access_key", "secret_key"])
def test_half_a_credential_is_refused(tmp_path, missing):
    """With one file missing, others' credentials from the environment would be taken instead."""
    files = {"access_key": tmp_path / "a", "secret_key": tmp_path / "b"}

    with pytest.raises(ConfigError, match="set both, or neither"):
        S3Access(**(files | {missing: None}))
