"""Answers: JSON, and for every error of ours a status for programs and a reason for people."""

import logging
import traceback
from collections.abc import Mapping

from starlette.responses import Response

from cdc_sync.core import wire
from cdc_sync.core.talk import Refusal
from cdc_sync.errors import (
    CdcSyncError,
    ConfigError,
    DatabaseError,
    Forbidden,
    RejectedBatch,
    RejectedReceipt,
    SchemaMismatch,
    TooLarge,
    Unreachable,
)
from cdc_sync.web.limits import Busy, Slow

log = logging.getLogger("cdc_sync")

JSON = "application/json"
BYTES = "application/octet-stream"
"""A batch as ``core.frames`` or ``core.flow`` writes it."""


class Unknown(CdcSyncError):
    """Nothing is at this address."""


class Unauthorized(CdcSyncError):
    """A request without a token that is good."""


class BadRequest(CdcSyncError):
    """What came cannot be read."""


class Elsewhere(RejectedBatch):
    """A batch that does not follow the last one stored."""


_STATUS: tuple[tuple[type[CdcSyncError], int], ...] = (
    (BadRequest, 400),
    (Unauthorized, 401),
    (Forbidden, 403),
    (Unknown, 404),
    (Slow, 408),
    (TooLarge, 413),
    (Busy, 429),
    (RejectedReceipt, 409),
    (RejectedBatch, 409),
    (Unreachable, 503),
    (SchemaMismatch, 422),
    (ConfigError, 422),
)
"""The first that fits; 503 for a database that may be well again, 500 for the rest."""

_TOLD = (
    BadRequest,
    Unauthorized,
    Forbidden,
    Unknown,
    Slow,
    TooLarge,
    Busy,
    RejectedReceipt,
    RejectedBatch,
    ConfigError,
)
"""Errors whose text is about what the client did. What is wrong with this server's database is for its own log."""


def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(wire.to_json(value), status, media_type=JSON, headers=dict(headers or {}))


def refusal(error: Exception, database: str = "") -> Refusal:
    """An error as another node is told of it, which is not told where the ``database`` is."""
    if isinstance(error, _TOLD) and not isinstance(error, Unreachable):
        text = str(error).replace(database, "its database") if database else str(error)
        return Refusal(error=text, hint=error.hint, kind=_kind(error))
    return Refusal(
        error="the database of this server cannot do that now",
        hint="its DBA finds the reason in the log of cdc-sync serve; it is tried again by itself",
        kind="Unreachable",
    )


def _kind(error: CdcSyncError) -> str:
    """The class of ours that the other end knows."""
    known = (Forbidden, TooLarge, RejectedBatch, RejectedReceipt, SchemaMismatch, ConfigError)
    return next((kind.__name__ for kind in known if isinstance(error, kind)), "")


def described(error: Exception) -> str:
    """An error for the log of this server, without anything that it may hold of a row."""
    if isinstance(error, CdcSyncError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}; this is a fault of cdc-sync:\n{frames}"


def failed(error: Exception, who: str) -> Response:
    """The answer to an error, which is logged."""
    if not isinstance(error, CdcSyncError):
        log.error("a request of %s failed: %s", who, described(error))
        told = Refusal(error="the server failed", hint="its DBA finds the reason in the log of cdc-sync serve")
        return json(told, 500)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), _of_database(error))
    if status >= 500:
        log.error("a request of %s failed: %s", who, error)
    elif status in (403, 409, 413, 422):
        log.info("refused to %s: %s", who, error)
    return json(refusal(error), status, _headers(error, status))


def _of_database(error: CdcSyncError) -> int:
    return 503 if isinstance(error, DatabaseError) and error.temporary else 500


def _headers(error: CdcSyncError, status: int) -> dict[str, str]:
    if isinstance(error, Busy):
        return {"retry-after": str(max(1, round(error.after)))}
    if status == 401:
        return {"www-authenticate": "Bearer"}
    return {"connection": "close"} if status in (408, 413) else {}
