-- Hypotheses that are kept, and what was answered to them.
create table scenario (
    asset_id int8 not null references asset (id) on delete cascade,
    id uuid not null,
    parent_id uuid,
    name text not null,
    description text,
    tags text[] not null default '{}',
    settings jsonb not null,
    revision int8 not null default 1,
    expires_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint scenario_key primary key (asset_id, id),
    constraint scenario_parent foreign key (asset_id, parent_id) references scenario (asset_id, id),
    constraint scenario_not_its_own_parent check (parent_id <> id)
);
create index scenario_by_parent on scenario (asset_id, parent_id) where parent_id is not null;
comment on table scenario is 'Saved what-ifs. A child has the overrides of its parents before its own; there are no circles, the server looks before it writes, one writer of an asset at a time.';
comment on column scenario.asset_id is 'The asset that it is about.';
comment on column scenario.id is 'Minted from the clock, so it sorts by creation.';
comment on column scenario.parent_id is 'The scenario that it inherits from; null for none.';
comment on column scenario.name is 'For people.';
comment on column scenario.description is 'For people.';
comment on column scenario.tags is 'For people, to find it again.';
comment on column scenario.settings is 'Overrides, horizon, limits, constraints and KPIs of its own; what it leaves out it inherits.';
comment on column scenario.revision is 'Counts changes; the ETag.';
comment on column scenario.expires_at is 'From then on it is not shown, and it is deleted once no child needs it; null for never.';
comment on column scenario.created_at is 'When it was made.';
comment on column scenario.updated_at is 'When it last changed.';

create table scenario_run (
    asset_id int8 not null,
    id uuid not null,
    scenario_id uuid not null,
    repeat_of uuid,
    created_at timestamptz not null,
    as_of timestamptz not null,
    model_id uuid,
    seed int8 not null,
    input_hash bytea not null,
    request text not null,
    frozen text not null,
    outcome text not null,
    constraint scenario_run_key primary key (asset_id, id),
    constraint scenario_run_of foreign key (asset_id, scenario_id) references scenario (asset_id, id) on delete cascade
);
create index scenario_run_by_scenario on scenario_run (asset_id, scenario_id, id);
comment on table scenario_run is 'Executions of scenarios. request, frozen and outcome are text, not jsonb: a run that is repeated has the same bytes.';
comment on column scenario_run.asset_id is 'The asset that it is about.';
comment on column scenario_run.id is 'Minted from the clock, so it sorts by creation.';
comment on column scenario_run.scenario_id is 'The scenario that was run.';
comment on column scenario_run.repeat_of is 'The run that it repeats; null for one of its own. Not a foreign key: a repetition may outlive it.';
comment on column scenario_run.created_at is 'When it was run.';
comment on column scenario_run.as_of is 'Instant of the newest frame that it started from.';
comment on column scenario_run.model_id is 'The version that answered; null for the base model or the fallback.';
comment on column scenario_run.seed is 'Decided its sample paths.';
comment on column scenario_run.input_hash is 'SHA-256 of request, frozen and the readings that were looked at.';
comment on column scenario_run.request is 'The what-if as it was put together from the scenario and its parents.';
comment on column scenario_run.frozen is 'What served, and how: everything that the answer followed from besides request and readings.';
comment on column scenario_run.outcome is 'The answer as it was given.';
