-- Jobs that make themselves: because of drift, of errors, by the clock; each with its reason in words.
alter table fine_tune_job drop constraint fine_tune_job_cause;
alter table fine_tune_job add constraint fine_tune_job_cause
    check (cause in ('request', 'fresh_readings', 'drift', 'errors', 'schedule'));
alter table fine_tune_job add column why text;
comment on column fine_tune_job.cause is 'request: a person asked; fresh_readings: enough new readings had come; drift: signals were no longer spread as in what the serving version learned from; errors: its forecasts had become worse; schedule: it was time, and something new had come.';
comment on column fine_tune_job.why is 'The cause in words with numbers; null where the cause says all.';

create table training_check (
    asset_id int8 primary key references asset (id) on delete cascade,
    model_id uuid not null,
    readings_seen int8 not null,
    found jsonb not null,
    checked_at timestamptz not null
);
comment on table training_check is 'The last look at the newest frames and outcomes of an asset: whether they are still as its version learned them.';
comment on column training_check.asset_id is 'The asset.';
comment on column training_check.model_id is 'The version that served it then; a look at another begins anew.';
comment on column training_check.readings_seen is 'Readings of the asset (twin.readings) at the look; the next one waits for a whole stretch of new frames.';
comment on column training_check.found is 'Signals that had drifted and outputs whose errors had grown, which count once the next look finds them too; sums of outcomes so far, and the mean errors of the first ones.';
comment on column training_check.checked_at is 'When.';
