"""``cdc-sync serve``: the socket, TLS, and an end that leaves nothing half done."""

import asyncio
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from cdc_sync import databases, peers, relay
from cdc_sync.config import Config, Serve
from cdc_sync.core import device
from cdc_sync.errors import ConfigError
from cdc_sync.web.app import App
from cdc_sync.web.desk import Desk
from cdc_sync.web.protocol import CONNECTIONS, HEAD_BYTES, Guarded

log = logging.getLogger("cdc_sync")

REST = 60
"""Seconds for which a connection is kept while nothing is asked over it."""

END = 15
"""Seconds that requests in hand are given at the end."""


class Server(uvicorn.Server):
    """Ends on SIGTERM and Ctrl-C, and without being killed by what it was told with."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self.app = app

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        self.loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            self.loop.add_signal_handler(number, self.end)
        yield
        for number in numbers:
            self.loop.remove_signal_handler(number)

    def end(self) -> None:
        """In the event loop: answer what is asked, and take nothing new."""
        self.app.stop()
        self.should_exit = True


def serve(config: Config, say: Callable[[str], None], begun: Callable[[Server, int], None] | None = None) -> None:
    """Serve until SIGTERM. ``say`` hears who listens where, ``begun`` gets the server and its port.

    Raises ConfigError where the node, its certificate or its address is not as it has to be.
    """
    tls = _tls(config.serve)
    with databases.connect(config.node.database, config.folder) as database:
        relay.prepare(database, config)
        desk = Desk(config, database, peers.own_key(database, config))
        peers.learn_configured(database, config)
        with _listening(config.serve) as listener:
            port = listener.getsockname()[1]
            server = _server(App(desk), tls)
            say(f"node {config.node.name}: {device.fingerprint(desk.public_key)}")
            say(f"listens at {'https' if tls else 'http'}://{_shown(config.serve.host)}:{port}")
            if begun:
                begun(server, port)
            server.run(sockets=[listener])


def _server(app: App, tls: ssl.SSLContext | None) -> Server:
    settings = uvicorn.Config(
        app.asgi,
        http=Guarded,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS + 1,
        timeout_keep_alive=REST,
        timeout_graceful_shutdown=END,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ssl_context_factory=(lambda *_: tls) if tls else None,
    )
    return Server(settings, app)


def _tls(serve: Serve) -> ssl.SSLContext | None:
    """Looks at the certificate before anything is begun."""
    if serve.certificate is None or serve.private_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(serve.certificate, serve.private_key)
    except (OSError, ssl.SSLError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(
            f"[serve] certificate and private_key cannot be used: {reason}",
            hint="name a certificate and its private key, both in PEM, that this user may read",
        ) from None
    return context


@contextmanager
def _listening(serve: Serve) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
    # Named as TCP, or else asyncio leaves Nagle's delay on: 40 ms for every answer over a kept connection.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((serve.host, serve.port))
        except OSError as error:
            raise ConfigError(
                f"[serve] cannot listen at {serve.host}:{serve.port}: {error.strerror}",
                hint="another program may listen there: choose another port, or stop it",
            ) from None
        listener.listen(512)
        yield listener


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
