-- Enters: nothing. Leaves: no object of ours.

drop schema if exists cdc_sync cascade;
