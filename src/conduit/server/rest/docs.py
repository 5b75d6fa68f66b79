"""`/docs` and `/openapi.json`: the API, read off the application itself.

The page is plain HTML that loads nothing from anywhere, so that it works where there is no internet
and under a content security policy that forbids everything else.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from conduit.protocol.codec import encode_json
from conduit.server.context import Context
from conduit.server.rest.access import OPEN_PATHS, sees_node
from conduit.server.rest.inputs import NO_QUERY
from conduit.server.rest.replies import JSON
from conduit.server.rest.routing import routes

router = routes()

# The document has to have one.
NO_VERSION = "-"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
# One of them is enough, and two are refused.
_CREDENTIALS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token."},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key.",
    },
}
_SIGN_IN = (
    "A request has an API key or a token, as <code>Authorization: Bearer …</code>, or a key as "
    "<code>X-API-Key: …</code>. "
)
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, .verb { font-family: ui-monospace, monospace; font-size: 0.93em }
section { border-top: 1px solid #8884; padding: 0.4rem 0 1rem }
.verb { font-weight: 700; display: inline-block; min-width: 4.5rem }
table { border-collapse: collapse; margin: 0.3rem 0 0.8rem }
td { padding: 0.1rem 1.2rem 0.1rem 0; vertical-align: top }
h3 { margin: 0.6rem 0 } h4 { margin: 0.6rem 0 0 }
"""


def render(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    info, shapes = document["info"], document["components"]["schemas"]
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            group = groups.setdefault(operation["tags"][0], [])
            group.append(_operation(verb, path, operation))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(sections)}" for tag, sections in groups.items())
    records = "".join(_shape(name, shape) for name, shape in sorted(shapes.items()))
    title = escape(info["title"])
    if info["version"] != NO_VERSION:
        title += f" {escape(info['version'])}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(info['description'])} "
        f"{_SIGN_IN if document.get('security') else ''}"
        'For machines: <a href="openapi.json">openapi.json</a>. With * : required.</p>'
        f"{body}<h2>Records</h2>{records}</html>"
    )


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    anchor = f"{verb}-{path}"
    parts = [
        f'<section id="{escape(anchor)}"><h3><span class="verb">{verb.upper()}</span> '
        f"<code>{escape(path)}</code></h3><p>{_text(operation['description'])}</p>"
    ]
    if parameters := operation.get("parameters"):
        rows = [_parameter(parameter) for parameter in parameters]
        parts.append(f"<h4>Parameters</h4>{_table(rows)}")
    if body := operation.get("requestBody"):
        parts.append(f"<h4>Body</h4><p>{_content(body)}</p>")
    answers = [
        (status, _content(answer), _text(answer["description"]))
        for status, answer in operation["responses"].items()
        if status != "default"
    ]
    return "".join([*parts, f"<h4>Answers</h4>{_table(answers)}</section>"])


def _parameter(parameter: dict[str, Any]) -> tuple[str, str, str]:
    schema, about = parameter["schema"], parameter.get("description", "")
    name = _name(parameter["name"], parameter.get("required", False))
    return name, _kind(schema), _about(schema, about)


def _text(text: str) -> str:
    """Text as HTML; what stands between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _about(schema: dict[str, Any], description: str = "") -> str:
    """What a value means, its range and its default."""
    parts = [_text(description)] if description else []
    if "minimum" in schema and "maximum" in schema:
        parts.append(f"{schema['minimum']:,.0f}–{schema['maximum']:,.0f}")
    if schema.get("default"):
        parts.append(f"default <code>{escape(str(schema['default']))}</code>")
    return " · ".join(parts)


def _content(holder: dict[str, Any]) -> str:
    return ", ".join(_kind(media["schema"]) for media in holder.get("content", {}).values())


def _shape(name: str, shape: dict[str, Any]) -> str:
    required = shape.get("required", ())
    rows = [
        (_name(field, field in required), _kind(kind), _about(kind, kind.get("description", "")))
        for field, kind in shape.get("properties", {}).items()
    ]
    content = _table(rows) if rows else f"<p>{_kind(shape)}</p>"
    about = _text(shape.get("description", ""))
    name = escape(name)
    return f'<section id="{name}"><h3><code>{name}</code></h3><p>{about}</p>{content}</section>'


def _name(name: str, is_required: bool) -> str:
    return f"{name} *" if is_required else name


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words, with links to records."""
    return " or ".join(_alternatives(schema)) or "any JSON"


def _alternatives(schema: dict[str, Any]) -> Iterator[str]:
    if ref := schema.get("$ref"):
        name = escape(ref.rsplit("/", 1)[-1])
        yield f'<a href="#{name}">{name}</a>'
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield _kind(part)
    if "enum" in schema:
        yield ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    elif schema.get("type") == "array":
        yield f"list of {_kind(schema['items'])}"
    elif "type" in schema:
        yield escape(str(schema.get("format", schema["type"])))


def _table(rows: list[tuple[str, str, str]]) -> str:
    """Rows of a name, which is escaped here, and two cells of HTML."""
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{kind}<td>{about}" for name, kind, about in rows
    )
    return f"<table>{cells}</table>"


@router.get("/docs", dependencies=[NO_QUERY])
async def page(request: Request) -> Response:
    """The API for people."""
    return HTMLResponse(
        render(await _document(request)), headers={"content-security-policy": _POLICY}
    )


@router.get("/openapi.json")
async def document(request: Request) -> Response:
    """The API for tools."""
    return Response(encode_json(await _document(request)), media_type=JSON)


async def _document(request: Request) -> dict[str, Any]:
    """The API as this server has it: without the version for those who may not know it, and with the
    credentials where some are asked for."""
    context: Context = request.app.state.context
    # The first time it is built, for 0.1 s.
    document: dict[str, Any] = await asyncio.to_thread(request.app.openapi)
    if not sees_node(request):
        document = {**document, "info": {**document["info"], "version": NO_VERSION}}
    return document if context.gate.is_open else _with_credentials(document)


def _with_credentials(document: dict[str, Any]) -> dict[str, Any]:
    """The same, which says how a client signs in, and for what it need not."""
    paths = dict(document["paths"])
    for path in OPEN_PATHS & paths.keys():
        paths[path] = {
            verb: {**operation, "security": []} for verb, operation in paths[path].items()
        }
    return {
        **document,
        "paths": paths,
        "components": {**document["components"], "securitySchemes": _CREDENTIALS},
        "security": [{name: []} for name in _CREDENTIALS],
    }
