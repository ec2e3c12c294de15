"""A member's file of settings for a programme on a chain, as `veilsum settle` reads it."""

from pathlib import Path

from tests.contracts.settlement_run import Run
from tests.participant.joining.test_member_config import TEXT


def auditor_file(folder: Path, run: Run, url: str, key: str = "gas") -> Path:
    """An auditor with one of the test's keys."""
    (folder / "passphrase").write_text("of the test")
    (folder / "passphrase").chmod(0o600)
    state = folder / "auditor"
    state.mkdir(exist_ok=True)
    path = folder / "auditor.toml"
    path.write_text(
        TEXT.replace("/var/lib/veilsum/north", str(state))
        + f"""
[settlement]
rpc = "{url}"
chain_id = {run.endpoint.chain_id}
contract = "{run.chain.contract.address}"
programme = "{run.programme}"
keystore = "{run.folder / key}.json"
passphrase = "{folder / "passphrase"}"
finality_blocks = 0
"""
    )
    return path
