"""The rules of `promtool check metrics` that can be broken by a name or a help text, without promtool."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"# (HELP|TYPE) (\S+) ?(.*)")
_SAMPLE = re.compile(r"([^\s{]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([^=,]+)="((?:[^"\\]|\\.)*)"')
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Base units are seconds, bytes, ratio …; these are others, or not written out.
_OTHER_UNIT = re.compile(
    "(milli|micro|nano)seconds|minutes|hours|days|weeks|s|ms|us|ns|sec|m|h|d"
    "|bits|(kilo|mega|giga|kibi|mebi|gibi)bytes|b|kb|mb|gb|tb|pb|percent|percentage|celsius"
)
_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}
_OWN_LABELS = {"le": "histogram", "quantile": "summary"}


def faults(text: str) -> list[str]:
    """What is wrong in an exposition; a sentence for each."""
    helps: dict[str, str] = {}
    types: dict[str, str] = {}
    found: list[str] = []
    seen: set[str] = set()
    for line in text.splitlines():
        if comment := _COMMENT.fullmatch(line):
            kind, name, rest = comment.groups()
            found += [f"{name} has two lines of {kind}"] * (name in (helps, types)[kind == "TYPE"])
            (helps, types)[kind == "TYPE"][name] = rest
        elif sample := _SAMPLE.fullmatch(line):
            found += _sample_faults(sample[1], sample[2] or "", types)
            found += [f"{sample[1]}{{{sample[2]}}} is there twice"] * (
                line.rpartition(" ")[0] in seen
            )
            seen.add(line.rpartition(" ")[0])
        else:
            found.append(f"not a line of the format: {line!r}")
    for name, kind in types.items():
        found += _name_faults(name, kind, helps.get(name, ""))
    return found


def _name_faults(name: str, kind: str, about: str) -> list[str]:
    words = name.split("_")
    rules = {
        "has no help": not about.strip(),
        "is not in snake_case": not _SNAKE_CASE.fullmatch(name),
        "is a counter without _total": kind == "counter" and not name.endswith("_total"),
        "ends in _total and is no counter": kind != "counter" and name.endswith("_total"),
        "has its type in its name": kind in words,
        "ends as a part of a histogram does": name.endswith(("_bucket", "_count", "_sum")),
        "has a unit that is no base unit": any(map(_OTHER_UNIT.fullmatch, words)),
    }
    return [f"{name} {what}" for what, is_broken in rules.items() if is_broken]


def _sample_faults(name: str, labels: str, types: dict[str, str]) -> list[str]:
    family = next(
        (
            family
            for family, kind in types.items()
            if any(name == family + suffix for suffix in _SUFFIXES.get(kind, ("",)))
        ),
        None,
    )
    if family is None:
        return [f"{name} has no type"]
    names = [label[0] for label in _LABEL.findall(labels)]
    return [
        f"{name} has the label {label}"
        for label in names
        if not _SNAKE_CASE.fullmatch(label)
        or _OWN_LABELS.get(label, types[family]) != types[family]
    ]
