-- What the server did by itself stands in the trail beside what was done over HTTP.
alter table audit_entry
    alter column role drop not null,
    alter column method drop not null,
    add column act text constraint audit_entry_act check (act in ('promote', 'roll_back', 'fine_tune')),
    add column reason text,
    add constraint audit_entry_kind check (case when act is null
        then method is not null and role is not null and reason is null
        else method is null and role is null and key_id is null and status is null and reason is not null end);
comment on table audit_entry is 'Requests that operate or administer, allowed or not, whether they succeeded or not, and what the server did by itself. Kept for 400 days.';
comment on column audit_entry.role is 'The role of the key at that time; null of what the server did by itself.';
comment on column audit_entry.method is 'HTTP method; null of what the server did by itself.';
comment on column audit_entry.path is 'Its address without the query; of what the server did by itself the address of what it did it to.';
comment on column audit_entry.act is 'What the server did by itself: promote (a version began to serve), roll_back (it no longer does), fine_tune (a job was made); null of a request.';
comment on column audit_entry.reason is 'Why the server did it, in words; null of a request.';
