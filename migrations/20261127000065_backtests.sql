-- Rolling-origin evaluations of forecasters on an asset's own history.
create table backtest (
    id uuid primary key,
    asset_id int8 not null references asset (id) on delete cascade,
    version int4 not null,
    model_id uuid references model_version (id) on delete cascade,
    windows int4 not null,
    step_size int4 not null,
    horizon int4 not null,
    cutoff timestamptz not null,
    inputs text not null,
    status text not null,
    progress float8 not null default 0,
    eta_s float8,
    attempts int4 not null default 0,
    run_after timestamptz not null,
    lease_token uuid,
    lease_expires_at timestamptz,
    cancel_requested boolean not null default false,
    result jsonb,
    error text,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    updated_at timestamptz not null,
    constraint backtest_inputs check (inputs in ('held', 'measured')),
    constraint backtest_status check (status in ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
    constraint backtest_version check ((version = 0) = (model_id is null))
);
create index backtest_by_asset on backtest (asset_id, id);
create index backtest_by_update on backtest (updated_at);
create index backtest_unfinished on backtest (run_after, id) where status in ('pending', 'running');
comment on table backtest is 'Jobs that ask how good forecasters would have been on the last windows of an asset''s history.';
comment on column backtest.id is 'Minted from the clock, so it sorts by creation.';
comment on column backtest.asset_id is 'The asset whose history it is.';
comment on column backtest.version is 'Number of the model version that is examined; 0 is the base model.';
comment on column backtest.model_id is 'The same version by its id; null for the base model.';
comment on column backtest.windows is 'Windows that are forecast.';
comment on column backtest.step_size is 'Steps between the starts of two windows.';
comment on column backtest.horizon is 'Steps of a window.';
comment on column backtest.cutoff is 'Instant of the newest frame that counts: the last window ends there.';
comment on column backtest.inputs is 'held: inputs are assumed to keep the value that they had at a window''s start; measured: they did what they were measured to do.';
comment on column backtest.status is 'pending: waits for a worker; running: leased; succeeded: there is a result; failed: gave up, see error; cancelled: a person stopped it.';
comment on column backtest.progress is 'Share that is done, 0 to 1.';
comment on column backtest.eta_s is 'Seconds that are left, as the worker expects; null while it cannot tell.';
comment on column backtest.attempts is 'How often a worker has started it; after five it fails.';
comment on column backtest.run_after is 'Not before this instant: a failed attempt waits longer each time.';
comment on column backtest.lease_token is 'Of the worker that may finish the job; a late worker''s token no longer matches.';
comment on column backtest.lease_expires_at is 'Database time; renewed while it works, free for another worker afterwards.';
comment on column backtest.cancel_requested is 'A person asked to stop; the worker looks between windows.';
comment on column backtest.result is 'Scores of every forecaster; null before it has succeeded.';
comment on column backtest.error is 'Why the last attempt failed; null when none did.';
comment on column backtest.created_at is 'When it was asked for.';
comment on column backtest.started_at is 'When a worker first took it.';
comment on column backtest.finished_at is 'When it reached a status that ends it.';
comment on column backtest.updated_at is 'Moves with every change of the row; the stream resumes by it.';
