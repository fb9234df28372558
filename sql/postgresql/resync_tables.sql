-- Enters: nothing. Leaves: the tables of a resync that has not ended: request, rows noted, whether they are all.

select table_name, request, noted, done from cdc_sync.resync order by table_name;
