-- Enters: nothing. Leaves: whether anything of ours is installed.

select to_regclass('cdc_sync.node') is not null;
