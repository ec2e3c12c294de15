"""What the commands of docs/journeys print, put into them: `python -m tests.journeys.record`.

All of it is of one run, so that a fingerprint on one page is that on the next.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.journeys.pages import FOLDER, LEFT_OUT, Said, Step, Typed, steps
from tests.journeys.people import ANSWER, LINK, People, chosen, holds, places

Act = Typed | Said


@dataclass
class Watched(People):
    """People who write down what they see, and go on where it is not what was promised."""

    seen: list[tuple[Act, list[str]]] = field(default_factory=list)

    def compare(self, act: Act, seen: Sequence[str], *, whole: bool, place: str) -> bool:
        """Write down what the first who did this has seen."""
        kept = super().compare(act, seen, whole=whole, place=place)
        if (kept or whole) and all(act is not other for other, _ in self.seen):
            self.seen.append((act, list(seen)))
        return kept or whole


def main() -> None:
    """Type all pages, and write what was seen into them."""
    everything = steps()
    with tempfile.TemporaryDirectory() as folder:
        everybody = Watched(Path(folder), chosen())
        try:
            for step in everything:
                for place in places(step):
                    for act in step.acts:
                        everybody.does(place, act)
        finally:
            everybody.close()
    for act, seen in everybody.seen:
        _write(_page_of(act, everything), act, seen)


def _page_of(act: Act, everything: Sequence[Step]) -> Path:
    """Return the page on which an act stands."""
    pages = (step.page for step in everything if any(act is each for each in step.acts))
    return FOLDER / next(pages)


def _write(page: Path, act: Act, seen: Sequence[str]) -> None:
    """Put what was seen in the place of what the page shows."""
    above = f"$ {act.command}\n" if isinstance(act, Typed) else ""
    old = above + "".join(f"{line}\n" for line in act.shown)
    new = above + "".join(f"{line}\n".replace(" \n", "\n") for line in _shown(act, seen))
    text = page.read_text()
    assert old in text, f"{page}:\n{old}"
    page.write_text(text.replace(old, new, 1))


def _short(found: re.Match[str]) -> str:
    """Return a link whose secrets are left out."""
    return found[0].partition("#v1.")[0] + "#v1." + LEFT_OUT


def _typed(act: Act, seen: Sequence[str]) -> Iterator[str]:
    """Yield what was seen, with each answer where the terminal shows it."""
    asked = {
        line.removesuffix(found[1]): found[1]
        for line in act.shown
        if (found := ANSWER.search(line))
    }
    for line in seen:
        question = next((each for each in asked if line.startswith(each)), None)
        if question is None:
            yield line
        else:
            yield question + asked[question]
            yield line.removeprefix(question)


def _shown(act: Act, seen: Sequence[str]) -> Iterator[str]:
    """Yield what a page shows of what was seen: all of it, or the lines that it has chosen."""
    lines = list(_typed(act, seen))
    whole = isinstance(act, Typed) and not act.stays
    if whole and not any(LEFT_OUT in line for line in act.shown):
        yield from (LINK.sub(_short, line) for line in lines)
        return
    for line in act.shown:
        alike = (
            each for each in lines if LEFT_OUT not in line and holds([line], [each], whole=True)
        )
        found = next(alike, None)
        if found is None:
            yield line
        else:
            yield found
            del lines[: lines.index(found) + 1]


if __name__ == "__main__":
    main()
