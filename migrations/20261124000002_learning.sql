-- What was learned, and what it said.
create table model_version (
    id uuid primary key,
    asset_id int8 not null references asset (id) on delete cascade,
    version int4 not null,
    job_id uuid not null,
    base text not null,
    weights bytea not null,
    sha256 bytea not null,
    recipe jsonb not null,
    calibration jsonb not null,
    scores jsonb not null,
    curve jsonb not null,
    promoted boolean not null,
    reason text not null,
    created_at timestamptz not null,
    constraint model_version_number unique (asset_id, version)
);
comment on table model_version is 'Results of fine-tuning: a head of its own on the frozen backbone of the base.';
comment on column model_version.id is 'Minted from the clock, so it sorts by creation.';
comment on column model_version.asset_id is 'The asset it learned from and serves.';
comment on column model_version.version is '1, 2, 3... within an asset; 0 is the base model itself and has no row.';
comment on column model_version.job_id is 'The fine_tune_job that made it.';
comment on column model_version.base is 'Name of the base model whose backbone the head belongs to.';
comment on column model_version.weights is 'The head as safetensors.';
comment on column model_version.sha256 is 'Of weights; checked at every load.';
comment on column model_version.recipe is 'Learning rate, steps, regularisation and seed that it was trained with.';
comment on column model_version.calibration is 'Conformal widths per target and horizon block.';
comment on column model_version.scores is 'Score cards of candidate, champion and naive forecasts on the same holdout.';
comment on column model_version.curve is 'Training and validation loss by step.';
comment on column model_version.promoted is 'Whether the verdict made it champion when it was born.';
comment on column model_version.reason is 'The verdict in words.';
comment on column model_version.created_at is 'When the verdict was reached.';

create table champion (
    asset_id int8 primary key references asset (id) on delete cascade,
    model_id uuid references model_version (id),
    previous_id uuid references model_version (id),
    changed_at timestamptz not null,
    reason text not null
);
comment on table champion is 'Which version serves an asset. No row, or a null model_id: the base model serves.';
comment on column champion.asset_id is 'The asset that is served.';
comment on column champion.model_id is 'The version that serves; null for the base model.';
comment on column champion.previous_id is 'What served before; roll-back swaps the two.';
comment on column champion.changed_at is 'When the present one took over.';
comment on column champion.reason is 'Why, in words: the verdict, or who promoted it by hand.';

create table fine_tune_job (
    id uuid primary key,
    asset_id int8 not null references asset (id) on delete cascade,
    status text not null,
    cause text not null,
    recipe jsonb not null,
    promotion text not null default 'managed',
    stage text not null default 'waiting',
    progress float8 not null default 0,
    eta_s float8,
    attempts int4 not null default 0,
    run_after timestamptz not null,
    lease_token uuid,
    lease_expires_at timestamptz,
    cancel_requested boolean not null default false,
    model_id uuid references model_version (id) on delete set null,
    verdict jsonb,
    error text,
    frames_seen int8 not null default 0,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null,
    constraint fine_tune_job_status check (status in ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
    constraint fine_tune_job_cause check (cause in ('request', 'fresh_readings')),
    constraint fine_tune_job_promotion check (promotion in ('managed', 'manual'))
);
create unique index fine_tune_job_unfinished on fine_tune_job (asset_id) where status in ('pending', 'running');
create index fine_tune_job_by_update on fine_tune_job (updated_at);
create index fine_tune_job_by_asset on fine_tune_job (asset_id, created_at);
comment on table fine_tune_job is 'Learning on an asset''s data. At most one unfinished job per asset, by fine_tune_job_unfinished.';
comment on column fine_tune_job.id is 'Minted from the clock, so it sorts by creation.';
comment on column fine_tune_job.asset_id is 'The asset to learn.';
comment on column fine_tune_job.status is 'pending: waits for a worker; running: leased; succeeded: a verdict was reached, promoted or not; failed: gave up, see error; cancelled: a person stopped it.';
comment on column fine_tune_job.cause is 'request: a person asked; fresh_readings: enough new readings had come.';
comment on column fine_tune_job.recipe is 'What was asked for; what it leaves out has defaults.';
comment on column fine_tune_job.stage is 'What the worker does now, in a word for people.';
comment on column fine_tune_job.progress is 'Share that is done, 0 to 1.';
comment on column fine_tune_job.eta_s is 'Seconds that are left, as the worker expects; null while it cannot tell.';
comment on column fine_tune_job.attempts is 'How often a worker has started it; after five it fails.';
comment on column fine_tune_job.run_after is 'Not before this instant: a failed attempt waits longer each time.';
comment on column fine_tune_job.promotion is 'managed: a candidate that passes the gate becomes champion; manual: a person promotes it.';
comment on column fine_tune_job.lease_token is 'Of the worker that may finish the job; a late worker''s token no longer matches.';
comment on column fine_tune_job.lease_expires_at is 'Database time; renewed while training, free for another worker afterwards.';
comment on column fine_tune_job.cancel_requested is 'A person asked to stop; the worker looks between steps.';
comment on column fine_tune_job.model_id is 'What came of it; null when nothing did.';
comment on column fine_tune_job.verdict is 'Promoted or not, why, and both score cards.';
comment on column fine_tune_job.error is 'Why the last attempt failed; null when none did.';
comment on column fine_tune_job.frames_seen is 'Readings of the asset (twin.readings) when the job was made; the next automatic one waits for enough more.';
comment on column fine_tune_job.created_at is 'When it was asked for.';
comment on column fine_tune_job.started_at is 'When a worker first took it.';
comment on column fine_tune_job.finished_at is 'When it reached a status that ends it.';
comment on column fine_tune_job.updated_at is 'Moves with every change of the row; the stream resumes by it.';

create table prediction (
    asset_id int8 not null references asset (id) on delete cascade,
    id uuid not null,
    created_at timestamptz not null,
    state_at timestamptz not null,
    model_id uuid,
    cause text not null,
    answer jsonb not null,
    constraint prediction_key primary key (asset_id, id),
    constraint prediction_cause check (cause in ('refresh', 'request'))
);
create index prediction_by_creation on prediction (created_at);
comment on table prediction is 'Vintages: predictions as they were served.';
comment on column prediction.asset_id is 'The asset it is about.';
comment on column prediction.id is 'Minted from the clock, so it sorts by creation.';
comment on column prediction.created_at is 'When it was served.';
comment on column prediction.state_at is 'Instant of the newest frame that it was made from.';
comment on column prediction.model_id is 'The version that answered; null when the base model or the fallback did.';
comment on column prediction.cause is 'refresh: the twin''s own forecast after new readings; request: somebody asked.';
comment on column prediction.answer is 'The answer as it was given.';
