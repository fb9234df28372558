-- Enters: name, definitions (the columns that tell rows apart, with types), key. Leaves: an empty table of versions.

create table if not exists cdc_sync.:"name" (:{definitions}, origin text not null, at text not null, primary key (:{key}));
