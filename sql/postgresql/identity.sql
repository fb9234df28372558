-- Enters: nothing. Leaves: what tells this database from every other one, whatever address it is reached by.

select s.system_identifier::text || '/' || d.oid::text
from pg_control_system() s, pg_database d
where d.datname = current_database();
