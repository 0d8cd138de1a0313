-- Limits that are watched, and what became of those that were broken.
create table alarm_rule (
    id uuid primary key,
    asset_id int8 not null references asset (id) on delete cascade,
    name text not null,
    description text,
    source text not null,
    condition text not null,
    signal text,
    position int4,
    unit text,
    limit_value float8,
    deadband float8 not null,
    hold_us int8 not null,
    within_us int8,
    probability float8,
    severity text not null,
    enabled boolean not null,
    revision int8 not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint alarm_rule_source check (source in ('measured', 'predicted')),
    constraint alarm_rule_condition check (condition in ('above', 'below', 'rate_above', 'rate_below', 'missing')),
    constraint alarm_rule_severity check (severity in ('critical', 'major', 'minor', 'warning')),
    constraint alarm_rule_signal check ((signal is null) = (position is null) and (signal is not null or condition = 'missing')),
    constraint alarm_rule_limit check ((limit_value is null) = (condition = 'missing')),
    constraint alarm_rule_lead check ((source = 'predicted') = (within_us is not null) and (within_us is null) = (probability is null))
);
create index alarm_rule_by_asset on alarm_rule (asset_id, id);
comment on table alarm_rule is 'When an asset is to raise an alarm. Source, condition and signal of a rule never change.';
comment on column alarm_rule.id is 'Minted from the clock, so it sorts by creation.';
comment on column alarm_rule.asset_id is 'The asset that is watched.';
comment on column alarm_rule.name is 'For people; the title of its alarms.';
comment on column alarm_rule.description is 'For people: what to do.';
comment on column alarm_rule.source is 'measured: readings are watched; predicted: the twin''s own newest forecast is.';
comment on column alarm_rule.condition is 'above, below: the value; rate_above, rate_below: its change per second; missing: nothing arrives.';
comment on column alarm_rule.signal is 'The signal that is watched; null for missing readings of any signal.';
comment on column alarm_rule.position is 'Of the signal in frame.values, counted from 1; the same in every version of the type that the asset can have.';
comment on column alarm_rule.unit is 'Of the signal.';
comment on column alarm_rule.limit_value is 'In the unit of the signal, for rates per second; null for missing.';
comment on column alarm_rule.deadband is 'How far inside the limit the value must be before the alarm clears.';
comment on column alarm_rule.hold_us is 'Microseconds of event time that the condition must hold before the alarm is raised; of missing: that nothing may arrive.';
comment on column alarm_rule.within_us is 'Of predicted: microseconds ahead that are looked at.';
comment on column alarm_rule.probability is 'Of predicted: probability from which on a breach counts.';
comment on column alarm_rule.severity is 'critical, major, minor or warning; alarms keep the one they were raised with.';
comment on column alarm_rule.enabled is 'Whether it is watched.';
comment on column alarm_rule.revision is 'Counts changes; the ETag.';
comment on column alarm_rule.created_at is 'When it was made.';
comment on column alarm_rule.updated_at is 'When it last changed.';

create table alarm_state (
    rule_id uuid primary key references alarm_rule (id) on delete cascade,
    revision int8 not null default 0,
    phase text not null default 'inactive',
    since timestamptz,
    seen_at timestamptz,
    last_at timestamptz,
    last_value float8,
    prediction_id uuid,
    shelved_until timestamptz,
    evaluated_at timestamptz not null,
    constraint alarm_state_phase check (phase in ('inactive', 'pending', 'active')),
    constraint alarm_state_since check ((phase = 'pending') = (since is not null))
);
comment on table alarm_state is 'How far each rule has been evaluated, one row per rule. Its row lock orders those who evaluate it and those who clear its alarm.';
comment on column alarm_state.rule_id is 'The rule.';
comment on column alarm_state.revision is 'Revision of the rule that was evaluated; 0 before the first time. Another one: the newest value is looked at again.';
comment on column alarm_state.phase is 'inactive: all is well; pending: the condition holds, but not yet for long enough; active: its alarm is active.';
comment on column alarm_state.since is 'Event time since when the condition holds; null unless pending.';
comment on column alarm_state.seen_at is 'Event time of the newest evidence; what is older came late and changes nothing.';
comment on column alarm_state.last_at is 'Event time of the newest good value; of missing: of the newest reading before the silence that was told.';
comment on column alarm_state.last_value is 'The newest good value; 0 for missing.';
comment on column alarm_state.prediction_id is 'Of predicted: the forecast that was looked at last.';
comment on column alarm_state.shelved_until is 'Alarms that the rule raises before this instant are shelved until then.';
comment on column alarm_state.evaluated_at is 'When it was last evaluated; those that waited longest come first.';

create table alarm (
    id uuid primary key,
    asset_id int8 not null references asset (id) on delete cascade,
    rule_id uuid references alarm_rule (id) on delete set null,
    name text not null,
    source text not null,
    condition text not null,
    signal text,
    severity text not null,
    limit_value float8,
    value float8,
    text text not null,
    expected_at timestamptz,
    raised_at timestamptz not null,
    cleared_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    shelved_until timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint alarm_source check (source in ('measured', 'predicted')),
    constraint alarm_severity check (severity in ('critical', 'major', 'minor', 'warning')),
    constraint alarm_interval check (cleared_at >= raised_at)
);
create unique index alarm_active on alarm (rule_id) where cleared_at is null;
create index alarm_by_asset on alarm (asset_id, id);
create index alarm_by_update on alarm (updated_at);
comment on table alarm is 'Alarms, active and cleared. At most one active alarm per rule, by alarm_active; a rule belongs to one asset.';
comment on column alarm.id is 'Minted from the clock, so it sorts by creation.';
comment on column alarm.asset_id is 'The asset.';
comment on column alarm.rule_id is 'The rule that raised it; null once that is deleted. What the rule said then is copied here.';
comment on column alarm.name is 'Name of the rule.';
comment on column alarm.source is 'measured or predicted, as of the rule.';
comment on column alarm.condition is 'As of the rule.';
comment on column alarm.signal is 'As of the rule.';
comment on column alarm.severity is 'As of the rule.';
comment on column alarm.limit_value is 'As of the rule.';
comment on column alarm.value is 'What raised it: a value, a change per second, seconds of silence, or a probability; null when not known.';
comment on column alarm.text is 'What happened, for people.';
comment on column alarm.expected_at is 'Of predicted: the first instant at which a breach was probable enough.';
comment on column alarm.raised_at is 'Event time from which on it was active.';
comment on column alarm.cleared_at is 'Event time at which it was over; the server''s time where a person cleared it. Null while it is active.';
comment on column alarm.acknowledged_at is 'When a person took notice; null before.';
comment on column alarm.acknowledged_by is 'Who, if they said.';
comment on column alarm.shelved_until is 'Until then nobody wants to hear of it; null for not shelved.';
comment on column alarm.created_at is 'When the server raised it.';
comment on column alarm.updated_at is 'Moves with every change of the row; the stream resumes by it.';

create table alarm_log (
    id int8 generated always as identity primary key,
    alarm_id uuid not null references alarm (id) on delete cascade,
    at timestamptz not null,
    observed_at timestamptz,
    action text not null,
    who text,
    value float8,
    comment text,
    constraint alarm_log_action check (action in ('raised', 'cleared', 'acknowledged', 'shelved', 'unshelved', 'commented'))
);
create index alarm_log_by_alarm on alarm_log (alarm_id, id);
comment on table alarm_log is 'Everything that happened to alarms; rows are only ever added.';
comment on column alarm_log.id is 'In the order of what happened.';
comment on column alarm_log.alarm_id is 'The alarm.';
comment on column alarm_log.at is 'When, by the server''s clock.';
comment on column alarm_log.observed_at is 'Event time of the evidence; null for what people did.';
comment on column alarm_log.action is 'raised, cleared; acknowledged, shelved, unshelved, commented: by people, unshelved also by itself.';
comment on column alarm_log.who is 'Who did it, if they said; null for the server.';
comment on column alarm_log.value is 'As of alarm.value, at that moment.';
comment on column alarm_log.comment is 'In words; of shelved: until when.';
