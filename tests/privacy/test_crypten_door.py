"""CrypTen loads beside a PyTorch it was not written for, and leaves nothing behind."""

import sys

import pytest

from privacy.crypten_door import import_crypten
from privacy.errors import MissingDependency


def test_crypten_encodes_and_decodes_a_value() -> None:
    """Loading is not enough: what Veilsum uses of it must work on this PyTorch."""
    torch = pytest.importorskip("torch")
    crypten = import_crypten()
    encoder = crypten.encoder.FixedPointEncoder(precision_bits=16)

    decoded = encoder.decode(encoder.encode(torch.tensor([1.5, -2.25])))

    assert decoded.tolist() == [1.5, -2.25]


@pytest.mark.parametrize("name", ["onnx", "torch.onnx._internal.registration"])
def test_stand_ins_are_gone_after_loading(name: str) -> None:
    """A library that asks whether onnx is installed must not be told yes."""
    import_crypten()

    assert name not in sys.modules


def test_without_crypten_the_error_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator can act on the message alone."""
    monkeypatch.setitem(sys.modules, "crypten", None)

    with pytest.raises(MissingDependency, match=r"pip install --no-deps crypten==0\.4\.1"):
        import_crypten()


def test_stand_ins_are_gone_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where CrypTen could not be loaded."""
    monkeypatch.setitem(sys.modules, "crypten", None)

    with pytest.raises(MissingDependency):
        import_crypten()

    assert "onnx" not in sys.modules
