-- Ends the capture of one table. The change table is dropped with its functions and the triggers that call them.
-- Enters: change, and the names of its functions. Leaves: the table without anything of ours.

drop function if exists cdc_sync.:"insert_function"() cascade;
drop function if exists cdc_sync.:"update_function"() cascade;
drop function if exists cdc_sync.:"delete_function"() cascade;
drop function if exists cdc_sync.:"key_function"() cascade;
drop function if exists cdc_sync.:"truncate_function"() cascade;
drop table if exists cdc_sync.:"change";
