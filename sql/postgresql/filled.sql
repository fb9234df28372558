-- Whether a column that came to a table holds anything.
-- Enters: table, column. Leaves: one row if so.

select 1 from :{table} where :"column" is not null limit 1;
