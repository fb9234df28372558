-- Enters: nothing. Leaves: what each destination's last receipt said.

select name, stored, applied, digest from cdc_sync.destination order by name;
