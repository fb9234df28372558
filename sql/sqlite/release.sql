-- Ends the capture of one table.
-- Enters: change, and the names of its triggers. Leaves: the table without anything of ours.

drop trigger if exists :"replace_trigger";
drop trigger if exists :"displace_trigger";
drop trigger if exists :"insert_trigger";
drop trigger if exists :"update_trigger";
drop trigger if exists :"delete_trigger";
drop table if exists :"change";
