-- Enters: change, table_name, and what changed of it: change_table, base, shape, settings, declared, digest, included.
-- Leaves: the synced table so; where its change table is another one, what was carried there is not sealed yet, and known.

update cdc_sync_captured
set sealed = case when change_table = :change_table then sealed
        else coalesce((select min(cdc_sync_seq) - 1 from :"change"), 0) end,
    known = case when change_table = :change_table then known
        else coalesce((select max(cdc_sync_seq) from :"change"), 0) end,
    change_table = :change_table, base = :base, shape = :shape, settings = :settings, declared = :declared, digest = :digest,
    included = :included
where table_name = :table_name;
