-- What in this file may need a hand.
-- Enters: flawed: this program's SQLite is one of those (3.7.0 to 3.51.2) that can damage a file in WAL mode when two
--   programs write to it and checkpoint in the same instant (https://sqlite.org/wal.html); seconds, privileged: not used.
-- Leaves: whether it needs a hand, what it is, what to type.

select 0, 'the file is in WAL mode, and SQLite ' || sqlite_version() || ' can, rarely, damage it when two programs write at once',
    'use a Python with SQLite 3.51.3 or later'
from pragma_journal_mode() where journal_mode = 'wal' and :flawed
    and :seconds is not null and :privileged is not null;
