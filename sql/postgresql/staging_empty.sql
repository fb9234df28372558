-- Enters: name. Leaves: that staging table, empty.

truncate pg_temp.:"name";
