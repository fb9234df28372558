-- Enters: name, definitions (columns with types). Leaves: an empty table, in place of an earlier one of that name, that lives as long as the transaction.

set local client_min_messages = warning;
drop table if exists pg_temp.:"name";
create temporary table :"name" (:{definitions}) on commit drop;
