-- The probability that limits are broken, as each asset's newest own forecast has it; and the stream tells what is judged.

create table risk (
    asset_id int8 primary key references asset (id) on delete cascade,
    prediction_id uuid not null,
    state_at timestamptz not null,
    until timestamptz not null,
    probability float8 not null,
    limits jsonb not null,
    updated_at timestamptz not null
);
create index risk_by_update on risk (updated_at);
create index anomaly_by_update on anomaly (updated_at);
create index health_by_update on health (updated_at);
comment on table risk is 'The newest risk of each asset that has limits, beside its twin: computed with the forecast, from its joint sample paths.';
comment on column risk.asset_id is 'The asset that was forecast.';
comment on column risk.prediction_id is 'The forecast that says so; it may have been forgotten since.';
comment on column risk.state_at is 'Instant of the newest frame that it was made from.';
comment on column risk.until is 'Instant of its last step.';
comment on column risk.probability is 'Share of the sample paths that break any limit.';
comment on column risk.limits is 'Each limit with its probability and the time until it is broken, the most probable first.';
comment on column risk.updated_at is 'When it was computed; the stream resumes by it.';
