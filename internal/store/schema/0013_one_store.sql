-- From here on the database is all that there is: no file beside it holds
-- trigger runs or entries that it has not, and only the process that has locked
-- the state directory opens it. A program that does otherwise must not.
DELETE FROM meta WHERE name = 'journal';
