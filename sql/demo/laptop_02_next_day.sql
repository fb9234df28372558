-- The next day on laptop-02: a requisition is deleted, a subject is added.
-- Enters: the rows of laptop_02_first_day.sql. Leaves: one requisition less; one more of subject, visit, requisition.

delete from specimen_requisition where id = 3;

insert into subject (id, subject_identifier, initials, dob, gender, consented) values
    (4, '066-12-0010-8', 'HV', '1983-02-17', 'M', 1);

insert into subject_visit (id, subject_id, visit_code, visit_date, weight) values
    (5, 4, '1000', '2025-04-29', 74.4);

insert into specimen_requisition (id, subject_visit_id, panel, requisition_identifier, drawn) values
    (5, 5, 'viral_load', 'R2C34', 1);
