-- Keeps a query's rows until the transaction ends.
-- Enters: name, query. Leaves: a temporary table, in place of an earlier one of that name.

set local client_min_messages = warning;
drop table if exists pg_temp.:"name";
create temporary table :"name" on commit drop as :{query};
