-- Enters: nothing. Leaves: who may enrol.

select name, relay, grants, expires_at from cdc_sync.enrolment order by name;
