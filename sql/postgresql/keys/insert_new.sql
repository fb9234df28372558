-- Adds the rows of a query, and a version of each. An error where one of them is there, or has a version.
-- Enters: table, columns, rows (a query), locator (the table's columns that tell its rows apart), name (of the table of
-- versions), places (their columns there), origin, latest (a query). Leaves: the rows; touches one version a row.

with fresh as (insert into :{table} (:{columns}) overriding system value :{rows} returning :{locator})
insert into cdc_sync.:"name" (:{places}, origin, at) select fresh.*, :'origin', (:{latest}) from fresh;
