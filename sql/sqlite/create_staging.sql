-- Without types: a staged value keeps its storage class until the target's column takes it.
-- Enters: name, columns. Leaves: an empty table that lives as long as the connection.

create temporary table :"name" (:{columns});
