"""The terms of a programme as a consortium writes them: what is wrong is named."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from coordinator.settling.settle import programme_of
from coordinator.settling.shape import Shape
from privacy.errors import ConfigError
from veilsum.settling.terms_file import ProgrammeFile, read_terms

SHAPE = Shape(b"\x05" * 32, 64, 3)
KEY = "0x" + "Aa" * 20


def written(folder: Path, **other: object) -> ProgrammeFile:
    values = {
        "contract": "0x" + "11" * 20,
        "token": "0x" + "22" * 20,
        "escrow": "1000",
        "end": "2027-06-30T00:00:00+02:00",
        "window_seconds": 604_800,
        "response_seconds": 86_400,
        "bond": "500",
        "demand_bond": "10",
        **other,
    }
    path = folder / "programme.toml"
    path.write_text("".join(f"{name} = {json.dumps(it)}\n" for name, it in values.items()))
    return read_terms(path)


def test_the_same_words_are_the_same_programme(tmp_path: Path) -> None:
    """After a crash the second run finds what the first has opened."""
    one, again = (written(tmp_path).terms(KEY, SHAPE, "oncology") for _ in range(2))

    assert programme_of(one) == programme_of(again)
    assert one.end == 1_814_306_400
    assert (one.funder, one.coordinator) == (KEY.lower(), KEY.lower())
    assert (one.guardian, one.judges) == ("0x" + "00" * 20, ())


@pytest.mark.parametrize(
    "other", [{"label": "second"}, {"escrow": "1000", "bond": "501"}, {"window_seconds": 604_801}]
)
def test_other_words_are_another_programme(tmp_path: Path, other: dict[str, object]) -> None:
    before = written(tmp_path).terms(KEY, SHAPE, "oncology")

    after = written(tmp_path, **other).terms(KEY, SHAPE, "oncology")

    assert programme_of(after) != programme_of(before)


def test_two_federations_never_share_a_programme(tmp_path: Path) -> None:
    """One key may coordinate both."""
    file = written(tmp_path, label="a")

    labels = {file.terms(KEY, SHAPE, name).label for name in ("oncology", "oncology-a")}

    expected = sha256(b"veilsum/programme-label/1\x00oncology\x00a").digest()
    assert expected in labels
    assert len(labels) == 2


def test_judges_stand_in_the_contracts_order(tmp_path: Path) -> None:
    """It finds each signer in one pass."""
    judges = ["0x" + "bb" * 20, "0x" + "AA" * 20]

    terms = written(tmp_path, judges=judges, judges_quorum=2).terms(KEY, SHAPE, "oncology")

    assert terms.judges == ("0x" + "aa" * 20, "0x" + "bb" * 20)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"window_seconds": 172_800}, "window_seconds: 172800; more than twice response_seconds"),
        ({"window_seconds": 31_536_001}, "window_seconds"),
        ({"end": "2027-06-30"}, "end: '2027-06-30'"),
        ({"end": "soon"}, "end: 'soon'"),
        ({"bond": "0"}, "bond"),
        ({"escrow": str(1 << 128)}, "escrow: below 2\\^128"),
        ({"judges_quorum": 1}, "judges_quorum: 1 of 0"),
        ({"judges": ["0x" + "aa" * 20]}, "judges_quorum: 0 of 1"),
        ({"judges": ["0x" + "aa" * 20, "0x" + "AA" * 20], "judges_quorum": 1}, "no two the same"),
        ({"judges": [f"0x{n:040x}" for n in range(9)], "judges_quorum": 1}, "8 at most"),
        ({"tokn": "0x" + "22" * 20}, "tokn"),
        ({"contract": "0x11"}, "contract"),
    ],
)
def test_what_the_contract_would_refuse_is_named_here(
    tmp_path: Path, other: dict[str, object], message: str
) -> None:
    """There it is `SettlementInvalidTerms`, whichever it was."""
    with pytest.raises(ConfigError, match=message):
        written(tmp_path, **other)
