-- The ledger of outcomes: every served prediction is scored once, when readings have reached its last step.
alter table prediction add column due_at timestamptz;
alter table prediction add column scored_at timestamptz;
alter table prediction add column applied int4;
create index prediction_unscored on prediction (asset_id, due_at) where due_at is not null and scored_at is null;
comment on column prediction.due_at is 'Instant of its last step: once readings reach it, it is scored. Null for what is not scored: asked from a past instant, whose future was known, or made before there was a ledger.';
comment on column prediction.scored_at is 'When it was scored and added to outcome, in one transaction; null before.';
comment on column prediction.applied is 'Steps during which the inputs went as it assumed; later ones are not scored. Null before it is scored.';

create table outcome (
    asset_id int8 not null references asset (id) on delete cascade,
    day date not null,
    cause text not null,
    source text not null,
    version int4 not null,
    signal text not null,
    lead int2 not null,
    vintages int8 not null,
    truths int8 not null,
    differed int8 not null,
    error float8 not null,
    absolute float8 not null,
    squared float8 not null,
    crps float8 not null,
    naive_absolute float8 not null,
    naive_crps float8 not null,
    of_80 int8 not null,
    held_80 int8 not null,
    of_95 int8 not null,
    held_95 int8 not null,
    constraint outcome_key primary key (asset_id, day, cause, source, version, signal, lead),
    constraint outcome_cause check (cause in ('refresh', 'request')),
    constraint outcome_source check (source in ('model', 'base', 'fallback'))
);
create index outcome_by_day on outcome (day);
comment on table outcome is 'How served predictions turned out: sums over the truths that were compared, never one row per prediction.';
comment on column outcome.asset_id is 'The asset that was predicted.';
comment on column outcome.day is 'Day (UTC) of the state that the predictions were made from.';
comment on column outcome.cause is 'refresh: the twin''s own forecasts; request: somebody asked.';
comment on column outcome.source is 'model: a fine-tuned version answered; base: the base model; fallback: the naive forecast.';
comment on column outcome.version is 'Number of the version within the asset; 0 unless source is model.';
comment on column outcome.signal is 'Name of the output.';
comment on column outcome.lead is 'Lead time: 0 is the first step, n the steps from 2^(n-1) + 1 to 2^n.';
comment on column outcome.vintages is 'Predictions with a truth at this lead time.';
comment on column outcome.truths is 'Measured values that were compared.';
comment on column outcome.differed is 'Measured values that were not, because the inputs had left what was assumed of them.';
comment on column outcome.error is 'Sum of median minus truth, in the unit of the signal.';
comment on column outcome.absolute is 'Sum of the absolute errors of the median.';
comment on column outcome.squared is 'Sum of the squared errors of the median.';
comment on column outcome.crps is 'Sum of the continuous ranked probability score over the served levels.';
comment on column outcome.naive_absolute is 'Sum of the absolute errors of the naive forecast from the same state.';
comment on column outcome.naive_crps is 'Sum of the score of the naive forecast over the same levels.';
comment on column outcome.of_80 is 'Truths for which an 80 % band was served.';
comment on column outcome.held_80 is 'How many of them it held.';
comment on column outcome.of_95 is 'Truths for which a 95 % band was served.';
comment on column outcome.held_95 is 'How many of them it held.';
