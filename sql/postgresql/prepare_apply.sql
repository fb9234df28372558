-- Enters, leaves: nothing. Deferrable constraints are checked at the end: batches are consistent only as a whole.

set constraints all deferred;
set local work_mem = '64MB';
