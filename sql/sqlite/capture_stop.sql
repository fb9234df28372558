-- Ends the capture of one table; what is captured stays.
-- Enters: the names of its triggers. Leaves: the table without triggers of ours.

drop trigger if exists :"replace_trigger";
drop trigger if exists :"displace_trigger";
drop trigger if exists :"insert_trigger";
drop trigger if exists :"update_trigger";
drop trigger if exists :"delete_trigger";
