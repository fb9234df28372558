-- Enters: nothing. Leaves: who may enrol.

select name, relay, grants, expires_at from cdc_sync_enrolment order by name;
