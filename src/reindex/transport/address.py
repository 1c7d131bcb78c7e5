"""An address, as an operator types it, becomes a place that files are read from and written to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from reindex.errors import ConfigError

if TYPE_CHECKING:
    from reindex.transport.places import Place

FORMS = (
    "An address is a folder (/models/v2), a URL that fsspec knows (s3://bucket/models/v2, gs://, "
    "abfs://, memory://) or a repository of the Hugging Face Hub (hf://org/name, or @revision)."
)

_WRAPPERS = frozenset({"zip", "tar", "libarchive", "reference", "dir", "generic", "simplecache",
                       "filecache", "blockcache", "cached", "data"})  # fmt: skip
"""Of fsspec: what opens archives, or another address within this one."""

_SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSW|API_?KEY|ACCESS_?KEY|CREDENTIAL|SAS", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"(?<=[?&])[^\s\"'<>]+")


def open_place(address: str) -> Place:
    """Where an address leads. Nothing is asked of it yet.

    Raises:
        ConfigError: it is no address, or carries credentials.
        MissingExtra: fsspec, or the part of it for this kind of storage, is not installed.
    """
    from reindex.transport.hub import HubPlace
    from reindex.transport.places import FolderPlace, FsspecPlace

    _check(address)
    scheme, _, rest = address.partition("://")
    if not rest and "://" not in address:
        return FolderPlace(Path(address).expanduser())
    if scheme == "file":
        return FolderPlace(Path(rest))
    if scheme == "hf":
        return HubPlace.parse(address)
    return FsspecPlace(address)


def _check(address: str) -> None:
    if not address.strip() or "\0" in address:
        raise ConfigError(f"Expected an address, found {address!r}. {FORMS}")
    if "://" not in address:
        return
    scheme, _, rest = address.partition("://")
    if "::" in address or scheme in _WRAPPERS or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise ConfigError(
            f"{shown(address)}: an address leads to plain files, not into an archive, a cache or "
            f"another address. {FORMS}"
        )
    if not rest.strip("/"):
        raise ConfigError(f"{shown(address)} names no folder. {FORMS}")
    if shown(address) != address:
        raise ConfigError(
            f"{shown(address)}: no credentials in addresses, which are recorded and shown. Object "
            "storage takes them from its own environment (AWS_ACCESS_KEY_ID and AWS_PROFILE, "
            "GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_*, HF_TOKEN)."
        )
    if ".." in rest.split("/"):
        raise ConfigError(f"{address}: an address has no '..'.")


def beneath(address: str, name: str) -> str:
    """The address of a folder within an address; of a Hub repository, its revision."""
    if address.startswith("hf://"):
        return f"{address.partition('@')[0]}@{name}"
    return f"{address.rstrip('/')}/{name}"


def shown(address: str) -> str:
    """An address without user, password and query, to be shown and recorded."""
    if "://" not in address:
        return address
    if address.startswith("hf://"):
        return address.partition("?")[0]
    scheme, _, rest = address.partition("://")
    # behind the last @, as a secret that was not quoted may hold slashes and other ones
    return f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0]}"


def scrubbed(text: str) -> str:
    """What somebody else's error says, without the secrets that it may quote.

    Those are users and queries of URLs, and the values of environment variables whose names say
    that they hold one.
    """
    text = _QUERY.sub("…", _USERINFO.sub("", text))
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name) and len(value) >= 6:
            text = text.replace(value, "…")
    return text
