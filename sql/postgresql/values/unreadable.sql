-- Texts that a type does not take (PostgreSQL 16 and later). Asked once it has refused one of them.
-- Enters: type (as declared), texts (text[]). Leaves: the places of such texts, from 1.

select given.place
from unnest(cast(:texts as text[])) with ordinality as given (text, place)
where given.text is not null and not pg_input_is_valid(given.text, :type)
order by given.place;
