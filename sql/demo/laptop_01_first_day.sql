-- What the nurse with laptop-01 enters on the first day. Subject 2 gets a mistyped identifier.
-- Enters: empty tables. Leaves: 3 subjects, 4 visits, 5 requisitions.

insert into subject (id, subject_identifier, initials, dob, gender, consented) values
    (1, '066-11-0011-6', 'NM', '1986-04-23', 'F', 1),
    (2, '066-11-0012-4', 'TK', '1972-09-30', 'M', 1),
    (3, '066-11-0013-2', 'BS', '1998-01-15', 'F', 1);

insert into subject_visit (id, subject_id, visit_code, visit_date, weight) values
    (1, 1, '1000', '2025-03-03', 63.5),
    (2, 2, '1000', '2025-03-03', 80.2),
    (3, 2, '1010', '2025-03-31', 79.6),
    (4, 3, '1000', '2025-03-04', null);

insert into specimen_requisition (id, subject_visit_id, panel, requisition_identifier, drawn) values
    (1, 1, 'viral_load', 'R1B11', 1),
    (2, 1, 'cd4', null, 0),
    (3, 2, 'viral_load', 'R1B12', 1),
    (4, 3, 'viral_load', 'R1B13', 1),
    (5, 4, 'chemistry', null, 0);
