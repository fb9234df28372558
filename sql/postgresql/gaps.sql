-- Enters: nothing. Leaves: change table, reason, whether reading the table again is of use, and time of every open gap.

select change_table, reason, rereads, noted_at::text from cdc_sync.gap order by noted_at;
