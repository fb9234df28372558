-- Enters: change. Leaves: how many changes wait to be sealed.

select count(*) from :"change"
where cdc_sync_seq > (select sealed from cdc_sync_captured where change_table = :change_table);
