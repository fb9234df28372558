-- Enters: name. Leaves: nothing of these versions.

drop table if exists :"name";
