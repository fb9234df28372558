-- Enters: known. Leaves: no known rows.

drop table if exists :"known";
