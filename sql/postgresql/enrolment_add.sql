-- Enters: code_digest, name, relay, grants, expires_at. Leaves: a node that may enrol once.

insert into cdc_sync.enrolment (code_digest, name, relay, grants, expires_at)
values (:code_digest, :name, :relay, :grants, :expires_at);
