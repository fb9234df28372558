-- Runs before a snapshot is taken. A table that is rewritten or truncated after it looks empty to it, and so would the
-- parents that keys run through; whoever changes a table waits until the seal has read it.
-- Enters: tables (quoted). Leaves: weak locks, until the transaction ends.

lock table :{tables} in access share mode;
