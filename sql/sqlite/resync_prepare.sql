-- Where a resync stands, so that one that was stopped goes on from there. One row a table: request is what was asked for,
-- as JSON; noted: rows noted so far; place: the last of them, as the database encodes rows.
-- Enters: nothing. Leaves: the table.

create table if not exists cdc_sync_resync (
    table_name text primary key,
    request text not null,
    noted integer not null default 0,
    place blob,
    done integer not null default 0
);
