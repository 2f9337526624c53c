"""Two processes that train one model, one of which is killed: the other ends soon, and a resume loses nothing."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress

import pytest
from conftest import QUIET, run_command
from test_resume import alive

from faults.killing import LAST, RUN, TRAIN, begun, cpu_seconds, sha256_of_weights, wait_for

pytestmark = pytest.mark.slow
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=8"]
SOON = 30  # seconds


def second_of(process):
    """The number of the process that the first one has started."""
    words = ["pgrep", "-g", str(process.pid), "-f", "train.py"]
    (number,) = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return int(number)


def signalled(cwd, arguments, rank, number, seconds):
    """Start a run of two and send one of them a signal after some seconds of work that follow its first checkpoint.

    Return the exit code of the first, once both have ended.
    """
    process = begun(cwd, TRAIN, *arguments, session=True)
    try:
        wait_for(process, (cwd / LAST).exists, cwd)
        start = cpu_seconds(process.pid)
        wait_for(process, lambda: cpu_seconds(process.pid) >= start + seconds, cwd)
        os.kill(second_of(process) if rank else process.pid, number)
        end = time.monotonic() + SOON
        while left := alive(process.pid):
            assert time.monotonic() < end, left
            time.sleep(0.1)
        return process.wait(5)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def whole_of_two(tmp_path_factory):
    """The same run, never killed."""
    cwd = tmp_path_factory.mktemp("whole_of_two")
    done = run_command("train.py", *RUN, *TWO, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "run"


@pytest.mark.fault(
    "SIGKILL to one of two processes that train one model; then resume=",
    "the other one is gone within 30 s, nothing is left of both; after the resume the same weights",
    cases=20,
    short=0,
)
def test_the_other_process_ends_and_the_run_goes_on_to_the_same_weights(whole_of_two, tmp_path, case):
    seconds = random.Random(case).uniform(0, 0.2)
    assert signalled(tmp_path, [*RUN, *TWO], case % 2, signal.SIGKILL, seconds) != 0
    done = run_command("train.py", "resume=run", *QUIET, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sha256_of_weights(tmp_path / "run") == sha256_of_weights(whole_of_two)
