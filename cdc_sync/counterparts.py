"""Views that travel: this node's at its destinations, and those of other nodes here, made where they are missing."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cdc_sync import databases
from cdc_sync.config import Config
from cdc_sync.core import renames as naming
from cdc_sync.core.change import Table
from cdc_sync.core.renames import Renames
from cdc_sync.core.views import Defined, harmless
from cdc_sync.core.views.counterparts import Counterpart
from cdc_sync.core.wire import decode_header, decode_shown
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import CdcSyncError, DatabaseError, SchemaMismatch
from cdc_sync.registry import is_installed
from cdc_sync.wanted import wanted

HERE = ""
"""The destination that is this node's own database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A view at a destination: it stood there, or it was made (with ``script``), or why it was not."""

    destination: str
    view: str
    script: str = ""
    stood: bool = False
    refusal: str = ""
    hint: str = ""


Known = tuple[Defined, Renames]
"""A definition, and what the database that is to have it calls everything in it."""


def arrived(session: Session) -> list[Known]:
    """The views of others, as they were defined in the newest batch of each that has rows of them."""
    found: dict[tuple[str, str], Known] = {}
    for origin, header, renames in session.run("views/arrived"):
        read = decode_header(bytes(header))
        sent = {section.table for section in read.sections}
        for shape in read.shapes:
            if shape.shows and shape.name in sent:
                kind, view = decode_shown(shape.shows)
                found[origin, shape.name] = Defined(name=shape.name, kind=kind, view=view), naming.decode(renames)
    return list(found.values())


def make(database: Database, config: Config, *, dry_run: bool = False) -> Iterator[Made]:
    """Make the views that are missing; nothing that stands is touched. With ``dry_run`` nothing is made at all.

    This node's own views are made at every destination that it opens itself, those of others here.
    """
    with database.begin(Mode.READ) as session:
        mine = wanted(session, config.tables).defined(database.kind) if config.tables else []
        others = arrived(session) if is_installed(session) else []
    yield from _make(database, HERE, [known for known in others if not _odd(known)], dry_run=dry_run)
    yield from map(_strange, filter(_odd, others))
    for destination in config.databases if mine else ():
        try:
            with databases.connect(destination.url, config.folder) as target:
                yield from _make(target, destination.name, [(d, config.renames) for d in mine], dry_run=dry_run)
        except CdcSyncError as error:
            names = ((config.renames.table(defined.name)) for defined in mine)
            yield from (_refused(destination.name, name, error) for name in names)


def _odd(known: Known) -> bool:
    return harmless.odd(known[0].view) is not None


def _strange(known: Known) -> Made:
    defined, renames = known
    return Made(
        destination=HERE,
        view=renames.table(defined.name),
        refusal=f"what its origin says of view {defined.name!r} may be more than expressions, and is not run",
        hint="create the view yourself, as its origin has it",
    )


def _make(database: Database, destination: str, known: Sequence[Known], *, dry_run: bool) -> list[Made]:
    if not known:
        return []
    with database.begin(Mode.READ if dry_run else Mode.WRITE) as session:
        made: dict[str, Made] = {}
        otherwise: list[Made] = []
        for defined, renames in known:
            name = renames.table(defined.name)
            if name not in made:
                made[name] = _one(session, destination, defined, renames, dry_run=dry_run)
            elif made[name].script and not _is_the_same(session, made[name], defined, renames):
                otherwise.append(_otherwise(destination, name))
    return [*made.values(), *otherwise]


def _one(session: Session, destination: str, defined: Defined, renames: Renames, *, dry_run: bool) -> Made:
    name = renames.table(defined.name)
    try:
        if name in session.database.describe(session, [name]):
            return Made(destination=destination, view=name, stood=True)
        script = _script(session, defined, renames)
        if not dry_run:
            with session.attempt():
                session.script(script)
    except (SchemaMismatch, DatabaseError) as error:
        return _refused(destination, name, error)
    return Made(destination=destination, view=name, script=script)


def _script(session: Session, defined: Defined, renames: Renames) -> str:
    """What makes a view here. Raises SchemaMismatch where it cannot be the same."""
    name, base = renames.table(defined.name), renames.table(defined.view.table)
    described = session.database.describe(session, [base])
    return Counterpart(defined, renames, _base(described, base, name), session.database.kind).script()


def _is_the_same(session: Session, made: Made, defined: Defined, renames: Renames) -> bool:
    with suppress(SchemaMismatch):
        return made.script == _script(session, defined, renames)
    return False


def _otherwise(destination: str, name: str) -> Made:
    return Made(
        destination=destination,
        view=name,
        refusal="two nodes have it otherwise; it is made as the first of them has it",
        hint="make a view that fits both yourself, or have one of the nodes call its view otherwise (target)",
    )


def _base(described: dict[str, Table], base: str, name: str) -> Table:
    if base not in described:
        raise SchemaMismatch(f"view {name!r} cannot be made: there is no table {base!r}", hint="create the table first")
    return described[base]


def _refused(destination: str, view: str, error: CdcSyncError) -> Made:
    return Made(destination=destination, view=view, refusal=str(error), hint=error.hint)


def differences(session: Session, defined: Iterable[Defined], renames: Renames) -> Iterator[tuple[str, str]]:
    """Views of which a database has others under their names: each with what is otherwise, in words."""
    for each in defined:
        name, base = renames.table(each.name), renames.table(each.view.table)
        there = session.database.describe(session, [name, base])
        shown = there.get(name)
        if shown is not None and shown.view is not None and base in there:
            counterpart = Counterpart(each, renames, there[base], session.database.kind)
            yield from ((name, what) for what in counterpart.differences(shown))
