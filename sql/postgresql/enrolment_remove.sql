-- Enters: name. Leaves: no code for that node.

delete from cdc_sync.enrolment where name = :name;
