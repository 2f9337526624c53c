"""Export the page as a static site: the browser runs the models, and any file server can host it."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import brotli

from digits_reader.guard import PAGE_POLICY
from digits_reader.numbers import LIMITS
from digits_reader.reader import Reader, by_name, page_readers
from plain_errors import ConfigError, PlainError

FACTS = ("classes", "test_accuracy", "dataset", "strangers", "least_energy")  # of a model, that the page asks for
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
        PlainError: npm could not fetch the package.
        ModelFileError: a model cannot be read.
    """
    folder = folder.resolve()
    readers = page_readers(models)
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        site = Path(temporary) / "site"
        shutil.copytree(PAGE, site)
        (site / "reader.wasm.js").replace(site / "reader.js")
        _copy_runtime(runtime or _fetch_runtime(Path(temporary)), site)
        _write_index(site)
        _write_models(site, readers)
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
    ours = {"models", "models.json", *(path.name for path in PAGE.iterdir())}
    ours |= {name.replace(".mjs", ".js") for name in SHA256}
    foreign = {name for name in names if re.sub(r"\.(br|gz)$", "", name).replace(".mjs", ".js") not in ours}
    foreign |= {path.name for path in (folder / "models").glob("*") if path.suffix != ".onnx"}
    if foreign or (names and "models.json" not in names):
        what = f"holds {min(foreign)}" if foreign else "is not empty"
        raise ConfigError(f"{folder}: {what}, wanted a new or empty folder or an earlier export; name another")


def _write_index(site: Path) -> None:
    """Allow the page to compile the runtime, and have its modules fetched at once rather than one after another."""
    start = '<meta charset="utf-8">\n'
    policy = PAGE_POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
    modules = sorted({path.name for path in site.glob("*.js")} - {"check.js", "main.js", "offline.js"})
    links = "".join(f'<link rel="modulepreload" href="{name}">\n' for name in modules)
    head = f'{start}<meta http-equiv="Content-Security-Policy" content="{policy}">\n{links}'
    page = site / "index.html"
    page.write_text(page.read_text(encoding="utf-8").replace(start, head, 1), encoding="utf-8")


def _write_models(site: Path, readers: list[Reader]) -> None:
    """Copy the models and list all files; model files are numbered, as a model's name may hold any character."""
    (site / "models").mkdir()
    models: list[dict[str, object]] = []
    for name, reader in by_name(readers).items():
        file, content = f"models/{len(models)}.onnx", reader.path.read_bytes()
        (site / file).write_bytes(content)
        facts = {key: getattr(reader, key) for key in FACTS}
        models.append({"name": name, **facts, "file": file, "sha256": hashlib.sha256(content).hexdigest()})
    files = {path.relative_to(site).as_posix(): path.stat().st_size for path in sorted(site.rglob("*.*"))}
    listed = {"models": models, "limits": LIMITS, "runtime": RUNTIME, "files": files}
    (site / "models.json").write_text(json.dumps(listed, indent=2), encoding="utf-8")


def _copy_runtime(dist: Path, site: Path) -> None:
    for name, wanted in SHA256.items():
        try:
            content = (dist / name).read_bytes()
        except OSError as error:
            raise ConfigError(f"{dist / name}: {error.strerror}; wanted the dist folder of {RUNTIME}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise ConfigError(f"{dist / name} has SHA-256 {found[:12]}…, wanted {wanted[:12]}…, that of {RUNTIME}")
        served = name.replace(".mjs", ".js")  # many servers send .mjs with a type that browsers refuse
        (site / served).write_bytes(content)
        (site / f"{served}.gz").write_bytes(gzip.compress(content, mtime=0))
        (site / f"{served}.br").write_bytes(brotli.compress(content, quality=9, lgwin=24))  # 11: 14 % less, in minutes


def _fetch_runtime(folder: Path) -> Path:
    """Fetch the package with npm, unpack the two files into `folder`, run nothing; return their folder."""
    advice = f"or unpack {RUNTIME} elsewhere and name its dist folder with --runtime"
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(f"npm is not installed, and {RUNTIME} is fetched with it: install Node.js, {advice}")
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
        raise PlainError(f"npm could not fetch {RUNTIME} ({reason}): try again, {advice}") from error
    return folder / "package" / "dist"
