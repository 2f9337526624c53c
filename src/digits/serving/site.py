"""Export the page as a static site: the browser runs the models, and any file server can host it."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from digits.errors import ConfigError, DigitsError
from digits.serving.guard import PAGE_POLICY
from digits.serving.reader import Reader, by_name

PAGE = Path(__file__).parent / "page"
RUNTIME = "onnxruntime-web@1.30.0"
SHA256 = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}


def export_site(folder: Path, models: list[Path], runtime: Path | None = None) -> None:
    """Write the page, the models and ONNX Runtime Web to a folder, which is replaced as a whole or left as it was.

    Args:
        folder: a new or empty folder, or an earlier export.
        models: ONNX files or runs, the default first.
        runtime: the dist folder of an unpacked onnxruntime-web; None fetches the package with npm.

    Raises:
        ConfigError: the folder holds other files, npm is missing, or `runtime` does not hold the right files.
        DigitsError: npm could not fetch the package.
        ModelFileError: a model cannot be read.
    """
    folder = folder.resolve()
    readers = [Reader(path) for path in models]
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        site = Path(temporary) / "site"
        _write_page(site)
        _write_models(site, readers)
        _copy_runtime(runtime or _fetch_runtime(Path(temporary)), site)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        site.rename(folder)


def _check_replaceable(folder: Path) -> None:
    """Refuse a folder with any file that an export does not write: replacing the folder would delete it."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, wanted a folder to write the site to")
    names = {path.name for path in folder.iterdir()}
    foreign = names - {path.name for path in PAGE.iterdir()} - SHA256.keys() - {"models", "models.json"}
    foreign |= {path.name for path in (folder / "models").glob("*") if path.suffix != ".onnx"}
    if foreign or (names and "models.json" not in names):
        what = f"holds {min(foreign)}" if foreign else "is not empty"
        raise ConfigError(f"{folder}: {what}, wanted a new or empty folder or an earlier export; name another")


def _write_page(site: Path) -> None:
    shutil.copytree(PAGE, site)
    (site / "reader.wasm.js").replace(site / "reader.js")
    start = '<meta charset="utf-8">\n'
    policy = PAGE_POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")  # to compile the runtime
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    html = (site / "index.html").read_text(encoding="utf-8")
    (site / "index.html").write_text(html.replace(start, start + meta, 1), encoding="utf-8")


def _write_models(site: Path, readers: list[Reader]) -> None:
    """Copy the models; numbers name the files, as a model's name may hold any character."""
    (site / "models").mkdir()
    models: list[dict[str, object]] = []
    for name, reader in by_name(readers).items():
        file = f"models/{len(models)}.onnx"
        shutil.copyfile(reader.path, site / file)
        facts = {"classes": reader.classes, "test_accuracy": reader.test_accuracy, "dataset": reader.dataset}
        models.append({"name": name, **facts, "file": file})
    (site / "models.json").write_text(json.dumps({"models": models}, indent=2), encoding="utf-8")


def _copy_runtime(dist: Path, site: Path) -> None:
    for name, wanted in SHA256.items():
        try:
            content = (dist / name).read_bytes()
        except OSError as error:
            raise ConfigError(f"{dist / name}: {error.strerror}; wanted the dist folder of {RUNTIME}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise ConfigError(f"{dist / name} has SHA-256 {found[:12]}…, wanted {wanted[:12]}…, that of {RUNTIME}")
        (site / name).write_bytes(content)


def _fetch_runtime(folder: Path) -> Path:
    """Fetch the package with npm, unpack the two files into `folder`, run nothing; return their folder."""
    advice = f"or unpack {RUNTIME} elsewhere and name its dist folder with --runtime"
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(f"npm is not installed, which fetches {RUNTIME}: install Node.js, {advice}")
    command = [npm, "pack", RUNTIME, "--pack-destination", str(folder), "--loglevel", "error"]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        (package,) = folder.glob("*.tgz")
        with tarfile.open(package) as archive:
            for name in SHA256:
                archive.extract(f"package/dist/{name}", folder, filter="data")
    except (subprocess.SubprocessError, tarfile.TarError, KeyError, ValueError) as error:
        output = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else ""
        reason = (output or str(error)).splitlines()[0]
        raise DigitsError(f"npm could not fetch {RUNTIME} ({reason}): try again, {advice}") from error
    return folder / "package" / "dist"
