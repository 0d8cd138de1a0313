-- The newest anomaly score of each asset.

create table anomaly (
    asset_id int8 primary key references asset (id) on delete cascade,
    observed_at timestamptz not null,
    score float8 not null,
    contributions jsonb not null,
    updated_at timestamptz not null
);
comment on table anomaly is 'The newest anomaly score of each asset, beside its twin; scores of the past are computed when they are asked for.';
comment on column anomaly.asset_id is 'The asset that was judged.';
comment on column anomaly.observed_at is 'Instant of the step that was judged.';
comment on column anomaly.score is 'How far it lies from normal operation, in units of the threshold.';
comment on column anomaly.contributions is 'What each signal has to do with the score: their sum is the score.';
comment on column anomaly.updated_at is 'When it was judged.';
