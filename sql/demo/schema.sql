-- The tables of a field EDC, the same on every laptop and on the server.
-- Enters: an empty database. Leaves: subject, subject_visit and specimen_requisition, all empty.

create table subject (
    id integer primary key,
    subject_identifier text not null unique,
    initials text not null,
    dob date not null,
    gender text not null,
    consented boolean not null
);

create table subject_visit (
    id integer primary key,
    subject_id integer not null references subject (id),
    visit_code text not null,
    visit_date date not null,
    weight real,
    unique (subject_id, visit_code)
);

create table specimen_requisition (
    id integer primary key,
    subject_visit_id integer not null references subject_visit (id),
    panel text not null,
    requisition_identifier text unique,
    drawn boolean not null,
    unique (subject_visit_id, panel)
);
