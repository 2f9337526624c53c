"""The project's subcommands of `digits`. Each imports PyTorch when it is called, and not before."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from plain_errors import ConfigError

if TYPE_CHECKING:
    from digits.record import OnnxFile
    from digits.run_folder import RunFolder

Several = Annotated[list[Path] | None, Parameter(consume_multiple=True)]


def compare(
    *folders: Path,
    page: Path = Path("comparison.html"),
    tag: str | None = None,
    csv: Path | None = None,
    json: Path | None = None,
) -> None:
    """Compare all finished runs: a table here, and a page with figures, disagreements and significance.

    Args:
        folders: runs, or folders that hold them (default: outputs).
        page: where to write the page.
        tag: only runs with this tag.
        csv: also write a row for each run, comma-separated.
        json: the same as a list of objects.
    """
    print("comparing all finished runs …", flush=True)  # the next import takes seconds

    from digits.reporting import compare

    compare.compare(list(folders) or [Path("outputs")], page, shlex.join(sys.argv), tag, csv, json)


def evaluate(run: Path | None = None, /, *data: str) -> None:
    """Test a finished run's best checkpoint again and rewrite its report.

    Args:
        run: a run's folder (default: the newest one in outputs but a sweep's).
        data: other data, as for train.py (data=sklearn_digits): the accuracy on their test split, and no new report.
    """
    if unknown := [each for each in data if not each.startswith(("data=", "data."))]:
        raise ConfigError(f"{unknown[0]}: wanted data=… and data.…=… only")
    folder = _run(run)
    print(f"testing {folder} again …", flush=True)  # the next imports take seconds
    if data:
        _evaluate_on(folder, list(data))
        return

    from digits.reporting.report import print_summary, write_report
    from digits.training.finish import evaluate_again, metrics_of

    evaluation, record = evaluate_again(folder)
    metrics = metrics_of(folder, evaluation, record)
    write_report(folder, metrics, evaluation, record)
    print_summary(folder, metrics)


def export(
    run: Path | None = None,
    /,
    *,
    ensemble: Several = None,
    into: Path | None = None,
    int8: bool = False,
    fixed_batch: int | None = None,
    uint8_input: bool = False,
    float16: bool = False,
) -> None:
    """Export a finished run's best checkpoint to ONNX again, and compare the file with the checkpoint.

    Args:
        run: a run's folder (default: the newest one in outputs but a sweep's).
        ensemble: make one model of several runs, the mean of their probabilities, in a new run folder.
        into: the ensemble's run folder (default: a new one in outputs).
        int8: also write a smaller model.int8.onnx if it is as accurate.
        fixed_batch: also write a model for batches of this size only, like model.batch1.onnx.
        uint8_input: also write model.uint8.onnx, which takes pixels from 0 to 255.
        float16: also write model.float16.onnx, which computes with 16 bits.
    """
    if fixed_batch is not None and fixed_batch < 1:
        raise ConfigError(f"--fixed-batch: got {fixed_batch}, wanted at least 1")
    if into and not ensemble:
        raise ConfigError("--into is for --ensemble")
    if run and ensemble:
        raise ConfigError(f"got {run} and --ensemble, wanted one run or an ensemble")
    if ensemble:
        runs = [_run(each) for each in ensemble]
        print(f"making one model of {len(runs)} runs …", flush=True)

        from digits.reporting.report import print_summary, warning
        from digits.training.ensemble import export_ensemble

        folder, metrics = export_ensemble(runs, into)
        print_summary(folder, metrics)
        if words := warning(metrics, folder.record()):
            print(f"warning: {words}", file=sys.stderr)
    else:
        folder = _run(run)
        _export_again(folder)
    if int8:
        _export_int8(folder)
    if fixed_batch or uint8_input or float16:
        from digits.training.variants import export_variants

        for path, file in export_variants(folder, fixed_batch, uint8_input, float16):
            _tell(path, file)


def explain(choice: str = "", /) -> None:
    """Print the config files that a choice is made of, whose comments say what each key means.

    Args:
        choice: like model=cnn, data=mnist or trainer=default (default: the keys that belong to no group).
    """
    from digits.choices import explained

    print(explained(choice))


def draw(
    kind: Literal["digits", "harder", "sheets", "numbers", "marks", "hands"],
    folder: Path,
    /,
    *,
    each: int | None = None,
    first: int | None = None,
) -> None:
    """Draw pictures by program, whose names say what they show, as `digits score` wants them.

    Args:
        kind: digits on many kinds of paper; harder ones, among printed lines or with broken strokes; sheets that do not
            fill the picture, and long straight strokes; numbers; marks that are no digit; hands, a sheet of what
            data.hands draws.
        folder: to write to.
        each: how many of each digit in a scene, of each kind of number or of each kind of mark; columns of the sheet.
        first: number of the first of each: another number is another picture; the seed of the sheet.
    """
    from digits.pictures.folder import write_pictures

    print(f"{write_pictures(kind, folder, each, first)} pictures in {folder}")


def _run(path: Path | None) -> "RunFolder":
    """The run of this path, or the newest one; PyTorch may be imported after this."""
    from digits.run_folder import RunFolder
    from digits.threads import prepare_threads

    prepare_threads()
    return RunFolder(path) if path else RunFolder.newest()


def _evaluate_on(folder: "RunFolder", data: list[str]) -> None:
    from digits.config import composed
    from digits.training.finish import evaluate_on

    evaluation, other = evaluate_on(folder, composed(data))
    print(f"{100 * evaluation.accuracy:.2f} % of {len(evaluation.labels):,} digits of {other.name}: {other.test_split}")


def _export_again(folder: "RunFolder") -> None:
    print(f"exporting {folder} again …", flush=True)

    from digits.training.export import export_onnx, onnx_metadata
    from digits.training.finish import evaluate_again

    evaluation, record = evaluate_again(folder)
    _tell(folder.onnx, export_onnx(evaluation, folder.onnx, onnx_metadata(evaluation, record, folder.best)))


def _tell(path: Path, file: "OnnxFile") -> None:
    print(
        f"{path}: {file.bytes:,} bytes; compared with the checkpoint on {file.samples:,} test digits: "
        f"largest difference {file.max_abs_diff:.1e}, {100 * file.argmax_agreement:.2f} % equal predictions"
    )


def _export_int8(folder: "RunFolder") -> None:
    from digits.reporting.compare import speed
    from digits.training.int8 import export_int8

    small, facts = export_int8(folder)
    print(f"{small}: {small.stat().st_size:,} bytes; " + ", ".join(f"{key} {facts[key]:.4g}" for key in facts))
    times = (f"{path.name} {speed(path)[0]:.3f}" for path in (folder.onnx, small))
    print("ms for a picture on one thread: " + ", ".join(times))


COMMANDS = [compare, evaluate, export, explain, *([draw] if find_spec("digits.pictures") else [])]
