-- Enters: nothing. Leaves: no object of ours; the event trigger goes with the function that it calls.

drop schema if exists cdc_sync cascade;
