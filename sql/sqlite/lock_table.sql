-- The write transaction around it keeps every writer out.
-- Enters: table. Leaves: nothing.

select 1 from :{table} limit 0;
