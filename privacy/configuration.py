"""Settings as typed values: a TOML file, over it the environment, over that what was typed.

Whatever names no setting is refused, with the nearest name that there is: a misspelt limit that
is ignored is no limit. Each value knows where it came from. Reads no file and no environment: it
is handed both.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from .errors import ConfigError
from .learned import learned

Settings = TypeVar("Settings", bound=msgspec.Struct)

PREFIX: Final = "VEILSUM_"
"""How the name of a variable begins that is a setting: VEILSUM_LISTEN__ADDRESS."""

NOT_SETTINGS: Final = frozenset({"VEILSUM_FAILPOINTS", "VEILSUM_DEMO_WITNESS"})
"""Variables that tests and the demo give to processes; docs/configuration.md names each."""

_STEP: Final = "__"

_SHORT: Final = "VEILSUM_…"


def _is_nowhere(_: str) -> bool:
    return False


class Over(NamedTuple):
    """What goes over a file of settings.

    Attributes:
        environment: of the process; what does not begin with `PREFIX` is nobody's business here.
        assignments: `listen.address=0.0.0.0:8443`, as typed after --set; they go over the
            environment, and a later one over an earlier one.
        is_set_elsewhere: whether a name is a setting of another kind of process: one environment
            may be that of several.
    """

    environment: Mapping[str, str] = {}
    assignments: tuple[str, ...] = ()
    is_set_elsewhere: Callable[[str], bool] = _is_nowhere


NOTHING: Final = Over()


class Origin(NamedTuple):
    """Where the value of one setting came from.

    Attributes:
        kind: `file`, `variable`, `flag` or `default`.
        where: `site.toml:12`, the variable's name, or `--set`; empty for a default.
    """

    kind: str
    where: str = ""

    def __str__(self) -> str:
        return self.where or self.kind


class Setting(NamedTuple):
    """One setting as a process would have it: its name, its value, and where that came from."""

    name: str
    value: Any
    origin: Origin


class _Layer(NamedTuple):
    """One value that is asked for, before types and names are looked at."""

    path: tuple[str, ...]
    value: Any
    origin: Origin

    @property
    def name(self) -> str:
        return ".".join(self.path)


def decode(text: str, kind: type[Settings], name: str, over: Over = NOTHING) -> Settings:
    """Return the settings that `text`, and what goes over it, say.

    Args:
        name: of the file, for the message.

    Raises:
        ConfigError: not TOML, a key unknown or missing, or a value not of its type; or a variable
            or an assignment that names no setting.
    """
    return _convert(_layers(text, kind, name, over), kind, name)


def explain(text: str, kind: type[Settings], name: str, over: Over = NOTHING) -> list[Setting]:
    """Return every setting there is, in the order of its type, with where its value came from.

    A table that may be left out, and is, is one setting without a value.

    Raises:
        ConfigError: as for `decode`.
    """
    layers = _layers(text, kind, name, over)
    origins = {layer.name: layer.origin for layer in layers}
    return list(_walk(_convert(layers, kind, name), "", origins))


def is_setting(key: str, kind: type[Any]) -> bool:
    """Return whether a dotted name is that of a setting of a type."""
    return _path_of(key, dict(_leaves(kind))) is not None


def names_of(kind: type[Any]) -> list[str]:
    """Return the dotted names of all settings of a type; `policy.officers.*` stands for any."""
    return list(dict.fromkeys(name for name, _ in _leaves(kind)))


def _layers(text: str, kind: type[Any], name: str, over: Over) -> list[_Layer]:
    """Return the values asked for, one a setting, from the lowest layer to the highest."""
    leaves = dict(_leaves(kind))
    found: dict[str, _Layer] = {}
    asked = [
        *_from_file(text, kind, name, leaves),
        *_from_environment(over, leaves),
        *_from_assignments(over.assignments, leaves),
    ]
    for layer in asked:
        found[layer.name] = layer
    return list(found.values())


def _from_file(
    text: str, kind: type[Any], name: str, leaves: Mapping[str, Any]
) -> Iterator[_Layer]:
    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: {error}") from None
    lines, tables = _Lines(text), _tables(kind)
    for path, value in _flat(whole, tables):
        key = ".".join(path)
        if _path_of(key, leaves) != path and key not in tables:
            raise ConfigError(f"{name}: line {lines.of(key)}: {_no_setting(key, leaves)}")
        yield _Layer(path, value, Origin("file", f"{name}:{lines.of(key)}"))


def _from_environment(over: Over, leaves: Mapping[str, Any]) -> Iterator[_Layer]:
    environment = over.environment
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        key = variable.removeprefix(PREFIX).lower().replace(_STEP, ".")
        path = _path_of(key, leaves)
        if path is None and over.is_set_elsewhere(key):
            continue
        if path is None:
            nearest = _nearest(key, leaves)
            hint = f"; the nearest that there is: {variable_of(nearest)}" if nearest else ""
            raise ConfigError(
                f"the variable {variable} names no setting{hint}; if it is for another process, "
                f"run this one by: env -u {variable} veilsum ..."
            )
        value = _value(environment[variable], _type_of(path, leaves), variable)
        yield _Layer(path, value, Origin("variable", variable))


def variable_of(name: str) -> str:
    """Return the environment variable that sets the setting `name`."""
    return PREFIX + name.replace(".", _STEP).upper()


def _from_assignments(assignments: tuple[str, ...], leaves: Mapping[str, Any]) -> Iterator[_Layer]:
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise ConfigError(f"--set {assignment}: write it as KEY=VALUE")
        path = _path_of(key, leaves)
        if path is None:
            raise ConfigError(f"--set {key}: {_no_setting(key, leaves)}")
        value = _value(text.strip(), _type_of(path, leaves), f"--set {key}")
        yield _Layer(path, value, Origin("flag", "--set"))


def _value(text: str, kind: Any, where: str) -> Any:  # noqa: ANN401 - TOML's
    """Return what a word outside of a file means: itself where text is asked for, else TOML."""
    if _is_text(kind):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if set(parsed) != {"value"}:
        raise ConfigError(
            f"{where}: {text!r} is no value; write numbers and true or false as they are, and a "
            'list as ["a", "b"]'
        )
    return parsed["value"]


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - a type, or what stands for several
    if get_origin(kind) is Annotated:
        return _is_text(get_args(kind)[0])
    inner = [one for one in _alternatives(kind) if one is not type(None)]
    if inner != [kind]:
        return all(map(_is_text, inner))
    if isinstance(kind, type):
        return issubclass(kind, (str, Path))
    return all(isinstance(word, str) for word in get_args(kind)) and bool(get_args(kind))


def _convert(layers: list[_Layer], kind: type[Settings], name: str) -> Settings:
    tree: dict[str, Any] = {}
    for layer in layers:
        _put(tree, layer)
    try:
        return msgspec.convert(tree, type=learned(kind), strict=True, dec_hook=_path)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"{name}: {error}{_asked_by(str(error), layers)}") from None


def _put(tree: dict[str, Any], layer: _Layer) -> None:
    *tables, last = layer.path
    for table in tables:
        inner = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{layer.origin}: {layer.name}: {table} is a value, not a table")
        tree = inner
    tree[last] = layer.value


def _asked_by(message: str, layers: list[_Layer]) -> str:
    """Return the place outside of the file that a message is about, if it is about one."""
    _, _, key = message.rpartition("`$.")
    name = key.rstrip("`").partition("[")[0]
    found = next((layer for layer in layers if layer.name == name), None)
    if found is None or found.origin.kind == "default":
        return ""
    return f" ({found.origin})"


def _path(kind: type[Any], value: object) -> Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")


# What there is to be set.


def _leaves(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a type
    for one in _structs(kind):
        config = one.__struct_config__
        if config.tag is not None:
            yield f"{prefix}{config.tag_field}", str
        for field in msgspec.structs.fields(one):
            name = f"{prefix}{field.encode_name}"
            if _structs(field.type):
                yield from _leaves(field.type, f"{name}.")
            elif _is_mapping(field.type):
                yield f"{name}.*", get_args(_bare(field.type))[1]
            else:
                yield name, field.type


def _tables(kind: Any, prefix: str = "") -> frozenset[str]:  # noqa: ANN401 - a type
    found = set()
    for one in _structs(kind):
        for field in msgspec.structs.fields(one):
            name = f"{prefix}{field.encode_name}"
            if _structs(field.type) or _is_mapping(field.type):
                found |= {name, *_tables(field.type, f"{name}.")}
    return frozenset(found)


def _structs(kind: Any) -> list[Any]:  # noqa: ANN401 - a type
    return [
        one
        for one in _alternatives(_bare(kind))
        if isinstance(one, type) and issubclass(one, msgspec.Struct)
    ]


def _is_mapping(kind: Any) -> bool:  # noqa: ANN401 - a type
    return get_origin(_bare(kind)) is dict


def _bare(kind: Any) -> Any:  # noqa: ANN401 - a type
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _alternatives(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type
    import types  # noqa: PLC0415
    import typing  # noqa: PLC0415

    is_union = get_origin(kind) in {typing.Union, types.UnionType}
    return get_args(kind) if is_union else (kind,)


def _path_of(key: str, leaves: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return where the setting `key` is, table by table; None if there is none.

    What stands below a table of free names is one name, whatever dots are in it.
    """
    if key in leaves:
        return tuple(key.split("."))
    for name in leaves:
        table = name.removesuffix("*")
        if table != name and key.startswith(table) and key != table:
            return (*table.rstrip(".").split("."), key.removeprefix(table))
    return None


def _type_of(path: tuple[str, ...], leaves: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a type
    return leaves.get(".".join(path)) or leaves[".".join((*path[:-1], "*"))]


def _flat(
    table: Mapping[str, Any], tables: frozenset[str], before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what in a file is the value of one setting, with where it is, table by table."""
    for key, value in table.items():
        path = (*before, key)
        if isinstance(value, dict) and value and ".".join(path) in tables:
            yield from _flat(value, tables, path)
        else:
            yield path, value


def _no_setting(key: str, leaves: Mapping[str, Any]) -> str:
    nearest = _nearest(key, leaves)
    return f"there is no setting {key}" + (f"; the nearest is {nearest}" if nearest else "")


def _nearest(key: str, leaves: Mapping[str, Any]) -> str:
    """Return the name that is most like `key`, or nothing where none is like it."""
    import difflib  # noqa: PLC0415 - a right name needs none

    near = difflib.get_close_matches(key, list(leaves), 1, 0.6)
    if near:
        return near[0]
    last = key.rpartition(".")[2]
    by_last = {name.rpartition(".")[2]: name for name in leaves}
    near = difflib.get_close_matches(last, list(by_last), 1, 0.6)
    return by_last[near[0]] if near else ""


def _walk(value: Any, prefix: str, origins: Mapping[str, Origin]) -> Iterator[Setting]:  # noqa: ANN401 - of any type
    config = value.__struct_config__
    if config.tag is not None:
        name = f"{prefix}{config.tag_field}"
        yield Setting(name, config.tag, origins.get(name, Origin("default")))
    for field in msgspec.structs.fields(type(value)):
        name, inner = f"{prefix}{field.encode_name}", getattr(value, field.name)
        if isinstance(inner, msgspec.Struct):
            yield from _walk(inner, f"{name}.", origins)
        elif _is_mapping(field.type) and inner:
            for key, word in inner.items():
                one = f"{name}.{key}"
                yield Setting(one, word, origins.get(one, Origin("default")))
        else:
            yield Setting(name, _plain(inner), origins.get(name, Origin("default")))


def _plain(value: Any) -> Any:  # noqa: ANN401 - of any type
    return msgspec.to_builtins(value, enc_hook=str)


class _Lines:
    """On which line of a file each key stands.

    The TOML library does not say. A statement begins on the line after the longest part of the
    file that is TOML by itself, so what a part has and the part before it has not stands there.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, int] | None = None

    def of(self, key: str) -> int:
        """Return the line of a key by its dotted name, from 1; of its table if it has none."""
        if self._found is None:
            self._found = dict(_line_of_each(self._text))
        return self._found.get(key, 1)


def _line_of_each(text: str) -> Iterator[tuple[str, int]]:
    # Split as TOML does: a form feed, or what else Unicode calls a line's end, ends none.
    lines = text.split("\n")
    begun, before = 0, set[str]()
    for count in range(1, len(lines) + 1):
        try:
            now = set(_every(tomllib.loads("\n".join(lines[:count]))))
        except tomllib.TOMLDecodeError:
            continue
        for key in sorted(now - before):
            yield key, begun + 1
        begun, before = count, now


def _every(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        yield name
        if isinstance(value, dict):
            yield from _every(value, f"{name}.")
