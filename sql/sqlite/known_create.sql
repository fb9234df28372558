-- The rows of a captured table that seals have told of: what identifies them, and their keys. With it a gap in capture can be
-- closed, rows that were deleted in it included.
-- Enters: known, known_columns, apart (those of them that tell rows apart), table, watched. Leaves: the rows as they stand.

create table :"known" (:{known_columns}, unique (:{apart}));
insert into :"known" (:{known_columns}) select :{watched} from :{table};
