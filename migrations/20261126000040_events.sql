-- What is not a number: logs, notes, and labels that say what was so during an interval.
create table event (
    asset_id int8 not null references asset (id) on delete cascade,
    id text not null,
    kind text not null,
    starts_at timestamptz not null,
    ends_at timestamptz,
    severity text,
    code text,
    text text,
    class text,
    received_at timestamptz not null,
    constraint event_key primary key (asset_id, id),
    constraint event_kind check (kind in ('log', 'note', 'label')),
    constraint event_severity check (severity in ('critical', 'major', 'minor', 'warning', 'info')),
    constraint event_interval check (ends_at >= starts_at),
    constraint event_class check (class is null or kind = 'label')
);
create index event_by_start on event (asset_id, starts_at, id);
comment on table event is 'Logs, notes and labels of assets. The same id again replaces what it said before.';
comment on column event.asset_id is 'The asset that it is about.';
comment on column event.id is 'Name that the sender chose, unique within the asset; a UUID minted from the clock where it chose none.';
comment on column event.kind is 'log: a machine wrote it; note: a person did; label: it says what was so, for learning.';
comment on column event.starts_at is 'Event time: when it happened, or began.';
comment on column event.ends_at is 'When it ended; null for an instant, or while it lasts.';
comment on column event.severity is 'critical, major, minor, warning: as of alarms; info: nothing is wrong; null where the sender did not say.';
comment on column event.code is 'What the machine calls it, such as E-1042.';
comment on column event.text is 'For people.';
comment on column event.class is 'Of a label: the health class of the asset''s type that the asset was in.';
comment on column event.received_at is 'When the server took in what it says now.';
