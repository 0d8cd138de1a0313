-- Who changed what over HTTP.
create table audit_entry (
    id uuid primary key,
    at timestamptz not null,
    key_id uuid,
    key_name text,
    role text not null,
    method text not null,
    path text not null,
    status int2
);
create index audit_entry_at on audit_entry (at);
create index audit_entry_key on audit_entry (key_id, id);
comment on table audit_entry is 'Requests that operate or administer, allowed or not, whether they succeeded or not. Kept for 400 days.';
comment on column audit_entry.id is 'UUIDv7, minted from the clock.';
comment on column audit_entry.at is 'When the request came.';
comment on column audit_entry.key_id is 'The key that it brought; null where the server asked for none. No reference: an entry outlives what it names.';
comment on column audit_entry.key_name is 'The name of the key at that time.';
comment on column audit_entry.role is 'The role of the key at that time.';
comment on column audit_entry.method is 'HTTP method.';
comment on column audit_entry.path is 'Its address without the query.';
comment on column audit_entry.status is 'HTTP status of the answer; null where the client left before there was one: it may or may not have been carried out.';
