-- Without types: a staged value keeps its storage class until the target's column takes it.
-- Enters: name, columns. Leaves: an empty table, in place of an earlier one of that name, that lives as long as the connection.

drop table if exists temp.:"name";
create temporary table :"name" (:{columns});
