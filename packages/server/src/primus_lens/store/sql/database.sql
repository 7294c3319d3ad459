-- name: answer
-- The least a database can be asked, to see whether it answers.
SELECT 1;
