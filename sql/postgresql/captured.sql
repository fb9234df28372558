-- Enters: nothing. Leaves: the synced tables, by name.

select table_name, change_table, shape, settings, declared, digest, included, paused, reread, base
from cdc_sync.captured order by table_name;
