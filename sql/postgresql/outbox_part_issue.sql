-- Enters: number of a batch, its number in the new chain (as_number). Leaves: its parts under minus that number.

update cdc_sync.outbox_part set number = -:as_number where number = :number;
