-- Enters: table. Leaves: how many rows stand in it.

select count(*) from :{table};
