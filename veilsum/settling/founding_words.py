"""What `veilsum settle deploy`, `open`, `verify` and `register` say to people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from .deploying import Contracts, Stood
from .examining import Examined
from .opening import Opened
from .registering import Version


def of_contracts(found: Contracts) -> str:
    """Return where the contracts stand, a line for each."""
    lines = [
        f"chain          {found.chain_id}",
        *map(_contract, found.contracts),
        "code           this release's, " + ("for good" if found.final else "and not final yet"),
    ]
    if found.by:
        lines.insert(1, f"deployed by    {found.by}")
    return "\n".join(lines)


def of_opened(opened: Opened) -> str:
    """Return what was opened, and what belongs into whose file."""
    return "\n".join(
        (
            f"programme   {opened.programme}",
            f"contract    {opened.contract}, chain {opened.chain_id}",
            f"escrow      {opened.funded} of {opened.escrow} funded",
            f"bond        {opened.coordinator}: {opened.bonded} of {opened.bond} bonded",
            f"until       {_time(opened.end)}; a window of {opened.window_seconds} s, "
            f"{opened.response_seconds} s to answer",
            "",
            "put into [settlement] of coordinator.toml:",
            *_lines(opened),
            f'escrow = "{opened.escrow}"',
            "and of each member's file:",
            *_lines(opened),
            "of a site's and the auditor's also, if who is paid agrees to it:",
            f'method = "{opened.method}"',
        )
    )


def of_examined(found: Examined) -> str:
    """Return a programme's terms, and what of them is wrong."""
    judges = ", ".join(found.judges) or "none"
    lines = [
        f"programme      {found.programme}",
        f"coordinator    {found.coordinator}: {found.bonded} of {found.bond} bonded",
        f"token          {found.token}: {found.funded} funded; a demand costs {found.demand_bond}",
        f"until          {_time(found.end)}; a window of {found.window_seconds} s, "
        f"{found.response_seconds} s to answer",
        f"arithmetic     {found.arithmetic}",
        f"leaves         {found.leaves_per_chunk} a chunk, {found.last_chunk_leaves} in the last",
        f"judges         {judges}" + (f"; {found.judges_quorum} decide" if found.judges else ""),
    ]
    return "\n".join([*lines, *(f"wrong          {each}" for each in found.wrong)])


def of_versions(versions: Sequence[Version]) -> str:
    """Return what was registered."""
    if not versions:
        return "nothing to register: every round that has matured is registered"
    return "\n".join(
        f"version {each.version}: model {each.model[:16]}… of round {each.round}, gas {each.gas}"
        for each in versions
    )


def _contract(each: Stood) -> str:
    words = f"{each.name:<14} {each.address}"
    if each.transaction is not None:
        words += f", gas {each.gas}, {each.transaction}"
    return words


def _lines(opened: Opened) -> tuple[str, str]:
    return f'contract = "{opened.contract}"', f'programme = "{opened.programme}"'


def _time(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
