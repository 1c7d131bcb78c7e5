"""The database of an SQL source: its URL, which never shows, and connections that only read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.config import SourceSettings
from reindex.errors import ConfigError, DataError, MissingExtra

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_SECRET_OPTIONS = ("pass", "pwd", "secret", "token", "odbc_connect")
"""In the name of a URL's option: its value is, or holds, a secret."""


@dataclass(frozen=True, slots=True)
class Database:
    """An engine and the name under which it may be shown."""

    name: str
    engine: Engine
    secrets: tuple[str, ...]
    file: Path | None

    @classmethod
    def of(cls, settings: SourceSettings, root: Path) -> Database:
        """The database that ``[source]`` names. Nothing is connected yet.

        Raises:
            ConfigError: there is no URL, it is malformed, or the file holds a password.
            MissingExtra: SQLAlchemy is not installed.
        """
        sqlalchemy = require_sqlalchemy()
        url = _url(settings)
        file = _sqlite_file(url, root)
        if file is not None:
            url = url.set(database=str(file))
        try:
            engine = sqlalchemy.create_engine(
                url, poolclass=sqlalchemy.NullPool, hide_parameters=True
            )
        except ImportError as error:
            raise ConfigError(
                f"The driver of {url.drivername} is not installed ({error}). Install it, or name "
                "another in the URL, as in postgresql+psycopg://…"
            ) from None
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise ConfigError(f"The source's URL cannot be used: {error}.") from None
        if url.get_backend_name() == "sqlite":
            sqlalchemy.event.listen(engine, "connect", _prepare_sqlite)
        secrets = tuple(filter(None, [url.password, *map(str, url.query.values())]))
        return cls(_shown(url, root), engine, secrets, file)

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one reading; whatever the database says comes as a DataError.

        Raises:
            DataError: it cannot be reached, or it refused a query made within.
        """
        from sqlalchemy.exc import SQLAlchemyError

        if self.file is not None and not self.file.is_file():  # SQLite would make an empty one
            raise DataError(f"There is no database {self.file}, which [source] names.")
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise DataError(f"{self.name}: {self._redacted(error)}") from None

    def _redacted(self, error: Exception) -> str:
        """What the driver said, without what is secret."""
        message = str(getattr(error, "orig", None) or error).strip()
        for secret in sorted(self.secrets, key=len, reverse=True):
            message = message.replace(secret, "***")
        return message


def require_sqlalchemy() -> Any:
    """The ``sqlalchemy`` module.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import sqlalchemy
    except ImportError:
        raise MissingExtra("sql", "sqlalchemy") from None
    return sqlalchemy


def _url(settings: SourceSettings) -> URL:
    raw = settings.url or os.environ.get(settings.url_env, "")
    where = "source.url" if settings.url else f"the environment variable {settings.url_env}"
    if not raw:
        raise ConfigError(
            f"{where} is not set: it holds the database's URL, e.g. "
            "postgresql+psycopg://user:password@host/database. (source.url_env names the "
            "variable; a URL without a password may stand in source.url.)"
        )
    try:
        url: URL = require_sqlalchemy().make_url(raw)
    except (ValueError, require_sqlalchemy().exc.ArgumentError):  # their text shows the URL
        raise ConfigError(
            f"{where} is no SQLAlchemy URL. Expected dialect+driver://user:password@host/database; "
            "a @, : or / within the password is written %40, %3A, %2F."
        ) from None
    if settings.url and (url.password or any(map(_is_secret, url.query))):
        raise ConfigError(
            "source.url holds a password. Secrets never stand in the file: put the URL into an "
            f"environment variable and its name into source.url_env (now {settings.url_env})."
        )
    return url


def _is_secret(option: str) -> bool:
    return any(part in option.lower() for part in _SECRET_OPTIONS)


def _sqlite_file(url: URL, root: Path) -> Path | None:
    """The file of an SQLite database; a relative one starts from the config file's folder."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise ConfigError(
            "The source's SQLite URL must name a file: sqlite:///docs.db (from the config file's "
            "folder) or sqlite:////absolute/docs.db."
        )
    return root / url.database


def _shown(url: URL, root: Path) -> str:
    """Which database, so that it is the same for every user and driver."""
    backend, database = url.get_backend_name(), url.database or ""
    if backend == "sqlite":
        database = Path(os.path.relpath(root / database, root)).as_posix()
        return f"{backend}:{database}"
    port = f":{url.port}" if url.port else ""
    return f"{backend}:{url.host or ''}{port}/{database}"


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Only read; and text that is no UTF-8 costs its row, not the whole query."""
    connection.execute("PRAGMA query_only = ON")
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
