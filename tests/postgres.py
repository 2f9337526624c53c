"""A private PostgreSQL with its files in a folder of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = ("initdb", "pg_ctl")


def found() -> dict[str, str]:
    """The paths of the programs that are installed; Debian keeps them out of PATH."""
    folders = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    paths = {name: shutil.which(name, path=os.pathsep.join(folders)) for name in PROGRAMS}
    return {name: path for name, path in paths.items() if path}


@contextmanager
def postgres() -> Iterator[str]:
    """Start PostgreSQL and yield the URL of its database. It refuses root: then `postgres` starts it."""
    programs, user = found(), "postgres" if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="postgres") as folder:  # pytest's own are closed to other users
        if user:
            shutil.chown(folder, user)

        def run(program: str, *words: str) -> None:
            command = [programs[program], "--pgdata", f"{folder}/data", *words]
            subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        run("initdb", "--username=tester", "--auth=trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        run("pg_ctl", "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-m", "fast", "stop")
