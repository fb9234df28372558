-- The next day on laptop-01: the mistyped identifier is corrected, a specimen is drawn, a visit is added.
-- Enters: the rows of laptop_01_first_day.sql. Leaves: one more visit, one more requisition.

update subject set subject_identifier = '066-11-0021-4' where id = 2;

update specimen_requisition set drawn = 1, requisition_identifier = 'R1B14' where id = 2;

insert into subject_visit (id, subject_id, visit_code, visit_date, weight) values
    (5, 2, '1020', '2025-04-28', 79.1);

insert into specimen_requisition (id, subject_visit_id, panel, requisition_identifier, drawn) values
    (6, 5, 'chemistry', 'R1B15', 1);
