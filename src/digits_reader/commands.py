"""The reader's subcommands of `digits`. Each imports what it needs when it is called, and not before."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from plain_errors import ConfigError, DataError

if TYPE_CHECKING:
    from digits_reader.drawings import Drawings
    from digits_reader.reader import Reader

Dashes = Annotated[str, Parameter(allow_leading_hyphen=True)]  # for -, the standard input


def read(
    *pictures: Dashes, json: bool = False, csv: bool = False, number: bool = False, show: Path | None = None
) -> None:
    """Read the digits on pictures: photographs, drawings, scans; one digit a picture, or numbers.

    Args:
        pictures: files, folders, patterns like 'scans/*.png', - for standard input; before them a run's folder or its
            model.onnx (default: the newest in outputs but a sweep's, else the one that comes with digits).
        json: print a list of objects.
        csv: print comma-separated values.
        number: read several digits, line by line; they must not touch.
        show: also draw each picture, the model's input and all probabilities on one sheet, a new .png file.
    """
    if unknown := [each for each in pictures if each.startswith("-") and each != "-"]:
        raise ConfigError(f"{unknown[0]}: no such option; a file of this name is ./{unknown[0]}")
    if json and csv:
        raise ConfigError("--json: not with --csv, wanted one of them")
    if show and number:
        raise ConfigError("--show: not with --number, wanted one of them")
    if show and (show.suffix != ".png" or show.exists()):
        there = ", which is there already" if show.exists() else ""
        raise ConfigError(f"--show: got {show}{there}, wanted the name of a new .png file")

    from digits_reader import terminal

    reader, names = _reader_and_pictures(pictures)
    readings = (terminal.read_numbers if number else terminal.read_pictures)(reader, names)
    (terminal.write_json if json else terminal.write_csv if csv else terminal.write_table)(readings)
    if show and any(reading.answer for reading in readings):
        terminal.write_sheet(readings, show)
    failed = [reading for reading in readings if reading.error]
    for reading in failed:
        print(f"error: {reading.picture}: {reading.error}", file=sys.stderr)
    for reading in readings:
        if reading.pages > 1:
            print(f"{reading.picture}: read the first of {reading.pages} pages", file=sys.stderr)
    if skipped := terminal.skipped_files(names):
        some = ", ".join(map(str, skipped[:5])) + ", …" * (len(skipped) > 5)
        print(f"skipped, as the suffix is not a picture's: {len(skipped)} ({some})", file=sys.stderr)
    if failed:
        sys.exit(DataError.exit_code)


def serve(
    *models: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_host: list[str] | None = None,
    allow_origin: list[str] | None = None,
    drawings: Path = Path("data/drawings"),
    workers: int = 1,
) -> None:
    """Read digits over HTTP, with a page to draw on: http://127.0.0.1:8000.

    Args:
        models: runs or their model.onnx (default: the newest in outputs but a sweep's, else the one of digits itself).
        host: address to listen on; 0.0.0.0 for the whole network, :: with IPv6.
        port: port to listen on; 0 for any free one.
        allow_host: another name of this server, for instance at a reverse proxy.
        allow_origin: another site, as https://example.org, whose pages may have pictures read, but not save drawings.
        drawings: folder to save drawings in.
        workers: processes that answer.
    """
    if workers < 1:
        raise ConfigError(f"--workers: got {workers}, wanted at least 1")

    from digits_reader import server
    from digits_reader.drawings import Drawings
    from digits_reader.guard import check_origin

    for origin in allow_origin or []:
        check_origin(origin)
    folder = Drawings(drawings)
    folder.check_writable()
    with server.listen(host, port) as listener:
        paths = list(models) or [_default_reader().path]
        server.serve(paths, folder, listener, ["localhost", host], allow_host or [], allow_origin or [], workers)


def site(folder: Path, /, *models: Path, runtime: Path | None = None) -> None:
    """Write the page and models as a static site: it reads digits in the browser, without a server of its own.

    Args:
        folder: the folder to write; an earlier export is replaced.
        models: runs or their model.onnx (default: the newest in outputs but a sweep's, else the one of digits itself).
        runtime: dist folder of an unpacked onnxruntime-web (default: fetch it with npm).
    """
    from digits_reader.site import RUNTIME, export_site

    export_site(folder, list(models) or [_default_reader().path], runtime)
    print(f"{folder}: written, with {RUNTIME} from {runtime or 'npm'}")
    print(f"to try it: python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(folder))}")


def drawings(action: Literal["list", "export", "delete"], /, *words: str, file: Path = Path("data/drawings")) -> None:
    """List, export or delete the drawings that people saved on the page.

    Args:
        action: list prints a line for each: id, label, the model's answer, time. export copies them to another folder.
            delete deletes some.
        words: the folder to export to, which `digits score` reads too; the ids, or their first letters, of those to
            delete.
        file: the folder of drawings; for export, an older version's SQLite file too.
    """
    from digits_reader.drawings import Drawings, drawings_of_older_version

    if action == "list" and not words:
        kept = Drawings(file).all()
        for each in kept:
            print(f"{each.id}  {each.label}  {each.model} answered {each.answer}  {each.time}")
        if not kept:
            print(f"{file}: no drawings; those that are labelled on the page of digits serve are kept there")
    elif action == "export" and len(words) == 1:
        found = drawings_of_older_version(file) if file.is_file() else Drawings(file).all()
        for each in found:
            Drawings(Path(words[0])).add(each)
        print(f"{len(found)} drawings in {words[0]}")
    elif action == "delete" and words:
        _delete(Drawings(file), words)
    else:
        raise ConfigError(f"got {action} {' '.join(words)}, wanted list, export FOLDER, or delete ID ID")


def score(*pictures: str, number: bool = False) -> None:
    """Count how many pictures a model reads, where each file's name begins with what it shows: 7_ann.png.

    Args:
        pictures: files or folders; letters after the digit name a set of them; in front, as for `read`, a model. Files
            in a folder that is named after a digit, as drawings are kept, need no such names.
        number: the names begin with the digits of numbers, line by line: 42-7_ann.png.
    """
    from digits_reader import score

    reader, names = _reader_and_pictures(pictures)
    score.write_scores(score.judge(reader, names, number))


def prepare(folder: Path, into: Path, /) -> None:
    """Write the pictures of a folder as 28x28 PNG files, white on black, as `read` prepares them: to train on.

    Args:
        folder: of pictures, in folders named by their label, like scans/7/a.jpg, or named by their digit, 7_a.jpg.
        into: a new folder, for data=folder data.folder=INTO.
    """
    if not folder.is_dir() or into.exists():
        wanted = f"{into} is there already; name a new one" if into.exists() else f"{folder}: no such folder"
        raise ConfigError(wanted)

    from digits_reader import terminal

    errors = [(each.picture, each.error) for each in terminal.write_prepared(folder, into)]
    failed = [f"error: {picture}: {error}" for picture, error in errors if error]
    print(*failed, sep="\n", end="\n" * bool(failed), file=sys.stderr)
    print(f"{len(errors) - len(failed)} of {len(errors)} pictures in {into}")
    if failed:
        sys.exit(DataError.exit_code)


def _delete(drawings: "Drawings", starts: tuple[str, ...]) -> None:
    """Delete the drawing that each beginning of an id stands for; of the others, say how many it stands for."""
    found = {start: drawings.ids(start) for start in starts}
    wrong = [f"{start} ({len(ids)} drawings)" for start, ids in found.items() if len(ids) != 1]
    deleted = sum(drawings.delete(ids[0]) for ids in found.values() if len(ids) == 1)
    if wrong:
        raise DataError(
            f"no single drawing: {', '.join(wrong)}; wanted ids, or enough of their start; deleted {deleted}"
        )


COMMANDS = [read, serve, site, drawings, score, prepare]


def _reader_and_pictures(words: tuple[str, ...]) -> tuple["Reader", list[str]]:
    """Tell a model in front of the pictures from a picture."""
    from digits_reader.reader import Reader

    if not words:
        raise ConfigError("no picture; name files or folders")
    first, is_pattern = Path(words[0]), bool(set("*?[") & set(words[0]))
    if not (first.suffix or first.exists() or words[0] == "-" or is_pattern):
        raise ConfigError(f"{first}: no such run, folder or picture")
    if first.suffix == ".ckpt":
        raise ConfigError(f"{first}: a checkpoint, wanted a run's folder or its model.onnx, which digits export writes")
    if first.suffix != ".onnx" and not any((first / name).exists() for name in ("run.json", "model.onnx")):
        return _default_reader(), list(words)
    if not words[1:]:
        raise ConfigError(f"{first}: a model and no picture; name pictures after it")
    return Reader(first), list(words[1:])


def _default_reader() -> "Reader":
    """The model that reads where none is named; say which it is."""
    from digits_reader.reader import SHIPPED, Reader, default_model

    path = default_model()
    reader = Reader(path)
    print(f"{'model' if path == SHIPPED else 'newest model'}: {reader}", file=sys.stderr)
    return reader
