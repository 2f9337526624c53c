"""A search with -m search=…: as many trials as it says, however often it is killed, and only the best is tested."""

import json
import math
import os
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager

import optuna
import pytest
import yaml
from conftest import QUIET, audit, run_command, run_folders
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import ThresholdPruner
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from test_compare import is_cut, views
from test_sweep import driver, files, finished, records, the_sweep, wait_for

from digits.config import CONFIGS, explained
from digits.record import Epoch, RunRecord
from digits.run_folder import RunFolder
from digits.settings import settings_of
from digits.sweep_jobs import DigitJobs
from plain_errors import ConfigError, StudyError
from resumable_sweeps import job, study
from resumable_sweeps.importance import importances
from resumable_sweeps.jobs import Jobs
from resumable_sweeps.names import search_name
from resumable_sweeps.pruning import Pruning
from resumable_sweeps.space import mistakes_in_search, probes, rehearse, search_of
from resumable_sweeps.trials import Trials

# `make test-kills` asks for more
TRIALS, KILLS = int(os.environ.get("SWEEP_JOBS", 4)), int(os.environ.get("SWEEP_KILLS", 2))
SMALL = ["data=mnist_5k", "data.train_size=640", "model=linear", "trainer.log_every_n_steps=5"]
FAST = ["-m", "search=custom", *SMALL, "trainer.max_epochs=2"]
# With a rate of 1e-09 nothing is learned: it is pruned after the first epoch.
PRUNER = [
    "search.pruner._target_=optuna.pruners.ThresholdPruner",
    "~search.pruner.n_warmup_steps",  # the command that trains the best again must do without it
    "+search.pruner.lower=0.4",
]
SEARCH = [*FAST, *PRUNER, "model.learning_rate=choice(1e-09,1e-2,2e-2)", "data.batch_size=int(interval(32,64))"]
MOMENTS = [
    "{}/run.json",
    "{}/tensorboard/*/events*",
]  # how far a trial is when its driver is killed: begun, in training
SAMPLER = {"_target_": "optuna.samplers.RandomSampler", "seed": 0}


def study_of(sweep):
    journal = JournalStorage(JournalFileBackend(str(sweep / "study.jsonl")))
    return optuna.load_study(study_name="search", storage=journal)


def ended(sweep):
    return {
        n: files(sweep / str(n)) for n, record in records(sweep).items() if record["status"] in ("finished", "pruned")
    }


def some_trials(folder, total=3):
    """As a new process sees them."""
    study._storage.cache_clear()
    return Trials(Jobs(DigitJobs(), folder, total, "val/accuracy"), SAMPLER, None)


@pytest.fixture
def hydra():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search whose driver was killed several times, each time in another trial and at another moment of it."""
    cwd = tmp_path_factory.mktemp("searched")
    arguments = [*SEARCH, f"search.trials={TRIALS}"]
    before = {}
    for kill in range(KILLS):
        moment = MOMENTS[kill % 2].format(kill * TRIALS // (KILLS + 1))
        with driver(cwd, *arguments) as process:
            wait_for(process, lambda at=moment: any(cwd.glob(f"outputs/sweeps/*/{at}")), cwd)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        after = ended(the_sweep(cwd))
        assert before.items() <= after.items()
        before = after
    done = run_command("train.py", *arguments, cwd=cwd)
    return the_sweep(cwd), before, done


def test_the_same_command_continues_a_killed_search_up_to_the_total(searched):
    sweep, before, done = searched
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    trials = study_of(sweep).trials
    assert [trial.number for trial in trials] == list(range(TRIALS)) == sorted(records(sweep))
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}
    best = study_of(sweep).best_trial.number
    after = ended(sweep)
    assert all(after[number] == kept for number, kept in before.items() if number != best)
    for trial in trials:
        given = yaml.safe_load((sweep / str(trial.number) / ".hydra" / "overrides.yaml").read_text())
        assert {f"{key}={value}" for key, value in trial.params.items()} <= set(given)
        record = RunFolder(sweep / str(trial.number)).record()
        if trial.state.name == "PRUNED":
            assert record.status == "pruned"
        else:
            assert (record.status, record.value("val/accuracy")) == ("finished", trial.value)
        assert (trial.state.name == "PRUNED") == (trial.params["model.learning_rate"] == "1e-09")
    jobs = rf"^\d of {TRIALS}   #(\d+) linear .*   (?:val \d\d\.\d\d %|pruned after epoch 1: .*)   \d"
    lines = re.findall(jobs, done.stdout, flags=re.M)
    assert 0 < len(lines) <= TRIALS and len(set(lines)) == len(lines)
    assert f"{TRIALS} trials in outputs/sweeps/{sweep.name}: " in done.stdout


def test_the_sampler_still_proposes_all_keys_together_after_kills_and_pruned_trials(searched):
    """Optuna's does not, silently, once a trial has ended without a key or with another range of it."""
    study = study_of(searched[0])
    joint = optuna.samplers.TPESampler().infer_relative_search_space(study, study.trials[-1])
    assert joint.keys() == study.best_trial.distributions.keys()


def test_only_the_best_trial_is_tested(searched):
    sweep, _, done = searched
    best = study_of(sweep).best_trial
    assert [path.parent.parent.name for path in sweep.glob("*/report/metrics.json")] == [str(best.number)]
    metrics = json.loads((sweep / str(best.number) / "report" / "metrics.json").read_text())
    assert metrics["val/accuracy"] == pytest.approx(best.value, abs=0.011)  # 32-bit after bf16, 500 digits
    val, test = (f"{100 * value:.2f} %" for value in (best.value, metrics["test/accuracy"]))
    assert f"best: #{best.number}, val/accuracy {val}, test accuracy {test}:" in done.stdout
    page = (sweep / "index.html").read_text()
    assert page.count("<svg") == 2 and f'href="{best.number}/report/index.html"' in page
    assert page.count("/train.log") == TRIALS
    assert "complete trials are too few to tell; it takes 15" in page


def test_the_page_of_a_search_is_whole(searched, browser):
    sweep, _, _ = searched
    for page in views(browser, sweep / "index.html"):
        audit(page)
        assert page.viewport_size["width"] < 1400 or not is_cut(page)
    assert "train.py -m search=custom" in page.inner_text(".facts >> nth=0")
    links = [link.get_attribute("href") for link in page.locator("a").all()]
    assert {f"{number}/" for number in range(TRIALS)} < set(links)
    assert all((sweep / link).exists() for link in links)
    heading = page.get_by_role("columnheader", name="value")
    for key, falls in (("Enter", True), ("Space", False)):
        heading.get_by_role("button").press(key)
        values = [float(text.split()[0]) for text in page.locator("tbody td:nth-child(3)").all_inner_texts()]
        assert values == sorted(values, reverse=falls) and len(set(values)) > 1


def test_the_experiment_file_trains_the_best_trial_again(searched, monkeypatch):
    sweep, _, done = searched
    cwd = sweep.parents[2]
    (command,) = re.findall(r"^again: python train.py (.*)$", done.stdout, flags=re.M)
    again = run_command("train.py", *shlex.split(command), *QUIET, cwd=cwd)
    assert again.returncode == 0, again.stderr
    (run,) = run_folders(cwd)
    best = study_of(sweep).best_trial
    ran, found = (json.loads((folder / "run.json").read_text()) for folder in (run, sweep / str(best.number)))
    assert settings_of(ran["config"]) == settings_of(found["config"])
    assert (ran["experiment"], ran["config"]["seed"]) == ("best", 0)
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, "argv", ["train.py", *shlex.split(command), "modle=1"])
    assert str(explained(HydraException("as Hydra says it"))) == "modle: no such key; did you mean model?"


def test_a_larger_total_continues_and_another_space_is_refused(searched):
    sweep, _, _ = searched
    cwd = sweep.parents[2]
    before = ended(sweep)
    more = run_command("train.py", *SEARCH, f"search.trials={TRIALS + 1}", "search.pruner=null", cwd=cwd)
    assert (more.returncode, more.stderr) == (0, "")
    assert re.findall(r"^\d of \d +#(\d+) ", more.stdout, flags=re.M) == [str(TRIALS)]
    winner = study_of(sweep).best_trial.number
    assert before.items() <= ended(sweep).items()  # the winner of before is not tested again
    assert len(list(sweep.glob("*/model.onnx"))) == 1 + (winner == TRIALS)
    before = files(sweep)
    other = [*(f"hydra.sweep.dir={sweep}", "model.learning_rate=choice(1e-2,2e-2)", "model.weight_decay=0.1")]
    done = run_command("train.py", *SEARCH[:-2], *other, cwd=cwd)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "holds another search: " in done.stderr and "data.batch_size was searched in Int" in done.stderr
    assert "model.weight_decay was 0.0 and is now 0.1" in done.stderr
    assert {path: kept for path, kept in files(sweep).items() if path.is_file() and ".locks" not in path.parts} == {
        path: kept for path, kept in before.items() if path.is_file() and ".locks" not in path.parts
    }


def test_a_search_prints_failed_trials_once_and_runs_on(command, tmp_path):
    """The learning rate of 1e30 turns the loss into nan."""
    arguments = [*FAST, "model=mlp", "model.hidden=[16]", "model.schedule=constant", "search.trials=9"]
    done = command(
        "train.py",
        *arguments,
        "search.sampler._target_=optuna.samplers.BruteForceSampler",
        "model.learning_rate=1e30,1e-2,1e20",
    )
    sweep = the_sweep(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    states = {trial.params["model.learning_rate"]: trial.state.name for trial in study_of(sweep).trials}
    assert states == {"1e+30": "FAIL", "1e+20": "FAIL", "0.01": "COMPLETE"}, "all there is, and none twice"
    assert len(re.findall(r"^\d of 9   #\d .*   failed: train/loss is ", done.stdout, flags=re.M)) == 2
    assert "3 trials in" in done.stdout and "1 complete, 2 failed" in done.stdout


def test_a_search_without_a_value_ends_with_one_line(command, tmp_path):
    for name in ("none.ckpt", "no.ckpt"):
        (tmp_path / name).touch()
    done = command("train.py", *FAST, "search.trials=2", "ckpt_path=choice(none.ckpt,no.ckpt)")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "has a value; search smaller ranges" in done.stderr
    assert done.stdout.count("not a whole checkpoint") == 2 and "failed: #0 #1" in done.stdout


def test_two_drivers_share_the_trials_and_one_runs_what_a_killed_one_left(joblib, tmp_path):
    """The first is killed while two processes of its own have begun a trial each; they end with it."""
    cwd, both = tmp_path / "other", tmp_path / "both"
    cwd.mkdir()
    arguments = [*FAST, "model.learning_rate=interval(0.001,0.1)", "search.trials=6", f"hydra.sweep.dir={both}"]
    with driver(tmp_path, *arguments, *joblib) as one, driver(cwd, *arguments) as other:
        wait_for(one, lambda: len(list(both.glob(".locks/*.job"))) == 2, tmp_path)
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
        assert other.wait(120) == 0
    done = run_command("train.py", *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    printed = [(tmp_path / "printed.txt").read_text(), (cwd / "printed.txt").read_text(), done.stdout]
    assert re.findall(r"^\d of 6 ", printed[0], flags=re.M) == []
    assert sorted(re.findall(r"^\d of 6   #(\d) ", "".join(printed), flags=re.M)) == list("012345")
    assert [trial.state.name for trial in study_of(both).trials] == ["COMPLETE"] * 6
    assert sorted(finished(both)) == list(range(6)) and len(list(both.glob("*/report/index.html"))) == 1


def test_a_sweep_runs_in_several_processes(joblib, command, tmp_path):
    done = command("train.py", "-m", *SMALL, "seed=1,2", "trainer.fast_dev_run=true", *QUIET, *joblib)
    assert done.stdout.count("dry run") == 2, done.stderr
    assert sorted(finished(the_sweep(tmp_path))) == [0, 1] and "2 jobs in" in done.stdout


def test_a_launcher_that_is_not_installed_is_named_with_its_extra(command, tmp_path):
    hidden = tmp_path / "hydra_plugins" / "hydra_joblib_launcher"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = command("train.py", "-m", *SMALL, "seed=1,2", "hydra/launcher=joblib", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: hydra/launcher=joblib: not installed; pip install -e '.[joblib]' installs it\n",
    )


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    "sampler, reason",
    [("CmaEsSampler", "No module named 'cmaes'"), ("BruteForceSampler", "FloatDistribution.step must")],
)
def test_a_sampler_that_cannot_search_is_refused_before_the_first_trial(hydra, sampler, reason):
    overrides = ["search=mlp", f"search.sampler._target_=optuna.samplers.{sampler}"]
    with pytest.raises(ConfigError, match=f"search: {sampler} with MedianPruner cannot search this .{reason}"):
        rehearse(compose("train", overrides), the_search(overrides)[1])


def test_mistakes_are_printed_before_the_first_trial(command, tmp_path):
    done = command("train.py", "-m", "search=svm", "model.C=interval(-1,2)", "data.bach_size=16,32", "search.trials=0")
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert done.stderr.splitlines() == [
        "error: data.bach_size: no such key; did you mean data.batch_size or data.val_size?",
        "model.C: got -1.0, wanted greater than 0",
        "search.trials: got 0, wanted greater than or equal to 1",
    ]


# In one process


@pytest.mark.parametrize(
    "overrides, line",
    [
        (["search=mlp", "data.batch_size=interval(16,64)"], "data.batch_size: got "),
        (
            ["search=mlp", "model.optimizer=choice(adamw,muon)"],
            "model.optimizer=",
        ),
        (
            ["search=mlp", "search.metric=test/accuracy"],
            "search.metric: got 'test/accuracy', wanted 'val/accuracy' or 'val/loss'",
        ),
        (
            ["search=mlp", "search.sampler._target_=os.system"],
            "search.sampler._target_: got os.system, wanted a class of optuna.samp",
        ),
        (
            ["search=mlp", "search.sampler._target_=optuna.samplers.TPS"],
            "search.sampler._target_: got optuna.samplers.TPS, which ca",
        ),
        (
            ["search=mlp", "+search.pruner.n_startup=3"],
            "search.pruner.n_startup: no such key; did you mean search.pruner.n_startup_tri",
        ),
        (
            ["search=mlp", "+search.pruner.n_startup_trials=-3"],
            "search.pruner: Number of startup trials cannot be negative",
        ),
        (["search=svm", "search.metric=val/loss"], "search.metric: got val/loss, which this model logs before it is"),
        (
            ["search=mlp", "data.val_size=0"],
            "data.val_size: got 0, wanted validation digits: a search compares trials on them",
        ),
        (["search=mlp", "trainer.fast_dev_run=true"], "trainer.fast_dev_run: a dry run has no value"),
    ],
)
def test_mistakes_in_a_search_are_named(hydra, overrides, line):
    found = set(mistakes_of(overrides))
    assert found and all(mistake.startswith(line) for mistake in found)


def mistakes_of(overrides):
    project, trials = DigitJobs(), probes(*the_search(overrides))
    configs = [compose("train", each, return_hydra_config=True) for each in trials]
    return [line for each in configs for line in (*project.mistakes(each), *mistakes_in_search(each, project))]


def the_search(overrides):
    """The plain overrides and the space of a command, as the sweeper finds them."""
    (choice,) = [text for text in overrides if text.startswith("search=")]
    return search_of(overrides, compose("train", [choice]).search.space)


def test_a_search_needs_no_m(command, tmp_path):
    done = command("train.py", "search=custom", "data=mnist_5k")
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert done.stderr.startswith("error: search.space: empty; add a range, like 'model.learning_rate=")


def test_a_database_is_no_longer_needed(command):
    done = command("train.py", "-m", "search=mlp", "search.storage='postgresql://me@host/name'")
    line = "a search keeps its trials in its folder, on a cluster too; leave this out"
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and done.stderr.endswith(f": {line}\n")


@pytest.mark.parametrize("choice", ["cnn", "mlp", "svm", "cnn_augmented"])
def test_the_ranges_hold_the_defaults(hydra, choice):
    """Else a search could only say that the defaults are wrong."""
    _, space = the_search([f"search={choice}"])
    assert mistakes_of([f"search={choice}"]) == []
    config = compose("train", [f"search={choice}"], return_hydra_config=True)
    for key, distribution in space.items():
        usual = OmegaConf.select(config, key) if "." in key else config.hydra.runtime.choices[key]
        if isinstance(distribution, CategoricalDistribution):
            assert str(usual).replace(" ", "") in distribution.choices
        elif usual != "scale":
            assert distribution.low <= usual <= distribution.high


def test_an_override_replaces_the_range_of_its_key(hydra):
    plain, space = the_search(
        [
            "search=mlp",
            "model.dropout=0.1",
            "model.learning_rate=interval(0.1,0.2)",
            "seed=range(2,9,3)",
            "data=mnist_5k",
        ]
    )
    assert plain == ["search=mlp", "model.dropout=0.1", "data=mnist_5k"]
    assert "model.dropout" not in space and space["model.hidden"].choices[2] == "[256,256]"
    assert space["model.learning_rate"] == FloatDistribution(0.1, 0.2)
    assert space["model.weight_decay"] == FloatDistribution(5e-3, 0.5, log=True)
    assert space["seed"] == IntDistribution(2, 8, step=3)
    with pytest.raises(ConfigError, match=r"model.dropout=interval\(0.5,0\): `low <= high` must hold"):
        the_search(["search=mlp", "model.dropout=interval(0.5,0)"])


# The file of trials


SPACE = {"seed": IntDistribution(0, 9)}


@pytest.mark.parametrize(
    "text, reason",
    [
        (b"somebody's file" * 100, "is not the study of a search"),
        (b'{"op_code": 0}\nnot of Optuna\n{"op_code": 0}\n', "is damaged ("),
    ],
)
def test_a_file_that_is_no_study_is_not_changed(tmp_path, text, reason):
    some_trials(tmp_path).begin({})
    path = tmp_path / "study.jsonl"
    path.write_bytes(text)
    with pytest.raises(StudyError) as error:
        some_trials(tmp_path).begin({})
    assert reason in str(error.value) and path.read_bytes() == text


def test_a_process_killed_in_a_write_keeps_nobody_waiting_and_spoils_nothing(tmp_path, monkeypatch):
    """It leaves Optuna's lock and half a line."""
    monkeypatch.setattr(study, "GRACE", 3)
    some_trials(tmp_path).begin({"model": "cnn"})
    path = tmp_path / "study.jsonl"
    code = (
        "import os, signal, sys; from pathlib import Path; from resumable_sweeps.study import Lock\n"
        "path = Path(sys.argv[1]); Lock(path).acquire()\n"
        "with path.open('ab') as file: file.write(b'{\"op_code\":4,\"work')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -signal.SIGKILL and path.with_name("study.jsonl.lock").exists()
    assert [trial.number for trial in some_trials(tmp_path).next(2, SPACE)] == [0, 1]
    assert len(study_of(tmp_path).trials) == 2 and not path.with_name("study.jsonl.lock").exists()


@contextmanager
def full_disk(path, room):
    """Writing to a file that is longer than this one by `room` bytes fails, when the room is filled."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_spoils_nothing_and_the_trial_is_continued(tmp_path):
    trials, path = some_trials(tmp_path), tmp_path / "study.jsonl"
    trials.begin({"model": "cnn"})
    (trial,) = trials.next(1, SPACE)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "run.json").write_text(
        '{"status": "finished", "history": [{"epoch": 0, "step": 1, "val/accuracy": 0.5, "seconds": 1}]}'
    )
    with full_disk(path, room=30), pytest.raises(OSError, match="File too large"):
        Pruning(str(tmp_path / "0"), "val/accuracy", None).report(0, 0.5)
    assert not path.read_bytes().endswith(b"\n"), "half a line was written"
    again = some_trials(tmp_path)
    trials.held.pop(0).release()  # as if its process had ended
    assert [taken.params for taken in again.next(1, SPACE)] == [trial.params]
    assert again.has_ended(0) and again.tell(0).value == 0.5
    assert [each.state.name for each in study_of(tmp_path).trials] == ["COMPLETE"]


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    some_trials(tmp_path).begin({"model": "cnn"})
    (tmp_path / "3").mkdir()
    (tmp_path / "study.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"holds no search \(3 is there\)"):
        some_trials(tmp_path).begin({"model": "cnn"})
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "jobs.json").touch()
    with pytest.raises(ConfigError, match=r"grid holds no search \(jobs.json is there\)"):
        some_trials(tmp_path / "grid").begin({})


def test_a_search_of_a_former_version_continues(tmp_path):
    """It kept its study in SQLite, under the name of the search."""
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "study").touch()
    storage = RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    old = optuna.create_study(storage=storage, study_name="custom", direction="maximize")
    old.set_user_attr("search", {"model": "cnn"})
    for value in (0.5, 0.7):
        trial = old.ask(fixed_distributions=SPACE)
        trial.report(value, step=0)
        old.tell(trial, value)
    left = old.ask(fixed_distributions=SPACE)
    known = old.trials
    storage.engine.dispose()
    before = (tmp_path / "study.db").read_bytes()

    trials = some_trials(tmp_path, total=4)
    trials.begin({"model": "cnn"})
    assert [trial.number for trial in trials.next(9, SPACE)] == [left.number, 3]
    found = study_of(tmp_path)
    kept = [(each.params, each.value, each.intermediate_values, each.state) for each in known]
    assert [(each.params, each.value, each.intermediate_values, each.state) for each in found.trials[:3]] == kept
    assert found.best_trial.number == 1 and (tmp_path / "study.db").read_bytes() == before
    with pytest.raises(StudyError, match="model was cnn and is now mlp"):
        some_trials(tmp_path).begin({"model": "mlp"})


def test_a_database_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "study").touch()
    (tmp_path / "study.db").write_bytes(b"no database, but somebody's file" * 100)
    with pytest.raises(StudyError, match=r"study.db: cannot be read \(.*file is not a database"):
        some_trials(tmp_path).begin({})
    assert not (tmp_path / "study.jsonl").exists()


def test_a_trial_that_starts_again_is_pruned_by_its_new_values_only(tmp_path):
    trials = some_trials(tmp_path)
    trials.begin({})
    trials.next(1, SPACE)
    callback = Pruning(str(tmp_path / "0"), "val/accuracy", ThresholdPruner(lower=0.5))
    assert [callback.report(epoch, value) for epoch, value in enumerate((0.6, 0.7, 0.4))] == [False, False, True]
    assert callback.report(0, 0.6) is False


def test_the_value_of_a_trial_is_that_of_its_best_epoch():
    rows = [(0.5, 2.0), (0.9, 1.5), (0.9, 1.0), (None, None)]
    history = [Epoch(epoch=n, step=n, seconds=1, val_accuracy=a, val_loss=b) for n, (a, b) in enumerate(rows)]
    record = RunRecord(history=history)
    assert (record.value("val/accuracy"), record.value("val/loss")) == (0.9, 1.5)
    assert RunRecord(history=history[3:]).value("val/accuracy") is None


@pytest.mark.parametrize("trials, first", [(15, True), (14, False)])
def test_the_only_key_that_matters_comes_first_or_nothing_is_said(trials, first):
    """Seven keys, five searches; pruned trials are no evidence, and a key with one value is left out."""
    for seed in range(5):
        noise = random.Random(seed)

        def objective(trial, noise=noise):
            for key in "abcd":
                trial.suggest_float(key, 0, 1)
            trial.suggest_categorical("one", ["x"])
            trial.suggest_categorical("batch", ["64", "128", "256"])
            rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
            return 0.99 - 0.02 * (math.log10(rate) + 2) ** 2 + noise.gauss(0, 0.003)

        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        study.optimize(objective, n_trials=trials)
        pruned = optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED)
        shares = importances([*study.trials, pruned])
        assert (list(shares)[:1], "one" in shares) == (["rate"] * first, False)
    assert importances([each for each in study.trials for _ in range(20) if each.number == 0]) == {}, "all are equal"


def test_order_and_spelling_do_not_change_the_name_of_a_search():
    space = {"model.dropout": FloatDistribution(0, 0.5)}
    one = search_name("mlp", ["search=mlp", "model.weight_decay=1e-3", "search.trials=5"], space)
    assert one == search_name(
        "mlp", ["model.weight_decay=0.001", "search=mlp", "+search.sampler.n_ei_candidates=9"], space
    )
    assert one != search_name(
        "mlp", ["search=mlp", "model.weight_decay=0.001"], {"model.dropout": FloatDistribution(0, 1)}
    )


def test_proposals_do_not_depend_on_how_often_a_search_was_continued(tmp_path):
    space = {"seed": IntDistribution(0, 10**6)}

    def proposals(folder, at_once):
        some_trials(folder).begin({})
        found = []
        while taken := (trials := some_trials(folder)).next(at_once, space):  # anew, as after a kill
            for trial in taken:
                found.append(trial.params["seed"])
                trials.tell(trial.number)
        return found

    found = proposals(tmp_path / "one", 1)
    assert found == proposals(tmp_path / "other", 2) and len(set(found)) == 3


def test_processes_spread_over_the_gpus_and_then_share_them_evenly(tmp_path, monkeypatch):
    """The answer of CUDA is put in; that a GPU then trains is not shown here."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    (tmp_path / ".locks").mkdir()
    taken = []
    for _ in range(5):  # as many processes
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        job.choose_gpu.__wrapped__(tmp_path)
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["0", "1", "0", "1", "0"]
    job._held.clear()
