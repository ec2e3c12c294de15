"""The page, the PDF, the numbers and the registry's form: one content, nothing fetched."""

import errno
import hashlib
import json
import re
import stat
from html.parser import HTMLParser

import msgspec
import pytest
from msgspec.structs import replace

from privacy.errors import ConfigError, StoreUnavailable
from tests.audit.report import example_report as example
from veilsum.audit.report.contents import Point, Report, State
from veilsum.audit.report.drawings import drawings_of, figure_of
from veilsum.audit.report.page import page_of
from veilsum.audit.report.paper import pages_of, pdf_of
from veilsum.audit.report.parts.layout import layout_of
from veilsum.audit.report.registry import registry_form
from veilsum.audit.report.write import write_report

LAYOUT = layout_of(example.report(), drawings_of)
LATER = "2026-11-22T00:35:40+00:00"
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """What a browser would make of a page: elements, what they point at, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.targets, self.text, self.open = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.targets += [value for name, value in attributes if name in {"href", "src", "action"}]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def said(self):
        """Return all text, as one who reads it."""
        return "".join(self.text)


def test_the_page_fetches_nothing_and_runs_nothing():
    """It is opened on an officer's machine, with evidence that a stranger has made."""
    page = page_of(LAYOUT)
    read = Reader(page)

    assert read.open == []
    assert {tag for tag, _ in read.tags}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "form", "base", "svg"}
    )
    assert all(target.startswith(("#", "data:image/svg+xml;base64,")) for target in read.targets)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in page
    assert "base-uri 'none'; form-action 'none'" in page


def test_the_page_looks_the_same_in_a_dark_browser():
    """Inverted by a browser, the drawings' black lines were on black."""
    page = page_of(LAYOUT)

    assert '<meta name="color-scheme" content="only light">' in page
    assert "color-scheme: only light;" in page


def test_printed_pages_are_numbered_and_tables_are_not_cut():
    """What is signed on paper says of how many sheets it is one."""
    printed = page_of(LAYOUT).partition("@media print {")[2].partition("</style>")[0]

    assert 'counter(page) " of " counter(pages)' in printed
    assert ".table { overflow: visible;" in printed


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("at most ε ≤ 2.829 in both views", ["ε ≤ 2.829"]),
        ("(hospital-a: wdbc-hospital-a)", ["(hospital-a:", "wdbc-hospital-a)"]),
        ("made 2026-11-22T00:35:42+00:00", ["2026-11-22T00:35:42+00:00"]),
        ("a-" * 30 + "a", []),
        ("- and --, 5 -3", []),
        ("<b>-<i>", ["&lt;b&gt;-&lt;i&gt;"]),
    ],
)
def test_names_numbers_and_times_stay_on_one_line(text, kept):
    """`hospital-` and `d` are two things to a reader; what is too long for a line breaks."""
    page = page_of(replace(LAYOUT, claim=text))
    claim = page.partition('<p class="claim">')[2].partition("</p>")[0]

    assert re.findall(r'<span class="kept">(.*?)</span>', claim) == kept
    assert Reader(f"<p>{claim}</p>").said() == text


def test_ticks_of_a_short_time_are_clock_times():
    """`30` under an axis said neither of what nor when."""
    points = (Point("2026-11-22T00:35:10+00:00", 1.0, 1.0), Point(LATER, 2.0, 2.0))
    short = replace(
        example.report().spending[0], points=points, ahead=(), exhausted="", rounds_left=0
    )
    (axes,) = figure_of(short).axes

    labels = axes.xaxis.get_major_formatter().format_ticks(axes.get_xticks())

    assert all(re.fullmatch(r"\d\d:\d\d(:\d\d)?", label) for label in labels)
    assert axes.xaxis.get_major_formatter().get_offset() == "2026-11-22 UTC"


def test_names_in_evidence_are_text_on_the_page():
    page = page_of(LAYOUT)

    assert "<script>" not in page
    assert page.count("alert(1)") == page.count("&lt;script&gt;alert(1)")
    assert example.HOSTILE in Reader(page).text


def test_the_page_has_all_parts_and_headed_tables():
    """A reader that hears the page hears which column a number is in."""
    read = Reader(page_of(LAYOUT))
    sections = [attributes["id"] for tag, attributes in read.tags if tag == "section"]
    tables = [tag for tag, _ in read.tags if tag == "table"]
    captions = [tag for tag, _ in read.tags if tag == "caption"]
    heads = [attributes for tag, attributes in read.tags if tag == "th"]
    pictures = [attributes for tag, attributes in read.tags if tag == "img"]

    assert sections == [f"part-{number}" for number in range(1, 11)]
    assert len(tables) == len(captions) > 5
    assert all(head.get("scope") in {"col", "row"} for head in heads)
    assert all(picture["alt"] for picture in pictures)
    assert len(pictures) == 1


@pytest.mark.parametrize("make", [example.report, example.empty])
@pytest.mark.parametrize("state", list(State))
def test_every_report_can_be_printed(make, state):
    """Hostile names and missing parts included: PDF/A-2a and PDF/UA-1, with text and fonts."""
    pdf = pdf_of(layout_of(make(state), drawings_of), 1_800_000_000)

    assert pdf.startswith(b"%PDF-1.7")
    assert b"/FontFile" in pdf
    assert b"/MarkInfo" in pdf
    assert b"pdfaid" in pdf
    assert b"/URI" not in pdf


def test_the_same_report_is_the_same_file():
    assert pdf_of(LAYOUT, 1_800_000_000) == pdf_of(LAYOUT, 1_800_000_000)
    assert pdf_of(LAYOUT, 1_800_000_000) != pdf_of(LAYOUT, 1_800_000_001)


def test_pages_can_be_looked_at():
    pages = pages_of(LAYOUT, 20)

    assert len(pages) > 1
    assert all(page.startswith(b"\x89PNG") for page in pages)


def test_numbers_are_read_back_as_they_were(tmp_path):
    report = example.report()

    files = {path.name: path for path in write_report(report, tmp_path / "new" / "folder")}
    body = files["report.json"].read_bytes()

    assert msgspec.json.decode(body, type=Report) == report
    assert hashlib.sha256(body).hexdigest() in files["report.html"].read_text()
    assert json.loads(body)["datasets"][0]["sums"]["remaining"] > 0


def test_only_the_owner_reads_a_report(tmp_path):
    """It names officers and staff; handing it on is an act."""
    files = write_report(example.report(), tmp_path / "new")

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_full_disk_leaves_no_half_of_a_report(tmp_path, monkeypatch):
    """And says that it is full."""
    write_report(example.report(), tmp_path)
    before = (tmp_path / "report.pdf").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("veilsum.files.os.fsync", full)
    with pytest.raises(StoreUnavailable, match="make room"):
        write_report(example.report(State.TAMPERED), tmp_path)

    assert (tmp_path / "report.pdf").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_cannot_be_made_is_the_operators_to_mend(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="file"):
        write_report(example.report(), tmp_path / "file")


def test_the_registrys_form_has_its_hierarchy():
    """As the records of github.com/opendp/deployments-registry-data have it, in tier 3."""
    report = example.report()
    (one,) = report.datasets
    report = replace(report, datasets=(one, replace(one, participant="birch", version=None)))

    form = registry_form(report)

    record = form["record"]
    assert list(record) == ["url_slug", "status", "tier", "deployment"]
    assert list(record["deployment"]) == [
        "product",
        "dp_flavor",
        "privacy_loss",
        "model",
        "accounting",
        "implementation",
        "resources",
    ]
    loss = record["deployment"]["privacy_loss"]
    assert loss["privacy_parameters"] == {"epsilon": report.datasets[0].sums.release, "delta": 1e-4}
    assert loss["privacy_unit"] == "patient-level"
    assert "None" not in str(record)
    assert registry_form(example.empty())["record"]["deployment"]["privacy_loss"]
    for name in form["to_be_written"]:
        place = record
        for word in name.split("."):
            place = place[word]
        assert place in ("", [])
