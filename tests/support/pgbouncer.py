"""A throw-away PgBouncer in transaction mode, in front of a cluster."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.postgres import OTHER_USER, USER, Cluster, as_other
from tests.support.server import free_port

START_TIMEOUT_S = 60.0
# As few that clients must share them: what one leaves in a session, another one meets.
SESSIONS_COUNT = 3

_CONFIG = """
[databases]
* = host=127.0.0.1 port={cluster_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
server_round_robin = 1
logfile = {base}/log
"""


class PgBouncer:
    """One PgBouncer process; each statement may get another session than the one before."""

    def __init__(self, cluster: Cluster) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="conduit-pgbouncer-"))
        self.port = free_port()
        config = self._base / "pgbouncer.ini"
        values = {"cluster_port": cluster.port, "user": USER, "sessions": SESSIONS_COUNT}
        config.write_text(_CONFIG.format(port=self.port, base=self._base, **values))
        if os.geteuid() == 0:
            owner = pwd.getpwnam(OTHER_USER)
            os.chown(self._base, owner.pw_uid, owner.pw_gid)
        program = shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin:/sbin")
        assert program, "pgbouncer is missing: on Debian, apt-get install pgbouncer"
        self._process = subprocess.Popen(
            [program, "-q", config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_other(),
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self._process.poll() is None, (self._base / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def remove(self) -> None:
        """Stop it and remove its files."""
        self._process.terminate()
        self._process.wait(START_TIMEOUT_S)
        shutil.rmtree(self._base, ignore_errors=True)
