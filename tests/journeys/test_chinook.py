"""The Chinook record shop, loaded on a laptop, edited there, and found again on a server that sells other records.

Natural keys that really are unique there (checked below): an artist's and a genre's name, the e-mail of customers and
employees, (album, name, milliseconds) for a track, because six albums hold a track of the same name twice, and
(customer, date) for an invoice. Playlists have none: four names are there twice, with other or no tracks, and nothing
else tells them apart. So they get a column ``playlist_number``, filled from Chinook's PlaylistId, as an application
with printed playlist numbers would have.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.conftest import Make
from tests.nodes import Row, Shape, Side, by_natural_key, compare, contents, install, replicate, write_config

FILE = Path(__file__).parents[3] / "shared" / "data" / "chinook" / "chinook.sqlite"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"the Chinook database is not there: {FILE}")

SCHEMA = """
create table artist (id {pk}, name varchar(120) not null unique);
create table genre (id {pk}, name varchar(120) not null unique);
create table media_type (id {pk}, name varchar(120) not null unique);
create table playlist (id {pk}, playlist_number integer not null unique, name varchar(120));
create table album (id {pk}, title varchar(160) not null, artist_id integer not null references artist (id),
    unique (artist_id, title));
create table track (id {pk}, name varchar(200) not null, album_id integer not null references album (id),
    media_type_id integer not null references media_type (id), genre_id integer references genre (id),
    composer text, milliseconds integer not null, bytes integer, unit_price numeric(10,2) not null,
    unique (album_id, name, milliseconds));
create table playlist_track (playlist_id integer not null references playlist (id),
    track_id integer not null references track (id), primary key (playlist_id, track_id));
create table employee (id {pk}, last_name varchar(20) not null, first_name varchar(20) not null, title varchar(30),
    reports_to integer references employee (id), birth_date timestamp, hire_date timestamp, address varchar(70),
    city varchar(40), state varchar(40), country varchar(40), postal_code varchar(10), phone varchar(24),
    fax varchar(24), email varchar(60) not null unique);
create table customer (id {pk}, first_name varchar(40) not null, last_name varchar(20) not null, company varchar(80),
    address varchar(70), city varchar(40), state varchar(40), country varchar(40), postal_code varchar(10),
    phone varchar(24), fax varchar(24), email varchar(60) not null unique,
    support_rep_id integer references employee (id));
create table invoice (id {pk}, customer_id integer not null references customer (id), invoice_date timestamp not null,
    billing_address varchar(70), billing_city varchar(40), billing_state varchar(40), billing_country varchar(40),
    billing_postal_code varchar(10), total numeric(10,2) not null, unique (customer_id, invoice_date));
create table invoice_line (id {pk}, invoice_id integer not null references invoice (id),
    track_id integer not null references track (id), unit_price numeric(10,2) not null, quantity integer not null,
    unique (invoice_id, track_id));
"""

KEYS = {
    "artist": ["name"],
    "genre": ["name"],
    "media_type": ["name"],
    "playlist": ["playlist_number"],
    "album": ["artist_id", "title"],
    "track": ["album_id", "name", "milliseconds"],
    "playlist_track": ["playlist_id", "track_id"],
    "employee": ["email"],
    "customer": ["email"],
    "invoice": ["customer_id", "invoice_date"],
    "invoice_line": ["invoice_id", "track_id"],
}
PARENTS = {f"{table}_id": table for table in KEYS} | {"reports_to": "employee", "support_rep_id": "employee"}

OWN = """
insert into artist (id, name) values (50001, 'The Servers');
insert into genre (id, name) values (50001, 'Rock'), (50002, 'Server Rock');
insert into media_type (id, name) values (50001, 'Wax cylinder');
insert into playlist (id, playlist_number, name) values (50001, 9001, 'Music');
insert into album (id, artist_id, title) values (50001, 50001, 'Uptime');
insert into track (id, album_id, name, milliseconds, media_type_id, genre_id, unit_price)
    values (50001, 50001, 'Boot', 1, 50001, 50001, 9.99), (50002, 50001, 'Halt', 2, 50001, 50002, 0.50);
insert into playlist_track values (50001, 50001);
insert into employee (id, first_name, last_name, email) values (50001, 'Op', 'Erator', 'op@server');
insert into customer (id, first_name, last_name, email, support_rep_id) values (50001, 'A', 'B', 'ab@server', 50001);
insert into invoice (id, customer_id, invoice_date, total) values (50001, 50001, '2024-02-29 12:00:00', 9.99);
insert into invoice_line (id, invoice_id, track_id, unit_price, quantity) values (50001, 50001, 50001, 9.99, 1);
"""


def _key_paths(table: str) -> Iterator[str]:
    for column in KEYS[table]:
        yield from _paths(column)


def _paths(column: str) -> Iterator[str]:
    """The column itself, or the parent's natural key that it stands for."""
    parent = PARENTS.get(column)
    if parent is None:
        yield column
    else:
        yield from (f"{column}>{parent}.{path}" for path in _key_paths(parent))


def _exact(value: object) -> Decimal:
    """numeric(10,2): a Decimal of PostgreSQL's, a number of SQLite's."""
    return Decimal(str(value))


def _shape(side: Side, table: str) -> Shape:
    columns = [column for column in _columns(side, table) if column != "id" and column not in KEYS[table]]
    paths = [*_key_paths(table), *(path for column in columns for path in _paths(column))]
    money = {path: _exact for path in paths if path.endswith(("unit_price", "total"))}
    moments = {
        path: str for path in paths if path.endswith("_date")
    }  # a datetime of PostgreSQL's, ISO text of SQLite's
    key = tuple(_key_paths(table))
    return Shape(table, key, tuple(paths[len(key) :]), {**money, **moments})


def _columns(side: Side, table: str) -> list[str]:
    return [column[0] for column in side.connection.execute(f"select * from {table} limit 0").description]


def _original(side: Side, table: str) -> tuple[list[str], list[Row]]:
    """Our columns for Chinook's rows but the id, and these rows in order of their ids."""
    columns = [column for column in _columns(side, table) if column != "id"]
    chosen = ", ".join(_chinook_name(column) for column in columns)
    with closing(sqlite3.connect(FILE)) as chinook:
        return columns, chinook.execute(f"select {chosen} from {_camel(table)} order by rowid").fetchall()


_JUNCTIONS = {"playlist_track"}


def _chinook_name(column: str) -> str:
    return "PlaylistId" if column == "playlist_number" else _camel(column)


def _camel(name: str) -> str:
    return re.sub(r"(?:^|_)(\w)", lambda match: match[1].upper(), name)


class Shop:
    """The laptop's and the server's database, and what the server held before."""

    def __init__(self, source: Side, target: Side) -> None:
        self.source, self.target = source, target
        for side in (source, target):
            side.script(SCHEMA)
        target.script(OWN)
        if target.kind == "postgresql":
            for table in KEYS.keys() - _JUNCTIONS:
                target.run(f"alter table {table} alter column id restart with 60000")
        self.shapes = {table: _shape(source, table) for table in KEYS}
        self.own = contents(target, self.shapes.values())
        del self.own["genre"][("Rock",)]  # the laptop has it too: one row in the end

    def load(self) -> None:
        """Chinook's rows through ordinary inserts, parents first. Its ids have no gaps: ours become the same."""
        for table in KEYS:
            columns, rows = _original(self.source, table)
            marks = ", ".join("?" * len(columns))
            self.source.many(f"insert into {table} ({', '.join(columns)}) values ({marks})", rows)

    def write(self, statements: Sequence[str]) -> None:
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)

    def ids(self, table: str) -> dict[Row, int]:
        rows = by_natural_key(self.target, Shape(table, tuple(_key_paths(table)), ("id",), self.shapes[table].normal))
        return {key: values[0] for key, values in rows.items()}

    def agree(self) -> None:
        compare(self.source, self.target, *self.shapes.values(), others=self.own)


EDITS = (
    "update track set unit_price = 1.49 where unit_price = 0.99 and genre_id = 1",
    "update track set unit_price = 2, bytes = null where id = 10",
    "update track set composer = null where composer like 'A%'",
    "update track set composer = 'Tab\t, \\N, \\, ''quote'' and 😀' where id = 77",
    "update invoice set total = round(total + 0.01, 2), billing_state = null where id <= 100",
    "update customer set company = '', phone = null, support_rep_id = 4 where id <= 20",
    "update employee set reports_to = 2 where id in (7, 8)",
    "update employee set reports_to = null, title = 'Retired' where id = 1",
)
RENAMES = (
    "update artist set name = 'AC-DC' where id = 1",
    "update album set artist_id = 2 where id = 4",
    "update track set name = name || ' (remastered)' where album_id = 1",
    "update customer set email = 'new-' || email where id in (1, 2, 3)",
    "update playlist set playlist_number = playlist_number + 1000 where id > 10",
    "update employee set email = 'boss@chinookcorp.com', reports_to = null where id = 2",
    "update playlist_track set track_id = 3503 where playlist_id = 18",
)
DELETES = (
    "delete from playlist_track where playlist_id = 5 and track_id % 2 = 0",
    "delete from playlist_track where playlist_id = 12",
    "delete from playlist where id in (4, 12)",
    "delete from invoice_line where invoice_id = 1",
    "delete from invoice where id = 1",
    "delete from invoice_line where invoice_id in (select id from invoice where customer_id = 59)",
    "delete from invoice where customer_id = 59",
    "delete from customer where id = 59",
    "delete from playlist_track where track_id in (select id from track where album_id = 347)",
    "delete from invoice_line where track_id in (select id from track where album_id = 347)",
    "delete from track where album_id = 347",
    "delete from album where id = 347",
    "delete from artist where id = 275",
)


@pytest.fixture
def shop(pair: tuple[Side, Side]) -> Shop:
    return Shop(*pair)


@pytest.mark.parametrize("table", KEYS)
def test_the_keys_are_unique_in_chinook_and_have_no_gaps(table: str) -> None:
    columns = ", ".join(_chinook_name(column) for column in KEYS[table])
    with closing(sqlite3.connect(FILE)) as chinook:
        repeated = f"select {columns} from {_camel(table)} group by {columns} having count(*) > 1"
        assert chinook.execute(repeated).fetchall() == []
        missing = " or ".join(f"{_chinook_name(column)} is null" for column in KEYS[table])
        assert chinook.execute(f"select count(*) from {_camel(table)} where {missing}").fetchone() == (0,)
        if table not in _JUNCTIONS:
            ((count, last),) = chinook.execute(f"select count(*), max({_camel(table)}Id) from {_camel(table)}")
            assert count == last


def test_chinook_arrives_and_follows_edits_renames_and_deletes(shop: Shop, tmp_path: Path) -> None:
    config = write_config(tmp_path, "laptop", shop.source, shop.target, KEYS)
    install(config)
    shop.load()
    replicate(config)
    shop.agree()
    _check_ids_differ(shop)
    _follow(shop, config, EDITS)
    _check_renames(shop, config)
    _follow(shop, config, DELETES)


def _check_ids_differ(shop: Shop) -> None:
    assert shop.ids("genre")[("Rock",)] == 50001
    assert min(shop.ids("track").values()) == 50001


def _follow(shop: Shop, config: Config, statements: Sequence[str]) -> None:
    before = {table: shop.ids(table) for table in ("artist", "album", "track", "customer")}
    shop.write(statements)
    replicate(config)
    shop.agree()
    for table, ids in before.items():
        assert shop.ids(table).items() <= ids.items(), f"{table}: the server's ids changed"


def _check_renames(shop: Shop, config: Config) -> None:
    tables = ("artist", "album", "track", "customer", "employee", "playlist", "invoice", "invoice_line")
    before = {table: shop.ids(table) for table in tables}
    shop.write(RENAMES)
    replicate(config)
    shop.agree()
    after = {table: shop.ids(table) for table in tables}
    for table in tables:
        assert sorted(after[table].values()) == sorted(before[table].values()), f"{table}: the server's ids changed"
    assert after["artist"][("AC-DC",)] == before["artist"][("AC/DC",)]
    assert after["album"]["Accept", "Let There Be Rock"] == before["album"]["AC/DC", "Let There Be Rock"]
    album, track = "For Those About To Rock We Salute You", "For Those About To Rock (We Salute You)"
    old, new = ("AC/DC", album, track, 343719), ("AC-DC", album, f"{track} (remastered)", 343719)
    assert after["track"][new] == before["track"][old]


def test_rows_that_stood_there_before_the_triggers_are_sent_on_request(make_side: Make, tmp_path: Path) -> None:
    shop = Shop(make_side("sqlite", "laptop"), make_side("postgresql", "server"))
    shop.load()
    config = write_config(tmp_path, "laptop", shop.source, shop.target, KEYS)
    install(config, include_existing=True)
    replicate(config)
    shop.agree()
