"""What the server understands, as OpenAPI: the schemas are those of the classes that read and write the bodies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeGuard

from cdc_sync import __version__
from cdc_sync.core import talk, wire
from cdc_sync.core.peers import Application
from cdc_sync.core.receipts import Signed
from cdc_sync.web.answers import BYTES, JSON

_PLACE = "#/components/schemas/{name}"
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)?$"
_OF_32_BYTES = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"
_EXACT = ("public_key", "nonce")
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"}
_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "origin": {**_NAME, "description": "the name of the node that sealed the batches"},
    "epoch": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$", "description": "the name of its chain"},
    "number": {"type": "integer", "minimum": 1, "maximum": 2**62 - 1, "description": "a batch's number in its chain"},
    "wait": {"type": "integer", "minimum": 0, "maximum": 30, "description": "seconds to keep the answer back at most"},
}
_REFUSALS: Mapping[int, str] = {
    400: "What came cannot be read.",
    401: "There is no session, or it is over.",
    403: "The node is not enrolled, was revoked, or may not do this.",
    404: "Nothing is at this address.",
    408: "The client does not go on.",
    409: "A batch or a receipt is not what it says, forks a chain, or does not follow what is stored.",
    413: "More than is taken here.",
    422: "The tables here do not take it.",
    429: "Too much at once; Retry-After says when to come again.",
    500: "The server failed.",
    503: "The server cannot do it now.",
}
_BODY = (400, 408, 413)
_ALWAYS = (429, 500, 503)
_SESSION = (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request: ``takes`` and ``gives`` are data classes, or the media type of what is no JSON."""

    summary: str
    takes: type | str | None = None
    gives: type | str = talk.Health
    refuses: tuple[int, ...] = ()
    open: bool = False
    query: tuple[str, ...] = ()


_CHAIN = "/{origin}/{epoch}"
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/v1/health"): Operation(summary="Say who answers, where its database answers", open=True),
    ("GET", "/openapi.json"): Operation(summary="Describe all this", gives=JSON, open=True),
    ("POST", "/v1/challenge"): Operation(
        summary="Ask who answers, and for a nonce to sign",
        takes=talk.Hello,
        gives=talk.Challenge,
        refuses=(403,),
        open=True,
    ),
    ("POST", "/v1/session"): Operation(
        summary="Begin a session", takes=talk.Proof, gives=talk.Ticket, refuses=_SESSION, open=True
    ),
    ("POST", "/v1/enroll"): Operation(
        summary="Enrol with a one-time code", takes=Application, gives=talk.Enrolled, refuses=(403, 422), open=True
    ),
    ("POST", "/v1/fit"): Operation(
        summary="Ask whether the tables here take what is going to be sent",
        takes=talk.Offer,
        gives=talk.Fit,
        refuses=(409, 422),
    ),
    ("PUT", "/v1/names"): Operation(
        summary="Say what tables and columns are called here", takes=talk.Names, gives=talk.Names
    ),
    ("GET", "/v1/positions"): Operation(
        summary="Say what is stored here, and what can be fetched", gives=talk.Positions
    ),
    ("PUT", f"/v1/batches{_CHAIN}/{{number}}"): Operation(
        summary="Bring a batch", takes=BYTES, gives=talk.Stored, refuses=(404, 409)
    ),
    ("GET", f"/v1/batches{_CHAIN}/{{number}}"): Operation(
        summary="Fetch a batch", gives=BYTES, refuses=(400, 404, 409)
    ),
    ("PUT", f"/v1/stream{_CHAIN}/{{number}}"): Operation(
        summary="Bring a batch while it is being sealed", takes=BYTES, gives=talk.Stored, refuses=(404, 409)
    ),
    ("GET", f"/v1/digests{_CHAIN}/{{number}}"): Operation(
        summary="Say under which digest a batch is stored here", gives=talk.Digest, refuses=(400, 404)
    ),
    ("GET", "/v1/receipts"): Operation(summary="Give the receipts that there are", gives=talk.Receipts),
    ("POST", "/v1/receipts"): Operation(summary="Bring receipts", takes=list[Signed], gives=talk.Taken),
    ("GET", f"/v1/receipts{_CHAIN}"): Operation(
        summary="Give the receipts of one chain", gives=talk.Receipts, refuses=(400, 404), query=("wait",)
    ),
}


@cache
def description() -> dict[str, Any]:
    """The document."""
    kinds = [
        talk.Refusal,
        *{kind for each in OPERATIONS.values() for kind in (each.takes, each.gives) if _is_kind(kind)},
    ]
    references, components = wire.schemas(kinds, _PLACE)
    schemas = dict(zip(kinds, references, strict=True))
    for name, schema in components.items():
        _say_base64(name, schema)
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), each in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, each, schemas)
    bearer = {"type": "http", "scheme": "bearer", "description": "the token of a session"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "cdc-sync serve", "version": __version__, "description": __doc__},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"session": bearer}},
    }


def _operation(path: str, each: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    refusals = {*_ALWAYS, *each.refuses, *(() if each.open else _SESSION), *(_BODY if each.takes else ())}
    responses = {"200": {"description": "Done.", "content": _content(each.gives, schemas)}}
    responses |= {
        str(status): {"description": _REFUSALS[status], "content": _content(talk.Refusal, schemas)}
        for status in sorted(refusals)
    }
    found: dict[str, Any] = {"summary": each.summary, "responses": responses}
    if each.takes:
        found["requestBody"] = {"required": True, "content": _content(each.takes, schemas)}
    if parameters := [*_parameters(path), *_queries(each.query)]:
        found["parameters"] = parameters
    if not each.open:
        found["security"] = [{"session": []}]
    return found


def _content(kind: type | str, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    if not isinstance(kind, str):
        return {JSON: {"schema": schemas[kind]}}
    return {kind: {"schema": {"type": "object"} if kind == JSON else {"type": "string", "format": "binary"}}}


def _parameters(path: str) -> Sequence[dict[str, Any]]:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]} for name in names]


def _queries(names: Sequence[str]) -> Sequence[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": _PARAMETERS[name]} for name in names]


def _is_kind(kind: type | str | None) -> TypeGuard[type]:
    return kind is not None and not isinstance(kind, str)


def _say_base64(name: str, schema: Mapping[str, Any]) -> None:
    """What bytes have to look like; those that come from strangers are as long as keys and nonces are."""
    for field, kind in schema.get("properties", {}).items():
        if kind.get("contentEncoding") == "base64":
            exact = field in _EXACT and name != Signed.__name__
            kind["pattern"] = _OF_32_BYTES if exact else _BASE64
    for field in ("node", "name"):
        if name in ("Hello", "Proof", "Application") and field in schema["properties"]:
            schema["properties"][field].update(_NAME)
