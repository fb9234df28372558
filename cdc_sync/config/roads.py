"""What the DBA's file says of other nodes and the roads to them: destinations, sources, and how this node listens."""

import ipaddress
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cdc_sync.config import entries
from cdc_sync.config.model import CARRIED, LARGEST_BATCH, REQUESTS_A_MINUTE, Destination, Serve, Source
from cdc_sync.core import device
from cdc_sync.errors import ConfigError

WEB = ("https", "http")
_SERVE = ("listen", "certificate", "private_key", "plain", "apply", "largest_batch", "requests_a_minute")
_LISTEN = re.compile(r"(?P<host>[^:\s]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


def destination(entry: Mapping[str, Any], number: int, folder: Path) -> Destination:
    """The ``number``-th entry of [[destinations]]."""
    place = f"[[destinations]] number {number}"
    entries.known(entry, ("name", "url", "final", "key", "ca", "plain"), place)
    name = entries.string(entry, "name", place)
    place = f"destination {name!r}"
    found = Destination(
        name=name,
        url=entries.url(entries.string(entry, "url", place), place) if "url" in entry else "",
        final=entries.flag(entry, "final", place, default=True),
        key=_key(entry, place),
        ca=entries.file(entry, "ca", place, folder),
        plain=entries.flag(entry, "plain", place),
    )
    _check_road(found, place)
    if not found.url or found.scheme in CARRIED:
        _check_name(name, place)
    return found


def source(entry: Mapping[str, Any], number: int, folder: Path) -> Source:
    """The ``number``-th entry of [[sources]]."""
    place = f"[[sources]] number {number}"
    entries.known(entry, ("name", "url", "key", "ca", "plain"), place)
    name = entries.string(entry, "name", place)
    place = f"source {name!r}"
    _check_name(name, place)
    found = Source(
        name=name,
        url=entries.url(entries.string(entry, "url", place), place),
        key=_key(entry, place),
        ca=entries.file(entry, "ca", place, folder),
        plain=entries.flag(entry, "plain", place),
    )
    if found.scheme not in WEB:
        raise ConfigError(f"{place} is not fetched from by {found.scheme}://", hint='write url = "https://host:8443"')
    _check_road(found, place)
    return found


def serve(entry: Mapping[str, Any], folder: Path, *, apply: bool) -> Serve:
    """The section [serve]; ``apply`` says whether this node applies at all."""
    place = "[serve]"
    entries.known(entry, _SERVE, place)
    host, port = _listen(entries.string(entry, "listen", place) if "listen" in entry else "127.0.0.1:8443")
    found = Serve(
        host=host,
        port=port,
        certificate=entries.file(entry, "certificate", place, folder),
        private_key=entries.file(entry, "private_key", place, folder),
        plain=entries.flag(entry, "plain", place),
        apply=entries.flag(entry, "apply", place, default=apply),
        largest_batch=entries.whole(entry, "largest_batch", place, LARGEST_BATCH),
        requests_a_minute=entries.whole(entry, "requests_a_minute", place, REQUESTS_A_MINUTE),
    )
    if (found.certificate is None) != (found.private_key is None):
        raise ConfigError(f"{place} names one file of two", hint="name both, certificate and private_key, or neither")
    if found.certificate is None and not found.plain and not is_loopback(host):
        raise ConfigError(
            f"{place} would listen at {host} without TLS",
            hint="name certificate and private_key; or say plain = true, where a proxy in front of it speaks TLS",
        )
    if found.apply and not apply:
        raise ConfigError(f"{place} applies, but [node] does not", hint="say apply = true under [node], or take it out")
    return found


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(text: str) -> tuple[str, int]:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"[serve] listen {text!r} is no address", hint='write listen = "127.0.0.1:8443"')
    return match["host"].strip("[]"), int(match["port"])


def _key(entry: Mapping[str, Any], place: str) -> bytes:
    if "key" not in entry:
        return b""
    try:
        return device.read(entries.string(entry, "key", place))
    except ConfigError as error:
        raise ConfigError(f"{place}, key: {error}", hint=error.hint) from None


def _check_name(name: str, place: str) -> None:
    if not device.is_name(name):
        raise ConfigError(f"{place} is no node's name", hint="write the name that the other node has under its [node]")


def _check_road(road: Destination | Source, place: str) -> None:
    """Raise ConfigError for a URL of no use, or one that tells what is to be kept; messages never hold the URL."""
    if road.plain and road.scheme != "http":
        raise ConfigError(f"{place} says plain, but is not reached by http://", hint="take it out")
    if road.ca is not None and road.scheme != "https":
        raise ConfigError(f"{place} names ca, but is not reached by https://", hint="take it out")
    if road.scheme == "file":
        _check_folder(road.url, place)
    elif road.scheme in WEB:
        _check_web(road, place)


def _check_folder(url: str, place: str) -> None:
    if not url.startswith("file:///") or "?" in url or "#" in url:
        raise ConfigError(f"{place}: the URL is no folder of this machine", hint='write url = "file:///media/stick"')


def _check_web(road: Destination | Source, place: str) -> None:
    try:
        url = urllib.parse.urlsplit(road.url)
        host, _ = url.hostname, url.port
    except ValueError:
        host = None
    if not host:
        raise ConfigError(f"{place}: the URL cannot be read", hint='write url = "https://host:8443"')
    if "@" in url.netloc or url.query or url.fragment:
        raise ConfigError(
            f"{place}: the URL says more than where the server is",
            hint="leave out users, passwords and parameters: a node is known by its device key",
        )
    if road.scheme == "http" and not road.plain and not is_loopback(host):
        raise ConfigError(
            f"{place} would be reached without TLS", hint="write https://; or say plain = true, where you trust the way"
        )
