-- Enters: nothing. Leaves: whether this role may make event triggers.

select rolsuper from pg_roles where rolname = current_user;
