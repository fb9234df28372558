-- Enters: nothing. Leaves: the file behind this database.

select file from pragma_database_list where name = 'main';
