"""The mistakes a user can make or meet, and the exit code of each kind.

0 good, 1 a fault of ours, 2 the command or config, 3 the data, 4 a checkpoint, a model file or the storage of a
search, 130 interrupted, 143 terminated.
"""


class DigitsError(Exception):
    """A mistake in one plain line: what, got, wanted, what to do."""

    exit_code = 1


class ConfigError(DigitsError):
    """The command or the config is wrong."""

    exit_code = 2


class DataError(DigitsError):
    """The data is absent, damaged or not what it should be."""

    exit_code = 3


class ModelFileError(DigitsError):
    """A checkpoint or an ONNX file is absent, damaged or of another model."""

    exit_code = 4


class StudyError(DigitsError):
    """The storage of a search is locked, damaged or of another search."""

    exit_code = 4


class Pruned(Exception):  # noqa: N818
    """A trial of a search was stopped early because other trials were better. This is no mistake."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Lightning then ends the run as it does after Ctrl-C."""


def end_of(interrupt: KeyboardInterrupt) -> str:
    """What ended a command, and how to go on if the interrupt says so."""
    word = "terminated" if isinstance(interrupt, Terminated) else "interrupted"
    return "; ".join(filter(None, [word, str(interrupt)]))
