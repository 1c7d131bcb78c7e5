"""Point ids as bytes that sort as the stores scroll, and what a document's id becomes, fast."""

from __future__ import annotations

from hashlib import sha1

from reindex.records import ID_NAMESPACE, PointId, point_id

KEY_BYTES = 17
"""One byte for the kind (0 integer, 1 UUID), 16 for the id: sorts as the stores scroll."""

_NAMESPACE = ID_NAMESPACE.bytes


def keeps_integer(value: int) -> bool:
    """Whether engines keep it as it is; beyond 64 bits it would come back as a float."""
    return -(2**63) <= value < 2**64


def pack_id(id: PointId) -> bytes:
    """The point id as ``KEY_BYTES`` bytes."""
    if isinstance(id, int):
        return b"\0" + id.to_bytes(16, "big")
    return b"\1" + bytes.fromhex(id.replace("-", ""))


def unpack_id(key: bytes) -> PointId:
    """The inverse of `pack_id`."""
    if key[0] == 0:
        return int.from_bytes(key[1:], "big")
    return _canonical(key[1:].hex())


def just_before(key: bytes) -> bytes:
    """What sorts right before a packed id; empty for the first of all."""
    number = int.from_bytes(key, "big")
    return (number - 1).to_bytes(KEY_BYTES, "big") if number else b""


def point_key(document_id: int | str) -> tuple[PointId, bytes]:
    """``records.point_id`` and its packed form, at a third of the cost (RFC 9562, version 5)."""
    if not isinstance(document_id, str) or (len(document_id) == 36 and document_id[8] == "-"):
        id = point_id(document_id)
        return id, pack_id(id)
    raw = bytearray(sha1(_NAMESPACE + document_id.encode(), usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    return _canonical(raw.hex()), b"\1" + raw


def _canonical(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
