-- Enters: origin. Leaves: what this database calls the origin's tables and columns, as JSON, if it calls any otherwise.

select renames from cdc_sync_renamed where origin = :origin;
