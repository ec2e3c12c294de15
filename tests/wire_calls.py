"""The calls of a release as they went over the wire: kept, and made where none was seen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from coordinator.server import PROTOS
from veilsum.v1 import document_pb2

FOLDER = Path(__file__).parent / "vectors" / "wire"
CALLS, IMAGE = "calls.json", "image.binpb"

_DEEPEST = 4
_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}


def releases() -> list[str]:
    """Return the minor releases whose calls are kept."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def kept(release: str) -> list[dict[str, Any]]:
    """Return what is kept of a release, message by message."""
    found: list[dict[str, Any]] = json.loads((FOLDER / release / CALLS).read_text())
    return found


def methods() -> Iterator[MethodDescriptor]:
    """Yield every method of every service of today."""
    for module in (*PROTOS, document_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def kind_of(method: MethodDescriptor, direction: str) -> type[Message]:
    """Return the class of a method's requests or responses."""
    return GetMessageClass(method.input_type if direction == "request" else method.output_type)


def entry(method: MethodDescriptor, direction: str, body: bytes, *, seen: bool) -> dict[str, Any]:
    """Return what is kept of one message."""
    message = kind_of(method, direction).FromString(body)
    return {
        "method": method.full_name,
        "direction": direction,
        "seen": seen,
        "part": part_of(message),
        "bytes": body.hex(),
        "fields": fields_of(message),
    }


def fields_of(message: Message) -> dict[str, Any]:
    """Return what a message says, by the names of its fields."""
    found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return found


def part_of(message: Message) -> str:
    """Return which part of a stream a message is; empty where there is one kind."""
    of = [message.WhichOneof(each.name) for each in message.DESCRIPTOR.oneofs]
    return next((str(name) for name in of if name), "")


def filled(kind: type[Message], depth: int = 0) -> Message:
    """Return a message with every field set, and of several that exclude each other the first."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        within = field.containing_oneof
        if within is not None and within.fields[0] is not field:
            continue
        _fill(message, field, depth)
    return message


def _fill(message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        if depth < _DEEPEST:
            inner = filled(GetMessageClass(field.message_type), depth + 1)
            target = getattr(message, field.name)
            target.append(inner) if field.is_repeated else target.CopyFrom(inner)
    elif field.is_repeated:
        getattr(message, field.name).append(_value(field))
    else:
        setattr(message, field.name, _value(field))


def _value(field: FieldDescriptor) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return field.name.encode()
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return field.name
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return field.enum_type.values[-1].number
    if field.cpp_type in _NUMBERS:
        return 1000 + field.number
    return field.cpp_type == FieldDescriptor.CPPTYPE_BOOL or 0.5
