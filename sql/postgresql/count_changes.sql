-- Enters: change. Leaves: how many changes wait to be sealed.

select count(*) from cdc_sync.:"change";
