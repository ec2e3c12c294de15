"""Doors to one fake node, and to two."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chain.door import Door
from tests.chain.fake_node import FakeNode, served


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    node = FakeNode()
    with served(node) as url:
        yield Door(tmp_path, (url,), (node,))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Door]:
    first, second = FakeNode(), FakeNode()
    with served(first) as one, served(second) as two:
        yield Door(tmp_path, (one, two), (first, second))
