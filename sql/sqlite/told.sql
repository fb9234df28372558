-- Enters: nothing. Leaves: destinations, and what was said of columns that they do not have, as JSON.

select destination, said from cdc_sync_told;
