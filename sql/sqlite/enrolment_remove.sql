-- Enters: name. Leaves: no code for that node.

delete from cdc_sync_enrolment where name = :name;
