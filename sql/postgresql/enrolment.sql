-- Enters: code_digest. Leaves: who may enrol with that code, if anybody may; nobody else does at the same moment.

select name, relay, grants, expires_at from cdc_sync.enrolment where code_digest = :code_digest for update;
