-- Enters: nothing. Leaves: what each destination's last receipt said.

select name, stored, applied, digest from cdc_sync_destination order by name;
