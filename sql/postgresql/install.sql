-- Everything of ours in a database except what belongs to one captured table. Runs any number of times.
-- Enters: nothing. Leaves: schema cdc_sync.

create schema if not exists cdc_sync;

-- One sequence for all change tables. cache 1: with a larger cache the last update of a row can get the lowest number.
create sequence if not exists cdc_sync.seq as bigint cache 1;

-- This node's own identity. The private key stands outside the database.
create table if not exists cdc_sync.node (
    name text primary key,
    epoch text not null,
    public_key bytea not null
);

-- One row a synced table. shape: what travels, as JSON. change_table: null for a parent that is only looked up.
-- included: the rows that stood in the table were captured too.
create table if not exists cdc_sync.captured (
    table_name text primary key,
    change_table text,
    shape text not null,
    digest text not null,
    included boolean not null default false
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

-- What each destination's last receipt said.
create table if not exists cdc_sync.destination (
    name text primary key,
    stored bigint not null,
    applied bigint not null
);

-- Nodes whose batches are accepted here.
create table if not exists cdc_sync.peer (
    name text primary key,
    public_key bytea not null
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

-- Batches received, byte for byte. The header of an applied batch stays, its parts go.
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
