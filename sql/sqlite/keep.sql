-- Keeps a query's rows; the connection ends with the transaction, and they with it.
-- Enters: name, query. Leaves: a temporary table, in place of an earlier one of that name.

drop table if exists temp.:"name";
create temporary table :"name" as :{query};
