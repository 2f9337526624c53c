"""Every config is good; every wrong one is refused, with all its mistakes, before anything happens."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from conftest import QUIET, run_command, run_folders
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from digits.config import CONFIGS, mistakes_in, mistakes_in_overrides
from digits.run_folder import RunFolder
from digits.secrets import masked
from digits.training.hardware import automatic_precision, hardware_mistakes
from resumable_sweeps.grid import jobs_of

CHOICES = [
    f"{path.parent.relative_to(CONFIGS)}={path.stem}"
    for path in sorted(CONFIGS.rglob("*.yaml"))
    if path.parent != CONFIGS
]


@pytest.fixture
def hydra():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


@pytest.mark.parametrize("choice", CHOICES)
def test_every_yaml_is_good(hydra, choice):
    mistakes = mistakes_in(compose("train", [choice], return_hydra_config=True))
    not_here = "got gpu, but this machine has none", "docs/own-data.md says what it holds"
    assert [line for line in mistakes if not any(each in line for each in not_here)] == []


@pytest.mark.parametrize("group", ["model", "experiment"])
def test_every_recipe_is_dry_run_through_the_real_command(command, group):
    choices = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
    small = ("data=mnist_5k", "data.train_size=null", "trainer.fast_dev_run=true")
    done = command("train.py", "-m", f"{group}={','.join(choices)}", *small, *QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("dry run") == len(choices) >= 4


@pytest.mark.parametrize("experiment", sorted((CONFIGS / "experiment").glob("*.yaml")))
def test_every_experiment_says_what_to_expect(experiment):
    head = experiment.read_text().split("defaults:")[0]
    for word in ("Expected", "±", "Hardware", f"python train.py experiment={experiment.stem}"):
        assert word in head, f"{experiment.name}: its first lines do not say {word}"


@pytest.mark.parametrize(
    "overrides, lines",
    [
        (["trainer.acelerator=gpu"], ["trainer.acelerator: no such key; did you mean trainer.accelerator?"]),
        (
            ["model=cn"],
            ["model=cn: no such choice; did you mean cnn? There are cnn, cnn_augmented, lenet, linear, mlp, "],
        ),
        (
            ["data=fashion_mnist"],
            ["data=fashion_mnist: no such choice; there are folder, idx, mnist, mnist_5k, sklearn_digits, table"],
        ),
        (["modle=cnn"], ["modle: no such key; did you mean model?"]),
        (
            ["epochs=5", "lr=0.1"],
            ["epochs: no such key; take trainer.max_epochs=5", "lr: no such key; take model.learning_rate=0.1"],
        ),
        (
            ["batch_size=8", "trainer.gpus=1"],
            ["batch_size: no such key; take data.batch_size=8", "trainer.gpus: no such key; take trainer.devices=1"],
        ),
        (
            ["weight_decay=1", "max_epochs=3"],
            [
                "weight_decay: no such key; take model.weight_decay=1",
                "max_epochs: no such key; take trainer.max_epochs=3",
            ],
        ),
        (["trainer.max_steps=30"], ["trainer.max_steps: no such key; take +trainer.max_steps=30"]),
        (["experiment=quick"], ["experiment=quick: no such choice; did you mean quickstart?"]),
        (
            ["callbacks.early_stopping=null"],
            ["callbacks.early_stopping._target_: got None, wanted a class of digits.*, "],
        ),
        (["logger.tensorboard=3"], ["logger.tensorboard._target_: got 3, wanted a class of digits.*, "]),
        (["name=3", "tags=plain"], ["name: got 3, wanted a string", "tags: got 'plain', wanted a list"]),
        (["+model.foo=1"], ["model.foo: no such key; there are augmentation, classes, "]),
        (["data.batch_size=many"], ["data.batch_size: got 'many', wanted an integer"]),
        (["data.batch_size=0"], ["data.batch_size: got 0, wanted greater than or equal to 1"]),
        (["data.batch_size=true"], ["data.batch_size: got True, wanted an integer"]),
        (["model.learning_rate=nan"], ["model.learning_rate: got nan, wanted a finite number"]),
        (["model.learning_rate=inf"], ["model.learning_rate: got inf, wanted a finite number"]),
        (["model.dropout=1"], ["model.dropout: got 1, wanted less than 1"]),
        (
            ["model.optimizer=adam"],
            ["model.optimizer=adam: is now a choice of its own; take optimizer=adam"],
        ),
        (["model.optimizer=muon", "seed=-1"], ["model.optimizer=muon: is now a choice of its own; take", "seed: "]),
        (["optimizer=adam"], ["optimizer=adam: no such choice; did you mean adamw?"]),
        (["model=svm", "optimizer=sgd"], ["optimizer: this model's YAML names none; leave it out, or add "]),
        (["optimizer=sgd", "model=svm"], ["optimizer: this model's YAML names none; leave it out, or add "]),
        (["model.optimizer.momentum=2"], ["model.optimizer.momentum: got 2, wanted less than 1"]),
        (["model.optimizer.betas=[0.9]"], ["model.optimizer.betas: got [0.9], wanted "]),
        (["model.optimizer.betas=[0.9,2]"], ["model.optimizer: Invalid beta parameter at index 1: 2"]),
        (["+model.optimizer.lr=0.1"], ["model.optimizer.lr: take model.learning_rate"]),
        (["+model.optimizer.beta=1"], ["model.optimizer.beta: no such key; did you mean model.optimizer.betas?"]),
        (["model.optimizer._target_=os.system"], ["model.optimizer._target_: got os.system, wanted a class of "]),
        (
            ["model.optimizer._target_=torch.optim.Rprop"],
            ["model.optimizer.momentum: no ", "model.optimizer.betas"],
        ),
        (["model.stages=[[32],[]]"], ["model.stages: got [[32], []], wanted "]),
        (["trainer.max_epochs=-5"], ["trainer.max_epochs: got -5, wanted greater than or equal to 1"]),
        (["trainer.devices=0"], ["trainer.devices: got 0, wanted greater than or equal to 1 or "]),
        (["data.classes=[3,3]"], ["data.classes: got [3, 3], wanted each digit once"]),
        (["data.classes=[3,12]"], ["data.classes: got [3, 12], wanted less than or equal to 9"]),
        (["data.classes=[3]"], ["data.classes: got [3], wanted a list of at least 2"]),
        (["resume="], ["resume: got '', wanted a text of at least 1 character"]),
        (["model.teacher="], ["model.teacher: got '', wanted a text of at least 1 character"]),
        (["seed=-1"], ["seed: got -1, wanted greater than or equal to 0"]),
        (["model._target_=os.system"], ["model._target_: got os.system, wanted a class of digits.*"]),
        (["model._target_=digits.models.cnn.CNM"], ["model._target_: got digits.models.cnn.CNM, which cannot be"]),
        (["model=svm", "model.components=1.5"], ["model.components: got 1.5, wanted "]),
        (["model=svm", "trainer=ddp"], ["trainer.devices: this model is fitted in one pass on one device; take"]),
        (["model=pixel_similarity", "trainer.devices=2"], ["trainer.devices: this model is fitted in one pass"]),
        (["model=svm", "data.non_digits=9"], ["data.non_digits: this model is fitted to digits only; take data.non_"]),
        (["~callbacks"], []),
        (["~callbacks.history"], ["~callbacks.history: each run has this callback now; leave it out"]),
        (["+callbacks.last.verbose=true"], ["callbacks.last.verbose=True: each run has this callback now; "]),
        (["callbacks=closed_form"], ["callbacks=closed_form: is now called callbacks=none"]),
        (
            ["callbacks.best.monitor=val/loss"],
            ["callbacks.best.monitor=val/loss: is now called monitor; take monitor=val/loss"],
        ),
        (["model=cnn_augmented", "~callbacks.mean"], ["~callbacks.mean: no weights are averaged here; leave it out"]),
        (["experiment=reader", "~callbacks.mean"], []),
        (["callbacks=null"], ["callbacks=null: a group cannot be null; take ~callbacks"]),
        (["ckpt_path=epoch=3.ckpt"], ["ckpt_path=epoch=3.ckpt: cannot be read ("]),
        (["trainer.strategy=ddp_spawn"], ["trainer.strategy: got ddp_spawn, whose processes lose the history"]),
        (
            ["+trainer.enable_checkpointing=false"],
            ["trainer.enable_checkpointing: got false, but a run keeps its best"],
        ),
        (["trainer.limit_train_batches=0"], ["trainer.limit_train_batches: got 0, wanted something to train on"]),
        (["trainer.limit_val_batches=-1"], ["trainer.limit_val_batches: got -1, wanted at least 0"]),
        (["~model.stages"], ["model.stages: missing, and digits.models.cnn.CNN needs it"]),
        (
            ["modle=1", "model.learning_rate=nan", "data.batch_size=0", "trainer.max_epochs=-5", "trainer.devces=2"],
            ["modle: no such key", "trainer.devces: no such key", "data.batch_size: ", "model.learning", "trainer.max"],
        ),
    ],
)
def test_mistakes_are_named_with_what_was_wanted(hydra, overrides, lines):
    found = mistakes_in_overrides(overrides)
    assert len(found) == len(lines), found
    for got, wanted in zip(found, lines, strict=True):
        assert got.startswith(wanted)


@pytest.mark.parametrize(
    "machine, config, lines",
    [
        (0, {"accelerator": "gpu"}, ["trainer.accelerator: got gpu, but this machine has none"]),
        (0, {"accelerator": "auto", "precision": "16-mixed"}, ["trainer.precision: got 16-mixed, which needs a GPU"]),
        (0, {"accelerator": "cpu", "strategy": "dpp"}, ["trainer.strategy: got dpp, wanted auto, ddp or"]),
        (0, {"accelerator": "cpu", "devices": [0, 1]}, ["trainer.devices: got [0, 1], wanted a number of processes"]),
        (0, {"accelerator": "cpu", "devices": 4}, []),
        (0, {"accelerator": "auto", "devices": 5}, ["trainer.devices: got 5, but this machine has 4 (cpu cores)"]),
        (2, {"accelerator": "gpu", "devices": 3}, ["trainer.devices: got 3, but this machine has 2 (cuda)"]),
        (2, {"accelerator": "auto", "devices": [2]}, ["trainer.devices: got [2], but this machine has 2 (cuda)"]),
        (2, {"accelerator": "gpu", "devices": 2, "precision": "16-mixed"}, []),
        (2, {"accelerator": "gpu", "devices": "auto"}, []),
    ],
)
def test_hardware_that_is_not_there(monkeypatch, machine, config, lines):
    """The answers of CUDA and Metal are put in; that a GPU then trains is not shown here."""
    monkeypatch.setattr("digits.training.hardware.CUDAAccelerator.is_available", lambda: machine > 0)
    monkeypatch.setattr("digits.training.hardware.CUDAAccelerator.auto_device_count", lambda: machine)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("digits.training.hardware.MPSAccelerator.is_available", lambda: False)
    found = hardware_mistakes(config)
    assert [got[: len(line)] for got, line in zip(found, lines, strict=True)] == lines


def test_what_metal_cannot_do(monkeypatch):
    monkeypatch.setattr("digits.training.hardware.CUDAAccelerator.is_available", lambda: False)
    monkeypatch.setattr("digits.training.hardware.MPSAccelerator.is_available", lambda: True)
    assert hardware_mistakes({"accelerator": "auto", "devices": 1, "deterministic": "warn"}) == []
    several, exact = hardware_mistakes({"accelerator": "mps", "devices": 1, "strategy": "ddp", "deterministic": True})
    assert several.startswith("trainer.devices: PyTorch trains on one device only with mps")
    assert exact.startswith("trainer.deterministic: got true, but PyTorch has no deterministic max pooling on mps")


@pytest.mark.parametrize(
    "units, precision", [({"amx_bf16": True}, "bf16-mixed"), ({"avx512_bf16": True}, "bf16-mixed"), ({}, "32-true")]
)
def test_automatic_precision_follows_the_processor(monkeypatch, units, precision):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: units)
    assert automatic_precision("cpu") == precision


# What --help, --cfg and tab completion may import of this project. Hydra imports the plugin of the sweeps.
OURS = {"digits", "digits_reader", "resumable_sweeps", "hydra_plugins", "plain_errors", "atomic_files"}
# Of the others, none needs more than the standard library.
BEFORE_COMPOSING = {"hydra_plugins.resumable_sweeper", "plain_errors", "digits.choices"}
BEFORE_COMPOSING |= {"digits", "digits.threads", "digits.training", "digits.training.ranks"}


def test_grid_is_taken_apart():
    assert jobs_of(["model=mlp,cnn", "seed=1,2", "data=mnist_5k"]) == [
        [f"model={model}", f"seed={seed}", "data=mnist_5k"] for model in ("mlp", "cnn") for seed in (1, 2)
    ]


# Through the command


def test_multirun_may_stand_between_overrides_and_not_with_cfg(command, tmp_path):
    for flag in ("-m", "--multirun"):
        done = command("train.py", "data=mnist_5k", flag, "seed=1,2", "trainer.max_epochs=0")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "error: trainer.max_epochs: got 0" in done.stderr
    done = command("train.py", "-m", "seed=1,2", "--cfg", "job")
    wanted = "error: --cfg and --info show one run; leave out -m and the values to sweep over\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", wanted)


@pytest.mark.parametrize("one", ["trainer.devices=2", "optimizer=sgd"])
def test_a_mistake_of_one_job_names_the_job(command, one):
    done = command("train.py", "-m", "data=mnist_5k", "model=linear,svm", one, "name=3")
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and sorted(line.endswith(" (model=svm)") for line in lines) == [False, True], lines


def test_wrong_config_ends_with_2_and_leaves_no_folder(command, tmp_path):
    done = command("train.py", "modle=cnn", "model.learning_rate=nan", "data.batch_size=0")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: modle: no such key; did you mean model?",
        "data.batch_size: got 0, wanted greater than or equal to 1",
        "model.learning_rate: got nan, wanted a finite number",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_for_more_images_than_there_are_is_refused_with_all_other_mistakes(command, tmp_path):
    done = command("train.py", "experiment=workshop_svm", "data=mnist_5k", "model.components=1.5")
    assert done.returncode == 2
    sizes, components = done.stderr.splitlines()
    assert sizes.startswith("error: data.train_size: got 10000, wanted 10 to 3490, or null for all 3500 images")
    assert components.startswith("model.components: got 1.5, wanted ")
    assert list(tmp_path.iterdir()) == []


def test_traceback_is_for_those_who_ask(command):
    done = command("train.py", "data.batch_size=[", HYDRA_FULL_ERROR="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr and "error: data.batch_size=[: cannot be read" in done.stderr


def test_data_that_are_not_there_end_with_3(command, tmp_path):
    done = command("train.py", "data.folder=nowhere", **{"https_proxy": "http://127.0.0.1:9"})
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "Connection refused" in done.stderr
    assert "MNIST_DIR=" in done.stderr and "data=mnist_5k" in done.stderr


@pytest.mark.parametrize(
    "override, code, line",
    [
        ("ckpt_path=no", 4, "ckpt_path: no: no such file; wanted a checkpoint, like RUN/checkpoints/last.ckpt"),
        ("model.teacher=no", 4, "model.teacher: no has no best.ckpt; wanted the folder of a finished run"),
        ("data.drawings=no", 3, "data.drawings: no: no such folder; wanted one of drawings like 7/name.png"),
        ("data.test_file=no", 3, "data.test_file: no: no such file or folder; docs/own-data.md says what it holds"),
    ],
)
def test_a_file_that_is_not_there_is_told_before_a_folder_is_made(command, tmp_path, override, code, line):
    (tmp_path / "file").touch()
    override = [*(["data=table", "data.file=file"] if "test_file" in override else []), override]
    done = command("train.py", *override)
    assert (done.returncode, done.stderr) == (code, f"error: {line}\n")
    for multirun in ((), ("-m",)):
        done = command("train.py", *override, "model.dropout=2", "trainer.max_epochs=0", *multirun)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "error: model.dropout: got 2, wanted less than 1",
            "trainer.max_epochs: got 0, wanted greater than or equal to 1",
            line,
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("words", [["ckpt_path=there.ckpt"], ["-m", "ckpt_path=there.ckpt", "seed=1,2"]])
def test_paths_are_sought_where_the_command_starts(command, tmp_path, words):
    (tmp_path / "there.ckpt").touch()
    done = command("train.py", *words, "hydra.job.chdir=true")
    wanted = "error: hydra.job.chdir: got true, but paths are relative to the folder that the command starts in; "
    assert (done.returncode, done.stderr) == (2, f"{wanted}leave this out\n")


def test_output_folder_that_cannot_be_made_ends_with_2(command, tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    done = command("train.py", "data=mnist_5k")
    assert done.returncode == 2
    assert done.stderr.startswith("error: run_folder: cannot make outputs/")


@pytest.mark.parametrize("script", ["scripts/evaluate.py", "scripts/export.py"])
def test_folder_that_is_no_run_ends_with_2(command, tmp_path, script):
    done = command(script, str(tmp_path))
    assert done.returncode == 2
    assert "wanted the folder of a finished run" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["-sc", "query=bash"]])
def test_help_config_and_completion_need_no_torch(command, arguments):
    environment = {"COMP_LINE": "train.py model=c", "COMP_POINT": "16", "PYTHONPROFILEIMPORTTIME": "1"}
    started = time.monotonic()
    done = command("train.py", *arguments, **environment)
    seconds = time.monotonic() - started
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "lightning", "numpy", "pydantic", "optuna", "sqlalchemy", "matplotlib", "joblib"}
    ours = {name for name in imported if name.partition(".")[0] in OURS}
    assert ours <= BEFORE_COMPOSING, "each of them makes --help slower"
    assert seconds < 5, "ten times what it takes, for noisy machines"
    shown = {"--help": "cnn_augmented", "--cfg": "batch_size: 256", "-sc": "model=cnn_augmented"}[arguments[0]]
    assert shown in done.stdout


@pytest.mark.parametrize(
    "words, line",
    [
        (["train.py", "data=mnist_5k"], "model cnn   data mnist_5k   loading PyTorch …\n"),
        (["train.py", "-m", "seed=1,2"], "checking all jobs …\n"),
        (["scripts/compare.py", "RUN", "other"], "comparing all finished runs …\n"),
        (["scripts/evaluate.py", "RUN"], "testing RUN again …\n"),
        (["scripts/export.py", "RUN"], "exporting RUN again …\n"),
        (["scripts/export.py", "--ensemble", "RUN", "RUN"], "making one model of 2 runs …\n"),
    ],
    ids=["train", "sweep", "compare", "evaluate", "export", "ensemble"],
)
def test_a_command_says_what_it_does_before_it_imports_torch(quickstart, tmp_path, words, line):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os; os._exit(9)")
    (tmp_path / "RUN").symlink_to(quickstart)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = run_command(*words, cwd=tmp_path, PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (9, line)


def test_help_says_in_a_few_words_what_each_choice_is(command):
    lines = command("train.py", "--help").stdout.splitlines()
    groups = [path for path in CONFIGS.iterdir() if path.is_dir() and path.name != "hydra"]
    for group in groups:
        at = lines.index(group.name)
        for place, file in enumerate(sorted(group.glob("*.yaml")), start=1):
            name, words = lines[at + place].split(maxsplit=1)
            assert name == file.stem and len(words) > 5 and f"\n# {words}\n" in file.read_text()
    assert max(map(len, lines)) <= 80


def test_explain_prints_the_configs_of_a_choice_with_their_comments(command):
    done = command("src/digits_command.py", "explain", "experiment=reader")
    assert done.returncode == 0, done.stderr
    files = re.findall("^# --- configs/(.*)$", done.stdout, flags=re.M)
    assert [files[0], *files[-2:]] == ["dataset.yaml", "callbacks/averaged.yaml", "experiment/reader.yaml"]
    assert {"network.yaml", "optimizer/muon.yaml", "model/cnn.yaml"} < set(files)
    assert "warmup: 0.25          # fraction of the steps in which one_cycle raises the learning rate" in done.stdout
    assert "seed: 0          # decides " in command("src/digits_command.py", "explain").stdout
    for wrong in ("model=resnet", "model", "../x"):
        done = command("src/digits_command.py", "explain", wrong)
        wanted = f"error: {wrong}: no such choice; wanted one like model=cnn; python train.py --help lists them\n"
        assert (done.returncode, done.stderr) == (2, wanted)


def test_config_job_is_yaml_that_names_everything(command):
    config = yaml.safe_load(command("train.py", "--cfg", "job").stdout)
    assert config.keys() == {
        "data",
        "trainer",
        "callbacks",
        "logger",
        "model",
        "name",
        "tags",
        "monitor",
        "seed",
        "resume",
        "run_label",
        "ckpt_path",
        "run_folder",
    }


@pytest.mark.parametrize("choice", ["~logger", "logger=none", "logger=csv"])
def test_a_run_takes_any_logger_or_none_and_a_name_and_tags(command, tmp_path, choice):
    named = ("name=first try", "tags=[plain,short]")
    done = command("train.py", "data=mnist_5k", "model=linear", "trainer.max_epochs=1", *QUIET, choice, *named)
    assert (done.returncode, done.stderr) == (0, "")
    record = RunFolder(*run_folders(tmp_path)).record()
    assert (record.name, record.tags) == ("first try", ["plain", "short"])
    assert bool(list(tmp_path.rglob("metrics.csv"))) == (choice == "logger=csv")


def test_logger_of_lightnings_own_is_added_by_plus(command, tmp_path):
    done = command(
        "train.py",
        *("data=mnist_5k", "model=linear", "trainer.max_epochs=1", *QUIET),
        *("+logger.csv._target_=lightning.pytorch.loggers.CSVLogger", "+logger.csv.save_dir=${run_folder}"),
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("metrics.csv"))


def test_what_a_constructor_refuses_is_told_in_its_own_words(command):
    done = command("train.py", "data=mnist_5k", "model=lenet", "model.layers=[[4,3,2],[4,14,1]]")
    assert done.returncode == 2
    wanted = "error: model.layers: a kernel of 14, pooled by 1, but only 13 pixels"
    assert done.stderr.splitlines()[-1].startswith(wanted)
    done = command("train.py", "data=mnist_5k", "callbacks.early_stopping.mode=most")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: callbacks.early_stopping: `mode` can be min, max, got most")


def test_a_figure_that_no_epoch_has_cannot_choose_the_best(command):
    done = command("train.py", "data=mnist_5k", "model=linear", "monitor=val/acc", *QUIET)
    wanted = "error: monitor: got val/acc, wanted one of epoch, val/accuracy, val/loss\n"
    assert (done.returncode, done.stderr) == (2, wanted)


@pytest.mark.parametrize("script", ["scripts/evaluate.py", "scripts/export.py", "scripts/compare.py"])
def test_scripts_without_a_run_say_that_there_is_none(command, script):
    done = command(script)
    assert done.returncode == 2 and "outputs: no" in done.stderr


def test_evaluate_takes_the_newest_run_and_names_it(quickstart, tmp_path):
    shutil.copytree(quickstart, tmp_path / "outputs" / "run")
    job = shutil.copytree(quickstart, tmp_path / "outputs" / "sweeps" / "later" / "0")
    (job.parent / "jobs.json").write_text("[]")
    (job / "run.json").touch()
    done = run_command("scripts/evaluate.py", cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"the newest finished run: outputs/run \(cnn, mnist_5k, val 9\d\.\d\d %\)\n", done.stderr)
    shutil.rmtree(tmp_path / "outputs" / "run")
    done = run_command("scripts/evaluate.py", cwd=tmp_path)
    assert done.returncode == 2 and "no finished run in it, jobs of sweeps left out" in done.stderr


# Secrets


def test_secrets_are_masked_and_nothing_else():
    kept = {"search": {"storage": "postgresql://u:pass@host/x", "study_name": "cnn"}, "api_key": "k", "tokens": ["t"]}
    assert masked(kept) == {
        "search": {"storage": "postgresql://u:***@host/x", "study_name": "cnn"},
        "api_key": "***",
        "tokens": ["***"],
    }
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        plain = OmegaConf.to_container(compose("train"))
    assert masked(plain) == plain


def test_a_secret_in_a_command_is_refused_and_not_printed(hydra):
    (line,) = mistakes_in_overrides(["logger.tensorboard.name=http://me:hush@host", "data=mnist_5k"])
    assert line.startswith("logger.tensorboard.name: holds a secret") and "hush" not in line


@pytest.mark.parametrize("text", ["search.storage=a://me:hush@host'", "+logger.api_key='hush"])
def test_a_secret_in_an_override_that_cannot_be_read_is_not_printed(hydra, text):
    (line,) = mistakes_in_overrides([text])
    assert "hush" not in line


def test_a_secret_from_the_environment_is_used_and_not_kept(command, tmp_path):
    words = ["data=mnist_5k", "model=linear", "trainer.max_epochs=1", *QUIET]
    done = command("train.py", *words, "+logger.tensorboard.prefix=${oc.env:URL}", URL="http://me:hush@host")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = run_folders(tmp_path)
    texts = [path for path in run.rglob("*") if path.suffix in (".json", ".yaml", ".html", ".log", ".csv")]
    assert len(texts) >= 7 and not any("hush" in path.read_text() for path in texts)
    assert "http://me:***@host" in (run / "run.json").read_text()


def test_editor_schemas_allow_each_config_and_mark_mistakes(command, tmp_path):
    done = command("scripts/schemas.py", str(tmp_path / ".schemas"))
    assert (done.returncode, done.stderr) == (0, "")
    for path in sorted(CONFIGS.rglob("*.yaml")):
        if "hydra" in path.relative_to(CONFIGS).parts:
            continue
        (name,) = re.findall(r"^# yaml-language-server: \$schema=(.+)$", path.read_text(), re.MULTILINE)
        schema = (tmp_path / "configs" / path.relative_to(CONFIGS)).parent / name
        check = jsonschema_rs.validator_for(json.loads(Path(os.path.normpath(schema)).read_text()))
        assert [f"{path}: {error}" for error in check.iter_errors(OmegaConf.to_container(OmegaConf.load(path)))] == []
    for name, config in {
        "config": {"model": {"_target_": "digits.models.mlp.MLP", "learning_rate": -1}},
        "model": {"widht": 3},
        "trainer": {"precision": "33-true"},
        "callbacks": {"mine": {"_target_": "lightning.pytorch.callbacks.EarlyStopping", "moniter": "val/loss"}},
        "data": {"batch_size": 0},
    }.items():
        schema = json.loads((tmp_path / ".schemas" / f"{name}.json").read_text())
        assert not jsonschema_rs.is_valid(schema, config), f"{name}: {config}"
    models = json.loads((tmp_path / ".schemas" / "model.json").read_text())["$defs"].values()
    said = json.dumps(
        [model["properties"].get("warmup") for model in models if "warmup" in model.get("properties", {})]
    )
    assert "fraction of the steps in which one_cycle raises the learning rate" in said


@pytest.mark.parametrize("end, code", [("sys.exit(3)", 3), ("pass", 0)])
def test_a_command_leaves_at_once_after_all_that_was_to_happen_at_the_end(end, code):
    text = (
        "import atexit, sys; from plain_errors import plain_errors\n"
        "class Module:\n"
        "    def __del__(self): print('freed', flush=True)\n"
        "module = Module()\n"
        f"with plain_errors(): atexit.register(print, 'last'); print('first', end=' '); {end}\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "first last\n", "")


FULL = "error: the disk: No space left on device; make room and run the same command again\n"


@pytest.mark.parametrize(
    "output, body, code, error",
    [
        ("&-", "print('for nobody')", 0, ""),
        ("/dev/full", "print('for nobody')", 1, FULL),
        ("/dev/full", "print('for nobody', end=''); sys.exit(3)", 3, ""),
    ],
)
def test_output_that_cannot_be_written_makes_no_noise(output, body, code, error):
    text = f"import sys; from plain_errors import plain_errors\nwith plain_errors(): {body}\n"
    command = ["sh", "-c", f'"$@" >{output}', "sh", sys.executable, "-c", text]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": ""})
    assert (done.returncode, done.stderr) == (code, error)
