-- Enters: origin. Leaves: its letters, of all its epochs: id, table, the table that it waits for.

select id, table_name, awaits from cdc_sync.letter where origin = :origin;
