-- Enters: name, definitions (columns with types). Leaves: an empty table that lives as long as the transaction.

create temporary table :"name" (:{definitions}) on commit drop;
