-- Texts that a type reads and writes otherwise: what they meant where they were written nobody knows.
-- Enters: type (as declared), texts (text[]). Leaves: the places of such texts, from 1. Fails for a bad one.

select given.place
from unnest(cast(:texts as text[])) with ordinality as given (text, place)
where given.text is not null and concat(cast(given.text as :{type})) <> given.text
order by given.place;
