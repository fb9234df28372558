-- Enters: trigger. Leaves: no such trigger, until it is made again in the same transaction.

drop trigger :"trigger";
