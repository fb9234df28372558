-- Everything of ours in a database except what belongs to one captured table. Runs any number of times.
-- Enters: nothing. Leaves: tables behind the prefix cdc_sync_.

-- This node's own identity. The private key stands outside the database.
create table if not exists cdc_sync_node (
    name text primary key,
    epoch text not null,
    public_key blob not null
);

-- One row a synced table. shape: what travels, as JSON; settings: what the DBA's file says of it, as JSON; declared: its
-- columns with their types, as JSON, or what a view shows. change_table: null for a parent that is only looked up, and for a
-- view, which is captured at the table that base names. included: the rows that stood in the table were captured too.
-- paused: nothing is captured. reread: the next seal reads rows as they stand.
-- sealed: changes up to this seq are in a sealed batch. known: of these, changes up to this one are in the table of known
-- rows; they are deleted afterwards, a few at a time.
create table if not exists cdc_sync_captured (
    table_name text primary key,
    change_table text,
    base text,
    shape text not null,
    settings text not null,
    declared text not null,
    digest text not null,
    included integer not null default 0,
    paused integer not null default 0,
    reread integer not null default 0,
    sealed integer not null default 0,
    known integer not null default 0
);

-- Times in which changes were not captured, until the table was read again. rereads: reading it again is of use.
create table if not exists cdc_sync_gap (
    change_table text not null,
    reason text not null,
    rereads integer not null default 1,
    noted_at text not null default current_timestamp
);

-- This node's sealed batches, until every destination has applied them. The newest header stays for the chain.
create table if not exists cdc_sync_outbox (
    number integer primary key,
    header blob not null,
    signature blob not null,
    digest blob not null,
    rows integer not null
);

create table if not exists cdc_sync_outbox_part (
    number integer not null,
    part integer not null,
    data blob not null,
    primary key (number, part)
);

-- What each node said last of a chain, this node's own or a carried one. digest: that of batch stored. data, signature: the
-- receipt as its giver signed it; null where it was read in the giver's own database, or told by a code.
create table if not exists cdc_sync_receipt (
    giver text not null,
    origin text not null,
    epoch text not null,
    stored integer not null,
    applied integer not null,
    digest blob not null,
    data blob,
    signature blob,
    primary key (giver, origin, epoch)
);

-- Signed receipts to hand on: this node's own, and those of givers that are not known here, about chains that it carries.
-- Whoever reads them knows which key is whose; here nothing is believed of them.
create table if not exists cdc_sync_passing (
    giver text not null,
    public_key blob not null,
    origin text not null,
    epoch text not null,
    stored integer not null,
    applied integer not null,
    data blob not null,
    signature blob not null,
    primary key (origin, epoch, giver, public_key)
);

-- What this node does with the batches of others: one row. relays: keeps them for its destinations. applies: to its own
-- tables. Without a row it applies them and keeps none.
create table if not exists cdc_sync_role (
    place integer primary key,
    relays integer not null,
    applies integer not null
);

-- What went wrong last with another node; origin: whose batches it was about, empty for all. Gone once it goes well.
create table if not exists cdc_sync_trouble (
    peer text not null,
    origin text not null,
    message text not null,
    hint text not null,
    since text not null,
    primary key (peer, origin)
);

-- What was said of columns that a destination does not have, as JSON, so that it is said once.
create table if not exists cdc_sync_told (
    destination text primary key,
    said text not null
);

-- What this database calls the tables and columns of an origin, as JSON, where it calls some otherwise.
create table if not exists cdc_sync_renamed (
    origin text primary key,
    renames text not null
);

-- Other nodes that are known here. relay: may bring and fetch other nodes' batches. grants: tables and operations that it
-- may write, as JSON, null for everything. enrolled_at: null for one that was only ever let in by the database.
create table if not exists cdc_sync_peer (
    name text primary key,
    public_key blob not null,
    relay integer not null default 0,
    grants text,
    enrolled_at text,
    revoked_at text
);

-- Nodes that may enrol once. code_digest: of the secret in the code, which is kept nowhere; the others as in peer.
create table if not exists cdc_sync_enrolment (
    code_digest blob primary key,
    name text not null,
    relay integer not null,
    grants text,
    expires_at text not null
);

-- Per origin: batches stored and applied up to.
create table if not exists cdc_sync_position (
    origin text not null,
    epoch text not null,
    stored integer not null,
    applied integer not null,
    digest blob not null,
    primary key (origin, epoch)
);

-- Batches received, byte for byte. The header of an applied batch stays, its parts go; at a relay once they are applied at
-- its final destinations too.
create table if not exists cdc_sync_inbox (
    origin text not null,
    epoch text not null,
    number integer not null,
    header blob not null,
    signature blob not null,
    digest blob not null,
    rows integer not null,
    primary key (origin, epoch, number)
);

create table if not exists cdc_sync_inbox_part (
    origin text not null,
    epoch text not null,
    number integer not null,
    part integer not null,
    data blob not null,
    primary key (origin, epoch, number, part)
);

-- Changes that are not applied: deferred (awaits: the parent's table), dead, held for a decision; skipped ones for the record.
-- All changes of one row stand in one letter. number: the batch whose header describes them; seq: the first of them;
-- standing: where the row stands at its origin, as JSON, null once it is gone there.
create table if not exists cdc_sync_letter (
    id integer primary key,
    origin text not null,
    epoch text not null,
    number integer not null,
    table_name text not null,
    seq integer not null,
    state text not null,
    awaits text not null,
    standing text,
    code text not null,
    message text not null,
    hint text not null,
    encoding text not null,
    keyed integer not null,
    counts text not null,
    data blob not null,
    noted_at text not null
);

create index if not exists cdc_sync_letter_origin on cdc_sync_letter (origin, epoch);

-- Tables whose rows carry a version: who wrote a row here last, and when that was captured. declared: as JSON, the
-- columns of the version table that tell rows apart. noted: the last change of this node's own that is known there.
-- A row without a version is this database's own.
create table if not exists cdc_sync_versioned (
    table_name text primary key,
    version_table text not null,
    declared text not null,
    noted integer not null default 0
);

-- Rows that another origin deleted, by natural key as JSON, in tables where the newest change wins.
create table if not exists cdc_sync_tombstone (
    table_name text not null,
    row_key text not null,
    origin text not null,
    at text not null,
    primary key (table_name, row_key)
);

-- Changes that met a row which somebody else wrote. met_origin, met_at: who, and when that was captured; both versions of
-- the row as JSON. outcome: whose version stands here now.
create table if not exists cdc_sync_conflict (
    id integer primary key,
    origin text not null,
    epoch text not null,
    number integer not null,
    table_name text not null,
    seq integer not null,
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
create table if not exists cdc_sync_base (
    table_name text not null,
    origin text not null,
    row_key text not null,
    image text not null,
    primary key (table_name, origin, row_key)
);
