-- Ends the capture of one table; what is captured stays. The triggers go with the functions that they call.
-- Enters: the names of its functions. Leaves: the table without triggers of ours.

drop function if exists cdc_sync.:"insert_function"() cascade;
drop function if exists cdc_sync.:"update_function"() cascade;
drop function if exists cdc_sync.:"delete_function"() cascade;
drop function if exists cdc_sync.:"key_function"() cascade;
drop function if exists cdc_sync.:"changed_function"(anyelement, anyelement) cascade;
drop function if exists cdc_sync.:"truncate_function"() cascade;
