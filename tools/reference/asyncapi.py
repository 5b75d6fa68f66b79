"""The AsyncAPI 3.0 document: the WebSocket, and publishing over HTTP. The rest of HTTP is in OpenAPI."""

from __future__ import annotations

from typing import Any

import msgspec

from conduit import __version__
from conduit.protocol.frames import PublishBatchRequest, PublishRequest
from conduit.protocol.records import BatchAnswer, Receipt
from tools.reference.schemas import CLIENT, SERVER, about, schemas, tag

Document = dict[str, Any]
_HTTP: dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]] = {
    "publish": (PublishRequest, Receipt),
    "publishBatch": (PublishBatchRequest, BatchAnswer),
}
_ADDRESSES = {"publish": "/api/publish", "publishBatch": "/api/publish/batch"}


def document() -> Document:
    """The whole document. What the server receives is `receive`, what it sends is `send`."""
    posts = [kind for pair in _HTTP.values() for kind in pair]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Conduit",
            "version": __version__,
            "description": (
                "Messages over WebSocket, with acks, and publishing over HTTP. The operations are those of"
                " the server: it receives what clients send."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "websocket": {"host": "localhost:8080", "protocol": "ws", "security": _security()},
            "http": {"host": "localhost:8080", "protocol": "http", "security": _security()},
        },
        "channels": {"socket": _socket(), **{name: _endpoint(name) for name in _HTTP}},
        "operations": {**_socket_operations(), **{name: _operation(name) for name in _HTTP}},
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in (*CLIENT, *SERVER, *posts)},
            "schemas": schemas(*CLIENT, *SERVER, *posts),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key or a token. Over WebSocket an `auth` frame does as well.",
                }
            },
        },
    }


def _security() -> list[Document]:
    return [{"$ref": "#/components/securitySchemes/key"}]


def _message(kind: type[msgspec.Struct]) -> Document:
    name = tag(kind) if kind in CLIENT + SERVER else kind.__name__
    return {
        "name": name,
        "summary": about(kind).partition("\n")[0],
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }


def _messages(*kinds: type[msgspec.Struct]) -> Document:
    return {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds}


def _socket() -> Document:
    return {
        "address": "/ws",
        "description": "JSON objects in text frames, each with its `type`.",
        "servers": [{"$ref": "#/servers/websocket"}],
        "messages": _messages(*CLIENT, *SERVER),
        "bindings": {"ws": {"method": "GET"}},
    }


def _endpoint(name: str) -> Document:
    return {
        "address": _ADDRESSES[name],
        "servers": [{"$ref": "#/servers/http"}],
        "messages": _messages(*_HTTP[name]),
    }


def _of(channel: str, *kinds: type[msgspec.Struct]) -> list[Document]:
    return [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in kinds]


def _socket_operations() -> Document:
    return {
        "fromClient": {
            "action": "receive",
            "channel": {"$ref": "#/channels/socket"},
            "summary": "What a client may send.",
            "messages": _of("socket", *CLIENT),
        },
        "toClient": {
            "action": "send",
            "channel": {"$ref": "#/channels/socket"},
            "summary": "What the server sends.",
            "messages": _of("socket", *SERVER),
        },
    }


def _operation(name: str) -> Document:
    request, answer = _HTTP[name]
    channel = {"$ref": f"#/channels/{name}"}
    return {
        "action": "receive",
        "channel": channel,
        "summary": about(request).partition("\n")[0],
        "messages": _of(name, request),
        "reply": {"channel": channel, "messages": _of(name, answer)},
        "bindings": {"http": {"method": "POST"}},
    }
