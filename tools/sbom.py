"""`make sbom`: the bill of materials of a release, in CycloneDX's JSON.

It names what a user installs: every package of `requirements/runtime.txt`, with the hashes of the files that
may be installed, what asks for it, and its license where the package that is installed here says one. Nobody
is asked for anything.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "runtime.txt"
_PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\\n]+?))? \\\n")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"# via (?P<names>.*)")
_LICENSE_CLASSIFIER = "License :: OSI Approved :: "


class Pin(NamedTuple):
    """One package of the lock."""

    name: str
    version: str
    marker: str | None
    """Where it is needed; None: everywhere."""
    hashes: list[str]
    """SHA-256 of each file that may be installed."""
    wanted_by: list[str]


def pins(lock: str) -> list[Pin]:
    """The packages of a lock file, in its order."""
    found = []
    for text in re.split(r"\n(?=\S)", lock.strip()):
        pin, via = _PIN.match(text), _VIA.search(text)
        if pin is None or via is None:
            raise ValueError(f"not a line of a lock: {text.splitlines()[0]!r}")
        # What stands behind `-c` is the file that the version was taken from.
        names = [name for name in via["names"].split(", ") if not name.startswith("-c ")]
        found.append(Pin(pin["name"], pin["version"], pin["marker"], _HASH.findall(text), names))
    return found


def bill(root: Path = ROOT, lock: str | None = None) -> Bom:
    """What Conduit is made of."""
    text = LOCK.read_text() if lock is None else lock
    packages = pins(text)
    conduit = _conduit(root)
    components = {pin.name: _component(pin) for pin in packages}
    # The same lock of the same version is the same bill.
    serial = uuid5(NAMESPACE_URL, f"{conduit.purl}\n{text}")
    bom = Bom(components=components.values(), serial_number=serial)
    bom.metadata.component = conduit
    wants: dict[str, list[Component]] = {}
    for pin in packages:
        for name in pin.wanted_by:
            wants.setdefault(name.partition(" ")[0], []).append(components[pin.name])
    for name, component in {conduit.name: conduit, **components}.items():
        bom.register_dependency(component, wants.get(name, ()))
    return bom


def _conduit(root: Path) -> Component:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    source = (root / "src" / "conduit" / "__init__.py").read_text()
    version = re.search(r'__version__ = "(.+)"', source)
    assert version is not None
    return Component(
        name=project["name"],
        version=version[1],
        type=ComponentType.APPLICATION,
        purl=PackageURL("pypi", name=project["name"], version=version[1]),
        bom_ref=project["name"],
        description=project["description"],
        licenses=[LicenseFactory().make_from_string(project["license"])],
    )


def _component(pin: Pin) -> Component:
    purl = PackageURL("pypi", name=pin.name, version=pin.version)
    component = Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=purl.to_string(),
        scope=ComponentScope.OPTIONAL if pin.marker else ComponentScope.REQUIRED,
        licenses=_licenses(pin),
        # A package is many files, one for each platform.
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(purl.to_string()),
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.hashes],
            )
        ],
    )
    if pin.marker:
        component.properties.add(Property(name="conduit:marker", value=pin.marker))
    return component


def _licenses(pin: Pin) -> Iterator[License]:
    """As the package says, if this version of it is installed here."""
    try:
        told = metadata.metadata(pin.name)
    except metadata.PackageNotFoundError:
        return
    if told["Version"] != pin.version:
        return
    declared = LicenseAcknowledgement.DECLARED
    if expression := told["License-Expression"]:
        yield LicenseFactory().make_from_string(expression, license_acknowledgement=declared)
        return
    classifiers = [
        each.removeprefix(_LICENSE_CLASSIFIER)
        for each in told.get_all("Classifier") or ()
        if each.startswith(_LICENSE_CLASSIFIER)
    ]
    text = told["License"] or ""
    # Some have the whole text there.
    names = classifiers or ([text] if text and "\n" not in text else [])
    for name in names:
        yield LicenseFactory().make_from_string(name, license_acknowledgement=declared)


def main(path: Path) -> None:
    """Write it to `path`."""
    bom = bill()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")
    unknown = sorted(each.name for each in bom.components if not each.licenses)
    print(f"sbom: {path}: {len(bom.components)} packages")
    if unknown:
        print(f"sbom: no license is known here of {', '.join(unknown)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
