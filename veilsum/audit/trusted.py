"""`keys.toml` for an officer, from the file of a site whose operator compared the roster."""

from pathlib import Path

from participant.config import read
from privacy.configuration import NOTHING, Over


def keys_text(config: Path, over: Over = NOTHING) -> str:
    """Return what to compare out of band, as `keys.toml`: the roster, and the site's officers.

    Raises:
        ConfigError: the site's file is not what it must be.
    """
    found = read(config, over)
    lines = [
        "# Compare the fingerprint with other members, and each officer's key with that officer,",
        "# by telephone. Nothing else in a bundle has to be believed.",
        f'roster = "{found.policy.roster}"',
    ]
    if found.policy.officers:
        lines += ["", f"[officers.{found.participant}]"]
        lines += [f'"{name}" = "{key}"' for name, key in sorted(found.policy.officers.items())]
    return "\n".join(lines) + "\n"
