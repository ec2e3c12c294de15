"""How a process reaches the chain, and who signs for it there: a part of its settings.

Nothing here loads the chain's libraries: settings are read where they are not installed.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from privacy.errors import ConfigError
from privacy.events import PositiveDecimal

Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9A-Fa-f]{40}\Z")]

_SignerUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(https://[^\s@]+|http://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]+)?(/[^\s@]*)?"
        r"|unix:///[^\s]+)\Z"
    ),
]
"""`https://signer.example.org:9000`, `http` on this machine only, or `unix:///run/signer.ipc`."""


class SignerAccess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signer that holds the key in place of this process, asked by JSON-RPC.

    Attributes:
        address: of the key that signs there.
        authority: PEM, a private authority that signed its certificate.
        certificate: PEM, what this process shows to it; with `key`, or not at all.
        key: of that certificate, a file.
    """

    url: _SignerUrl
    address: Address
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ConfigError(
                "settlement.signer.certificate and settlement.signer.key: set both, or neither"
            )


class ChainAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a process reaches the chain, and who signs what it sends.

    Attributes:
        second_rpc: another endpoint of the same chain; what is final is asked of both.
        keystore: the key, where a file has it; with `passphrase`, in place of `signer`.
        fee_ceiling_gwei: most that is paid for a unit of gas, tip included.
        finality_blocks: how deep a block is final; the chain's own word for it, if left out.
    """

    rpc: str
    chain_id: int
    second_rpc: str | None = None
    keystore: Path | None = None
    passphrase: Path | None = None
    signer: SignerAccess | None = None
    fee_ceiling_gwei: PositiveDecimal = "100"
    finality_blocks: int | None = None

    def __post_init__(self) -> None:
        by_file = (self.keystore is not None, self.passphrase is not None)
        if by_file != (self.signer is None,) * 2:
            raise ConfigError(
                "settlement: set keystore and passphrase, or the table signer, and not both"
            )
        if self.finality_blocks is not None and self.finality_blocks < 0:
            raise ConfigError("settlement.finality_blocks: 0 or more")
        if self.second_rpc == self.rpc:
            raise ConfigError("settlement.second_rpc: name another endpoint than settlement.rpc")

    def secrets(self) -> tuple[Path, ...]:
        """Return the files that only this process may read."""
        of_signer = self.signer.key if self.signer is not None else None
        found = (self.keystore, self.passphrase, of_signer)
        return tuple(path for path in found if path is not None)
