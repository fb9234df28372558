-- Enters: texts (text[]), type (as declared). Leaves: whether the type takes every one of them (PostgreSQL 16 and later).

select coalesce(bool_and(pg_input_is_valid(text, :type)), true) from unnest(cast(:texts as text[])) as text;
