-- Enters: nothing. Leaves: header and signature of every batch that came in, as they came.

select header, signature
from cdc_sync_inbox
order by number, origin;
