-- Enters: former, known. Leaves: the known rows under the other name.

alter table :"former" rename to :"known";
