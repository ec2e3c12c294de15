"""What the measurement of a scheme says, and that it notices a sum that is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from privacy.errors import ConfigError, UnsafeParameters
from privacy.schemes.base import Integers, Revealer
from privacy.schemes.ckks import CohortKey, make_cohort_key
from privacy.schemes.ckks_parameters import CkksParameters, guard_log2_probability
from privacy.schemes.ckks_sum import CkksCombiner
from veilsum.bench.ckks import parameters_for, roles_under, workload_for
from veilsum.bench.measure import measure
from veilsum.bench.report import Costs, Report, ratio
from veilsum.bench.scheme import run
from veilsum.bench.stages import Roles
from veilsum.bench.workload import Workload
from veilsum.cli import app

DIMENSION = 8192
FIGURES = {
    "bytes_per_parameter_up",
    "bytes_per_parameter_down",
    "protect_us_per_parameter",
    "fold_us_per_parameter",
    "hash_us_per_parameter",
    "open_us_per_parameter",
    "peak_rss_mib",
    "exact",
}


class LosesOne(CkksCombiner):
    """A coordinator's part that leaves the last contribution out."""

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        return super().combine(chunk, list(payloads)[:-1])


class FlipsBit(CkksCombiner):
    """A coordinator's part that damages a word of each sum."""

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        total = bytearray(super().combine(chunk, payloads))
        total[-8] ^= 1 << 6
        return bytes(total)


class OffByOne:
    """An opener's part that is wrong in one value, by one step."""

    def __init__(self, make: Callable[[], Revealer]) -> None:
        self._right = make()

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:
        values = self._right.reveal(chunk, total, cohort)
        values[-1] += 1
        return values


@pytest.fixture(scope="module")
def report() -> Report:
    return run(scheme="ckks", parameters=DIMENSION, participants=3, value_bits=16)


@pytest.fixture(scope="module")
def parameters() -> CkksParameters:
    return parameters_for(3, 16)


@pytest.fixture(scope="module")
def workload(parameters: CkksParameters) -> Workload:
    return workload_for(parameters, DIMENSION)


@pytest.fixture(scope="module")
def key(parameters: CkksParameters) -> CohortKey:
    return make_cohort_key(parameters)


@pytest.fixture(scope="module")
def roles(parameters: CkksParameters, key: CohortKey) -> Roles:
    return roles_under(parameters, DIMENSION, key)


def test_the_report_has_the_figures_of_both_paths(report: Report) -> None:
    """Whoever compares frameworks reads these names."""
    printed = msgspec.to_builtins(report)

    assert printed.keys() >= FIGURES | {"reference", "ratio", "machine"}
    assert printed["reference"].keys() >= FIGURES
    assert printed["ratio"].keys() == {"bytes_up", "protect", "fold", "open"}
    assert printed["peak_rss_mib"].keys() == {
        "key_maker",
        "participant",
        "coordinator",
        "opener",
    }


def test_the_report_says_under_which_parameters(report: Report, parameters: CkksParameters) -> None:
    """Two values share half of a slot here, and the guard's bound is the plan's, not a guess."""
    said = report.arithmetic

    assert (said.degree, said.modulus_bits, said.values_per_half) == (4096, 60, 2)
    assert said.values_per_ciphertext == 8192
    assert said.guard_log2_probability == guard_log2_probability(parameters) <= -40


def test_both_paths_are_exact(report: Report) -> None:
    """A faster sum that is not the sum would be worth nothing."""
    assert report.exact
    assert report.reference.exact


def test_figures_are_positive(report: Report) -> None:
    """No limit in time: machines differ, and are shared."""
    figures = [*msgspec.structs.astuple(report.ratio)]
    figures += [*msgspec.structs.astuple(report.peak_rss_mib)]
    figures += [report.fold_us_per_parameter, report.hash_us_per_parameter]

    assert min(figures) > 0


def test_bytes_are_those_of_the_containers(report: Report, parameters: CkksParameters) -> None:
    """Headers and padding are counted, for this vector one chunk."""
    assert report.bytes_per_parameter_up == parameters.chunk_bytes(DIMENSION) / DIMENSION
    assert report.bytes_per_parameter_up == report.bytes_per_parameter_down


def test_the_reference_takes_the_bytes_that_others_report(report: Report) -> None:
    """57 to 66 bytes a parameter, as published for one ciphertext of 4096 slots."""
    assert 55 < report.reference.bytes_per_parameter_up < 68
    assert report.reference.participants == 2


@pytest.mark.parametrize("combiner", [LosesOne, FlipsBit])
def test_a_sum_that_is_damaged_is_not_exact(
    combiner: type[CkksCombiner], parameters: CkksParameters, workload: Workload, roles: Roles
) -> None:
    """One that opens to another sum, and one that opens to nothing."""
    damaged = replace(roles, combiner=partial(combiner, parameters, DIMENSION))

    costs = measure(workload, damaged, 1.0)

    assert not costs.exact


def test_a_sum_that_is_opened_wrongly_is_not_exact(workload: Workload, roles: Roles) -> None:
    """One step in one value is enough."""
    wrong = replace(roles, revealer=partial(OffByOne, roles.revealer))

    costs = measure(workload, wrong, 1.0)

    assert not costs.exact


def test_repeated_contributions_count_in_the_plaintext_sum(
    parameters: CkksParameters, workload: Workload, roles: Roles
) -> None:
    """Two made, three added: the first twice."""
    repeated = replace(workload, distinct=2)

    costs = measure(repeated, roles, 1.0)

    assert costs.exact
    assert (costs.participants, costs.distinct_participants) == (3, 2)
    assert np.array_equal(repeated.total(0), 2 * repeated.values(0, 0) + repeated.values(1, 0))


def test_vectors_differ_and_stay_on_the_grid(workload: Workload) -> None:
    """Equal vectors could hide a sum that takes one of them thrice."""
    first, second = workload.values(0, 0), workload.values(1, 0)

    assert not np.array_equal(first, second)
    assert np.array_equal(first, workload.values(0, 0))
    assert int(np.abs(first).max()) <= workload.largest
    assert abs(float(first.mean())) < workload.largest / 10


def test_ratios_are_the_reference_over_ours(report: Report) -> None:
    """Above one where Veilsum needs less."""
    half: Costs = msgspec.structs.replace(report, protect_us_per_parameter=1.0)
    twice = msgspec.structs.replace(report.reference, protect_us_per_parameter=2.0)

    assert ratio(half, twice).protect == 2.0


def test_an_unknown_scheme_is_refused() -> None:
    """With the names of those that can be measured."""
    with pytest.raises(ConfigError, match=r"'rot13' cannot be measured; one of: ckks"):
        run(scheme="rot13", parameters=8, participants=2, value_bits=16)


def test_what_no_parameters_fit_is_refused() -> None:
    """The same refusal as at plan time."""
    with pytest.raises(UnsafeParameters, match="1048576 sites of 40 bits"):
        run(scheme="ckks", parameters=8, participants=1 << 20, value_bits=40)


def test_the_command_ends_with_two_for_an_unknown_scheme() -> None:
    """One line that says who must act, and no stack."""
    result = CliRunner().invoke(app, ["bench", "scheme", "--scheme", "rot13"])

    assert result.exit_code == 2
    assert result.stdout == ""


def test_the_command_prints_one_json_object() -> None:
    """Nothing that a library prints gets between; native code prints past Python's streams."""
    asked = ["bench", "scheme", "--parameters", "8192", "--participants", "2", "--json"]

    done = subprocess.run(
        [sys.executable, "-m", "veilsum", *asked], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exact"] is True


def test_the_command_prints_a_table() -> None:
    """For people, the same figures."""
    result = CliRunner().invoke(app, ["bench", "scheme", "--parameters", "100"])

    assert result.exit_code == 0
    assert "bytes per parameter, up" in result.stdout
    assert "exact" in result.stdout
