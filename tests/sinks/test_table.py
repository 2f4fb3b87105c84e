from __future__ import annotations

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from anyprediction import PREDICTIONS
from pictag.records import Failure, Label, Prediction
from pictag.sinks.table import TableSink, draw_rows


def predict(*scores: float, label: str = "tiger", source: str = "tiger.jpg") -> Prediction:
    return Prediction(source=source, labels=tuple(Label(label=label, score=s, index=0) for s in scores))


def show(prediction: Prediction, *, width: int = 60, percent: bool = True) -> str:
    stream = io.StringIO()
    TableSink(stream, width=width, percent=percent).write(prediction)
    return stream.getvalue()


@given(PREDICTIONS, st.integers(30, 200), st.booleans())
def test_label_rows_fit_the_terminal_and_are_printable(
    prediction: Prediction, width: int, ascii_only: bool
) -> None:
    rows = draw_rows(prediction, width=width, percent=False, ascii_only=ascii_only)
    for row in rows:
        assert row.plain.isprintable()
    if prediction.labels:
        assert all(cell_len(row.plain) <= width for row in rows[1:])


def test_the_bar_is_as_long_as_the_score() -> None:
    rows = draw_rows(predict(1.0, 0.5, 0.0), width=80)
    assert [row.plain.count("█") for row in rows[1:]] == [24, 12, 0]
    assert [row.plain.split()[-1] for row in rows[1:]] == ["100.0%", "50.0%", "0.0%"]


def test_raw_scores_are_numbers_and_the_largest_has_the_longest_bar() -> None:
    rows = draw_rows(predict(12.5, 6.25, -3.0, math.inf), width=80, percent=False)
    assert [row.plain.split()[-1] for row in rows[1:]] == ["12.5", "6.25", "-3", "inf"]
    assert [row.plain.count("█") for row in rows[1:]] == [23, 11, 0, 23]


def test_wide_characters_keep_the_columns_aligned() -> None:
    wide = draw_rows(predict(0.5, label="虎と猫と犬と鳥と魚と馬と牛と羊と豚と猿と鶏と兎"), width=60)
    plain = draw_rows(predict(0.5), width=60)
    assert cell_len(wide[1].plain) == cell_len(plain[1].plain)
    assert "…" in wide[1].plain


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[red]a[/red].jpg", "[red]a[/red].jpg"),  # not markup
        ("[bold]x :cat:", "[bold]x :cat:"),
        ("\x1b]0;title\x07a\r\n.jpg", "\\x1b]0;title\\x07a\\r\\n.jpg"),
        ("\x1b[2Ja\u202e\udce9", "\\x1b[2Ja\\u202e\\udce9"),
    ],
)
def test_names_are_shown_literally_and_control_characters_as_escapes(name: str, shown: str) -> None:
    rows = show(predict(0.5, label=name, source=name), width=100).splitlines()
    assert len(rows) == 2
    assert all(shown in row for row in rows)


def test_a_failure_is_a_row_with_its_kind() -> None:
    failed = Prediction(source="a.jpg", error=Failure(kind="NotAnImage", message="a.jpg: it is a letter."))
    assert show(failed) == "a.jpg\n  NotAnImage: it is a letter.\n"


def test_an_image_without_labels_says_so() -> None:
    assert "no label reaches" in show(Prediction(source="a.jpg"))


def test_a_terminal_without_unicode_gets_ascii_bars() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    sink = TableSink(stream, width=60)
    sink.write(predict(0.5, label="a label that is longer than the column has room for it"))
    stream.seek(0)
    shown = stream.read()
    assert "#########" in shown
    assert "..." in shown


@pytest.mark.parametrize("width", [20, 40, 300])
def test_rows_fit_narrow_and_wide_terminals(width: int) -> None:
    lines = show(predict(0.9, label="macaw"), width=width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert "macaw" in lines[1]
