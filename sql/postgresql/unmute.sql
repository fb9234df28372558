-- The mute of this database ends with its transaction by itself.
-- Enters, leaves: nothing.

select 1;
