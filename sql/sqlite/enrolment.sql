-- Enters: code_digest. Leaves: who may enrol with that code, if anybody may.

select name, relay, grants, expires_at from cdc_sync_enrolment where code_digest = :code_digest;
