# SPDX-License-Identifier: Apache-2.0
"""Cells that are measured once, and the tables, charts and pages made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from acclimate.errors import BadOutput, CorruptFile
from acclimate.experiment import (
    BarChart,
    Beside,
    CellStore,
    Column,
    Experiment,
    Footer,
    Line,
    LineChart,
    Page,
    Section,
    Table,
    Whisker,
    asked,
    kept_cells,
    measure_cells,
    points,
    save_page,
)
from acclimate.experiment.chart import nice_step


@dataclass(frozen=True)
class Square:
    """Settings of a cell."""

    x: int
    places: tuple[str, ...] = ("a",)


CELLS = [Square(2), Square(3), Square(2), Square(4)]


def squares(seen: list[int], version: int = 1) -> Experiment[Square]:
    def measure(cell: Square) -> dict[str, object]:
        seen.append(cell.x)
        return {"square": cell.x**2, "pair": (1, 2)}

    return Experiment("squares", version, measure, lambda cell: float(cell.x))


def test_cells_are_measured_once_and_found_again(tmp_path: Path) -> None:
    seen: list[int] = []
    told: list[tuple[float, float]] = []
    store = CellStore(tmp_path / "new" / "folder")
    first = measure_cells(squares(seen), CELLS, store, lambda d, t, what: told.append((d, t)))
    assert seen == [2, 3, 4] and told == [(0, 9), (2, 9), (5, 9), (9, 9)]
    again = measure_cells(squares(seen), CELLS, store)
    assert seen == [2, 3, 4], "a second run measures nothing"
    assert again == first == {Square(x): {"square": x * x, "pair": [1, 2]} for x in (2, 3, 4)}


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    store = CellStore(tmp_path)

    def stops(cell: Square) -> dict[str, object]:
        if cell.x == 4:
            raise KeyboardInterrupt
        return {"square": cell.x**2}

    with pytest.raises(KeyboardInterrupt):
        measure_cells(replace(squares([]), measure=stops), CELLS, store)
    assert set(kept_cells(squares([]), CELLS, store)) == {Square(2), Square(3)}
    assert not list(tmp_path.glob(".*")), "nothing is left of the stopped cell"
    seen: list[int] = []
    measure_cells(squares(seen), CELLS, store)
    assert seen == [4]


def test_other_settings_or_code_never_find_an_old_result(tmp_path: Path) -> None:
    store, seen = CellStore(tmp_path), list[int]()
    measure_cells(squares(seen), [Square(2)], store)
    assert store.find(squares(seen), Square(2, ("b",))) is None
    assert store.find(squares(seen, version=2), Square(2)) is None
    assert store.find(replace(squares(seen), name="others"), Square(2)) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cell": {"x": 2}, "result": {}}'])
def test_a_damaged_cell_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    store, experiment = CellStore(tmp_path), squares([])
    measure_cells(experiment, [Square(2)], store)
    (path,) = tmp_path.iterdir()
    path.write_text(content)
    with pytest.raises(CorruptFile, match=path.name):
        store.find(experiment, Square(2))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOutput, match="--out"):
        measure_cells(squares([]), [Square(2)], CellStore(tmp_path / "file"))


def test_what_is_no_number_is_not_kept(tmp_path: Path) -> None:
    broken = replace(squares([]), measure=lambda cell: {"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        measure_cells(broken, [Square(2)], CellStore(tmp_path))
    assert not list(tmp_path.iterdir())


FOOTER = Footer("python run.py", "made here", "0, 1", ("A note.",))
TABLE = Table(
    "Costs",
    (Column("model", "l"), Column("ms", beside=True), Column("kB")),
    (("S", Beside("3.35", "10.89"), "9.5"), ("<M>", "7.1", "")),
    FOOTER,
)


def test_a_table_shows_published_beside_measured_and_its_footer() -> None:
    lines = TABLE.text().splitlines()
    assert lines[2].split() == ["model", "ms", "published", "kB"]
    assert lines[4].split() == ["S", "3.35", "10.89", "9.5"] and lines[5].split() == ["<M>", "7.1"]
    assert [line.strip() for line in lines[-4:]] == list(FOOTER.lines())
    assert TABLE.markdown().splitlines()[:3] == [
        "| model | ms | published | kB |",
        "| --- | ---: | ---: | ---: |",
        "| S | 3.35 | 10.89 | 9.5 |",
    ]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="Costs"):
        replace(TABLE, rows=(("S",),))


def test_gains_are_points_with_their_range() -> None:
    assert points([0.064, 0.09, 0.083]) == "+7.9 [+6.4..+9.0]"
    assert points([-0.021]) == "-2.1" and points([]) == ""
    assert asked(5.0, 5.0) == "reached" and asked(4.9, 5.0) == "it does not reach it"
    assert asked(2.1, 2.0, at_least=False) == "it does not reach it"


def test_bars_begin_at_zero_and_whiskers_stay_inside() -> None:
    chart = BarChart("gains", (Whisker.of("a", [2.0, 6.0]), Whisker.of("b", [-4.0])))
    up, down = chart.bars()
    assert up.x == chart.zero == round(down.x + down.width, 1)
    assert up.low < up.x + up.width < up.high <= 1000 and down.low == down.high
    assert up.width == pytest.approx(down.width, abs=0.2), "4 up and 4 down"
    assert "[2.0..6.0]" in up.text and "[" not in down.text


def test_lines_keep_their_order_and_ratios() -> None:
    line = Line("fc1", tuple((x, (float(i), i + 1.0)) for i, x in enumerate((24.0, 48.0, 96.0))))
    chart = LineChart("gain", "utterances", (line, replace(line, name="all")), logarithmic=True)
    (a, _), (b, _), (c, _) = chart.x_ticks()
    assert b - a == pytest.approx(c - b, abs=0.2)
    first, second = chart.drawn()
    assert [y for _, y, _ in first.dots] == sorted((y for _, y, _ in first.dots), reverse=True)
    assert abs(first.name_y - second.name_y) >= 15, "names do not lie on each other"
    heights = [y for y, _ in chart.y_ticks()]
    assert all(0 <= y <= chart.bottom for y in heights) and heights == sorted(heights)[::-1]


def test_steps_of_an_axis_are_round() -> None:
    assert [nice_step(x) for x in (6.0, 7.0, 25.0, 0.3)] == [1.0, 2.0, 5.0, 0.05]


def test_a_page_is_one_file_and_escapes_what_it_shows(tmp_path: Path) -> None:
    bars = BarChart("gains <here>", (Whisker.of("a", [2.0, 6.0]),))
    lines = LineChart("gain", "utterances", (Line("fc1", ((1.0, (2.0,)), (2.0, (3.0,)))),))
    page = Page("A & B", "about", (Section("one", ("words",), (TABLE,), (bars,), (lines,)),))
    save_page(page, tmp_path / "new" / "report.html")
    html = (tmp_path / "new" / "report.html").read_text()
    assert "&lt;M&gt;" in html and "<M>" not in html and "A &amp; B" in html
    assert "http" not in html and "<svg" in html and "python run.py" in html
    tags: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert tags.pop() == tag

    Balance().feed(html)
    assert not tags


def test_results_are_readable_json(tmp_path: Path) -> None:
    measure_cells(squares([]), [Square(3)], CellStore(tmp_path))
    (path,) = tmp_path.iterdir()
    kept = json.loads(path.read_text())
    assert kept["cell"] == {"experiment": "squares", "version": 1, "x": 3, "places": ["a"]}
    assert kept["result"] == {"square": 9, "pair": [1, 2]}
