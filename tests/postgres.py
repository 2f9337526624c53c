"""A private PostgreSQL with its files in a folder of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("initdb", "pg_ctl")


def found() -> dict[str, str]:
    """The paths of the programs that are installed; Debian keeps them out of PATH."""
    folders = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    paths = {name: shutil.which(name, path=os.pathsep.join(folders)) for name in PROGRAMS}
    return {name: path for name, path in paths.items() if path}


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start PostgreSQL in `folder` and yield the URL of its database. It refuses root: then `postgres` starts it."""
    programs, data = found(), folder / "data"
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
        for parent in folder.parents:  # pytest's folders are of one user only
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)

    def run(*command: str) -> None:
        subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    run(programs["initdb"], "--pgdata", str(data), "--username=tester", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
    run(programs["pg_ctl"], "--pgdata", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+psycopg://tester@/postgres?host={folder}"
    finally:
        run(programs["pg_ctl"], "--pgdata", str(data), "-w", "-m", "fast", "stop")
