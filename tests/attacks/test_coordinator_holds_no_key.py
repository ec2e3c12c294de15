"""Whoever takes the coordinator, its disk or its memory finds nothing that opens anything.

A real round runs over real processes. While it is open, and again when its model is
released, the coordinator's files and its writable memory are searched for the round's
secret, the sites' private keys, an update and the new model. The same search finds
them where they are.
"""

import base64
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from coordinator.adapters.objects.files import open_objects
from coordinator.object_names import public_key, sealed_secret
from coordinator.rounds.state import Phase, Round
from participant.keys import SiteKeys, load_keys
from participant.memory import Memory
from participant.model.models import FOLDER, Models
from participant.opening import keying
from privacy.records import KeyRecord
from privacy.schemes import ckks, ring
from tests.attacks.process_memory import Pieces, found_in_files, found_in_memory, pieces
from tests.processes.federation import Federation, federation
from veilsum.demo.witness import noted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
HOLDER = """
import sys
held = sys.stdin.buffer.read(int(sys.argv[1]))
print("held", flush=True)
sys.stdin.buffer.read()
"""


@dataclass
class Search:
    """What was looked for at the coordinator, and what of it was found where."""

    secrets: Pieces
    in_memory: set[str]
    in_files: set[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("keys"), SITES, wanted=2) as made:
        made.start_coordinator()
        made.start_site("site-a")
        made.start_site("site-b")
        made.start_site("site-c", "send.after_chunk:1=pause")
        made.wait_for_committed(1, "site-a", "site-b")
        made.wait_for("a durable chunk", lambda: made.observer.durable_chunks(1, "site-c") > 0)
        yield made


@pytest.fixture(scope="module")
def while_open(made: Federation) -> Search:
    """The round has its key, two contributions and a part of the third."""
    assert _round(made).phase is Phase.OPEN
    return _search(made, {**_cohort_secret(made), **_site_keys(made)})


@pytest.fixture(scope="module")
def when_released(made: Federation, while_open: Search, controls: Mapping[str, set[str]]) -> Search:
    """The sum was opened, and the model sealed and agreed on."""
    made.kill("site-c")
    made.wait_for_phase(1, Phase.DONE)
    made.wait_for("adoption", lambda: made.newest_release("site-a") is not None)
    return _search(made, {**while_open.secrets, **_results(made)})


@pytest.fixture(scope="module")
def controls(made: Federation, while_open: Search) -> Mapping[str, set[str]]:
    """The same searches for what must be found, at the same time."""
    coordinator = made.places.coordinator
    return {
        "files": found_in_files(coordinator, _public_key(made)),
        "memory": found_in_memory(made.pid("coordinator"), _verifying_keys(made)),
        "site": found_in_memory(made.pid("site-a"), while_open.secrets),
    }


def test_no_key_is_in_its_files(while_open: Search, when_released: Search) -> None:
    """Database, write-ahead log, objects, settings and the log of its own words."""
    assert while_open.in_files == set()
    assert when_released.in_files == set()


def test_no_key_is_in_its_memory(while_open: Search, when_released: Search) -> None:
    """Not while the round is open, and not when it has handed the sealed secrets on."""
    assert while_open.in_memory == set()
    assert when_released.in_memory == set()


def test_the_search_finds_public_keys_there(controls: Mapping[str, set[str]]) -> None:
    """The control: what the coordinator does hold is found, on disk and in memory."""
    assert controls["files"] == {"public key"}
    assert controls["memory"] == {f"{name}: verifying key" for name in SITES}


def test_the_search_finds_a_sites_keys_at_the_site(controls: Mapping[str, set[str]]) -> None:
    """The control: the same search in an opener's agent finds its keys, and nobody else's."""
    assert "site-a: sealing seed" in controls["site"]
    assert not {name for name in controls["site"] if name.startswith(("site-b", "site-c"))}


def test_no_opener_has_the_rounds_secret_on_its_disk(
    made: Federation, when_released: Search
) -> None:
    """It is unsealed in memory, used, and kept nowhere; a site's own keys are found beside it."""
    for name in SITES:
        found = found_in_files(made.places.site(name), when_released.secrets)

        assert f"{name}: sealing seed" in found
        assert not {each for each in found if each.startswith("secret, ")}


def test_the_search_finds_every_secret_in_a_process_that_holds_them(when_released: Search) -> None:
    """The control: no form is one that cannot be found."""
    held = b"--".join(parts[-1] for parts in when_released.secrets.values())
    command = [sys.executable, "-c", HOLDER, str(len(held))]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdin.write(held)
        holder.stdin.flush()
        assert holder.stdout.readline() == b"held\n"
        found = found_in_memory(holder.pid, when_released.secrets)
        holder.kill()

    assert found == set(when_released.secrets)


def _search(made: Federation, secrets: Pieces) -> Search:
    return Search(
        secrets,
        found_in_memory(made.pid("coordinator"), secrets),
        found_in_files(made.places.coordinator, secrets)
        | found_in_files(made.places.logs, secrets),
    )


def _round(made: Federation) -> Round:
    current = made.round(1)
    assert current is not None
    return current


def _cohort_secret(made: Federation) -> Pieces:
    """Unseal the round's secret as an opener does; return it in each of its forms."""
    objects = open_objects(made.places.coordinator / "objects")
    name = _round(made).key_record
    record = made.document("key", name, KeyRecord)
    secret = keying.unseal(
        record,
        objects.get(sealed_secret(1, name, "site-a")),
        "site-a",
        _keys(made, "site-a").sealing,
        made.roster,
    )
    parameters = keying.parameters_of(record.specification)
    coefficients = ckks._decode_secret(parameters, secret)
    residues = ring.to_transform(coefficients, parameters.modulus)
    return {
        "secret, packed": pieces(secret[32:], 24),
        "secret, in base64": pieces(base64.b64encode(secret)[48:], 32),
        "secret, coefficients": pieces(coefficients.tobytes(), 512),
        "secret, residues": pieces(residues.tobytes(), 24),
    }


def _site_keys(made: Federation) -> Pieces:
    found: dict[str, tuple[bytes, ...]] = {}
    for name in SITES:
        keys = _keys(made, name)
        scalar = keys.tls.private_numbers().private_value.to_bytes(32, "big")
        found[f"{name}: sealing seed"] = _spellings(keys.sealing.seed)
        found[f"{name}: signing key"] = _spellings(keys.signing.private_bytes_raw())
        found[f"{name}: certificate key"] = (*_spellings(scalar), keys.tls_pem[40:100])
    return found


def _results(made: Federation) -> Pieces:
    """What the round made: a site's update, the opened sum, the new model."""
    release = made.newest_release("site-a")
    memory = Memory(made.places.site("site-a"))
    memory.close()
    model = Models(made.places.site("site-a") / FOLDER).vector(release[2])
    update = noted(made.places.witness("site-a"), 1, "update")
    total = noted(made.places.witness("site-a"), 1, "sum")
    return {
        "an update": pieces(update.tobytes(), 64),
        "the sum": pieces(total.tobytes(), 64),
        "the model": pieces(model.tobytes(), 64),
    }


def _public_key(made: Federation) -> Pieces:
    objects = open_objects(made.places.coordinator / "objects")
    return {"public key": pieces(objects.get(public_key(1, _round(made).key_record)), 24)}


def _verifying_keys(made: Federation) -> Pieces:
    return {
        f"{member.participant}: verifying key": (member.signing_key,)
        for member in made.roster.members
    }


def _spellings(key: bytes) -> tuple[bytes, ...]:
    return key, base64.b64encode(key)[:42], key.hex().encode()


def _keys(made: Federation, name: str) -> SiteKeys:
    return load_keys(made.places.site(name) / "keys")
