-- The rows of a captured table as they stand before a gap in capture that somebody wants: what identifies them, and their
-- keys. With it the gap can be closed, rows that were deleted in it included.
-- Enters: known, known_columns, apart (those of them that tell rows apart), table, watched. Leaves: the rows as they stand.

drop table if exists cdc_sync.:"known";
create table cdc_sync.:"known" (:{known_columns}) as select :{watched} from :{table};
create index on cdc_sync.:"known" (:{apart});
