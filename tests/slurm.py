"""A private Slurm: two nodes on this machine, with ports and folders of its own, and nothing of another Slurm touched.

`python tests/slurm.py COMMAND …` runs a command with it.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "squeue", "scancel", "scontrol")
NODES = ("127.0.0.2", "127.0.0.3")  # addresses as names: they resolve without a line in the hosts file
CPUS = 2  # of each node; the machine may have fewer


def missing() -> list[str]:
    """The programs of Slurm that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start Slurm with all its files in `folder`, and yield the environment in which its commands find it."""
    folder.chmod(0o755)
    conf = folder / "slurm.conf"
    conf.write_text(_config(folder))
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    socket_, log = folder / "munge.socket", folder / "munge.log"
    env = {**os.environ, "SLURM_CONF": str(conf)}
    files = {"key-file": key, "pid-file": folder / "munge.pid", "seed-file": folder / "munge.seed", "log-file": log}
    options = [f"--{name}={path}" for name, path in files.items()]
    commands = [
        ["munged", "-F", "-f", f"--socket={socket_}", *options],
        ["slurmctld", "-D", "-c"],
        *(["slurmd", "-D", "-N", node] for node in NODES),
    ]
    running = []
    try:
        for command in commands:
            with (folder / f"{command[0]}{len(running)}.out").open("w") as output:
                running.append(subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True))
            if command[0] == "munged":
                _wait(socket_.exists)
        _wait(lambda: _output(env, "sinfo", "-h", "-o", "%T %D") == f"idle {len(NODES)}")
        yield env
    finally:
        subprocess.run(["scancel", "--me"], env=env, check=False)
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _config(folder: Path) -> str:
    host, user = socket.gethostname().split(".")[0], getuser()
    control, *nodes = _free_ports(1 + len(NODES))
    lines = [
        "ClusterName=test",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmUser={user}",
        f"SlurmdUser={user}",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge.socket,cred_expire=5",  # also the wait before a job is requeued,
        "CredType=cred/munge",
        f"SlurmctldPort={control}",
        f"StateSaveLocation={folder}",
        f"SlurmdSpoolDir={folder}/spool/%n",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd-%n.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd-%n.log",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "MpiDefault=none",
        "ReturnToService=2",
        "SlurmdParameters=config_overrides",  # the nodes may claim more CPUs than this machine has
        "SchedulerParameters=sched_interval=1,batch_sched_delay=0,defer_batch",
        "MinJobAge=300",
        "KillWait=5",
        "JobRequeue=1",
        f"FirstJobId={random.randrange(1, 9000)}",  # Lightning's port follows from it: two Slurms at once need two
        "UnkillableStepTimeout=20",
    ]
    lines += [
        f"NodeName={node} NodeHostname={host} NodeAddr={node} Port={port} CPUs={CPUS} State=UNKNOWN"
        for node, port in zip(NODES, nodes, strict=True)
    ]
    lines.append(f"PartitionName=test Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP")
    return "\n".join(lines) + "\n"


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _output(env: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    return done.stdout.strip()


def _wait(ready, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError("Slurm did not start; look into its logs")
        time.sleep(0.1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, slurm(Path(name)) as environment:
        sys.exit(subprocess.run(sys.argv[1:], env=environment).returncode)
