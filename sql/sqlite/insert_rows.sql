-- Adds the rows of a query.
-- Enters: table, columns, rows (a query). Leaves: the rows.

insert into :{table} (:{columns}) :{rows};
