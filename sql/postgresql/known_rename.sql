-- Enters: former, known. Leaves: the known rows under the other name.

alter table cdc_sync.:"former" rename to :"known";
