"""Message ids as they are stored: the 16 bytes of the UUID, half of the text and twice as quick."""

from __future__ import annotations

from conduit.errors import StoreDataError


def id_bytes(message_id: str) -> bytes:
    """The bytes of an id. Raises StoreDataError if it is not a UUID in lower case with dashes."""
    try:
        stored = bytes.fromhex(message_id.replace("-", ""))
    except ValueError:
        stored = b""
    if len(stored) != 16 or id_text(stored.hex()) != message_id:
        raise StoreDataError(f"{message_id!r} is not a UUID")
    return stored


def id_text(digits: str) -> str:
    """The id with these 32 hexadecimal digits."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
