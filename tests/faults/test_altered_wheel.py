"""The lock file refuses a package that is not, byte by byte, the one it was written for."""

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT


def wheel(path: Path, code: str) -> Path:
    """A package of one module."""
    about = "tiny-1.0.dist-info"
    files = {
        "tiny.py": code,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "".join(f"{name},,\n" for name in ("tiny.py", f"{about}/METADATA", f"{about}/RECORD")),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def other_code(path: Path) -> None:
    wheel(path, "value = 2\n")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


ALTERED = [other_code, flipped, longer, cut_off]


@pytest.mark.fault("a package of the lock file altered", "not installed, and named", cases=len(ALTERED), short=1)
def test_an_altered_wheel_is_not_installed(case: int, tmp_path: Path):
    """By the command that `make setup` uses, without its package index."""
    shown = subprocess.run(["make", "-n", "-B", "setup"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (words,) = re.findall(r"-m (pip install .*--require-hashes) -r requirements.lock", shown)
    path = wheel(tmp_path / "tiny-1.0-py3-none-any.whl", "value = 1\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "lock.txt").write_text(f"tiny==1.0 --hash=sha256:{digest}\n")

    def install(folder: str) -> subprocess.CompletedProcess[str]:
        here = ["--no-index", "--find-links", ".", "--target", folder, "-r", "lock.txt"]
        return subprocess.run(
            [sys.executable, "-m", *words.split(), *here], cwd=tmp_path, capture_output=True, text=True
        )

    assert install("good").returncode == 0 and (tmp_path / "good/tiny.py").read_text() == "value = 1\n"
    ALTERED[case](path)
    refused = install("bad")
    assert refused.returncode != 0 and "DO NOT MATCH THE HASHES" in refused.stderr and "tiny" in refused.stderr
    assert not (tmp_path / "bad").exists()


def test_every_package_of_the_lock_file_has_a_hash():
    _, *packages = re.split(r"^(?=[a-z0-9][\w.-]*==)", (ROOT / "requirements.lock").read_text(), flags=re.M)
    assert len(packages) > 50 and all("--hash=sha256:" in each for each in packages)
