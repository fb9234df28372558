-- What another laptop brought to the server long ago.
-- Enters: empty tables. Leaves: 2 subjects, 3 visits, 3 requisitions.

insert into subject (id, subject_identifier, initials, dob, gender, consented) values
    (1, '066-19-0001-5', 'LP', '1979-11-02', 'F', 1),
    (2, '066-19-0002-3', 'DO', '1991-07-19', 'M', 1);

insert into subject_visit (id, subject_id, visit_code, visit_date, weight) values
    (1, 1, '1000', '2025-02-11', 58.4),
    (2, 1, '1010', '2025-03-11', 59.1),
    (3, 2, '1000', '2025-02-12', 71.0);

insert into specimen_requisition (id, subject_visit_id, panel, requisition_identifier, drawn) values
    (1, 1, 'viral_load', 'R9A01', 1),
    (2, 2, 'viral_load', 'R9A02', 1),
    (3, 3, 'cd4', null, 0);
