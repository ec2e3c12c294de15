"""After real rounds everybody exports, and an officer verifies it all in a process of its own."""

import resource
import subprocess
import sys

import pytest

from tests.processes.federation import federation


def seconds_of_children():
    """Processor time: the clock on the wall would tell what else this machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


POLICY = """
delta = "0.001"
epsilon_for_life = "{limit}"
unit = "patient"
neighbouring = "add_remove"
smallest_cohort = 2
"""


def veilsum(*words):
    """A command as an officer runs it."""
    command = [sys.executable, "-m", "veilsum", "audit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def exported(made, out):
    """The bundles of all sites and of the coordinator, exported while nobody runs any more."""
    found = {}
    for name in (*made.sites, "coordinator"):
        state = made.places.coordinator if name == "coordinator" else made.places.site(name)
        found[name] = out / f"{name}.bundle"
        done = veilsum("export", "--state", state, "--out", found[name])
        assert done.returncode == 0, done.stderr
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "seats",
    [
        # `make demo` verifies evidence of every site under ckks.
        pytest.param((), marks=pytest.mark.deep, id="ckks"),
        pytest.param(("seat-1", "seat-2", "seat-3"), id="shares"),
    ],
)
def test_everybodys_evidence_of_real_rounds_is_verified_and_bears_the_others_out(tmp_path, seats):
    """Ledgers, documents and the coordinator's mirror name each other; a byte less is seen."""
    with federation(tmp_path / "f", seats=seats, wanted=2) as made:
        made.run_to_the_end()
        bundles = exported(made, tmp_path)
        keys, policy = tmp_path / "keys.toml", tmp_path / "policy.toml"
        config = made.places.site("site-a") / "site.toml"
        assert veilsum("keys", "--config", config, "--out", keys).returncode == 0
        policy.write_text(POLICY.replace("{limit}", "100"))

        for name in ("site-a", "coordinator"):
            bundle = bundles[name]
            others = [w for n, b in bundles.items() if n != name for w in ("--with", b)]
            found = veilsum("verify", bundle, "--keys", keys, "--policy", policy, *others)
            assert (found.returncode, found.stdout[:8]) == (0, "VERIFIED"), found.stdout

        text = bytearray(bundles["site-a"].read_bytes())
        text[len(text) // 2] ^= 1
        bundles["site-a"].write_bytes(text)
        begun = seconds_of_children()
        found = veilsum("verify", bundles["site-a"], "--keys", keys)
        assert found.returncode == 2, found.stdout
        assert seconds_of_children() - begun < 2.0
