-- What deferred constraints have not checked is checked first: a table that waits for that cannot be altered.
-- Enters: table, enable (how it fires), trigger. Leaves: the trigger fires as before.

set constraints all immediate;
alter table only :{table} :{enable} trigger :"trigger";
