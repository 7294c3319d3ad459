-- name: may_make_roles
-- Whether the account that is signed in may make roles.
SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user;

-- name: role_exists
-- Whether there is a role of a name.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text);

-- name: make_reader
-- Make a role that may sign in. $2: its password.
SELECT lens_api.lens_make_reader($1, $2);

-- name: grant_reading
-- Let a role read the views and nothing else.
SELECT lens_api.lens_grant_reading($1);

-- name: may_create
-- Whether a role may still make tables of its own, as everybody could before PostgreSQL 15.
SELECT has_schema_privilege($1::text, 'public', 'CREATE');
