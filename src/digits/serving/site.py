"""The page as a static site: models read in the browser, any file server will do."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from digits.errors import ConfigError, DigitsError
from digits.serving.guard import POLICY
from digits.serving.reader import Reader, by_name

PAGE = Path(__file__).parent / "page"
RUNTIME = "onnxruntime-web@1.30.0"
SHA256 = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}


def export_site(folder: Path, models: list[Path], runtime: Path | None = None) -> str:
    """Write the page, the models and ONNX Runtime Web to a folder that any web server can show.

    Args:
        folder: to write; absent, empty or an earlier export, which is replaced. It is whole or as it was.
        models: ONNX files, the default first.
        runtime: a folder that holds the two files of ONNX Runtime Web, like node_modules/onnxruntime-web/dist;
            None fetches them with npm from the registry npm is set to.

    Returns:
        A line that says where the runtime came from.

    Raises:
        ConfigError: the folder holds something else, or `runtime` does not hold the right files.
        DigitsError: npm is absent or could not fetch.
        ModelFileError: a model cannot be read.
    """
    folder = folder.resolve()
    readers = [Reader(path) for path in models]
    _refuse_what_is_no_export(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        site = Path(temporary) / "site"
        (site / "models").mkdir(parents=True)
        files, line = _fetched(Path(temporary)) if runtime is None else _found(runtime)
        for name, content in files.items():
            (site / name).write_bytes(content)
        _write_page(site)
        _write_models(site, readers)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        site.rename(folder)
    return line


def _refuse_what_is_no_export(folder: Path) -> None:
    """Replacing a folder deletes what is in it, so nothing may be in it that an export does not write."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, wanted a folder to write the site to")
    ours = {path.name for path in PAGE.iterdir()} | SHA256.keys() | {"models", "models.json"}
    inside = {path.name for path in folder.iterdir()}
    foreign = inside - ours
    foreign |= {path.name for path in (folder / "models").glob("*") if path.suffix != ".onnx"}
    if foreign or (inside and "models.json" not in inside):
        what = f"holds {min(foreign)}" if foreign else "is not empty"
        raise ConfigError(f"{folder}: {what}, wanted a new or empty folder or an earlier export; name another")


def _write_page(site: Path) -> None:
    for path in PAGE.iterdir():
        if path.name != "reader.js":
            name = "reader.js" if path.name == "reader.wasm.js" else path.name
            shutil.copyfile(path, site / name)
    start = '<meta charset="utf-8">\n'
    page = (site / "index.html").read_text(encoding="utf-8")
    allowed = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")  # compiles the runtime
    policy = f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
    (site / "index.html").write_text(page.replace(start, start + policy, 1), encoding="utf-8")


def _write_models(site: Path, readers: list[Reader]) -> None:
    """Copy each file under its model's name, without what is unfit for files."""
    listed: list[dict[str, object]] = []
    for name, reader in by_name(readers).items():
        file = f"models/{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.onnx"
        if (site / file).exists():
            file = f"models/{len(listed)}.onnx"
        shutil.copyfile(reader.path, site / file)
        facts = {"classes": reader.classes, "test_accuracy": reader.test_accuracy, "dataset": reader.dataset}
        listed.append({"name": name, **facts, "file": file})
    (site / "models.json").write_text(json.dumps({"models": listed}, indent=2), encoding="utf-8")


def _found(folder: Path) -> tuple[dict[str, bytes], str]:
    files = {}
    for name in SHA256:
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise ConfigError(f"{folder / name}: {error.strerror}; wanted the dist folder of {RUNTIME}") from error
    _check(files, str(folder))
    return files, f"{RUNTIME} from {folder}"


def _fetched(temporary: Path) -> tuple[dict[str, bytes], str]:
    """The two files out of the package, of which nothing else is unpacked and nothing run."""
    ways_out = f"or unpack {RUNTIME} elsewhere and name its dist folder"
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(f"npm is not installed, which fetches {RUNTIME}: install Node.js, {ways_out}")
    command = [npm, "pack", RUNTIME, "--pack-destination", str(temporary), "--loglevel", "error"]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        (package,) = temporary.glob("*.tgz")
        with tarfile.open(package) as archive:
            members = {name: archive.extractfile(f"package/dist/{name}") for name in SHA256}
            files = {name: member.read() for name, member in members.items() if member}
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if line.strip()] or ["without a word"]
        raise DigitsError(f"npm could not fetch {RUNTIME} ({said[0]}): try again, {ways_out}") from error
    except (subprocess.TimeoutExpired, tarfile.TarError, KeyError, ValueError) as error:
        raise DigitsError(f"npm could not fetch {RUNTIME} ({error}): try again, {ways_out}") from error
    _check(files, RUNTIME)
    return files, f"{RUNTIME} fetched with npm"


def _check(files: dict[str, bytes], source: str) -> None:
    for name, wanted in SHA256.items():
        found = hashlib.sha256(files.get(name, b"")).hexdigest()
        if found != wanted:
            raise ConfigError(
                f"{source}: {name} has SHA-256 {found[:12]}…, wanted {wanted[:12]}…, which is that of {RUNTIME}"
            )
