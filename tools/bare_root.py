"""A bare Debian in a folder, to try there what a machine needs on which nothing is installed.

Root makes it by debootstrap, and enters it in namespaces of its own: what is mounted and started inside is
gone with the block. Its packages come over this machine's network, so it is told what apt, pip and npm are
told here: proxies, mirrors, authorities, indexes. None of that is named here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUITE = "bookworm"
MADE_WITHIN_S = 900.0
HOME = "/root"
# What a shell has there, whatever it has here.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
}
_NAMES = re.compile(r"(PIP|NPM_CONFIG)_\w+|(https?|all|ftp|no)_proxy", re.IGNORECASE)
# Of apt's settings; the others are of what is installed here.
_OF_APT = re.compile(r"Acquire::(https?|Check|Retries|ForceIPv)")
_LOCAL = re.compile(r"(?:file://)?(/[^\s'\",;]+)")
_FILES = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/apt/auth.conf",
    "/etc/apt/auth.conf.d",
    "/etc/pip.conf",
    "/etc/xdg/pip",
)
_HOME_FILES = (".config/pip", ".pip", ".npmrc")
_GLOBAL_NPMRC = "/etc/npmrc"
# The authorities that this machine trusts, where no package of the root writes; and who is told of them.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_AUTHORITIES = "/etc/ssl/machine.crt"
_TOLD_OF_AUTHORITIES = (
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
)
# Folders that are kept from one root to the next, so that nothing is fetched twice.
_CACHES = {"apt": "/var/cache/apt/archives", "pip": f"{HOME}/.cache/pip", "npm": f"{HOME}/.npm"}


# Where programs of root are, which are not in everybody's PATH.
_SBIN = "/usr/sbin:/sbin"
_WITH_SBIN = ["env", f"PATH={os.environ.get('PATH', os.defpath)}:{_SBIN}"]


class NoRoot(Exception):
    """This machine cannot make one; the text says what is missing."""


@dataclass
class Machine:
    """What this machine tells its programs: files to copy, folders to mount for reading, variables."""

    copies: dict[str, Path] = field(default_factory=dict)
    """By where they go."""
    mounts: set[Path] = field(default_factory=set)
    environment: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def here() -> Machine:
        """This one."""
        told = {name: value for name, value in os.environ.items() if _NAMES.fullmatch(name)}
        found = Machine(environment=told)
        home = Path.home()
        places = [(Path(name), name) for name in _FILES]
        places += [(home / name, f"{HOME}/{name}") for name in _HOME_FILES]
        for bundle in filter(Path.exists, map(Path, _BUNDLES)):
            places.append((bundle, _AUTHORITIES))
            found.environment.update(dict.fromkeys(_TOLD_OF_AUTHORITIES, _AUTHORITIES))
        npmrc = Path(_said("npm", "config", "get", "globalconfig").strip() or os.devnull)
        if npmrc.is_file():
            places.append((npmrc, _GLOBAL_NPMRC))
            found.environment["NPM_CONFIG_GLOBALCONFIG"] = _GLOBAL_NPMRC
        said = _said(sys.executable, "-m", "pip", "config", "list") + " ".join(
            found.environment.values()
        )
        for path in map(Path, _LOCAL.findall(said)):
            if path.is_file():
                places.append((path, str(path)))
            elif path.is_dir():
                # An index is `…/simple`, and its files may be beside that.
                found.mounts.add(path.parent if path.name == "simple" else path)
        found.copies = {to: path for path, to in places if path.exists()}
        return found

    def tell(self, root: Path) -> None:
        """Put its files where programs in the root look for them."""
        for name, path in self.copies.items():
            to = root / name.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, to, dirs_exist_ok=True)
            else:
                shutil.copy(path, to)
        lines = _said("apt-config", "dump").splitlines()
        settings = "".join(f"{line}\n" for line in lines if _OF_APT.match(line))
        (root / "etc/apt/apt.conf.d/99machine").write_text(settings)
        # The root is thrown away: nothing of it has to be on the disk.
        (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")

    def mount(self, root: Path) -> None:
        """Its folders, for reading, and proc(5) and shared memory. In a namespace of its own: see `alone`."""
        for path in self.mounts:
            _mount(path, root / str(path).lstrip("/"), "--bind", "-o", "ro")
        _mount("proc", root / "proc", "-t", "proc")
        _mount("tmpfs", root / "dev/shm", "-t", "tmpfs")


def missing() -> str | None:
    """What this machine lacks to make one, for a person; None: nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a bare Debian is made by root, on Linux"
    if absent := [name for name in ("debootstrap", "unshare", "chroot") if not _which(name)]:
        return f"{' and '.join(absent)} is missing: make services"
    if subprocess.run(alone("true"), capture_output=True, check=False).returncode:
        return "root may not make namespaces here"
    return None


def alone(*command: str) -> list[str]:
    """The command in namespaces of its own: its mounts, and all that it starts, end with it."""
    return [
        *_WITH_SBIN,
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        *command,
    ]


@contextlib.contextmanager
def bare(machine: Machine, cache: Path | None = None) -> Iterator[Path]:
    """A new root, removed at the end. `cache` is a folder that keeps what was fetched, for the next one.

    Raises NoRoot.
    """
    if lack := missing():
        raise NoRoot(lack)
    folder = Path(tempfile.mkdtemp(prefix="conduit-bare-", dir="/var/tmp"))
    try:
        root = folder / "root"
        _unpack(root, cache)
        machine.tell(root)
        yield root
    finally:
        shutil.rmtree(folder)


def mount_caches(root: Path, cache: Path) -> None:
    """Have apt, pip and npm keep there what they fetch. In a namespace of its own: see `alone`."""
    for name, place in _CACHES.items():
        kept = cache / name
        kept.mkdir(parents=True, exist_ok=True)
        _mount(kept, root / place.lstrip("/"), "--bind")
    (root / "var/cache/apt/archives/partial").mkdir(exist_ok=True)


def _unpack(root: Path, cache: Path | None) -> None:
    """From what the last one was made of, if that is kept."""
    archive = None if cache is None else cache / f"{SUITE}.tar"
    if archive is not None and archive.exists():
        root.mkdir()
        _run("tar", "--extract", "--numeric-owner", f"--file={archive}", f"--directory={root}")
        return
    _run("debootstrap", "--variant=minbase", SUITE, str(root), *_mirror())
    if archive is not None:
        archive.parent.mkdir(parents=True, exist_ok=True)
        # Whole, or not there.
        part = archive.with_suffix(f".{os.getpid()}")
        _run("tar", "--create", "--numeric-owner", f"--file={part}", f"--directory={root}", ".")
        part.rename(archive)


def _mirror() -> list[str]:
    """This machine's, if it has one of the suite; else debootstrap knows one."""
    said = _said(
        "apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Created-By: Packages"
    )
    for line in said.splitlines():
        release, _, site = line.partition(" ")
        if release == SUITE and site:
            return [site]
    return []


def _mount(what: object, where: Path, *options: str) -> None:
    where.mkdir(parents=True, exist_ok=True)
    _run("mount", *options, str(what), str(where))


def _run(*command: str) -> None:
    done = subprocess.run(
        [*_WITH_SBIN, *command],
        capture_output=True,
        text=True,
        timeout=MADE_WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise NoRoot(f"{' '.join(command)} has failed:\n{(done.stdout + done.stderr)[-4000:]}")


def _said(*command: str) -> str:
    """What it prints; nothing if it is not there."""
    if not _which(command[0]):
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/").stdout


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SBIN)
