-- Enters: nothing. Leaves: change table, reason and time of every gap that is open.

select change_table, reason, noted_at::text from cdc_sync.gap order by noted_at;
