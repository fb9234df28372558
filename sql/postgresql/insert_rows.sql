-- Adds the rows of a query. A key that is an identity always comes from the source all the same.
-- Enters: table, columns, rows (a query). Leaves: the rows.

insert into :{table} (:{columns}) overriding system value :{rows};
