"""SIGTERM and Ctrl-C, once or twice, to one process or to one of two: the run ends soon, with what it has learned."""

import json
import os
import random
import signal
import time
from contextlib import suppress

import pytest
from test_resume import ENDLESS, alive

from digits.training.checkpoints import read_checkpoint
from faults.killing import LAST, RUN, TRAIN, begun, cpu_seconds, wait_for
from faults.test_killed_ranks import TWO, signalled

pytestmark = pytest.mark.slow
CODES = {signal.SIGTERM: (143, "terminated"), signal.SIGINT: (130, "interrupted")}
SOON = 30  # seconds; on a machine that does nothing else it takes one


def ends(process, cwd):
    """The exit code of a process that ends soon, and with it all that it has started."""
    try:
        code = process.wait(SOON)
        end = time.monotonic() + SOON
        while left := alive(process.pid):
            assert time.monotonic() < end, left
            time.sleep(0.1)
        return code, (cwd / "printed.txt").read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def second_of_two_ends(tmp_path, seconds):
    """A signal to the second process only ends both."""
    assert signalled(tmp_path, [*RUN, *TWO, *ENDLESS], 1, signal.SIGTERM, seconds) in (1, 143)
    printed = (tmp_path / "printed.txt").read_text()
    assert "Traceback" not in printed, printed
    assert read_checkpoint(tmp_path / LAST)["epoch"] >= 0


@pytest.mark.fault(
    "SIGTERM or SIGINT at any moment, once or twice, and SIGTERM to one of two processes",
    "exit 143 or 130, the last epoch's checkpoint is whole, a second signal ends it at once; no hang",
    cases=10,
    short=2,
)
def test_a_signal_ends_a_run_in_order_and_a_second_one_at_once(tmp_path, case):
    chance, number = random.Random(case), list(CODES)[case % 2]
    if case >= 8:
        second_of_two_ends(tmp_path, chance.uniform(0, 0.3))
        return
    process = begun(tmp_path, TRAIN, *RUN, *ENDLESS, session=True)
    wait_for(process, (tmp_path / LAST).exists, tmp_path)
    start, seconds = cpu_seconds(process.pid), chance.uniform(0, 0.3)
    wait_for(process, lambda: cpu_seconds(process.pid) >= start + seconds, tmp_path)
    os.kill(process.pid, number)
    if case >= 4:
        time.sleep(chance.choice([0, 0.001, 0.01, 0.1]))
        with suppress(ProcessLookupError):
            os.kill(process.pid, list(CODES)[case // 2 % 2])
    code, printed = ends(process, tmp_path)
    assert "Traceback" not in printed and "Error" not in printed
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert read_checkpoint(tmp_path / LAST)["epoch"] >= 0
    if case >= 4:
        assert code in (130, 143)
        return
    wanted, word = CODES[number]
    assert code == wanted, printed
    assert f"{word}; continue with: python train.py resume=run" in printed
    assert record["status"] == "failed" and record["error"].startswith(f"{word}; continue with: ")
