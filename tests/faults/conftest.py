"""Faults that happen many times: each test here is one, and each of its cases happens at another place or time.

`make faults` runs every case, ends in a table and writes outputs/faults.json; `make test` runs a few of each. The table
says what a mark says, so that the two cannot disagree:

    @pytest.mark.fault("killed while it trains, then resumed", "the same weights", cases=50, short=2)
    def test_…(case: int): …

`case` counts from 0. A test that tries many small things in one case says how many: `each=100`.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import run_command

from faults.killing import RUN

WHOLE = "FAULTS" in os.environ  # make faults sets it
OUTPUT = Path("outputs/faults.json")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run, never killed."""
    cwd = tmp_path_factory.mktemp("whole")
    done = run_command("train.py", *RUN, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "run"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test its cases."""
    if mark := metafunc.definition.get_closest_marker("fault"):
        metafunc.parametrize("case", range(mark.kwargs["cases" if WHOLE else "short"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what has no short form, as others test it already or it takes long."""
    marks = {item: item.get_closest_marker("fault") for item in items}
    items[:] = [item for item, mark in marks.items() if WHOLE or not mark or mark.kwargs["short"]]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have the report of each case say which fault it was: it travels from a worker to the table, a mark does not."""
    if mark := item.get_closest_marker("fault"):
        item.user_properties.append(("fault", [*mark.args, mark.kwargs.get("each", 1)]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table and write outputs/faults.json."""
    if WHOLE:
        rows = _rows([each for how in ("passed", "failed", "error") for each in terminalreporter.getreports(how)])
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(json.dumps(rows, indent=2) + "\n")
        lines = [f"| {r['fault']} | {r['held']:,} of {r['tried']:,} | {r['seen']} | {r['seconds']:.0f} |" for r in rows]
        terminalreporter.write_line(
            "\n".join(["| fault | held | what is seen | seconds |", "|---|---|---|---|", *lines])
        )


def _rows(reports: list[pytest.TestReport]) -> list[dict[str, Any]]:
    """A row for each fault, in the order in which they ended first."""
    rows: dict[str, dict[str, Any]] = {}
    for report in reports:
        properties = getattr(report, "user_properties", [])  # a file that cannot be imported has none
        for fault, seen, each in (value for name, value in properties if name == "fault"):
            row = rows.setdefault(fault, {"fault": fault, "held": 0, "tried": 0, "seen": seen, "seconds": 0.0})
            row["held"] += each * report.passed
            row["tried"] += each
            row["seconds"] += report.duration
    return list(rows.values())
