-- Enters: name. Leaves: whether there are known rows to compare with.

select count(*) > 0 from sqlite_master where type = 'table' and name = :name;
