-- Enters: name, columns, marks (a parameter a column); then the rows, one by one. Leaves: them in the staging table.

insert into temp.:"name" (:{columns}) values (:{marks});
