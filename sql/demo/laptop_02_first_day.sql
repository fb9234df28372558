-- What the nurse with laptop-02 enters on the first day, in another village: the same ids, other people.
-- Enters: empty tables. Leaves: 3 subjects, 4 visits, 4 requisitions.

insert into subject (id, subject_identifier, initials, dob, gender, consented) values
    (1, '066-12-0007-4', 'KR', '1968-12-08', 'M', 1),
    (2, '066-12-0008-2', 'EA', '2001-05-27', 'F', 1),
    (3, '066-12-0009-0', 'ZG', '1994-08-11', 'F', 0);

insert into subject_visit (id, subject_id, visit_code, visit_date, weight) values
    (1, 1, '1000', '2025-03-03', 68.9),
    (2, 1, '1010', '2025-04-01', 69.3),
    (3, 2, '1000', '2025-03-05', 49.75),
    (4, 3, '1000', '2025-03-06', null);

insert into specimen_requisition (id, subject_visit_id, panel, requisition_identifier, drawn) values
    (1, 1, 'viral_load', 'R2C31', 1),
    (2, 2, 'viral_load', 'R2C32', 1),
    (3, 3, 'cd4', null, 0),
    (4, 3, 'viral_load', 'R2C33', 1);
