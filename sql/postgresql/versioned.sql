-- Enters: nothing. Leaves: every table with versions of its rows: its name, that of the versions, and its columns.

select table_name, version_table, declared from cdc_sync.versioned;
