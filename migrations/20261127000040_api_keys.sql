-- Keys that requests are allowed by.
create table api_key (
    id uuid primary key,
    name text not null,
    role text not null,
    prefix text not null,
    secret_hash bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    constraint api_key_role check (role in ('device', 'reader', 'operator', 'admin')),
    constraint api_key_prefix unique (prefix),
    constraint api_key_hash check (octet_length(secret_hash) = 32)
);
comment on table api_key is 'API keys. Rows are revoked, not deleted: a key that once worked is refused with the reason.';
comment on column api_key.id is 'UUIDv7, minted from the clock.';
comment on column api_key.name is 'For people: who or what uses it.';
comment on column api_key.role is 'device: sends telemetry and events; reader: reads and asks; operator: also acts; admin: also changes what there is, and keys.';
comment on column api_key.prefix is 'The first twelve characters, by which a key is recognised. They are no part of its secret.';
comment on column api_key.secret_hash is 'SHA-256 of the whole key. The key has 256 random bits, so a slow hash would add nothing.';
comment on column api_key.created_at is 'When it was made.';
comment on column api_key.expires_at is 'From when on it is refused; null for never.';
comment on column api_key.last_used_at is 'When it was last used, to the minute: written at most that often.';
comment on column api_key.revoked_at is 'From when on it is refused by decision; null while it is not.';

-- Servers keep all keys in memory and ask for this number to learn whether they are still right.
create table api_key_change (
    is_only boolean primary key default true,
    version int8 not null,
    constraint api_key_change_only check (is_only)
);
insert into api_key_change (version) values (0);
comment on table api_key_change is 'One row, which every change of a key locks until it is committed: whoever reads the number and then the keys has them as new as the number.';
comment on column api_key_change.is_only is 'Always true, so that there is one row.';
comment on column api_key_change.version is 'Counts changes of keys, those made by hand included; uses are no changes.';

create function api_key_changed() returns trigger language plpgsql as $$
begin
    update api_key_change set version = version + 1;
    return null;
end
$$;
create trigger api_key_changed
    after insert or delete or update of id, name, role, prefix, secret_hash, expires_at, revoked_at on api_key
    for each statement execute function api_key_changed();
create trigger api_key_emptied after truncate on api_key for each statement execute function api_key_changed();
