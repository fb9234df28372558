-- Enters, leaves: nothing. Foreign keys are checked at the end: batches are consistent only as a whole.

pragma defer_foreign_keys = on;
