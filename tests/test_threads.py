"""How PyTorch's threads wait: chosen before PyTorch is imported, by what other programs do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from digits import threads

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only the thread library of Linux waits so")
PREPARED = """
import json, os, sys
from digits.threads import prepare_threads
prepare_threads()
assert "torch" not in sys.modules
print(json.dumps({name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")}))
"""


@pytest.fixture
def quiet(monkeypatch):
    """Whether others are busy is given; nothing is chosen yet."""
    for name in (*threads.CHOSEN, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "cores_of_others", lambda: 0.0)
    monkeypatch.setattr(threads, "usable_cores", lambda: len(os.sched_getaffinity(0)))


@LINUX
def test_threads_spin_for_a_short_time_on_a_quiet_machine(quiet, monkeypatch):
    threads.prepare_threads()
    assert os.environ["GOMP_SPINCOUNT"] == threads.SHORT_SPIN
    assert not {"OMP_WAIT_POLICY", "OMP_NUM_THREADS"} & os.environ.keys()


@LINUX
def test_threads_sleep_at_once_beside_a_busy_program(quiet, monkeypatch):
    monkeypatch.setattr(threads, "cores_of_others", lambda: 0.9)
    threads.prepare_threads()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE" and "GOMP_SPINCOUNT" not in os.environ


@LINUX
def test_a_program_that_is_just_ending_does_not_make_the_machine_busy(quiet, monkeypatch):
    looks = iter([0.9, 0.5, 0.0])
    monkeypatch.setattr(threads, "cores_of_others", lambda: next(looks))
    threads.prepare_threads()
    assert os.environ["GOMP_SPINCOUNT"] == threads.SHORT_SPIN


@pytest.mark.parametrize("name", threads.CHOSEN)
def test_what_the_user_has_chosen_stays(quiet, monkeypatch, name):
    monkeypatch.setenv(name, "7")
    threads.prepare_threads()
    assert {key: os.environ.get(key) for key in threads.CHOSEN} == {**dict.fromkeys(threads.CHOSEN), name: "7"}


@LINUX
def test_a_quota_of_the_container_limits_the_threads_unless_the_user_has(quiet, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    assert threads.quota_of_cores() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads.prepare_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.prepare_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"


@LINUX
def test_a_busy_program_is_seen():
    """This process sleeps while it looks, so it does not count itself."""
    script = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as busy:
        assert busy.stdout and busy.stdout.readline()
        try:
            assert max(threads.cores_of_others() for _ in range(5)) > threads.BUSY
        finally:
            busy.kill()


@LINUX
def test_the_choice_is_made_before_torch_is_imported_and_the_thread_library_obeys_it():
    """`OMP_DISPLAY_ENV` has the library print what it has read."""
    script = f"{PREPARED}\nimport torch\ntorch.ones(1 << 20).sum()"
    environment = {key: value for key, value in os.environ.items() if key not in (*threads.CHOSEN, "OMP_NUM_THREADS")}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    chosen = json.loads(done.stdout)
    if chosen["OMP_WAIT_POLICY"]:
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr and "GOMP_SPINCOUNT = '0'" in done.stderr
    else:
        assert f"GOMP_SPINCOUNT = '{threads.SHORT_SPIN}'" in done.stderr


@LINUX
def test_a_run_on_one_core_says_so_and_records_its_cores(tmp_path):
    core = {min(os.sched_getaffinity(0))}
    words = ["data=mnist_5k", "model=linear", "trainer.max_epochs=1", "trainer.accelerator=cpu", "run_folder=run"]
    environment = {key: value for key, value in os.environ.items() if key not in (*threads.CHOSEN, "OMP_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, core),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"1 of {os.cpu_count()} cores" in done.stdout
    hardware = json.loads(Path(tmp_path, "run/run.json").read_text())["hardware"]
    assert (hardware["cores"], hardware["threads"], hardware["machine_cores"]) == (1, 1, os.cpu_count())
    assert "quota" not in hardware
