"""A search with -m sweep=…: as many trials as it says however often it is killed, and only the best is tested."""

import json
import os
import re
import shlex
import signal
import sqlite3
import sys

import optuna
import pytest
import yaml
from conftest import QUIET, run_command, run_folders
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from test_sweep import driver, files, finished, records, the_sweep, wait_for

from digits.cli import CONFIGS, explained
from digits.config import jobs_of, mistakes_in
from digits.errors import ConfigError, StudyError
from digits.launch import Launch
from digits.reporting.runs import settings_of
from digits.sweeping import worker
from digits.sweeping.space import search_of
from digits.sweeping.study import Search, _opened

# `make test-kills` asks for more
TRIALS, KILLS = int(os.environ.get("SWEEP_JOBS", 4)), int(os.environ.get("SWEEP_KILLS", 2))
SMALL = ["data=mnist_5k", "data.train_size=640", "model=linear", "trainer.log_every_n_steps=5"]
FAST = ["-m", "sweep=search", *SMALL, "trainer.max_epochs=2"]
# With a rate of 1e-09 nothing is learned: it is pruned after the first epoch.
PRUNER = [
    "sweep.pruner._target_=optuna.pruners.ThresholdPruner",
    "sweep.pruner.n_warmup_steps=0",
    "+sweep.pruner.lower=0.4",
]
SEARCH = [*FAST, *PRUNER, "model.learning_rate=choice(1e-09,1e-2,2e-2)", "data.batch_size=int(interval(32,64))"]
MOMENTS = ["{}/run.json", "{}/tensorboard/events*"]  # how far a trial is when its driver is killed: begun, in training
SAMPLER = {"_target_": "optuna.samplers.RandomSampler", "seed": 0}


def study_of(sweep):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{sweep / 'study.db'}")


def ended(sweep):
    return {
        n: files(sweep / str(n)) for n, record in records(sweep).items() if record["status"] in ("finished", "pruned")
    }


def a_search(folder, **settings):
    usual = {"trials": 3, "metric": "val/accuracy", "sampler": SAMPLER, "pruner": None, "storage": None}
    return Search(folder, **usual | {"study_name": "search", "space": {}} | settings)


@pytest.fixture
def hydra():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search whose driver was killed several times, each time in another trial and at another moment of it."""
    cwd = tmp_path_factory.mktemp("searched")
    arguments = [*SEARCH, f"sweep.trials={TRIALS}"]
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


def test_killed_search_is_continued_up_to_the_total_by_the_same_command(searched):
    sweep, before, done = searched
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    trials = study_of(sweep).trials
    assert [trial.number for trial in trials] == list(range(TRIALS)) == sorted(records(sweep))
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}
    best = study_of(sweep).best_trial.number
    after = ended(sweep)
    assert all(after[number] == kept for number, kept in before.items() if number != best)
    for trial in trials:
        told = yaml.safe_load((sweep / str(trial.number) / ".hydra" / "overrides.yaml").read_text())
        assert {f"{key}={value}" for key, value in trial.params.items()} <= set(told)
        record = records(sweep)[trial.number]
        assert (record["status"], record.get("value")) == (
            ("pruned", None) if trial.state.name == "PRUNED" else ("finished", trial.value)
        )
        assert (trial.state.name == "PRUNED") == (trial.params["model.learning_rate"] == "1e-09")
    lines = re.findall(r"^#(\d+) (?:val/accuracy \d\d\.\d\d%|pruned after 1 epochs)", done.stdout, flags=re.M)
    assert 0 < len(lines) <= TRIALS and len(set(lines)) == len(lines)
    assert f"{TRIALS} trials in outputs/sweeps/{sweep.name}: " in done.stdout


def test_only_the_winner_is_tested(searched):
    sweep, _, done = searched
    best = study_of(sweep).best_trial
    assert [path.parent.parent.name for path in sweep.glob("*/report/metrics.json")] == [str(best.number)]
    metrics = json.loads((sweep / str(best.number) / "report" / "metrics.json").read_text())
    assert metrics["val/accuracy"] == pytest.approx(best.value, abs=0.011)  # 32-bit after bf16, 500 digits
    assert (
        f"best: #{best.number}, val/accuracy {best.value:.2%}, {metrics['test/accuracy']:.2%} of the test"
        in done.stdout
    )
    page = (sweep / "index.html").read_text()
    assert page.count("<svg") == 4 and f'href="{best.number}/report/index.html"' in page
    assert page.count("/train.log") == TRIALS


def test_experiment_file_runs_as_it_is(searched, monkeypatch):
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


def test_larger_total_goes_on_and_another_space_is_refused(searched):
    sweep, _, _ = searched
    cwd = sweep.parents[2]
    before = ended(sweep)
    more = run_command("train.py", *SEARCH, f"sweep.trials={TRIALS + 1}", "sweep.pruner=null", cwd=cwd)
    assert (more.returncode, more.stderr) == (0, "")
    assert re.findall(r"^#(\d+) ", more.stdout, flags=re.M) == [str(TRIALS)]
    winner = study_of(sweep).best_trial.number
    assert before.items() <= ended(sweep).items()  # the winner of before is not tested again
    assert len(list(sweep.glob("*/model.onnx"))) == 1 + (winner == TRIALS)
    before = files(sweep)
    other = [*(f"hydra.sweep.dir={sweep}", "model.learning_rate=choice(1e-2,2e-2)", "model.weight_decay=0.1")]
    done = run_command("train.py", *SEARCH[:-2], *other, cwd=cwd)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "holds another search as search: " in done.stderr and "data.batch_size was searched in Int" in done.stderr
    assert "model.weight_decay was 0.0 and is now 0.1" in done.stderr
    assert {path: kept for path, kept in files(sweep).items() if path.is_file() and ".locks" not in path.parts} == {
        path: kept for path, kept in before.items() if path.is_file() and ".locks" not in path.parts
    }


def test_failing_trials_are_told_once_and_the_search_goes_on(command, tmp_path):
    """The learning rate of 1e30 turns the loss into nan."""
    arguments = [*FAST, "model=mlp", "model.hidden=[16]", "model.schedule=constant", "sweep.trials=9"]
    done = command(
        "train.py",
        *arguments,
        "sweep.sampler._target_=optuna.samplers.BruteForceSampler",
        "model.learning_rate=1e30,1e-2,1e20",
    )
    sweep = the_sweep(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    states = {trial.params["model.learning_rate"]: trial.state.name for trial in study_of(sweep).trials}
    assert states == {"1e+30": "FAIL", "1e+20": "FAIL", "0.01": "COMPLETE"}, "all there is, and none twice"
    assert len(re.findall(r"^#\d failed \(.* s\) train/loss is ", done.stdout, flags=re.M)) == 2
    assert "3 trials in" in done.stdout and "1 complete, 2 failed" in done.stdout


def test_no_trial_with_a_value_is_one_line(command):
    done = command("train.py", *FAST, "sweep.trials=2", "ckpt_path=choice(none.ckpt,no.ckpt)")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "came to a value; search in smaller ranges" in done.stderr
    assert done.stdout.count(": No such file or directory") == 2 and "failed: #0 #1" in done.stdout


def test_two_drivers_share_the_trials_and_one_takes_up_what_the_other_leaves(joblib, tmp_path):
    """The first is killed while two processes of its own have begun a trial each; they end with it."""
    cwd, both = tmp_path / "other", tmp_path / "both"
    cwd.mkdir()
    arguments = [*FAST, "model.learning_rate=interval(0.001,0.1)", "sweep.trials=6", f"hydra.sweep.dir={both}"]
    with driver(tmp_path, *arguments, *joblib) as one, driver(cwd, *arguments) as other:
        wait_for(one, lambda: len(list(both.glob(".locks/*.job"))) == 2, tmp_path)
        os.kill(one.pid, signal.SIGKILL)
        one.wait()
        assert other.wait(120) == 0
    done = run_command("train.py", *arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    printed = [(tmp_path / "printed.txt").read_text(), (cwd / "printed.txt").read_text(), done.stdout]
    assert re.findall(r"^#\d", printed[0], flags=re.M) == []
    assert sorted(re.findall(r"^#(\d)", "".join(printed), flags=re.M)) == list("012345")
    assert [trial.state.name for trial in study_of(both).trials] == ["COMPLETE"] * 6
    assert sorted(finished(both)) == list(range(6)) and len(list(both.glob("*/report/index.html"))) == 1


def test_grid_in_processes(joblib, command, tmp_path):
    done = command("train.py", "-m", *SMALL, "seed=1,2", "trainer.fast_dev_run=true", *QUIET, *joblib)
    assert done.stdout.count("dry run") == 2, done.stderr
    assert sorted(finished(the_sweep(tmp_path))) == [0, 1] and "2 jobs in" in done.stdout


def test_launcher_that_is_not_installed_names_the_extra(command, tmp_path):
    hidden = tmp_path / "hydra_plugins" / "hydra_joblib_launcher"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = command("train.py", "-m", *SMALL, "seed=1,2", "hydra/launcher=joblib", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: hydra/launcher=joblib: not installed; pip install -e .[joblib] installs it\n",
    )


def test_mistakes_are_told_before_the_first_trial(command, tmp_path):
    done = command("train.py", "-m", "sweep=svm", "model.C=interval(-1,2)", "data.bach_size=16,32", "sweep.trials=0")
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert done.stderr.splitlines() == [
        "error: data.bach_size: no such key; did you mean data.batch_size or data.val_size?",
        "model.C: got -1.0, wanted greater than 0",
        "sweep.trials: got 0, wanted greater than or equal to 1",
    ]


# In one process


@pytest.mark.parametrize(
    "overrides, line",
    [
        (["sweep=mlp", "data.batch_size=interval(16,64)"], "data.batch_size: got "),
        (
            ["sweep=mlp", "model.optimizer=choice(adamw,adam)"],
            "model.optimizer: got 'adam', wanted 'adamw', 'muon' or 'sgd'",
        ),
        (
            ["sweep=mlp", "sweep.metric=test/accuracy"],
            "sweep.metric: got 'test/accuracy', wanted 'val/accuracy' or 'val/loss'",
        ),
        (
            ["sweep=mlp", "sweep.sampler._target_=os.system"],
            "sweep.sampler._target_: got os.system, wanted a class of optuna.samp",
        ),
        (
            ["sweep=mlp", "sweep.sampler._target_=optuna.samplers.TPS"],
            "sweep.sampler._target_: got optuna.samplers.TPS, which ca",
        ),
        (
            ["sweep=mlp", "+sweep.pruner.n_startup=3"],
            "sweep.pruner.n_startup: no such key; did you mean sweep.pruner.n_startup_tri",
        ),
        (
            ["sweep=mlp", "+sweep.pruner.n_startup_trials=-3"],
            "sweep.pruner: Number of startup trials cannot be negative",
        ),
        (["sweep=mlp", "sweep.storage=nonsense"], "sweep.storage: got nonsense, which no database here understands"),
        (["sweep=svm", "sweep.metric=val/loss"], "sweep.metric: got val/loss, which this model logs before it is"),
        (["sweep=mlp", "data.val_size=0"], "data.val_size: got 0, wanted some validation digits for a search to go by"),
        (["sweep=mlp", "trainer.fast_dev_run=true"], "trainer.fast_dev_run: a dry run comes to no value"),
    ],
)
def test_mistakes_in_a_search_are_named(hydra, overrides, line):
    jobs = [compose("train", job, return_hydra_config=True) for job in jobs_of(overrides)]
    found = {mistake for job in jobs for mistake in mistakes_in(job)}
    assert found and all(mistake.startswith(line) for mistake in found)


def test_without_m_it_says_so(hydra, capsys):
    with pytest.raises(SystemExit) as end:
        Launch().on_run_start(compose("train", ["sweep=cnn"], return_hydra_config=True))
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: sweep: a search runs many trials, so it wants -m")


@pytest.mark.parametrize("choice", ["cnn", "mlp", "svm", "cnn_augmented"])
def test_spaces_hold_today_s_defaults(hydra, choice):
    """Else a search could only say that the defaults are wrong."""
    _, space = search_of([f"sweep={choice}"])
    assert all(
        mistakes_in(compose("train", job, return_hydra_config=True)) == [] for job in jobs_of([f"sweep={choice}"])
    )
    config = compose("train", [f"sweep={choice}"])
    for key, distribution in space.items():
        group, name = key.split(".")
        usual = config[group][name]
        if isinstance(distribution, CategoricalDistribution):
            assert str(usual).replace(" ", "") in distribution.choices
        elif usual != "scale":
            assert distribution.low <= usual <= distribution.high


def test_what_the_command_says_of_a_key_counts(hydra):
    plain, space = search_of(
        [
            "sweep=mlp",
            "model.dropout=0.1",
            "model.learning_rate=interval(0.1,0.2)",
            "seed=range(2,9,3)",
            "data=mnist_5k",
        ]
    )
    assert plain == ["sweep=mlp", "model.dropout=0.1", "data=mnist_5k"]
    assert "model.dropout" not in space and space["model.hidden"].choices[2] == "[256,256]"
    assert space["model.learning_rate"] == FloatDistribution(0.1, 0.2)
    assert space["model.weight_decay"] == FloatDistribution(5e-3, 0.5, log=True)
    assert space["seed"] == IntDistribution(2, 8, step=3)
    with pytest.raises(ConfigError, match=r"model.dropout=interval\(0.5,0\): `low <= high` must hold"):
        search_of(["sweep=mlp", "model.dropout=interval(0.5,0)"])


def test_storage_that_cannot_be_used_is_left_as_it_is(tmp_path):
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks" / "study").touch()
    path = tmp_path / "study.db"
    path.write_bytes(b"no database, but somebody's file" * 100)
    with pytest.raises(StudyError, match=r"cannot be used \(file is not a database"):
        a_search(tmp_path).begin({})
    assert path.read_bytes() == b"no database, but somebody's file" * 100


def test_locked_storage_is_told(tmp_path, monkeypatch):
    search = a_search(tmp_path)
    search.begin({"model": "cnn"})
    other = sqlite3.connect(tmp_path / "study.db")
    other.execute("BEGIN EXCLUSIVE")
    with _opened(search.url).engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")  # it would wait five seconds
    with pytest.raises(StudyError, match=r"cannot be used \(database is locked"):
        search.next_trials(1, {"seed": IntDistribution(0, 9)})
    other.close()
    assert len(search.next_trials(1, {"seed": IntDistribution(0, 9)})) == 1


def test_full_disk_is_told_and_the_trial_taken_up_again(tmp_path):
    search, space = a_search(tmp_path), {"seed": IntDistribution(0, 9)}
    search.begin({"model": "cnn"})
    (trial,) = search.next_trials(1, space)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "run.json").write_text('{"status": "finished", "value": 0.5}')
    with _opened(search.url).engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StudyError, match=r"cannot be used \(database or disk is full"):
        for epoch in range(9999):
            search.report(0, epoch, 0.5)
    with _opened(search.url).engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 99999")
    again = a_search(tmp_path)
    search.held.pop(0).release()  # as if its process had ended
    assert [taken.params for taken in again.next_trials(1, space)] == [trial.params]
    assert again.has_ended(0) and again.tell(0).value == 0.5


def test_folder_whose_trials_the_storage_does_not_know_is_refused(tmp_path):
    search = a_search(tmp_path)
    search.begin({"model": "cnn"})
    (tmp_path / "3").mkdir()
    with pytest.raises(StudyError, match="knows nothing of trial 3"):
        a_search(tmp_path).begin({"model": "cnn"})
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "jobs.json").touch()
    with pytest.raises(ConfigError, match=r"grid holds no search \(jobs.json is there\)"):
        a_search(tmp_path / "grid").begin({})


def test_study_of_another_folder_is_refused(tmp_path):
    """Its trials are there, and so are the locks on them."""
    storage = f"sqlite:///{tmp_path / 'all.db'}"
    a_search(tmp_path / "one", storage=storage).begin({"model": "cnn"})
    with pytest.raises(StudyError, match=r"hydra.sweep.dir was .*one and is now .*two; give another sweep.study_name"):
        a_search(tmp_path / "two", storage=storage).begin({"model": "cnn"})
    a_search(tmp_path / "two", storage=storage, study_name="two").begin({"model": "cnn"})


def test_a_trial_begun_again_is_pruned_by_what_it_reports_now(tmp_path):
    pruner = {"_target_": "optuna.pruners.ThresholdPruner", "lower": 0.5}
    search = a_search(tmp_path, pruner=pruner)
    search.begin({})
    search.next_trials(1, {"seed": IntDistribution(0, 9)})
    assert [search.report(0, epoch, value) for epoch, value in enumerate((0.6, 0.7, 0.4))] == [False, False, True]
    assert search.report(0, 0, 0.6) is False


def test_proposals_do_not_depend_on_how_often_it_was_continued(tmp_path):
    space = {"seed": IntDistribution(0, 10**6)}

    def proposals(folder, at_once):
        a_search(folder).begin({})
        found = []
        while trials := (search := a_search(folder)).next_trials(at_once, space):  # anew, as after a kill
            for trial in trials:
                found.append(trial.params["seed"])
                search.tell(trial.number)
        return found

    found = proposals(tmp_path / "one", 1)
    assert found == proposals(tmp_path / "other", 2) and len(set(found)) == 3


def test_processes_take_a_gpu_each_and_one_too_many_takes_none_for_itself(tmp_path, monkeypatch):
    """The answer of CUDA is put in; that a GPU then trains is not shown here."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    (tmp_path / ".locks").mkdir()
    taken = []
    for _ in range(3):  # as many processes
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        worker._own_gpu.__wrapped__(tmp_path)
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["0", "1", ""]
    worker._gpus.clear()
