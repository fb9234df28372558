-- Enters: name. Leaves: that staging table, empty.

delete from temp.:"name";
