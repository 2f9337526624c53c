"""Overrides made at random from the schema: a good config or exit 2 with a line for each mistake; nothing happens."""

import sys
from functools import cache

import pytest
from conftest import QUIET, run_command
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from digits.config import CONFIGS, check, explained
from digits.settings import flat
from faults.conftest import WHOLE
from plain_errors import ConfigError, DataError, ModelFileError

EACH = 100 if WHOLE else 15
LOOKING = settings(derandomize=False, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
GROUPS = ["data", "model", "trainer", "callbacks", "logger", "optimizer", "experiment"]
CHOICES = [f"{group}={file.stem}" for group in GROUPS for file in sorted((CONFIGS / group).glob("*.yaml"))]
HARMLESS = ["null", "true", "false", "''", "[]", "{}", "[1,2]", "{a: 1}", "[[32],[64]]", "auto", "cpu", "0x10", "1:30"]
ODD = ["nan", "inf", "-inf", "1e400", "${seed}", "${nope}", "${oc.env:NOPE}", "${.}", "[", "{", '"', "'", "\\", "a=b"]
ODD += ["a,b", "range(3)", "choice(1,2)", "é", "?", "a b", "~", "$", "${", "%", "1" * 400, "/dev/null"]
# The marker is a module that writes a file when it is imported, and a file that some of these would make.
OUTSIDE = [
    "os.system",
    "builtins.open",
    "builtins.exec",
    "subprocess.run",
    "marker.function",
    "torch.os.system",
    "marker",
]
OUTSIDE += [
    "pathlib.Path.touch",
    "digits.config.sys.exit",
    "lightning.os.mkdir",
    "hydra.utils.instantiate",
    "",
    "digits",
]
ARGUMENTS = ["file", "name", "path", "args", "command", "mode"]


@cache
def keys():
    """All keys of the configs that a choice can bring."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        configs = [compose("train", [choice]) for choice in CHOICES if not choice.startswith("optimizer")]
    return sorted({key for config in configs for key in flat(OmegaConf.to_container(config))})


def values():
    numbers = st.one_of(st.integers(), st.integers(-3, 300), st.floats()).map(str)
    texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
    return st.one_of(numbers, texts, st.sampled_from(HARMLESS), st.sampled_from(ODD))


def overrides():
    """A few overrides: choices, values, new and removed keys, and targets outside of the allowed names."""
    value = st.builds("{}{}={}".format, st.sampled_from(["", "", "", "+", "++"]), st.sampled_from(keys()), values())
    removed = st.sampled_from(keys()).map("~{}".format)
    nodes = ["model", "data", "trainer", "model.optimizer", "callbacks.early_stopping", "logger.tensorboard"]
    nodes += ["+callbacks.new", "+logger.new", "+new", "+model.new", "+callbacks.early_stopping.new"]
    names = st.sampled_from([*OUTSIDE, "${monitor}", "${run_label}"])
    target = st.builds("{}._target_={}".format, st.sampled_from(nodes), names)
    nested = st.sampled_from(OUTSIDE).map("+callbacks.new=[{{_target_: '{}'}}]".format)
    argument = st.builds("+{}.{}=marker".format, st.sampled_from(["model", "data"]), st.sampled_from(ARGUMENTS))
    each = st.one_of(value, value, value, st.sampled_from(CHOICES), removed, target, nested, argument)
    return st.lists(each, min_size=1, max_size=4)


def refused(words):
    """What is wrong with a command, as train.py finds it before anything happens; None if nothing is."""
    sys.argv = ["train.py", *words]
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            check(compose("train", words, return_hydra_config=True))
    except Exception as error:
        return explained(error)
    return None


@pytest.mark.fault(
    "overrides made at random from the schema, in the check of a command",
    "a good config, or exit 2 and a line for each mistake; no target outside the allowed names; nothing written or run",
    cases=20,
    short=1,
    each=EACH,
)
def test_a_config_is_good_or_refused_in_plain_lines(tmp_path, monkeypatch, case):
    marker = tmp_path / "marker"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/marker.py").write_text(f"open({str(marker)!r}, 'w')\nfunction = dict\n")
    (tmp_path / "cwd").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(sys, "argv", sys.argv)

    @seed(case)
    @settings(LOOKING, max_examples=EACH)
    @given(overrides())
    def one(words):
        error = refused(words)
        if error is not None:
            assert isinstance(error, ConfigError | DataError | ModelFileError), (words, repr(error))
            lines = str(error).splitlines()
            assert lines and all(line.strip() for line in lines), (words, str(error))
        outside = [word for word in words if "_target_=" in word]
        assert error is not None or not outside, words
        assert not marker.exists() and not list((tmp_path / "cwd").iterdir()), words

    one()


@pytest.mark.slow
@pytest.mark.fault(
    "overrides made at random from the schema, in the real command",
    "exit 0, or 2 and a line for each mistake; nothing written where it is not 0",
    cases=20,
    short=1,
)
def test_the_command_does_what_the_check_says(tmp_path, case):
    found = []

    @seed(1000 + case)
    @settings(LOOKING, max_examples=5)
    @given(overrides())
    def one(words):
        found.append(words)

    one()
    small = ["data=mnist_5k", "model=linear", *found[-1], "trainer.fast_dev_run=true", "run_folder=run", *QUIET]
    done = run_command("train.py", *small, cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode in (0, 2, 3, 4) and "Traceback" not in done.stderr, (found[-1], done.stderr)
    assert (done.returncode == 0) == (lines == []), (found[-1], done.stderr)
    assert done.returncode == 0 or not list(tmp_path.iterdir()), found[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["+callbacks.new._target_=${name}", "name=marker.function"],
        ["+callbacks.early_stopping.min_delta={_target_: marker.function}"],
        ["+trainer.plugins=[{_target_: marker.function}]"],
    ],
    ids=["in another key", "in a value", "in a list"],
)
def test_no_target_is_hidden(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert "_target_: got marker.function, wanted a class of digits.*" in str(refused(words))
