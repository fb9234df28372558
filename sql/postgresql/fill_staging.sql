-- Rows whose values would not stay what they are in their columns are left out, and counted by whoever copies.
-- Enters: name, columns, where (a condition, or nothing); then the rows, as COPY text. Leaves: the rows in the staging
-- table.

copy pg_temp.:"name" (:{columns}) from stdin:{where};
