-- Checks now what is otherwise checked when the transaction ends; the server itself raises what it finds.
-- Enters: tables. Leaves: nothing.

set constraints all immediate;
set constraints all deferred;
