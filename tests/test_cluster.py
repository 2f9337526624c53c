"""Sweeps and searches on a Slurm of two nodes, one model on both nodes: the real programs, on this machine.

`make test-cluster` runs the long form: more jobs, trials and kills.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import QUIET, ROOT, run_command, run_folders
from slurm import NODES, slurm
from test_search import study_of
from test_sweep import driver, files, records

from digits.run_folder import RunFolder

pytestmark = [pytest.mark.timeout(1200), pytest.mark.slow]

JOBS, KILLS = int(os.environ.get("CLUSTER_JOBS", 3)), int(os.environ.get("CLUSTER_KILLS", 1))
TRIALS, AT_ONCE = int(os.environ.get("CLUSTER_TRIALS", 4)), 4 if "CLUSTER_TRIALS" in os.environ else 2
SMALL = ("data=mnist_5k", "model=linear", "trainer.accelerator=cpu")
ON_SLURM = ("-m", "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=null", *SMALL)
TWO_NODES = (*SMALL, "trainer=ddp", "trainer.num_nodes=2", "trainer.devices=1", *QUIET)
SRUN = ("srun", "--nodes=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm whose commands this process and its children find."""
    with slurm(tmp_path_factory.mktemp("slurm")) as environment, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", environment["SLURM_CONF"])
        yield


def queue(what="%F_%K"):
    """A line for each job that waits or runs."""
    command = ["squeue", "--me", "--noheader", "--array", f"--format={what}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def until(happened, seconds=300):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, queue("%F_%K %T %r")
        time.sleep(0.2)


def finished(sweep):
    return {number for number, record in records(sweep).items() if record["status"] == "finished"}


def results(sweep):
    """How many jobs of Slurm have run to their end."""
    return len(list((sweep / ".submitit").glob("*/*_result.pkl")))


def weights(folder, name="best"):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def test_the_same_command_joins_the_jobs_of_a_killed_driver(cluster, tmp_path):
    sweep = tmp_path / "sweep"
    seeds = ",".join(map(str, range(JOBS)))
    arguments = (*ON_SLURM, f"seed={seeds}", "trainer.max_epochs=2", f"hydra.sweep.dir={sweep}")
    arguments += ("hydra.launcher.cpus_per_task=2",)  # two jobs run, the others wait
    before = {}
    for kill in range(KILLS):
        with driver(tmp_path, *arguments) as process:
            until(lambda enough=kill: (sweep / "0/run.json").exists() and len(finished(sweep)) >= enough)
            process.kill()
        assert kill or len(queue()) == JOBS, "the jobs live on"
        before |= {number: files(sweep / str(number)) for number in finished(sweep) - before.keys()}
    done = run_command("train.py", *arguments, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    assert finished(sweep) == set(range(JOBS)) and results(sweep) == JOBS, "each job once"
    assert all(files(sweep / str(number)) == then for number, then in before.items())
    assert re.search(rf"^{JOBS} of {JOBS}   #\d linear seed=\d   val ", done.stdout, re.MULTILINE)
    assert f"scancel --me --name={sweep.name} ends them" in done.stdout

    (sweep / "0/run.json").unlink()  # as if its node had gone before it began
    done = run_command("train.py", *arguments, cwd=tmp_path, timeout=900)
    assert done.returncode == 0 and f"{JOBS - 1} of them finished before" in done.stdout
    assert finished(sweep) == set(range(JOBS)) and results(sweep) == JOBS + 1


def test_a_job_that_is_requeued_ends_in_the_same_weights(cluster, tmp_path):
    """One is signalled before its time is over, one loses its node: both go on from their last epoch."""
    sweep = tmp_path / "sweep"
    longer = ("model=mlp", "trainer.max_epochs=20", *QUIET)
    with driver(tmp_path, *ON_SLURM, *longer, "seed=1,2", f"hydra.sweep.dir={sweep}") as process:
        until(lambda: len(queue()) == 2)
        signalled, lost = sorted(queue())
        for number, command in enumerate((["scancel", "--signal=USR2", signalled], ["scontrol", "requeue", lost])):
            until((sweep / f"{number}/checkpoints/last.ckpt").exists)
            subprocess.run(command, check=True)
        assert process.wait(600) == 0, (tmp_path / "printed.txt").read_text()
    assert finished(sweep) == {0, 1}
    for number, seed in ((0, 1), (1, 2)):
        alone = tmp_path / f"alone{seed}"
        done = run_command("train.py", *SMALL, *longer, f"seed={seed}", f"run_folder={alone}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        torch.testing.assert_close(weights(sweep / str(number)), weights(alone), rtol=0, atol=0)
        log = (sweep / f"{number}/train.log").read_text()
        assert log.count("epoch 1:") == 1 and log.count("epoch 3:") == 1, "it went on, and not from the start"
        assert [row.val_loss for row in RunFolder(sweep / str(number)).record().history] == [
            row.val_loss for row in RunFolder(alone).record().history
        ]


def test_a_search_takes_the_next_trial_when_one_has_ended(cluster, tmp_path):
    folder = tmp_path / "search"
    arguments = (*ON_SLURM, "search=custom", f"search.trials={TRIALS}", f"search.at_once={AT_ONCE}", *QUIET)
    arguments += (f"hydra.sweep.dir={folder}", "trainer.max_epochs=2")
    arguments += ("model.learning_rate=tag(log, interval(1e-3, 1e-1))",)
    with driver(tmp_path, *arguments) as process:
        until(lambda: (folder / "0/run.json").exists())
        assert len(queue()) == AT_ONCE
        process.kill()
    done = run_command("train.py", *arguments, cwd=tmp_path, timeout=1100)
    assert done.returncode == 0, done.stderr
    trials = study_of(folder).trials
    assert [trial.state.name for trial in trials].count("COMPLETE") >= 2
    assert len(trials) == TRIALS and all(trial.state.is_finished() for trial in trials)
    assert results(folder) == TRIALS, "each trial once"
    assert "best: #" in done.stdout and (folder / "index.html").exists()


def test_what_sbatch_refuses_is_said_in_one_line(cluster, tmp_path):
    done = run_command("train.py", *ON_SLURM, "seed=1,2", "hydra.launcher.partition=gone", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: hydra.launcher: Slurm does not take the jobs (sbatch: error: "), line


def test_two_nodes_train_one_model_and_a_lost_one_ends_it(cluster, tmp_path):
    """First one that no longer answers, then a dead one."""
    command = [*SRUN, sys.executable, str(ROOT / "train.py")]

    def lose(loss, *arguments):
        """Train until there is a new checkpoint, then lose the second node; return the run's folder."""
        started = time.time()
        with (tmp_path / "printed.txt").open("w") as file:
            process = subprocess.Popen(
                [*command, *arguments], cwd=tmp_path, stdout=file, stderr=file, start_new_session=True
            )
        until(lambda: any(path.stat().st_mtime > started for path in tmp_path.glob("outputs/*/*/*/last.ckpt")))
        (folder,) = run_folders(tmp_path)
        assert [path.parent for path in tmp_path.glob("outputs/*/*/.hydra")] == [folder], "two nodes, one folder"
        on_second = [pid for pid in processes() if f"SLURMD_NODENAME={NODES[1]}" in environment(pid) and is_python(pid)]
        on_second = [pid for pid in on_second if Path(f"/proc/{pid}/cwd").resolve() == tmp_path]  # not another test's
        assert on_second
        began = time.monotonic()
        for pid in on_second:
            os.kill(pid, loss)
        assert process.wait(90) != 0
        assert time.monotonic() - began < 60
        assert "Traceback" not in (folder / "run.json").read_text() or RunFolder(folder).record().status == "failed"
        return folder

    folder = lose(signal.SIGSTOP, *TWO_NODES, "model=mlp", "model.schedule=constant", "trainer.max_epochs=2000")
    assert lose(signal.SIGKILL, f"resume={folder}") == folder
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    done = subprocess.run(
        [*command, f"resume={folder}", f"trainer.max_epochs={last['epoch'] + 3}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert RunFolder(folder).record().status == "finished" and run_folders(tmp_path) == [folder]


def test_srun_with_ntasks_alone_is_enough(cluster, tmp_path):
    command = ["srun", "--nodes=1", "--ntasks=2", sys.executable, str(ROOT / "train.py")]
    arguments = [*SMALL, "trainer.max_epochs=1", *QUIET]
    done = subprocess.run(
        [*command, *arguments, "trainer=ddp", "trainer.devices=2"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder,) = run_folders(tmp_path)
    assert RunFolder(folder).record().status == "finished"
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("trainer.devices: got 1, but torchrun or srun has started 2 processes") == 1
    assert run_folders(tmp_path) == [folder]
    gone = [*arguments, "trainer=ddp", "trainer.devices=2", "resume=gone"]
    done = subprocess.run([*command, *gone], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("error: resume: gone has no ") == 1, done.stderr


def processes():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environment(pid):
    try:
        return (Path("/proc") / str(pid) / "environ").read_text(errors="replace").split("\0")
    except OSError:
        return []


def is_python(pid):
    return b"train.py" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
