-- Enters: table_name. Leaves: the place of the last row noted, where there are rows to note; kept from others meanwhile.

select place from cdc_sync.resync where table_name = :table_name and not done for update;
