"""The option that names the file with all settings."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Option("--config", help="The TOML file with all settings.")]
