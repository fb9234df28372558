-- Making a table and dropping it costs a small batch two milliseconds, and leaves the catalogue full of dead rows.
-- Enters: name, definitions (columns with types). Leaves: an empty table of that name, which lives as long as the connection.

set local client_min_messages = warning;
create temporary table if not exists :"name" (:{definitions}) on commit delete rows;
delete from pg_temp.:"name";
