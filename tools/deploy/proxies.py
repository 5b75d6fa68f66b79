"""The shipped configurations of nginx and Caddy with other ports, names and certificates, so that they can be
read and run anywhere.

What is not substituted is what is shipped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.cluster.parts import of_nodes

NGINX = "deploy/nginx"
CADDY = "deploy/Caddyfile"
# What both have in the place of the name of a deployment.
EXAMPLE = "conduit.example"
# The files of a certificate, in the folder of a proxy.
CERTIFICATE, KEY = "fullchain.pem", "privkey.pem"
# Where programs are that are not in the PATH of users.
ELSEWHERE = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin"
# Around conf.d/*.conf, as far as they are about it, what /etc/nginx/nginx.conf of Debian has.
_AROUND = """\
daemon off;
pid nginx.pid;
error_log stderr;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    scgi_temp_path scgi;
    uwsgi_temp_path uwsgi;
    include conf.d/*.conf;
}
"""


class Ports(NamedTuple):
    """Where a proxy listens."""

    https: int
    http: int


def found(program: str) -> str | None:
    """Its path, if it is installed."""
    return shutil.which(program) or shutil.which(program, path=ELSEWHERE)


def nginx(root: Path, folder: Path, ports: Ports, nodes: Sequence[int]) -> list[str]:
    """Write its files into `folder`, where the certificate is; returns the command that runs it in front of
    nodes at those ports."""
    shipped = root / NGINX
    for name in ("conf.d", "conduit"):
        (folder / name).mkdir()
    (folder / "nginx.conf").write_text(_AROUND)
    (folder / "conf.d/conduit.conf").write_text(
        _elsewhere((shipped / "conduit.conf").read_text(), folder, ports)
    )
    (folder / "conduit/nodes.conf").write_text(
        of_nodes((shipped / "nodes.conf").read_text(), nodes)
    )
    shutil.copyfile(shipped / "locations.conf", folder / "conduit/locations.conf")
    return [found("nginx") or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _elsewhere(text: str, folder: Path, ports: Ports) -> str:
    text = text.replace("/etc/ssl/conduit/", f"{folder}/").replace(EXAMPLE, "localhost")
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    for was, now in ((443, ports.https), (80, ports.http)):
        text = text.replace(f"listen {was}", f"listen 127.0.0.1:{now}")
    return text


def caddy(root: Path, folder: Path, ports: Ports, nodes: Sequence[int]) -> list[str]:
    """The same for Caddy, which gets the certificate of the folder and not one of its own."""
    text = (root / CADDY).read_text()
    text = text.replace(
        f"{EXAMPLE} {{\n",
        f"https://localhost:{ports.https} {{\n\tbind 127.0.0.1\n\ttls {_files(folder)}\n",
    )
    places = " ".join(f"127.0.0.1:{port}" for port in nodes)
    text = re.sub(r"(reverse_proxy)(?: 127\.0\.0\.1:\d+)+", rf"\1 {places}", text)
    settings = f"{{\n\tadmin off\n\thttp_port {ports.http}\n\thttps_port {ports.https}\n}}\n"
    (folder / "Caddyfile").write_text(settings + text)
    program = found("caddy") or "caddy"
    return [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def _files(folder: Path) -> str:
    return f"{folder / CERTIFICATE} {folder / KEY}"


def certify(folder: Path) -> None:
    """A certificate of localhost that signs itself, for as long as it takes to look."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / KEY), "-out", str(folder / CERTIFICATE)]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)
