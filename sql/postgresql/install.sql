-- Everything of ours in a database except what belongs to one captured table. Runs any number of times.
-- Enters: nothing. Leaves: schema cdc_sync.

-- Nodes that meet here for the first time at the same moment take turns.
select pg_advisory_xact_lock(hashtext('cdc_sync install'));

create schema if not exists cdc_sync;

-- One sequence for all change tables. cache 1: with a larger cache the last update of a row can get the lowest number.
create sequence if not exists cdc_sync.seq as bigint cache 1;

-- This node's own identity. The private key stands outside the database.
create table if not exists cdc_sync.node (
    name text primary key,
    epoch text not null,
    public_key bytea not null
);

-- One row a synced table. shape: what travels, as JSON; settings: what the DBA's file says of it, as JSON; declared: its
-- columns with their types, as JSON, or what a view shows. change_table: null for a parent that is only looked up, and for a
-- view, which is captured at the table that base names. included: the rows that stood in the table were captured too.
-- paused: nothing is captured. reread: the next seal reads rows as they stand.
create table if not exists cdc_sync.captured (
    table_name text primary key,
    change_table text,
    base text,
    shape text not null,
    settings text not null,
    declared text not null,
    digest text not null,
    included boolean not null default false,
    paused boolean not null default false,
    reread boolean not null default false
);

-- The columns of a change table, each with the column that it mirrors, whatever that is called by now.
create table if not exists cdc_sync.captured_column (
    change_table text not null,
    place integer not null,
    name text not null,
    old_name text,
    tells_apart boolean not null,
    declared text not null,
    attnum smallint not null,
    primary key (change_table, place)
);

-- What a table's triggers do and how they are made, with holes for its columns and its partitions. relation_oid is another
-- than relation's where the database was restored from a dump: then columns have other numbers, and are known by name.
create table if not exists cdc_sync.captured_text (
    change_table text primary key,
    relation regclass not null,
    relation_oid oid not null,
    branches regclass[] not null,
    functions text not null,
    triggers text not null
);

-- A table's partitions and inheritance children, however deep.
create or replace function cdc_sync.branches(root regclass) returns setof regclass
language sql stable set search_path = pg_catalog, pg_temp as $function$
    with recursive branch as (
        select i.inhrelid as oid from pg_inherits i where i.inhparent = root and not i.inhdetachpending
        union all
        select i.inhrelid from branch join pg_inherits i on i.inhparent = branch.oid and not i.inhdetachpending)
    select distinct branch.oid::regclass from branch join pg_class c on c.oid = branch.oid where c.relkind in ('r', 'p') and c.relpersistence <> 't'
$function$;

-- Times in which changes were not captured, until the table was read again. rereads: reading it again is of use.
create table if not exists cdc_sync.gap (
    change_table text not null,
    reason text not null,
    rereads boolean not null default true,
    noted_at timestamptz not null default now()
);

-- This node's sealed batches, until every destination has applied them. The newest header stays for the chain.
create table if not exists cdc_sync.outbox (
    number bigint primary key,
    header bytea not null,
    signature bytea not null,
    digest bytea not null,
    rows bigint not null
);

create table if not exists cdc_sync.outbox_part (
    number bigint not null,
    part integer not null,
    data bytea not null,
    primary key (number, part)
);

-- What each node said last of a chain, this node's own or a carried one. digest: that of batch stored. data, signature: the
-- receipt as its giver signed it; null where it was read in the giver's own database, or told by a code.
create table if not exists cdc_sync.receipt (
    giver text not null,
    origin text not null,
    epoch text not null,
    stored bigint not null,
    applied bigint not null,
    digest bytea not null,
    data bytea,
    signature bytea,
    primary key (giver, origin, epoch)
);

-- Signed receipts to hand on: this node's own, and those of givers that are not known here, about chains that it carries.
-- Whoever reads them knows which key is whose; here nothing is believed of them.
create table if not exists cdc_sync.passing (
    giver text not null,
    public_key bytea not null,
    origin text not null,
    epoch text not null,
    stored bigint not null,
    applied bigint not null,
    data bytea not null,
    signature bytea not null,
    primary key (origin, epoch, giver, public_key)
);

-- What this node does with the batches of others: one row. relays: keeps them for its destinations. applies: to its own
-- tables. Without a row it applies them and keeps none.
create table if not exists cdc_sync.role (
    place integer primary key,
    relays boolean not null,
    applies boolean not null
);

-- What went wrong last with another node; origin: whose batches it was about, empty for all. Gone once it goes well.
create table if not exists cdc_sync.trouble (
    peer text not null,
    origin text not null,
    message text not null,
    hint text not null,
    since text not null,
    primary key (peer, origin)
);

-- What was said of columns that a destination does not have, as JSON, so that it is said once.
create table if not exists cdc_sync.told (
    destination text primary key,
    said text not null
);

-- What this database calls the tables and columns of an origin, as JSON, where it calls some otherwise.
create table if not exists cdc_sync.renamed (
    origin text primary key,
    renames text not null
);

-- Other nodes that are known here. relay: may bring and fetch other nodes' batches. grants: tables and operations that it
-- may write, as JSON, null for everything. enrolled_at: null for one that was only ever let in by the database.
create table if not exists cdc_sync.peer (
    name text primary key,
    public_key bytea not null,
    relay boolean not null default false,
    grants text,
    enrolled_at text,
    revoked_at text
);

-- Nodes that may enrol once. code_digest: of the secret in the code, which is kept nowhere; the others as in peer.
create table if not exists cdc_sync.enrolment (
    code_digest bytea primary key,
    name text not null,
    relay boolean not null,
    grants text,
    expires_at text not null
);

-- Per origin: batches stored and applied up to.
create table if not exists cdc_sync.position (
    origin text not null,
    epoch text not null,
    stored bigint not null,
    applied bigint not null,
    digest bytea not null,
    primary key (origin, epoch)
);

-- Batches received, byte for byte. The header of an applied batch stays, its parts go; at a relay once they are applied at
-- its final destinations too.
create table if not exists cdc_sync.inbox (
    origin text not null,
    epoch text not null,
    number bigint not null,
    header bytea not null,
    signature bytea not null,
    digest bytea not null,
    rows bigint not null,
    primary key (origin, epoch, number)
);

create table if not exists cdc_sync.inbox_part (
    origin text not null,
    epoch text not null,
    number bigint not null,
    part integer not null,
    data bytea not null,
    primary key (origin, epoch, number, part)
);

-- Parts are compressed already: trying again costs time and gains nothing.
alter table cdc_sync.outbox_part alter column data set storage external;
alter table cdc_sync.inbox_part alter column data set storage external;

-- Changes that are not applied: deferred (awaits: the parent's table), dead, held for a decision; skipped ones for the record.
-- All changes of one row stand in one letter. number: the batch whose header describes them; seq: the first of them;
-- standing: where the row stands at its origin, as JSON, null once it is gone there.
create table if not exists cdc_sync.letter (
    id bigint generated always as identity primary key,
    origin text not null,
    epoch text not null,
    number bigint not null,
    table_name text not null,
    seq bigint not null,
    state text not null,
    awaits text not null,
    standing text,
    code text not null,
    message text not null,
    hint text not null,
    encoding text not null,
    keyed boolean not null,
    counts text not null,
    data bytea not null,
    noted_at text not null
);

create index if not exists letter_origin on cdc_sync.letter (origin, epoch);

-- Tables whose rows carry a version: who wrote a row here last, and when that was captured. declared: as JSON, the
-- columns of the version table that tell rows apart. noted: the last change of this node's own that is known there.
-- A row without a version is this database's own.
create table if not exists cdc_sync.versioned (
    table_name text primary key,
    version_table text not null,
    declared text not null,
    noted bigint not null default 0
);

-- Rows that another origin deleted, by natural key as JSON, in tables where the newest change wins.
create table if not exists cdc_sync.tombstone (
    table_name text not null,
    row_key text not null,
    origin text not null,
    at text not null,
    primary key (table_name, row_key)
);

-- Changes that met a row which somebody else wrote. met_origin, met_at: who, and when that was captured; both versions of
-- the row as JSON. outcome: whose version stands here now.
create table if not exists cdc_sync.conflict (
    id bigint generated always as identity primary key,
    origin text not null,
    epoch text not null,
    number bigint not null,
    table_name text not null,
    seq bigint not null,
    kind text not null,
    policy text not null,
    outcome text not null,
    met_origin text not null,
    met_at text not null,
    captured_at text not null,
    source_row text not null,
    target_row text not null,
    noted_at text not null
);

-- What each origin sent last of a row, as JSON, in tables whose columns are merged. row_key: the row's place here, as JSON.
create table if not exists cdc_sync.base (
    table_name text not null,
    origin text not null,
    row_key text not null,
    image text not null,
    primary key (table_name, origin, row_key)
);
