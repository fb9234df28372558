-- Enters: name. Leaves: whether there are known rows to compare with.

select to_regclass('cdc_sync.' || quote_ident(:name)) is not null;
