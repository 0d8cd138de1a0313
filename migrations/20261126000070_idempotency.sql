-- Answers to requests that came with an Idempotency-Key.
create table idempotency_key (
    key text primary key,
    fingerprint bytea not null,
    started_at timestamptz not null,
    status int2,
    headers jsonb,
    body bytea,
    constraint idempotency_key_answered check ((status is null) = (headers is null) and (status is null) = (body is null))
);
create index idempotency_key_started on idempotency_key (started_at);
comment on table idempotency_key is 'Requests that a client may send again without anything being done twice (draft-ietf-httpapi-idempotency-key-header). Kept for a day.';
comment on column idempotency_key.key is 'What the client named the request.';
comment on column idempotency_key.fingerprint is 'SHA-256 of method, address, media type and body: another request under the same key is refused.';
comment on column idempotency_key.started_at is 'When it was last begun.';
comment on column idempotency_key.status is 'HTTP status of its answer; null while it is in work, or after the server died over it.';
comment on column idempotency_key.headers is 'Headers that belong to the answer.';
comment on column idempotency_key.body is 'The answer.';
