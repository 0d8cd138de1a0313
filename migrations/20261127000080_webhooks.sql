-- Who wants to be told over HTTP of what happens, and what became of telling them.
create table webhook (
    id uuid primary key,
    name text not null,
    url text not null,
    events text[] not null,
    assets text[],
    asset_types text[],
    severities text[],
    enabled boolean not null,
    secret text not null,
    previous_secret text,
    previous_until timestamptz,
    failures int4 not null default 0,
    failing_since timestamptz,
    disabled_reason text,
    revision int8 not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint webhook_events check (cardinality(events) > 0),
    constraint webhook_previous check ((previous_secret is null) = (previous_until is null)),
    constraint webhook_failing check ((failures = 0) = (failing_since is null))
);
comment on table webhook is 'Receivers of events, with what they want to be told.';
comment on column webhook.id is 'Minted from the clock, so it sorts by creation.';
comment on column webhook.name is 'For people: who listens there.';
comment on column webhook.url is 'Where events are posted to.';
comment on column webhook.events is 'Types of events that are told: alarm.raised, alarm.cleared, alarm.acknowledged, alarm.shelved, alarm.unshelved, alarm.commented, model.promoted, model.rolled_back, job.failed.';
comment on column webhook.assets is 'Keys of the assets that are told about; null for all.';
comment on column webhook.asset_types is 'Keys of the asset types that are told about; null for all.';
comment on column webhook.severities is 'Severities of the alarms that are told about; null for all. Says nothing about events of models.';
comment on column webhook.enabled is 'Whether it is told anything.';
comment on column webhook.secret is 'What events are signed with, whsec_ and base64. Needed as it is, because signing takes the secret itself: guard this table as you guard the database.';
comment on column webhook.previous_secret is 'The one before, with which events are signed too for a while; null when nothing was rotated lately.';
comment on column webhook.previous_until is 'Until when.';
comment on column webhook.failures is 'Attempts that failed since the last one that did not.';
comment on column webhook.failing_since is 'When the first of them was; null when there is none.';
comment on column webhook.disabled_reason is 'Why the server switched it off; null while it is on, and where a person did.';
comment on column webhook.revision is 'Counts changes; the ETag.';
comment on column webhook.created_at is 'When it was made.';
comment on column webhook.updated_at is 'When a person or the server last changed what it says.';

create table webhook_outbox (
    seq int8 generated always as identity primary key,
    type text not null,
    at timestamptz not null,
    asset text not null,
    asset_type text not null,
    severity text,
    data jsonb not null
);
comment on table webhook_outbox is 'What happened and has not been handed to receivers yet. Written by triggers in the very transaction in which it happened, so that neither is there without the other; removed when the deliveries are there.';
comment on column webhook_outbox.seq is 'In about the order of what happened.';
comment on column webhook_outbox.type is 'As in webhook.events.';
comment on column webhook_outbox.at is 'When, by the server''s clock.';
comment on column webhook_outbox.asset is 'Key of the asset. No reference: the asset may be gone when it is told.';
comment on column webhook_outbox.asset_type is 'Key of its type.';
comment on column webhook_outbox.severity is 'Of alarms; null for others.';
comment on column webhook_outbox.data is 'How the thing stood then: alarm and log entry, model, or job.';

create table webhook_event (
    id uuid primary key,
    type text not null,
    asset text,
    body text not null,
    created_at timestamptz not null
);
create index webhook_event_by_creation on webhook_event (created_at);
comment on table webhook_event is 'Events that somebody is told of, as they are sent. Forgotten after some days, with their deliveries.';
comment on column webhook_event.id is 'Minted from the clock; the same in every delivery and every attempt, so that a receiver knows what it had already.';
comment on column webhook_event.type is 'As in webhook.events, or webhook.test.';
comment on column webhook_event.asset is 'Key of the asset; null for a test.';
comment on column webhook_event.body is 'The JSON that is posted, to the byte: it is signed.';
comment on column webhook_event.created_at is 'When it was handed to receivers.';

create table webhook_delivery (
    id uuid primary key,
    webhook_id uuid not null references webhook (id) on delete cascade,
    event_id uuid not null references webhook_event (id) on delete cascade,
    status text not null,
    attempts int4 not null default 0,
    due_at timestamptz not null,
    lease_token uuid,
    lease_expires_at timestamptz,
    attempted_at timestamptz,
    took_ms int4,
    http_status int2,
    error text,
    answer text,
    created_at timestamptz not null,
    finished_at timestamptz,
    constraint webhook_delivery_status check (status in ('pending', 'delivered', 'failed')),
    constraint webhook_delivery_end check ((finished_at is null) = (status = 'pending')),
    constraint webhook_delivery_lease check ((lease_token is null) = (lease_expires_at is null))
);
create index webhook_delivery_due on webhook_delivery (webhook_id, due_at, id) where status = 'pending';
create index webhook_delivery_by_webhook on webhook_delivery (webhook_id, id);
create index webhook_delivery_by_event on webhook_delivery (event_id);
comment on table webhook_delivery is 'One event for one receiver.';
comment on column webhook_delivery.id is 'Minted from the clock, so it sorts by creation.';
comment on column webhook_delivery.webhook_id is 'The receiver.';
comment on column webhook_delivery.event_id is 'The event.';
comment on column webhook_delivery.status is 'pending: is attempted when it is due; delivered: was answered with 2xx; failed: given up.';
comment on column webhook_delivery.attempts is 'How often it was begun.';
comment on column webhook_delivery.due_at is 'Not before this instant, by the server''s clock: a failed attempt waits longer each time.';
comment on column webhook_delivery.lease_token is 'Of whoever attempts it now; a late one''s token no longer matches.';
comment on column webhook_delivery.lease_expires_at is 'Database time; afterwards another server attempts it.';
comment on column webhook_delivery.attempted_at is 'When it was last attempted.';
comment on column webhook_delivery.took_ms is 'How long the last attempt took.';
comment on column webhook_delivery.http_status is 'Of the last attempt''s answer; null when there was none.';
comment on column webhook_delivery.error is 'Why the last attempt failed; null when it did not.';
comment on column webhook_delivery.answer is 'The beginning of the last answer''s body, at most 1 KiB.';
comment on column webhook_delivery.created_at is 'When the event was handed to it.';
comment on column webhook_delivery.finished_at is 'When it was delivered or given up.';

-- The rooms below know nothing of receivers: what they write is noticed here, in their own transaction.
create function webhook_note_alarms() returns trigger language plpgsql as $$
begin
    if exists (select from webhook where enabled) then
        insert into webhook_outbox (type, at, asset, asset_type, severity, data)
        select 'alarm.' || n.action, n.at, a.key, y.key, l.severity, jsonb_build_object(
            'alarm', jsonb_build_object('id', l.id, 'rule', l.rule_id, 'name', l.name, 'source', l.source,
                'condition', l.condition, 'signal', l.signal, 'severity', l.severity, 'limit', l.limit_value,
                'value', l.value, 'text', l.text, 'expected_at', l.expected_at, 'active', l.cleared_at is null,
                'acknowledged', l.acknowledged_at is not null, 'shelved_until', l.shelved_until,
                'raised_at', l.raised_at, 'cleared_at', l.cleared_at, 'acknowledged_at', l.acknowledged_at,
                'acknowledged_by', l.acknowledged_by),
            'entry', jsonb_build_object('at', n.at, 'observed_at', n.observed_at, 'who', n.who, 'value', n.value,
                'comment', n.comment))
        from noted n
        join alarm l on l.id = n.alarm_id
        join asset a on a.id = l.asset_id
        join asset_type y on y.id = a.asset_type_id
        order by n.id;
    end if;
    return null;
end
$$;
create trigger webhook_note_alarms after insert on alarm_log
    referencing new table as noted for each statement execute function webhook_note_alarms();

create function webhook_note_champion() returns trigger language plpgsql as $$
begin
    -- Rolling back swaps the two versions, as promoting the one before would: only the reason tells them apart.
    if exists (select from webhook where enabled) then
        insert into webhook_outbox (type, at, asset, asset_type, data)
        select case when new.reason like 'rolled back%' then 'model.rolled_back' else 'model.promoted' end,
            new.changed_at, a.key, y.key, jsonb_build_object('model', jsonb_build_object(
                'version', coalesce((select version from model_version where id = new.model_id), 0),
                'previous_version', coalesce((select version from model_version where id = new.previous_id), 0),
                'reason', new.reason))
        from asset a join asset_type y on y.id = a.asset_type_id where a.id = new.asset_id;
    end if;
    return null;
end
$$;
create trigger webhook_note_first_champion after insert on champion
    for each row when (new.model_id is not null) execute function webhook_note_champion();
create trigger webhook_note_champion after update of model_id on champion
    for each row when (new.model_id is distinct from old.model_id) execute function webhook_note_champion();

create function webhook_note_job() returns trigger language plpgsql as $$
begin
    if exists (select from webhook where enabled) then
        insert into webhook_outbox (type, at, asset, asset_type, data)
        select 'job.failed', new.updated_at, a.key, y.key, jsonb_build_object('job', jsonb_build_object(
            'id', new.id, 'cause', new.cause, 'attempts', new.attempts, 'error', new.error))
        from asset a join asset_type y on y.id = a.asset_type_id where a.id = new.asset_id;
    end if;
    return null;
end
$$;
create trigger webhook_note_job after update of status on fine_tune_job
    for each row when (new.status = 'failed' and old.status <> 'failed') execute function webhook_note_job();
