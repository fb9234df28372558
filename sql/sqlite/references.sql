-- Foreign keys.
-- Enters: name. Leaves: number of the key, column, table referred to, column there (null: its primary key).

select f.id, f."from", f."table", f."to"
from pragma_foreign_key_list(:name) f
order by f.id, f.seq;
