-- How far the next sealed changes reach that are not in the table of known rows yet.
-- Enters: change, change_table, most. Leaves: the seq of the last of them; nothing where there are none.

select max(cdc_sync_seq) from (
    select c.cdc_sync_seq from :"change" c, cdc_sync_captured t
    where t.change_table = :change_table and c.cdc_sync_seq > t.known and c.cdc_sync_seq <= t.sealed
    order by c.cdc_sync_seq limit :most);
