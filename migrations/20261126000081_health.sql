-- The newest health class of each asset.

create table health (
    asset_id int8 primary key references asset (id) on delete cascade,
    observed_at timestamptz not null,
    model_id uuid not null,
    class text not null,
    probabilities jsonb not null,
    updated_at timestamptz not null
);
comment on table health is 'The newest health class of each asset, beside its twin, as the classifier of the version that serves names it.';
comment on column health.asset_id is 'The asset that was looked at.';
comment on column health.observed_at is 'Instant of the step that was looked at.';
comment on column health.model_id is 'The version whose classifier looked.';
comment on column health.class is 'The likeliest class.';
comment on column health.probabilities is 'Probability of each class that the classifier knows; they sum to 1.';
comment on column health.updated_at is 'When it was looked at.';
