"""The first room: triggers that write every change of a synced table into its change table, in the same transaction."""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdc_sync import identity
from cdc_sync.config import Config
from cdc_sync.core import plan
from cdc_sync.core.change import Shapes, Table, watched
from cdc_sync.core.wire import decode_shape, encode_shape
from cdc_sync.databases import Database, Mode, Session, sqlfiles
from cdc_sync.databases.reading import Source
from cdc_sync.errors import CdcSyncError, ConfigError, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """How one table is to be captured: the script that installs it, its digest, and the triggers that it makes."""

    name: str
    change: str
    script: str
    digest: str
    triggers: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the installation did with one table: ``existing`` rows stood in it; ``state`` is new, renewed, unchanged."""

    table: str
    state: str
    existing: int
    captured_existing: bool


def describe(session: Session, names: Sequence[str]) -> dict[str, Table]:
    """The tables of these names, and every table that they refer to, however far."""
    described = session.database.describe(session, list(names))
    while missing := plan.parents(described):
        found = session.database.describe(session, sorted(missing))
        if not found:
            break
        described |= found
    return described


def wanted(session: Session, config: Config) -> tuple[Shapes, list[Capture]]:
    """The shapes that the configuration asks for, and the captures that make them."""
    if not config.tables:
        raise ConfigError("the configuration names no tables", hint="add [[tables]] with name and key")
    described = describe(session, [table.name for table in config.tables])
    _check_once(config, described)
    entries = [plan.Wanted(name=t.name, key=t.key, exclude=t.exclude) for t in config.tables]
    plan.check_names(entries, described, [name for (name,) in session.run("tables")])
    shapes = plan.shapes(entries, described)
    return shapes, [_capture(session.database, described[t.name], shapes, t.name) for t in config.tables]


def _check_once(config: Config, described: Mapping[str, Table]) -> None:
    """Raise ConfigError where two names of the configuration mean the same table."""
    meant: dict[tuple[str | None, str], str] = {}
    for entry in config.tables:
        table = described.get(entry.name)
        if table is not None and (other := meant.setdefault((table.schema, table.name), entry.name)) != entry.name:
            raise ConfigError(f"[[tables]] names {other!r} twice, also as {entry.name!r}", hint="take one of them out")


def _capture(database: Database, table: Table, shapes: Shapes, name: str) -> Capture:
    shape = shapes[name]
    columns = watched(shape, shapes.values())
    declared = [(c.name, c.declared) for c in table.columns if c.name in shape.names]
    about = hashlib.sha256(repr((name, declared, columns, encode_shape(shape))).encode()).hexdigest()[:8]
    change = database.change_name(f"{_shortened(name)}_{about}")
    script = database.capture_script(table, shape, columns, change)
    return Capture(
        name=name,
        change=change,
        script=script,
        digest=hashlib.sha256(script.encode()).hexdigest(),
        triggers=frozenset(database.triggers(table)),
    )


def _shortened(name: str) -> str:
    """Short enough for a name around it within 63 bytes, and never cut inside a character."""
    return name.encode()[:40].decode(errors="ignore")


def is_installed(session: Session) -> bool:
    return bool(session.run("exists")[0][0])


def install_script(session: Session, config: Config) -> str:
    """What the installation would run, for a DBA to read; touches nothing."""
    shapes, captures = wanted(session, config)
    registered = _registered(session) if is_installed(session) else {}
    parts = [session.database.text("install")]
    for capture in captures:
        if registered.get(capture.name, ("", ""))[1] != capture.digest:
            parts += [capture.script, _registration(session, shapes, capture)]
    return "\n".join(parts)


def _registration(session: Session, shapes: Shapes, capture: Capture) -> str:
    """``captured_add`` as runnable text."""
    text = session.database.text("captured_add")
    shape = encode_shape(shapes[capture.name]).decode()
    values = {"table_name": capture.name, "change_table": capture.change, "shape": shape, "digest": capture.digest}
    return re.sub(r":(\w+)", lambda match: sqlfiles.literal(values[match[1]]), text)


def install(
    database: Database, config: Config, *, include_existing: bool, seal: Callable[[], object] | None = None
) -> list[Installed]:
    """Install what is missing or out of date, all in one transaction; writers wait for it, none slips through.

    ``seal`` is called first where changes wait in a change table that is to be replaced.
    """
    if seal is not None and _outdated(database, config):
        seal()
    made = not config.key_path.exists()
    try:
        with database.begin(Mode.WRITE) as session:
            return _install(session, config, include_existing=include_existing)
    except BaseException:
        if made:
            config.key_path.unlink(missing_ok=True)
        raise


def _outdated(database: Database, config: Config) -> bool:
    """Whether changes wait in a change table that does not fit any more."""
    with database.begin(Mode.READ) as session:
        if not is_installed(session):
            return False
        _, captures = wanted(session, config)
        registered, found = _registered(session), database.found(session)
        return any(
            change and not _is_current(capture, digest, found) and _waiting(session, change)
            for capture in captures
            for change, digest in [registered.get(capture.name, ("", ""))]
        )


def _is_current(capture: Capture, digest: str, found: Mapping[str, set[str]]) -> bool:
    return digest == capture.digest and found.get(capture.change, set()) == capture.triggers


def _install(session: Session, config: Config, *, include_existing: bool) -> list[Installed]:
    database = session.database
    shapes, captures = wanted(session, config)
    session.run("install")
    _ensure_node(session, config)
    registered, found = _registered(session), database.found(session)
    _check_removed(registered, captures)
    report = []
    for capture in captures:
        change, digest = registered.get(capture.name, ("", ""))
        current = _is_current(capture, digest, found)
        if not current:
            _replace(session, capture, change, shapes, known=capture.name in registered)
        captured = include_existing and _include(session, capture)
        report.append(_report(session, capture, change, current=current, captured=captured))
    _register_parents(session, shapes, {capture.name for capture in captures})
    return report


def _register_parents(session: Session, shapes: Shapes, captured: set[str]) -> None:
    """Note the shapes of parents that are looked up but not captured, as they are now."""
    for name in sorted(set(shapes) - captured):
        session.run("captured_remove", table_name=name)
        shape = encode_shape(shapes[name]).decode()
        session.run("captured_add", table_name=name, change_table=None, shape=shape, digest="")


def _check_removed(registered: Mapping[str, tuple[str, str]], captures: Sequence[Capture]) -> None:
    kept = {capture.name for capture in captures}
    removed = sorted(name for name, (change, _) in registered.items() if change and name not in kept)
    if removed:
        raise ConfigError(
            f"table {removed[0]!r} is captured but no longer configured",
            hint="put it back, or run uninstall-triggers first and install again",
        )


def _include(session: Session, capture: Capture) -> bool:
    """Capture the rows that stand in the table, unless that was done before."""
    if session.run("captured_included", table_name=capture.name)[0][0]:
        return False
    table = _quoted(session, capture.name)
    session.run("lock_table", {"table": table})
    names = decode_shape(_shape_text(session, capture.name)).names
    session.run("capture_existing", {"table": table, "change": capture.change, "captured": sqlfiles.columns(names)})
    session.run("captured_include", table_name=capture.name)
    return True


def _replace(session: Session, capture: Capture, change: str, shapes: Shapes, *, known: bool) -> None:
    if change and _waiting(session, change):
        raise CdcSyncError(
            f"table {capture.name!r} or its configuration has changed while changes wait to be sent",
            hint="run cdc-sync replicate --once with the former configuration, then install again",
        )
    if change:
        release(session, change)
    if known:
        session.run("captured_remove", table_name=capture.name)
    session.run("lock_table", {"table": _quoted(session, capture.name)})
    session.script(capture.script)
    shape = encode_shape(shapes[capture.name]).decode()
    session.run(
        "captured_add", table_name=capture.name, change_table=capture.change, shape=shape, digest=capture.digest
    )


def _report(session: Session, capture: Capture, change: str, *, current: bool, captured: bool) -> Installed:
    existing = session.run("count_rows", {"table": _quoted(session, capture.name)})[0][0]
    state = "unchanged" if current else "renewed" if change else "new"
    return Installed(table=capture.name, state=state, existing=existing, captured_existing=captured)


def _shape_text(session: Session, name: str) -> str:
    return next(str(shape) for table, _, shape, _ in session.run("captured") if table == name)


def _quoted(session: Session, name: str) -> str:
    table = session.database.describe(session, [name])[name]
    return sqlfiles.quote(table.schema, table.name)


def _registered(session: Session) -> dict[str, tuple[str, str]]:
    """Table name to change table and digest."""
    return {name: (change or "", digest) for name, change, _, digest in session.run("captured")}


def _ensure_node(session: Session, config: Config) -> None:
    """Give the node its key and epoch, or check that they are still its own."""
    rows = session.run("node")
    if not rows:
        key = identity.load(config.key_path) if config.key_path.exists() else identity.create(config.key_path)
        public = key.public_key().public_bytes_raw()
        session.run("node_add", name=config.node.name, epoch=uuid.uuid4().hex, public_key=public)
    else:
        check_node(session, rows[0], config.node.name, config.key_path)


def check_name(session: Session, name: str) -> None:
    """Raise ConfigError where the database belongs to another node."""
    for known, _, _ in session.run("node"):
        if known != name:
            raise ConfigError(
                f"this database belongs to node {known!r}, not {name!r}",
                hint=f'write name = "{known}", or run uninstall-triggers under that name first',
            )


def check_node(session: Session, row: tuple[object, ...], name: str, key_path: Path) -> None:
    """Raise ConfigError unless the database belongs to this node and this key."""
    check_name(session, name)
    if identity.load(key_path).public_key().public_bytes_raw() != row[2]:
        raise ConfigError(
            f"{str(key_path)!r} is not the key that this node was installed with", hint="put the right file back"
        )


def _waiting(session: Session, change: str) -> int:
    count: int = session.run("count_changes", {"change": change}, change_table=change)[0][0]
    return count


def release(session: Session, change: str) -> None:
    """Remove a table's triggers and its change table."""
    session.run("release", session.database.release_holes(change))


def release_script(session: Session) -> str:
    """What the uninstallation would run, for a DBA to read; touches nothing."""
    text = session.database.text("release")
    changes = [change for change, _ in _registered(session).values() if change]
    parts = [sqlfiles.fill(text, session.database.release_holes(change)) for change in changes]
    return "\n".join([*parts, session.database.text("uninstall")])


def uninstall(database: Database, name: str, *, discard: bool) -> int:
    """Remove everything of ours; returns how many waiting changes were discarded. ``name`` is the node's."""
    with database.begin(Mode.WRITE) as session:
        if not is_installed(session):
            return 0
        check_name(session, name)
        origins = sorted({row[0] for row in session.run("positions")})
        if origins and not discard:
            raise CdcSyncError(
                f"this database also receives from {', '.join(origins)}, and would forget how far they have come",
                hint="give --discard if they send no more, or will be installed again",
            )
        waiting = unsent(session)
        if waiting and not discard:
            raise CdcSyncError(
                f"{counted(waiting, 'change')} not applied at every destination yet",
                hint="run cdc-sync replicate --once first, or give --discard to lose them",
            )
        for change, _ in _registered(session).values():
            if change:
                release(session, change)
        session.run("uninstall")
        return waiting


def unsent(session: Session) -> int:
    """Changes that some destination has not applied: unsealed ones, and those in batches that wait."""
    captured = sum(count for _, count in unsealed(session))
    receipts = [applied for _, _, applied in session.run("destinations")]
    waiting: int = session.run("outbox_waiting", number=min(receipts, default=0))[0][1]
    return captured + waiting


def unsealed(session: Session) -> list[tuple[str, int]]:
    """Captured tables, each with the number of its changes that are in no batch yet."""
    return [(name, _waiting(session, change)) for name, (change, _) in _registered(session).items() if change]


def check_current(session: Session, config: Config) -> None:
    """Raise ConfigError where the tables, the configuration or the triggers are not as they were installed."""
    _, captures = wanted(session, config)
    registered, found = _registered(session), session.database.found(session)
    for capture in captures:
        change, digest = registered.get(capture.name, ("", ""))
        if digest != capture.digest:
            why = "has changed since its triggers were installed" if change else "has no triggers yet"
            raise ConfigError(
                f"table {capture.name!r} or its configuration {why}", hint="run cdc-sync install-triggers"
            )
        if not _is_current(capture, digest, found):
            raise ConfigError(
                f"triggers of table {capture.name!r} are missing or disabled", hint="run cdc-sync install-triggers"
            )


def source(session: Session) -> Source:
    """The node's tables as they were installed: the shapes in the database, not those in the file, rule the batches."""
    rows = session.run("captured")
    shapes = {name: decode_shape(shape) for name, _, shape, _ in rows}
    described = session.database.describe(session, sorted(shapes))
    gone = next((name for name in shapes if name not in described), None)
    if gone is not None:
        raise ConfigError(f"captured table {gone!r} is gone", hint="restore it, or run uninstall-triggers")
    tables = {name: session.database.table(described[name]) for name in shapes}
    changes = {name: change for name, change, _, _ in rows if change}
    return Source(database=session.database, shapes=shapes, tables=tables, changes=changes)
